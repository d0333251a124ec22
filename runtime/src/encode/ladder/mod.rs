//! Several renditions of one video out of one decode: the same frames at several sizes, with
//! keyframes at the same frames. All but `open` is pure.

pub mod open;
pub mod rung;
#[cfg(test)]
mod tests;

use self::rung::{Chosen, Rung};
use super::coding::Coding;
use super::picture::{self, Look};
use super::size::Fit;
use super::{encoder, source};
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::{Encoder, VideoCodec};
use crate::ffmpeg::filter::Chain;
use crate::ffmpeg::graph::Graph;
use crate::ffmpeg::job::{Decode, Input, Keyframes, Origin, Rate, Source, Video};
use crate::ffmpeg::probe::{Media, Stream, VideoStream};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::{Failure, FailureKind};

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The renditions; each takes from `coding` what it doesn't say.
    pub rungs: &'a [Rung],
    /// What holds for all of them.
    pub coding: &'a Coding,
    /// How the picture goes into boxes of another shape.
    pub fit: Fit,
    /// Frames per second, if they are to change.
    pub fps: Option<f64>,
    /// Renditions may be larger than the video.
    pub upscale: bool,
    /// Seconds from one keyframe to the next.
    pub keyframe_seconds: f64,
}

/// A decision: the part of a job that makes the pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// How the video is read.
    pub input: Input,
    /// The filters between the decoder and the encoders.
    pub graph: Graph,
    /// The renditions, in the order of the wish.
    pub steps: Vec<Step>,
    /// The video stream that they are made of.
    pub source: Source,
    /// Why hardware isn't used, although it might have been.
    pub fallback: Option<String>,
    /// What doesn't come along, or is changed on the way.
    pub notes: Vec<String>,
}

/// One rendition.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name; good as a file name.
    pub name: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// It keeps the HDR of the source.
    pub hdr: bool,
    /// The track to make.
    pub video: Video,
}

/// The codecs that `rungs` ask for, each once.
pub fn codecs(rungs: &[Rung], coding: &Coding) -> Vec<VideoCodec> {
    let mut codecs: Vec<_> = rungs.iter().map(|rung| rung.codec(coding)).collect();
    codecs.sort_unstable();
    codecs.dedup();
    codecs
}

/// The whole decision. `name` is what the caller called the input, and `input` where it is.
pub fn plan(
    wish: Wish<'_>,
    hardware: Hardware,
    (media, name): (&Media, &str),
    machine: &Capabilities,
    input: Input,
) -> Result<Ladder, Failure> {
    let (stream, video) = source::picture_of(media, name)?;
    let (chosen, mut notes) = rung::choose(wish, video)?;
    let mut steps = Vec::new();
    let (mut looks, mut fallback) = (Vec::new(), None);
    for rung in &chosen {
        let look = rung.look(wish, video);
        encoder::check_size(rung.codec, look.geometry.size())?;
        let (encoder, why_not) = encoder::choose(rung.codec, hardware, look, machine)?;
        fallback = fallback.or(why_not);
        for note in source::left_behind(media, stream, look, encoder) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        steps.push(step(rung, look, encoder, wish, (stream, video)));
        looks.push(look);
    }
    let gpu = gpu_for_all(&steps, &looks, wish, stream, machine);
    let chains = looks.iter().map(|look| match gpu {
        Some(_) => picture::gpu_filters(video, *look),
        None => picture::cpu_filters(video, *look, wish.fps),
    });
    let source = Source { input: 0, stream: stream.index };
    let graph = connect(source, chains.collect(), &mut steps);
    let keyframes = keyframes(wish, &steps, video);
    steps.iter_mut().for_each(|step| step.video.keyframes = keyframes);
    let decode = gpu.map_or(Decode::Software, |gpu| Decode::Cuda { gpu });
    let input = Input { decode, delay: picture::preroll(media, stream), ..input };
    Ok(Ladder { input, graph, steps, source, fallback, notes })
}

fn step(
    rung: &Chosen,
    look: Look,
    encoder: Encoder,
    wish: Wish<'_>,
    (stream, video): (&Stream, &VideoStream),
) -> Step {
    let time_base = stream.time_base.filter(|_| wish.fps.is_none()).map(picture::coarser);
    let source = Source { input: 0, stream: stream.index };
    let hdr = look.keep_hdr.is_some();
    let video = Video {
        origin: Origin::Stream(source, Chain::default()),
        encoder,
        rate: rung.rate(encoder),
        keyframes: Keyframes::Free,
        speed: rung.speed,
        time_base,
        hdr: video.hdr.filter(|_| hdr),
    };
    Step { name: rung.name.clone(), size: look.geometry.size(), hdr, video }
}

/// The GPU in whose memory all frames stay: all renditions are made by it, and none of them needs
/// what only the CPU does.
fn gpu_for_all(
    steps: &[Step],
    looks: &[Look],
    wish: Wish<'_>,
    stream: &Stream,
    machine: &Capabilities,
) -> Option<u32> {
    let first = encoder::gpu_of(steps.first()?.video.encoder, machine)?;
    let all = steps.iter().zip(looks).all(|(step, look)| {
        encoder::gpu_of(step.video.encoder, machine).is_some_and(|gpu| gpu.index == first.index)
            && encoder::stays_on_gpu(first, stream, *look)
    });
    (all && wish.fps.is_none()).then_some(first.index)
}

/// Joins the decoder with the encoders. What all chains begin with is done once.
fn connect(source: Source, mut chains: Vec<Chain>, steps: &mut [Step]) -> Graph {
    let mut graph = Graph::default();
    if let ([chain], [step]) = (&mut chains[..], &mut *steps) {
        step.video.origin = Origin::Stream(source, std::mem::take(chain));
        return graph;
    }
    let shared = shared_start(&chains);
    let mut from = source.into();
    if shared > 0 {
        let common = chains.first().map(|chain| chain.0[..shared].to_vec()).unwrap_or_default();
        from = graph.chain(&[from], Chain(common)).into();
    }
    let copies = graph.split(from, u32::try_from(steps.len()).unwrap_or(u32::MAX));
    for ((step, chain), copy) in steps.iter_mut().zip(chains).zip(copies) {
        let own = Chain(chain.0[shared..].to_vec());
        let link = if own.is_empty() { copy } else { graph.chain(&[copy.into()], own) };
        step.video.origin = Origin::Graph(link);
    }
    graph
}

/// How many filters all chains begin with.
fn shared_start(chains: &[Chain]) -> usize {
    let Some(first) = chains.first() else { return 0 };
    let same = |at: &usize| chains.iter().all(|chain| chain.0.get(*at) == first.0.get(*at));
    (0..first.0.len()).take_while(same).count()
}

/// Keyframes that fall on the same frames in all renditions. Counted in frames where the rate is
/// known and constant, so that all groups are of one length; AV1 encoders take nothing else.
fn keyframes(wish: Wish<'_>, steps: &[Step], video: &VideoStream) -> Keyframes {
    let asked = wish.fps.and_then(Rational::from_rate);
    let rate = asked.or_else(|| video.rate()).map(Rational::value);
    let only_frames = steps
        .iter()
        .any(|step| matches!(step.video.encoder, Encoder::SvtAv1 | Encoder::Aom | Encoder::Vp9));
    match rate {
        Some(rate) if asked.is_some() || only_frames || !video.variable_rate() => {
            Keyframes::Frames(((rate * wish.keyframe_seconds).round() as u32).max(1))
        }
        None if only_frames => {
            // A rate that nothing is known of; a usual one does no harm.
            Keyframes::Frames(((30.0 * wish.keyframe_seconds) as u32).max(1))
        }
        _ => Keyframes::Seconds(wish.keyframe_seconds),
    }
}

/// Refuses a wish whose parts each are right and together make no sense.
pub fn check(wish: Wish<'_>) -> Result<(), Failure> {
    let wrong = |message: String| Err(Failure::new(FailureKind::InvalidArgs, message));
    if wish.rungs.is_empty() {
        return wrong("`rungs` names no rendition".into());
    }
    if wish.fps.is_some_and(|fps| !(0.1..=480.0).contains(&fps)) {
        return wrong("`fps` isn't between 0.1 and 480".into());
    }
    wish.coding.check(wish.coding.codec.unwrap_or(VideoCodec::H264))?;
    wish.rungs.iter().try_for_each(|rung| rung.check(wish.coding))
}

/// Bits per second that a capped rate may reach, where only the average was said: half as much
/// again, which Apple's authoring rules take for a good variant (1.28).
fn usual_peak(average: u64) -> u64 {
    average + average / 2
}

/// How a rung spends its bits.
fn rate(quality: u8, average: Option<u64>, peak: Option<u64>) -> Rate {
    match (average, peak) {
        (Some(average), peak) => {
            Rate::CappedBitrate { average, peak: peak.unwrap_or_else(|| usual_peak(average)) }
        }
        (None, Some(peak)) => Rate::CappedQuality { quality, peak },
        (None, None) => Rate::Quality(quality),
    }
}
