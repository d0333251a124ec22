//! Decides how a stream is encoded: one job and one decode, with one file for each rendition of
//! the picture, of the sound and of the subtitles. Pure.

use std::path::{Path, PathBuf};

use super::args::{Args, SoundChoice};
use super::language;
use crate::encode::ladder::rung::Rung;
use crate::encode::ladder::{self, Ladder};
use crate::encode::tracks::SubtitleChoice;
use crate::encode::{Expect, Frames, Plan};
use crate::ffmpeg::codec::{AudioEncoder, SubtitleCodec};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::filter::{Chain, Filter, HdrTransfer};
use crate::ffmpeg::input;
use crate::ffmpeg::job::{Audio, Input, Job, Origin, Output, Source, Subtitle};
use crate::ffmpeg::probe::{AudioStream, Kind, Media, Stream};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::packaging::hls::VideoRange;
use crate::wire::Failure;

/// Samples per second that all players take in AAC.
const USUAL_RATES: [u32; 2] = [44_100, 48_000];

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The input.
    pub input: &'a input::Source,
    /// What the caller called it.
    pub name: &'a str,
    /// The folder for what is encoded and not packaged yet.
    pub work: &'a Path,
}

/// A plan, and what its outputs are, in their order: pictures, sounds, subtitles.
#[derive(Clone, Debug, PartialEq)]
pub struct HlsPlan {
    /// The job.
    pub plan: Plan,
    /// Renditions of the picture.
    pub pictures: Vec<Picture>,
    /// Renditions of the sound.
    pub sounds: Vec<Track>,
    /// Renditions of the subtitles.
    pub subtitles: Vec<Track>,
}

/// A rendition of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its name, and that of its folder.
    pub name: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// How it encodes light.
    pub range: VideoRange,
    /// Where it is encoded to.
    pub file: PathBuf,
}

/// A rendition of sound or subtitles.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Its folder.
    pub folder: String,
    /// What people read when they choose.
    pub name: String,
    /// ISO 639-2 code of its language.
    pub language: String,
    /// Where it is encoded to.
    pub file: PathBuf,
}

/// The whole decision.
pub fn plan(
    args: &Args,
    rungs: &[Rung],
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    place: Place<'_>,
) -> Result<HlsPlan, Failure> {
    let (wish, input) = (args.wish(rungs), Input::of(place.input));
    let ladder = ladder::plan(wish, hardware, (media, place.name), machine, input)?;
    let Ladder { input, graph, steps, source, fallback, mut notes } = ladder;
    let range = range(media);
    let pictures: Vec<_> = steps
        .iter()
        .map(|step| Picture {
            name: step.name.clone(),
            size: step.size,
            range: if step.hdr { range } else { VideoRange::Sdr },
            file: place.work.join(format!("{}.mp4", step.name)),
        })
        .collect();
    let frames = if args.fps.is_none() { Frames::Every } else { Frames::Any };
    let expect = pictures.iter().map(|p| Expect { source, size: p.size, audio: 0, frames });
    let expect = expect.collect();
    let mut outputs: Vec<_> = steps
        .into_iter()
        .zip(&pictures)
        .map(|(step, picture)| Output {
            video: Some(step.video),
            ..empty(&picture.file, Container::Mp4)
        })
        .collect();
    let (sounds, tracks) = sounds(args, media, place);
    outputs.extend(tracks);
    let (subtitles, texts) = subtitles(args, media, place, &mut notes);
    outputs.extend(texts);
    if range != VideoRange::Sdr && pictures.iter().all(|p| p.range != VideoRange::Sdr) {
        notes.push("every rendition is HDR; players want one in SDR as well".into());
    }
    let job = Job { inputs: vec![input], graph, outputs, threads: args.coding.threads };
    let plan = Plan { job, fallback, notes, expect };
    Ok(HlsPlan { plan, pictures, sounds, subtitles })
}

fn empty(path: &Path, container: Container) -> Output {
    Output { path: path.into(), container, video: None, audio: Vec::new(), subtitles: Vec::new() }
}

fn range(media: &Media) -> VideoRange {
    match media.video().and_then(|(_, video)| video.hdr_transfer()) {
        Some(HdrTransfer::Pq) => VideoRange::Pq,
        Some(HdrTransfer::Hlg) => VideoRange::Hlg,
        None => VideoRange::Sdr,
    }
}

fn sounds(args: &Args, media: &Media, place: Place<'_>) -> (Vec<Track>, Vec<Output>) {
    let wanted = match args.audio {
        SoundChoice::All => usize::MAX,
        SoundChoice::First => 1,
        SoundChoice::None => 0,
    };
    let playable = media.audio().into_iter().filter(|(_, sound)| sound.channels > 0);
    let streams: Vec<_> = playable.take(wanted).collect();
    let tracks = named("audio", "mp4", streams.iter().map(|(stream, _)| *stream), place.work);
    let outputs = streams.iter().zip(&tracks).map(|((stream, sound), track)| Output {
        audio: vec![Audio {
            origin: Origin::Stream(Source { input: 0, stream: stream.index }, steady(sound)),
            encoder: AudioEncoder::Aac(args.audio_bits()),
        }],
        ..empty(&track.file, Container::Mp4)
    });
    let outputs = outputs.collect();
    (tracks, outputs)
}

/// Sound in stereo from zero on, without gaps. What it is shorter than the picture is added when
/// both are known.
fn steady(sound: &AudioStream) -> Chain {
    let rate = (!USUAL_RATES.contains(&sound.sample_rate)).then_some(48_000);
    Chain(vec![Filter::Steady { rate }, Filter::ChannelLayout("stereo")])
}

fn subtitles(
    args: &Args,
    media: &Media,
    place: Place<'_>,
    notes: &mut Vec<String>,
) -> (Vec<Track>, Vec<Output>) {
    if args.subtitles == SubtitleChoice::None {
        return (Vec::new(), Vec::new());
    }
    let mut kept = Vec::new();
    for stream in media.streams.iter().filter(|stream| stream.kind == Kind::Subtitle) {
        match stream.codec.as_str() {
            "subrip" | "srt" | "ass" | "ssa" | "webvtt" | "mov_text" | "text" => kept.push(stream),
            codec => notes.push(format!(
                "subtitle track {} (`{codec}`) is left out: it isn't text",
                stream.index
            )),
        }
    }
    let tracks = named("subtitles", "vtt", kept.iter().copied(), place.work);
    let outputs = kept.iter().zip(&tracks).map(|(stream, track)| Output {
        subtitles: vec![Subtitle {
            source: Source { input: 0, stream: stream.index },
            codec: SubtitleCodec::WebVtt,
        }],
        ..empty(&track.file, Container::WebVtt)
    });
    let outputs = outputs.collect();
    (tracks, outputs)
}

/// Folders and names for tracks of one kind; no two have the same.
fn named<'a>(
    kind: &str,
    extension: &str,
    streams: impl Iterator<Item = &'a Stream>,
    work: &Path,
) -> Vec<Track> {
    let mut tracks: Vec<Track> = Vec::new();
    for (index, stream) in streams.enumerate() {
        let folder = if index == 0 { kind.to_owned() } else { format!("{kind}-{}", index + 1) };
        let tag = |key: &str| stream.tags.get(key).map(|text| text.trim().to_owned());
        let language = tag("language").filter(|code| language::is_code(code));
        let language = language.unwrap_or_else(|| "und".into());
        let said = tag("title").filter(|title| !title.is_empty());
        let spoken = said.or_else(|| language::name(&language).map(str::to_owned));
        let mut name = spoken.unwrap_or_else(|| format!("Track {}", index + 1));
        if tracks.iter().any(|track| track.name == name) {
            name = format!("{name} ({})", index + 1);
        }
        let file = work.join(format!("{folder}.{extension}"));
        tracks.push(Track { folder, name, language, file });
    }
    tracks
}
