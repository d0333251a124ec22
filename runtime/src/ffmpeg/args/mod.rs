//! A job as an argv. Pure: the same job always gives the same arguments.

mod encoder;

use std::ffi::OsString;

use super::codec::{AudioEncoder, Encoder, SubtitleCodec, VideoCodec};
use super::container::{Container, SoundFile};
use super::input;
use super::job::{Audio, Decode, Input, InputFormat, Job, Origin, Output, Subtitle, Video};

pub(super) use self::encoder::x264_preset;

/// Seconds between two reports of progress.
const REPORT_SECONDS: &str = "0.25";

/// The arguments of `job`, without the program. ffmpeg's standard input stays open for its `q`
/// command, so `-nostdin` is never among them.
pub fn args(job: &Job) -> Vec<OsString> {
    let mut args = Args::default();
    args.add(["-y", "-hide_banner", "-loglevel", "level+verbose", "-nostats"]);
    args.add(["-progress", "pipe:1", "-stats_period", REPORT_SECONDS]);
    if job.inputs.iter().any(|input| input.own_times) {
        args.add(["-copyts"]);
    }
    for input in &job.inputs {
        args.input(input, job.threads);
    }
    if !job.graph.is_empty() {
        args.option("-filter_complex", &job.graph);
    }
    for output in &job.outputs {
        args.output(output, job.threads);
    }
    args.0
}

#[derive(Default)]
struct Args(Vec<OsString>);

impl Args {
    fn add<S: Into<OsString>>(&mut self, args: impl IntoIterator<Item = S>) {
        self.0.extend(args.into_iter().map(Into::into));
    }

    fn option(&mut self, name: &str, value: impl ToString) {
        self.add([name.to_owned(), value.to_string()]);
    }

    fn threads(&mut self, threads: Option<u16>) {
        if let Some(threads) = threads {
            self.option("-threads", threads);
        }
    }

    fn input(&mut self, input: &Input, threads: Option<u16>) {
        if let Decode::Cuda { gpu } = input.decode {
            self.add(["-hwaccel", "cuda", "-hwaccel_output_format", "cuda"]);
            self.option("-hwaccel_device", gpu);
        }
        if input.own_times {
            self.add(["-noaccurate_seek"]);
        }
        if let Some(seconds) = input.delay {
            self.option("-itsoffset", format!("{seconds:.6}"));
        }
        for (name, seconds) in [("-ss", input.seek), ("-t", input.length)] {
            if let Some(seconds) = seconds {
                self.option(name, format!("{seconds:.6}"));
            }
        }
        self.threads(threads);
        self.format(input);
        self.add([OsString::from("-i"), input.file.url()]);
    }

    fn format(&mut self, input: &Input) {
        match input.format {
            InputFormat::Media => self.add(input.file.guards()),
            InputFormat::Jpeg => {
                self.add(input::guards());
                self.add(["-f", "jpeg_pipe"]);
            }
            InputFormat::Rgba { size: (width, height) } => {
                self.add(["-protocol_whitelist", "file", "-f", "rawvideo"]);
                self.add(["-pixel_format", "rgba", "-video_size"]);
                self.add([format!("{width}x{height}")]);
            }
        }
    }

    fn output(&mut self, output: &Output, threads: Option<u16>) {
        if let Some(video) = &output.video {
            self.video(video, output.container);
        }
        for (index, audio) in output.audio.iter().enumerate() {
            self.audio(index, audio);
        }
        for (index, subtitle) in output.subtitles.iter().enumerate() {
            self.subtitle(index, *subtitle);
        }
        self.threads(threads);
        self.add(["-map_metadata", "0", "-map_chapters", "0", "-dn"]);
        // A late or sparse track must not make ffmpeg give up on the others.
        self.add(["-max_muxing_queue_size", "4096"]);
        if output.container.is_mp4() || output.container == Container::Sound(SoundFile::M4a) {
            self.add(["-movflags", "+faststart"]);
        }
        if output.container == Container::Sound(SoundFile::Wav) {
            // What doesn't fit into the 4 GiB of plain WAV is written as RF64.
            self.add(["-rf64", "auto"]);
        }
        self.add(["-f", output.container.name()]);
        self.add([input::url(&output.path)]);
    }

    /// Maps what a track is made of; a chain of its own goes to the option `filters`.
    fn origin(&mut self, origin: &Origin, filters: &str) {
        match origin {
            Origin::Graph(link) => self.option("-map", link),
            Origin::Stream(source, chain) => {
                self.option("-map", format!("{}:{}", source.input, source.stream));
                if !chain.is_empty() {
                    self.option(filters, chain);
                }
            }
        }
    }

    fn video(&mut self, video: &Video, container: Container) {
        self.origin(&video.origin, "-filter:v:0");
        if !matches!(video.encoder, Encoder::Copy(_)) {
            self.add(["-fps_mode:v:0", "passthrough"]);
        }
        if let Some(base) = video.time_base {
            self.option("-enc_time_base:v:0", format!("{}:{}", base.num, base.den));
        }
        self.add(["-c:v:0", video.encoder.name()]);
        self.encoder(video);
        self.keyframes(video);
        if video.encoder.codec() == Some(VideoCodec::Hevc) && container.is_mp4() {
            // Apple's players take HEVC by this tag only.
            self.add(["-tag:v:0", "hvc1"]);
        }
    }

    fn audio(&mut self, index: usize, audio: &Audio) {
        self.origin(&audio.origin, &format!("-filter:a:{index}"));
        let (codec, bits) = match audio.encoder {
            AudioEncoder::Copy => ("copy", None),
            AudioEncoder::Aac(bits) => ("aac", Some(bits)),
            AudioEncoder::Opus(bits) => ("libopus", Some(bits)),
            AudioEncoder::Mp3(bits) => ("libmp3lame", Some(bits)),
            AudioEncoder::Flac => ("flac", None),
            AudioEncoder::Pcm16 => ("pcm_s16le", None),
        };
        self.option(&format!("-c:a:{index}"), codec);
        if let Some(bits) = bits {
            self.option(&format!("-b:a:{index}"), bits);
        }
    }

    fn subtitle(&mut self, index: usize, subtitle: Subtitle) {
        self.option("-map", format!("{}:{}", subtitle.source.input, subtitle.source.stream));
        let codec = match subtitle.codec {
            SubtitleCodec::Copy => "copy",
            SubtitleCodec::MovText => "mov_text",
            SubtitleCodec::Srt => "srt",
            SubtitleCodec::WebVtt => "webvtt",
        };
        self.option(&format!("-c:s:{index}"), codec);
    }
}
