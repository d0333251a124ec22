//! Decides how sound is made: the graph of what is heard, and what comes of it. Pure.

use std::path::Path;

use super::args::Args;
use super::loudness::Gain;
use crate::encode::tracks;
use crate::ffmpeg::codec::{AudioEncoder, Encoder, Speed, VideoCodec};
use crate::ffmpeg::container::{Container, SoundFile};
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::{Graph, Link, Pad};
use crate::ffmpeg::job::{Audio, Input, Job, Keyframes, Origin, Output, Rate, Source, Video};
use crate::ffmpeg::probe::{AudioStream, Media, Stream};
use crate::ffmpeg::sound::Sound;
use crate::wire::{Failure, FailureKind};

/// Samples per second where files of several rates meet.
const COMMON_RATE: u32 = 48_000;

/// A file that takes part.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) name: &'a str,
    pub(super) media: &'a Media,
}

/// All files that take part.
#[derive(Clone, Debug)]
pub(super) struct Sources<'a> {
    pub(super) main: File<'a>,
    pub(super) replace: Option<File<'a>>,
    pub(super) layers: Vec<File<'a>>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) job: Job,
    pub(super) expect: Expect,
}

/// What the result has to be like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expect {
    /// The stream whose sound is heard; none where silence or another file's sound is.
    pub(super) heard: Option<Source>,
    /// Seconds of silence before the first sample of it.
    pub(super) late: f64,
    /// Seconds of the result, where the plan decides them.
    pub(super) seconds: Option<f64>,
    /// Packets go over as they are.
    pub(super) copied: bool,
    /// The stream whose picture goes over.
    pub(super) picture: Option<u32>,
    /// Audio tracks.
    pub(super) tracks: usize,
}

/// What is heard before gain and coding.
struct Heard {
    graph: Graph,
    link: Link,
    rate: u32,
    channels: u32,
}

/// The whole decision; `gain` is what the measurement led to.
pub(super) fn plan(
    args: &Args,
    sources: &Sources<'_>,
    gain: Option<Gain>,
    container: Container,
    output: &Path,
) -> Result<Plan, Failure> {
    let picture = picture(sources, container)?;
    let copied = copies(args, sources, container)?;
    let mut expect =
        Expect { picture: picture.as_ref().map(|(index, _)| *index), ..expect(args, sources)? };
    let mut graph = Graph::default();
    let audio = match copied {
        _ if args.mute => None,
        Some(source) => {
            expect.copied = true;
            Some(Audio {
                origin: Origin::Stream(source, Chain::default()),
                encoder: AudioEncoder::Copy,
            })
        }
        None => {
            let mut heard = heard(args, sources)?;
            let chain = finish(args, &heard, gain);
            let link = match chain.is_empty() {
                true => heard.link,
                false => heard.graph.chain(&[heard.link.into()], chain),
            };
            graph = heard.graph;
            let channels = args.wanted_channels().map_or(heard.channels, |wanted| wanted.count());
            let bits = args.bitrate.map(|bits| u32::try_from(bits.0).unwrap_or(u32::MAX));
            let encoder = tracks::encoder(container, channels, bits);
            Some(Audio { origin: Origin::Graph(link), encoder })
        }
    };
    expect.tracks = audio.iter().len();
    let output = Output {
        path: output.into(),
        container,
        video: picture.map(|(_, video)| video),
        audio: audio.into_iter().collect(),
        subtitles: Vec::new(),
    };
    let job = Job { inputs: inputs(sources), graph, outputs: vec![output], threads: None };
    Ok(Plan { job, expect })
}

/// The run that measures what is heard.
pub(super) fn measure(args: &Args, sources: &Sources<'_>) -> Result<Job, Failure> {
    let mut heard = heard(args, sources)?;
    let mut chain = channels(args);
    chain.push(Filter::Sound(Sound::MeasureLoudness));
    let link = heard.graph.chain(&[heard.link.into()], Chain(chain));
    Ok(measuring(inputs(sources), heard.graph, Origin::Graph(link)))
}

/// The run that measures a result.
pub(super) fn measure_result(path: &Path, stream: u32) -> Job {
    let chain = Chain(vec![Filter::Sound(Sound::MeasureLoudness)]);
    let origin = Origin::Stream(Source { input: 0, stream }, chain);
    measuring(vec![Input::of(path)], Graph::default(), origin)
}

fn measuring(inputs: Vec<Input>, graph: Graph, origin: Origin) -> Job {
    let audio = Audio { origin, encoder: AudioEncoder::Pcm16 };
    let output = Output {
        path: "null".into(),
        container: Container::Null,
        video: None,
        audio: vec![audio],
        subtitles: Vec::new(),
    };
    Job { inputs, graph, outputs: vec![output], threads: None }
}

fn inputs(sources: &Sources<'_>) -> Vec<Input> {
    let all = [Some(sources.main), sources.replace].into_iter().flatten();
    all.chain(sources.layers.iter().copied()).map(|file| Input::of(file.path)).collect()
}

/// The audio stream of a file: the one that was asked for, or the one that players choose.
fn sound_of<'a>(
    file: File<'a>,
    track: Option<u32>,
) -> Result<Option<(&'a Stream, &'a AudioStream)>, Failure> {
    let playable = |(_, sound): &(&Stream, &AudioStream)| sound.channels > 0;
    let mut all: Vec<_> = file.media.audio().into_iter().filter(playable).collect();
    let Some(track) = track else { return Ok(all.into_iter().next()) };
    all.sort_by_key(|(stream, _)| stream.index);
    let count = all.len();
    all.into_iter().nth(track as usize).map(Some).ok_or_else(|| {
        Failure::new(
            FailureKind::InvalidArgs,
            format!("`{}` has no audio track {track}", file.name),
        )
        .cause(format!("it has {count}, counted from 0"))
    })
}

fn silent(file: File<'_>) -> Failure {
    Failure::new(FailureKind::InvalidInput, format!("`{}` has no sound", file.name))
        .cause("no stream of it is audio")
        .hint(format!("see what is in it: `ffprobe -hide_banner '{}'`", file.name))
}

/// Seconds that a file lasts: of its picture where it has one.
fn length(file: File<'_>) -> Option<f64> {
    let of_picture = file.media.video().and_then(|(stream, _)| stream.duration);
    of_picture.or(file.media.duration).filter(|seconds| *seconds > 0.0)
}

fn expect(args: &Args, sources: &Sources<'_>) -> Result<Expect, Failure> {
    let main = sound_of(sources.main, args.track)?;
    let bounded = sources.replace.is_some() || main.is_none();
    let start = sources.main.media.start;
    Ok(Expect {
        heard: main
            .filter(|_| !bounded)
            .map(|(stream, _)| Source { input: 0, stream: stream.index }),
        late: main.and_then(|(stream, _)| stream.start).map_or(0.0, |at| at - start),
        seconds: if bounded { length(sources.main) } else { None },
        copied: false,
        picture: None,
        tracks: 0,
    })
}

/// The input's picture, where the result has one.
fn picture(sources: &Sources<'_>, container: Container) -> Result<Option<(u32, Video)>, Failure> {
    if matches!(container, Container::Sound(_) | Container::Null) {
        return Ok(None);
    }
    let file = sources.main;
    let (stream, _) = file.media.video().ok_or_else(|| {
        Failure::new(FailureKind::InvalidInput, format!("`{}` has no picture to keep", file.name))
            .hint("name an output for sound alone, such as one that ends in `.m4a`")
    })?;
    if !takes_video(container, &stream.codec) {
        let (name, codec) = (container.extension(), &stream.codec);
        return Err(Failure::new(
            FailureKind::InvalidArgs,
            format!("a `.{name}` file can't hold `{codec}`, and the picture is not coded anew"),
        )
        .hint("name an output that ends in `.mkv`, or transcode it first"));
    }
    let video = Video {
        origin: Origin::Stream(Source { input: 0, stream: stream.index }, Chain::default()),
        encoder: Encoder::Copy(VideoCodec::of_name(&stream.codec)),
        rate: Rate::Quality(0),
        keyframes: Keyframes::Free,
        speed: Speed::default(),
        time_base: None,
        hdr: None,
    };
    Ok(Some((stream.index, video)))
}

/// Codecs that players expect in a container.
fn takes_video(container: Container, codec: &str) -> bool {
    match container {
        Container::Mp4 => matches!(codec, "h264" | "hevc" | "av1" | "vp9" | "mpeg4" | "mpeg2video"),
        Container::Mov => {
            let also = ["prores", "mjpeg", "dvvideo", "mpeg4", "mpeg2video", "dnxhd", "qtrle"];
            matches!(codec, "h264" | "hevc") || also.contains(&codec)
        }
        Container::WebM => matches!(codec, "vp8" | "vp9" | "av1"),
        Container::Matroska => true,
        Container::Sound(_) | Container::WebVtt | Container::Null => false,
    }
}

/// The stream that can go over as it is: of the codec that the result has, unchanged, and from the
/// start of the file on, so that its times stay true.
fn copies(
    args: &Args,
    sources: &Sources<'_>,
    container: Container,
) -> Result<Option<Source>, Failure> {
    let untouched = args.volume.is_none()
        && args.loudness.is_none()
        && args.wanted_rate().is_none()
        && args.wanted_channels().is_none()
        && args.bitrate.is_none()
        && sources.replace.is_none()
        && sources.layers.is_empty();
    let Some((stream, _)) = sound_of(sources.main, args.track)? else { return Ok(None) };
    let late = stream.start.unwrap_or(0.0) - sources.main.media.start;
    let fits = tracks::takes_audio(container, &stream.codec) && late.abs() < 0.05;
    Ok((untouched && fits).then_some(Source { input: 0, stream: stream.index }))
}

/// The graph of what is heard: one stream from zero on, with the layers added.
fn heard(args: &Args, sources: &Sources<'_>) -> Result<Heard, Failure> {
    let mut graph = Graph::default();
    let first = u32::from(sources.replace.is_some());
    let file = sources.replace.unwrap_or(sources.main);
    let track = args.track.filter(|_| sources.replace.is_none());
    let layered = !sources.layers.is_empty();
    let (link, rate, count) = match sound_of(file, track)? {
        Some((stream, sound)) => {
            let rate = if layered { COMMON_RATE } else { sound.sample_rate };
            let chain = voice(args, sources, sound, layered);
            let pad = Pad::Stream(Source { input: first, stream: stream.index });
            (graph.chain(&[pad], chain?), rate, sound.channels)
        }
        None if sources.replace.is_none() && layered => {
            let seconds = length(file).ok_or_else(|| silent(file))?;
            let trim = Filter::Sound(Sound::TrimAudio { start: 0.0, end: seconds });
            let chain = Chain(vec![Filter::Sound(Sound::Silence { rate: COMMON_RATE }), trim]);
            (graph.chain(&[], chain), COMMON_RATE, 2)
        }
        None => return Err(silent(file)),
    };
    let mut all: Vec<Pad> = vec![link.into()];
    for (index, (file, layer)) in sources.layers.iter().zip(&args.mix).enumerate() {
        let (stream, sound) = sound_of(*file, None)?.ok_or_else(|| silent(*file))?;
        let input = first + 1 + u32::try_from(index).unwrap_or(u32::MAX);
        let mut chain: Vec<_> =
            tracks::layout(sound).map(Filter::ChannelLayout).into_iter().collect();
        chain.extend([
            Filter::Sound(Sound::FromZero { rate: Some(COMMON_RATE) }),
            Filter::Sound(Sound::Volume(layer.volume)),
        ]);
        chain.extend(
            (layer.start > 0.0)
                .then(|| Filter::Sound(Sound::Delay((layer.start * 1000.0).round() as u64))),
        );
        let pad = Pad::Stream(Source { input, stream: stream.index });
        all.push(graph.chain(&[pad], Chain(chain)).into());
    }
    let link = match all.len() {
        1 => link,
        count => {
            let mix = Filter::Sound(Sound::Mix(u32::try_from(count).unwrap_or(u32::MAX)));
            graph.chain(&all, Chain(vec![mix]))
        }
    };
    Ok(Heard { graph, link, rate, channels: count })
}

/// The sound that the others are added to. Another file's is brought to the length of the input.
fn voice(
    args: &Args,
    sources: &Sources<'_>,
    sound: &AudioStream,
    layered: bool,
) -> Result<Chain, Failure> {
    let mut chain: Vec<_> = tracks::layout(sound).map(Filter::ChannelLayout).into_iter().collect();
    chain.push(Filter::Sound(Sound::FromZero { rate: layered.then_some(COMMON_RATE) }));
    chain.extend(args.volume.map(|by| Filter::Sound(Sound::Volume(by))));
    if sources.replace.is_some() {
        let seconds = length(sources.main).ok_or_else(|| {
            let name = sources.main.name;
            Failure::new(FailureKind::InvalidInput, format!("`{name}` doesn't say how long it is"))
        })?;
        chain.extend([
            Filter::Sound(Sound::PadAudio),
            Filter::Sound(Sound::TrimAudio { start: 0.0, end: seconds }),
        ]);
    }
    Ok(Chain(chain))
}

fn channels(args: &Args) -> Vec<Filter> {
    args.wanted_channels()
        .map(|wanted| Filter::ChannelLayout(wanted.layout()))
        .into_iter()
        .collect()
}

/// What is done to the whole before it is coded.
fn finish(args: &Args, heard: &Heard, gain: Option<Gain>) -> Chain {
    let mut chain = channels(args);
    chain.extend(gain.map(|gain| gain.filters(heard.rate)).unwrap_or_default());
    chain.extend(args.wanted_rate().map(|rate| Filter::Sound(Sound::Rate(rate))));
    Chain(chain)
}

/// Formats that take only some rates.
pub(super) fn check_rate(rate: Option<u32>, container: Container) -> Result<(), Failure> {
    let Some(rate) = rate else { return Ok(()) };
    let taken = match container {
        Container::WebM | Container::Sound(SoundFile::Ogg) => {
            matches!(rate, 8_000 | 12_000 | 16_000 | 24_000 | 48_000)
        }
        Container::Sound(SoundFile::Mp3) => {
            matches!(
                rate,
                8_000 | 11_025 | 12_000 | 16_000 | 22_050 | 24_000 | 32_000 | 44_100 | 48_000
            )
        }
        Container::Sound(SoundFile::Flac | SoundFile::Wav) | Container::Null => true,
        _ => matches!(
            rate,
            8_000
                | 11_025
                | 12_000
                | 16_000
                | 22_050
                | 24_000
                | 32_000
                | 44_100
                | 48_000
                | 64_000
                | 88_200
                | 96_000
        ),
    };
    if taken {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::InvalidArgs,
        format!("`.{}` takes no sound of {rate} samples per second", container.extension()),
    )
    .hint("use `sample_rate=48000`"))
}

#[cfg(test)]
mod tests;
