//! Decides how a video is transcoded: arguments, what the file is and what the machine can do go
//! in, an ffmpeg job and the reasons come out. Pure.

mod encoder;
mod picture;
#[cfg(test)]
mod tests;

use std::path::Path;

use self::picture::Look;
use super::args::Args;
use super::tracks;
use crate::ffmpeg::job::{
    Container, Decode, Encoder, Input, Job, Output, Rate, Source, Video, VideoCodec,
};
use crate::ffmpeg::probe::{Kind, Media, Stream, VideoStream};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::{Failure, FailureKind};

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The input on this machine.
    pub input: &'a Path,
    /// What the caller called it.
    pub name: &'a str,
    /// Where to write.
    pub output: &'a Path,
    /// In which format.
    pub container: Container,
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What ffmpeg is asked to do.
    pub job: Job,
    /// Why hardware isn't used, although it might have been.
    pub fallback: Option<String>,
    /// What of the input doesn't come along, or is changed on the way.
    pub notes: Vec<String>,
    /// What the result has to be like.
    pub expect: Expect,
}

/// What the result has to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Index of the video stream in the input.
    pub stream: u32,
    /// Width and height.
    pub size: (u32, u32),
    /// Audio tracks.
    pub audio: usize,
    /// Every frame that goes in comes out; otherwise a rate was asked for.
    pub every_frame: bool,
}

impl Plan {
    /// The one output of the job.
    pub fn output(&self) -> &Output {
        self.job.outputs.first().expect("a plan has one output")
    }
}

/// The codec that `args` ask for in `container`.
pub fn codec(args: &Args, container: Container) -> Result<VideoCodec, Failure> {
    match (args.codec, container) {
        (None, Container::WebM) => Ok(VideoCodec::Vp9),
        (None, _) => Ok(VideoCodec::H264),
        (Some(codec @ (VideoCodec::H264 | VideoCodec::Hevc)), Container::WebM) => {
            Err(Failure::new(
                FailureKind::InvalidArgs,
                format!("a `.webm` file can't hold {}", codec.title()),
            )
            .hint("use `codec=vp9` or `codec=av1`, or name an output that ends in `.mp4`"))
        }
        (Some(codec), _) => Ok(codec),
    }
}

/// The whole decision.
pub fn plan(
    args: &Args,
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    place: Place<'_>,
) -> Result<Plan, Failure> {
    let codec = codec(args, place.container)?;
    let (stream, video) = picture_of(media, place.name)?;
    let look = Look::decide(args, codec, video);
    encoder::check_size(codec, look.geometry.size())?;
    let (encoder, fallback) = encoder::choose(codec, hardware, look, machine)?;
    let on_gpu = args.fps.is_none()
        && encoder::gpu_of(encoder, machine)
            .is_some_and(|gpu| encoder::stays_on_gpu(gpu, stream, look));
    let filters = match on_gpu {
        true => picture::gpu_filters(video, look),
        false => picture::cpu_filters(args, video, look),
    };
    let audio = tracks::audio(media, args.audio, place.container);
    let (subtitles, mut notes) = tracks::subtitles(media, args.subtitles, place.container);
    notes.extend(left_behind(media, stream, look, encoder));
    let expect = Expect {
        stream: stream.index,
        size: look.geometry.size(),
        audio: audio.len(),
        every_frame: args.fps.is_none(),
    };
    let video = Video {
        source: Source { input: 0, stream: stream.index },
        filters,
        encoder,
        rate: args.bitrate.map_or_else(|| encoder::quality(args, encoder), |b| Rate::Bitrate(b.0)),
        speed: args.preset,
        time_base: if args.fps.is_none() { stream.time_base.map(picture::coarser) } else { None },
        hdr: video.hdr.filter(|_| look.keep_hdr.is_some()),
    };
    let decode = match encoder {
        Encoder::Nvenc { gpu, .. } if on_gpu => Decode::Cuda { gpu },
        _ => Decode::Software,
    };
    let output =
        Output { path: place.output.into(), container: place.container, video, audio, subtitles };
    let input = Input { path: place.input.into(), decode, delay: picture::preroll(media, stream) };
    let job = Job { inputs: vec![input], outputs: vec![output], threads: args.threads };
    Ok(Plan { job, fallback, notes, expect })
}

fn picture_of<'a>(media: &'a Media, name: &str) -> Result<(&'a Stream, &'a VideoStream), Failure> {
    let fail = |what: &str, cause: &str| {
        Failure::new(FailureKind::InvalidInput, format!("`{name}` {what}"))
            .cause(cause)
            .hint(format!("see what is in it: `ffprobe -hide_banner '{name}'`"))
    };
    if media.format.ends_with("_pipe") {
        return Err(fail(
            "is a picture, not a video",
            &format!("its format is `{}`", media.format),
        ));
    }
    media.video().ok_or_else(|| {
        let has_audio = media.streams.iter().any(|s| matches!(s.kind, Kind::Audio(_)));
        if has_audio {
            fail("has no video, only audio", "transcode needs a video stream")
        } else {
            fail("has no video", "no stream of it is video with a known size")
        }
    })
}

/// What of the input doesn't come along, or is changed on the way.
fn left_behind(media: &Media, chosen: &Stream, look: Look, encoder: Encoder) -> Vec<String> {
    let mut notes = Vec::new();
    for stream in &media.streams {
        match &stream.kind {
            Kind::Video(video) if video.attached_picture => {
                notes.push(format!("cover picture (stream {}) is left out", stream.index));
            }
            Kind::Video(_) if stream.index != chosen.index => {
                notes.push(format!("video stream {} is left out", stream.index));
            }
            Kind::Other => {
                notes
                    .push(format!("data stream {} (`{}`) is left out", stream.index, stream.codec));
            }
            _ => {}
        }
    }
    let Kind::Video(video) = &chosen.kind else { return notes };
    if look.tone_map.is_some() {
        notes.push("HDR is mapped to SDR (BT.709)".into());
    }
    if video.dolby_vision {
        notes.push("Dolby Vision metadata is left out".into());
    }
    if look.keep_hdr.is_some() && video.hdr.is_some() && encoder.is_hardware() {
        notes.push("mastering-display metadata is left out: NVENC doesn't write it".into());
    }
    if video.alpha() {
        notes.push("transparency is left out".into());
    }
    if video.interlaced {
        notes.push("interlaced frames are deinterlaced".into());
    }
    notes
}
