//! One reel in the making: as packets where that is possible, else in one run of everything.

use std::path::Path;

use super::normal::{self, Making, Target};
use super::splice::{self, Spliced};
use super::{Segment, sound};
use crate::encode::run::{Total, Work};
use crate::encode::verify::{Method, Verified, Written};
use crate::encode::{Verify, tracks};
use crate::ffmpeg::codec::{Encoder, Speed, VideoCodec};
use crate::ffmpeg::filter::Chain;
use crate::ffmpeg::graph::Graph;
use crate::ffmpeg::job::{Audio, Input, Job, Keyframes, Origin, Output, Rate, Source, Video};
use crate::ffmpeg::probe::Count;
use crate::function::Hardware;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Frames that went over as packets.
    pub copied: u64,
    /// Frames that were coded anew.
    pub encoded: u64,
    /// The encoder, by ffmpeg's name; `copy` where there was none.
    pub encoder: String,
    /// Why the CPU was used although a GPU was wanted.
    pub fallback: Option<String>,
    /// Why packets didn't go over, where they might have.
    pub why_encoded: Option<String>,
    /// What was checked.
    pub verified: Option<Verified>,
}

/// Makes one video of `segments`. With `reencode`, or where something is asked for that packets
/// can't have, all of it is coded anew.
pub async fn make(
    work: Work<'_>,
    segments: &[Segment<'_>],
    target: Target,
    making: Making<'_>,
    reencode: Option<String>,
    scratch: &Path,
) -> Result<Made, Failure> {
    let why = match reencode {
        Some(why) => why,
        None => match spliced(work, segments, making, scratch).await? {
            Ok(spliced) => return packets(work, segments, target, making, spliced).await,
            Err(why) => why,
        },
    };
    let planned = |hardware| normal::plan(segments, target, Making { hardware, ..making });
    let plan = planned(making.hardware)?;
    let ran = work.run(plan, making.hardware, || planned(Hardware::Off)).await;
    let (plan, run) = ran?;
    let verified = work.verify(&plan, 0, &run, making.coding.verify).await?;
    Ok(Made {
        copied: 0,
        encoded: normal::total(segments, target),
        encoder: plan.encoder().map_or("none", Encoder::name).into(),
        fallback: plan.fallback,
        why_encoded: Some(why),
        verified,
    })
}

async fn spliced(
    work: Work<'_>,
    segments: &[Segment<'_>],
    making: Making<'_>,
    scratch: &Path,
) -> Result<Result<Spliced, String>, Failure> {
    let plans = match splice::plan(work, segments).await {
        Ok(plans) => plans,
        Err(why) => return Ok(Err(why)),
    };
    splice::splice(work, segments, &plans, scratch, making.coding.preset).await
}

/// Puts the joined packets and the joined sound together.
async fn packets(
    work: Work<'_>,
    segments: &[Segment<'_>],
    target: Target,
    making: Making<'_>,
    spliced: Spliced,
) -> Result<Made, Failure> {
    let job = mux(segments, target, making, &spliced.path);
    let frames = spliced.copied + spliced.encoded;
    let total = Total { frames: Some(frames), seconds: None };
    work.ffmpeg(&job, total).await.map_err(|error| work.failed(error))?;
    let verified = match making.coding.verify {
        Verify::Off => None,
        depth => Some(check(work, segments, target, making, frames, depth).await?),
    };
    let encoder = if spliced.encoded > 0 { Encoder::X264.name() } else { "copy" };
    Ok(Made {
        copied: spliced.copied,
        encoded: spliced.encoded,
        encoder: encoder.into(),
        fallback: None,
        why_encoded: None,
        verified,
    })
}

/// The run that adds sound to joined packets.
fn mux(segments: &[Segment<'_>], target: Target, making: Making<'_>, joined: &Path) -> Job {
    let mut inputs = vec![Input::of(joined)];
    let mut graph = Graph::default();
    let mut sounds = Vec::new();
    for segment in segments.iter().filter(|_| target.sound) {
        let (input, skip) = sound::input(segment);
        let at = inputs.len() as u32;
        inputs.push(input);
        sounds.push(sound::add(&mut graph, segment, at, skip, segment.seconds()));
    }
    let audio = (!sounds.is_empty()).then(|| Audio {
        origin: Origin::Graph(sound::join(&mut graph, &sounds)),
        encoder: tracks::encoder(making.container, 2, None),
    });
    let codec = segments.first().and_then(|segment| VideoCodec::of_name(&segment.stream.codec));
    let video = Video {
        origin: Origin::Stream(Source::default(), Chain::default()),
        encoder: Encoder::Copy(codec),
        rate: Rate::Quality(0),
        speed: Speed::default(),
        time_base: None,
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
    Job { inputs, graph, outputs: vec![output], threads: making.coding.threads }
}

/// Reads the result back: every frame is there, and with `full` each of them can be decoded.
async fn check(
    work: Work<'_>,
    segments: &[Segment<'_>],
    target: Target,
    making: Making<'_>,
    frames: u64,
    depth: Verify,
) -> Result<Verified, Failure> {
    work.cx.progress(Progress { phase: Phase::Verifying, ..Progress::default() });
    let packets = work.read_back(making.output, Count::Packets).await?;
    let written = Written::of_media(&packets).ok_or_else(|| broken("it has no video"))?;
    let decoded = match depth {
        Verify::Full => Some(work.read_back(making.output, Count::Frames).await?),
        _ => None,
    };
    let counted = decoded
        .map(|media| media.video().and_then(|(stream, _)| stream.counted_frames).unwrap_or(0));
    let seconds: f64 = segments.iter().map(Segment::seconds).sum();
    let duration = written.duration.unwrap_or(0.0);
    if written.packets != frames || counted.is_some_and(|counted| counted != frames) {
        let came = counted.unwrap_or(written.packets);
        return Err(broken(&format!("{frames} frames were cut, {came} came out")));
    }
    if (duration - seconds).abs() > 0.1 {
        return Err(broken(&format!("{seconds:.3} s were cut, {duration:.3} s came out")));
    }
    if written.audio.len() != usize::from(target.sound) {
        return Err(broken(&format!("it has {} audio tracks", written.audio.len())));
    }
    Ok(Verified {
        frames_in: frames,
        frames_out: written.packets,
        frames_lost: 0,
        duration_seconds: duration,
        width: written.size.0,
        height: written.size.1,
        audio: written.audio,
        method: if counted.is_some() { Method::Decoded } else { Method::Packets },
    })
}

fn broken(why: &str) -> Failure {
    Failure::new(FailureKind::Verification, "the result doesn't hold up to its checks")
        .cause(why)
        .hint("pass `reencode=true`, and please report this with the input")
}
