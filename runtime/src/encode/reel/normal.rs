//! All parts brought to one size, rate and sound, and joined by cuts or crossfades in one run. Pure.

use std::path::Path;

use super::{Segment, sound};
use crate::encode::layer::Canvas;
use crate::encode::picture::{self, Look};
use crate::encode::size::{Bounds, Fit};
use crate::encode::{Coding, Expect, Frames, Plan, encoder, tracks};
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::VideoCodec;
use crate::ffmpeg::container::Container;
use crate::ffmpeg::cut::Cut;
use crate::ffmpeg::filter::{Chain, Filter, Matrix};
use crate::ffmpeg::graph::{Graph, Link, Pad};
use crate::ffmpeg::job::{Audio, Input, Job, Keyframes, Origin, Output, Source, Video};
use crate::ffmpeg::pixel::PixelFormat;
use crate::ffmpeg::sound::Sound;
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::{Failure, FailureKind};

/// What all parts are brought to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Width and height.
    pub size: (u32, u32),
    /// How a picture of another shape goes into it.
    pub fit: Fit,
    /// Frames per second.
    pub rate: Rational,
    /// There is sound; where a part has none it is silence.
    pub sound: bool,
    /// Frames that two parts share, fading over; zero is a cut.
    pub fade: u64,
}

/// How and where the result is coded.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    /// How.
    pub coding: &'a Coding,
    /// Whether a GPU is used.
    pub hardware: Hardware,
    /// What this machine can do.
    pub machine: &'a Capabilities,
    /// Where.
    pub output: &'a Path,
    /// In which format.
    pub container: Container,
}

/// Frames of a part at the target's rate: those that it has, where it has that rate already.
fn frames(segment: &Segment<'_>, rate: Rational) -> u64 {
    let (count, lasting) = (segment.frames.len() as u64, segment.seconds() * rate.value());
    let claimed = segment.rate() == Some(rate) && !segment.video.variable_rate();
    // A header says nothing of gaps.
    let even = claimed && (lasting - count as f64).abs() < 0.5;
    if even { count } else { (lasting.round() as u64).max(1) }
}

/// Frames of the whole.
pub fn total(segments: &[Segment<'_>], target: Target) -> u64 {
    let all: u64 = segments.iter().map(|segment| frames(segment, target.rate)).sum();
    all.saturating_sub(target.fade * segments.len().saturating_sub(1) as u64)
}

/// The plan of one run that makes the whole.
pub fn plan(segments: &[Segment<'_>], target: Target, making: Making<'_>) -> Result<Plan, Failure> {
    check_fades(segments, target)?;
    let codec = making.coding.codec_in(making.container)?;
    encoder::check_size(codec, target.size)?;
    let first = segments.first().expect("there is at least one part");
    let looks = looks(segments, target, (codec, making.coding.ten_bit == Some(true)));
    let matrix = picture::matrix(first.video, looks[0]);
    let (chosen, fallback) = encoder::choose(codec, making.hardware, looks[0], making.machine)?;
    let mut graph = Graph::default();
    let mut inputs = Vec::new();
    let mut videos = Vec::new();
    let mut sounds = Vec::new();
    for (segment, look) in segments.iter().zip(looks) {
        let count = frames(segment, target.rate);
        let at = inputs.len() as u32;
        inputs.push(segment.input());
        let source = Source { input: at, stream: segment.stream.index };
        let link = graph.chain(&[source.into()], chain(segment, (look, matrix), target, count));
        let canvas = Canvas { matrix, ..Canvas::of(segment.video, look) };
        videos.push((captioned(link, segment, canvas, &mut graph, &mut inputs), count));
        if target.sound {
            let (input, skip) = sound::input(segment);
            let at = inputs.len() as u32;
            inputs.push(input);
            let seconds = count as f64 / target.rate.value();
            sounds.push(sound::add(&mut graph, segment, at, skip, seconds));
        }
    }
    let joined = join_pictures(&mut graph, &videos, target);
    // Where one part ends and the next begins is known by counting, not by rounded times.
    let picture = graph.chain(&[joined.into()], Chain(vec![Filter::Cut(Cut::Paced(target.rate))]));
    let audio = target.sound.then(|| {
        let link = join_sounds(&mut graph, &sounds, target);
        let encoder = tracks::encoder(making.container, 2, None);
        Audio { origin: Origin::Graph(link), encoder }
    });
    let expect = Expect {
        source: Source { input: 0, stream: first.stream.index },
        size: target.size,
        audio: usize::from(target.sound),
        frames: Frames::Exactly(total(segments, target)),
    };
    let video = Video {
        origin: Origin::Graph(picture),
        encoder: chosen,
        rate: making.coding.rate(chosen),
        speed: making.coding.preset,
        time_base: Rational::new(target.rate.den, target.rate.num),
        hdr: None,
        keyframes: Keyframes::Free,
    };
    let output = Output {
        path: making.output.into(),
        container: making.container,
        video: Some(video),
        audio: audio.into_iter().collect(),
        subtitles: Vec::new(),
    };
    let job = Job { inputs, graph, outputs: vec![output], threads: making.coding.threads };
    Ok(Plan { job, fallback, notes: Vec::new(), expect: vec![expect] })
}

/// What becomes of the picture of each part. HDR stays where all parts have the same.
fn looks(
    segments: &[Segment<'_>],
    target: Target,
    (codec, ten_bit): (VideoCodec, bool),
) -> Vec<Look> {
    let bounds = Bounds::Pixels { width: Some(target.size.0), height: Some(target.size.1) };
    let light = |segment: &Segment<'_>| segment.video.hdr_transfer();
    let alike = segments.windows(2).all(|pair| light(&pair[0]) == light(&pair[1]));
    let look = |segment: &Segment<'_>| {
        let hdr = Some(ten_bit && alike);
        Look { ten_bit, ..Look::decide((bounds, target.fit), hdr, codec, segment.video) }
    };
    segments.iter().map(look).collect()
}

fn check_fades(segments: &[Segment<'_>], target: Target) -> Result<(), Failure> {
    let short = segments.iter().position(|segment| {
        target.fade > 0 && segments.len() > 1 && frames(segment, target.rate) <= 2 * target.fade
    });
    let Some(short) = short else { return Ok(()) };
    let seconds = target.fade as f64 / target.rate.value();
    Err(Failure::new(
        FailureKind::InvalidArgs,
        format!("part {} is too short to fade over {seconds:.2} s on both sides", short + 1),
    )
    .cause(format!("it lasts {:.2} s", segments[short].seconds()))
    .hint("use shorter fades: `fade=0.2`"))
}

/// What becomes of the picture of one part: sized, at the rate, from zero, and exactly `count`
/// frames; the last is repeated where rounding leaves one out.
fn chain(
    segment: &Segment<'_>,
    (look, matrix): (Look, Matrix),
    target: Target,
    count: u64,
) -> Chain {
    let mut chain = Vec::new();
    if !segment.index.seekable {
        let first = segment.frames.start as u64;
        chain.push(Filter::Cut(Cut::TrimFrames { start: first, end: segment.frames.end as u64 }));
    }
    chain.push(Filter::Cut(Cut::VideoFromZero));
    chain.push(Filter::Fps(target.rate));
    chain.push(Filter::Cut(Cut::ExactFrames(count)));
    let mut sized = picture::cpu_filters(segment.video, look, None).0;
    // Joining needs parts that are alike in everything.
    if !sized.contains(&Filter::SquarePixels) {
        sized.push(Filter::SquarePixels);
    }
    chain.extend(sized);
    let from = picture::matrix(segment.video, look);
    if from != matrix {
        chain.extend([Filter::Recode { from, to: matrix }, Filter::Tag(matrix)]);
    }
    Chain(chain)
}

/// What is drawn over one part.
fn captioned(
    link: Link,
    segment: &Segment<'_>,
    canvas: Canvas,
    graph: &mut Graph,
    inputs: &mut Vec<Input>,
) -> Link {
    let Some(caption) = &segment.caption else { return link };
    let drawn = caption.draw(link, canvas, graph, inputs);
    let format = if canvas.ten_bit { PixelFormat::Yuv420p10 } else { PixelFormat::Yuv420p };
    graph.chain(&[drawn.into()], Chain(vec![Filter::SquarePixels, Filter::Format(format)]))
}

fn join_pictures(graph: &mut Graph, parts: &[(Link, u64)], target: Target) -> Link {
    if target.fade == 0 && parts.len() > 1 {
        let pads: Vec<Pad> = parts.iter().map(|(link, _)| (*link).into()).collect();
        return graph.chain(&pads, Chain(vec![Filter::Cut(Cut::JoinVideo(parts.len() as u32))]));
    }
    let mut joined: Option<(Link, u64)> = None;
    for (link, count) in parts {
        joined = Some(match joined {
            None => (*link, *count),
            Some((before, length)) => {
                let fade = Filter::Cut(Cut::Crossfade {
                    seconds: target.fade as f64 / target.rate.value(),
                    offset: (length - target.fade) as f64 / target.rate.value(),
                });
                let link = graph.chain(&[before.into(), (*link).into()], Chain(vec![fade]));
                (link, length + count - target.fade)
            }
        });
    }
    joined.expect("there is at least one part").0
}

fn join_sounds(graph: &mut Graph, parts: &[Link], target: Target) -> Link {
    if target.fade == 0 {
        return sound::join(graph, parts);
    }
    let seconds = target.fade as f64 / target.rate.value();
    let mut parts = parts.iter().copied();
    let first = parts.next().expect("there is at least one part");
    parts.fold(first, |before, link| {
        let fade = Chain(vec![Filter::Sound(Sound::CrossfadeAudio { seconds })]);
        graph.chain(&[before.into(), link.into()], fade)
    })
}
