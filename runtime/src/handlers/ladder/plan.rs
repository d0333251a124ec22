//! Decides how a ladder is made: one job, one decode, one MP4 file per rendition. Pure.

use std::path::Path;

use super::args::Args;
use crate::encode::ladder::rung::Rung;
use crate::encode::ladder::{self, Ladder};
use crate::encode::{Expect, Frames, Plan, tracks};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::input;
use crate::ffmpeg::job::{Input, Job, Output};
use crate::ffmpeg::probe::Media;
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::Failure;

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The input.
    pub input: &'a input::Source,
    /// What the caller called it.
    pub name: &'a str,
    /// The folder to write to.
    pub output: &'a Path,
}

/// A plan, and the names of its outputs in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct LadderPlan {
    /// The job.
    pub plan: Plan,
    /// The names of the renditions.
    pub names: Vec<String>,
}

/// The whole decision.
pub fn plan(
    args: &Args,
    rungs: &[Rung],
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    place: Place<'_>,
) -> Result<LadderPlan, Failure> {
    let (wish, input) = (args.wish(rungs), Input::of(place.input));
    let ladder = ladder::plan(wish, hardware, (media, place.name), machine, input)?;
    let Ladder { input, graph, steps, source, fallback, mut notes } = ladder;
    let audio = tracks::audio(media, args.audio, Container::Mp4);
    let (subtitles, left) = tracks::subtitles(media, args.subtitles, Container::Mp4);
    notes.extend(left);
    let frames = if args.fps.is_none() { Frames::Every } else { Frames::Any };
    let sizes = steps.iter().map(|step| step.size);
    let expect = sizes.map(|size| Expect { source, size, audio: audio.len(), frames }).collect();
    let names = steps.iter().map(|step| step.name.clone()).collect();
    let outputs = steps.into_iter().map(|step| Output {
        path: place.output.join(file(&step.name)),
        container: Container::Mp4,
        video: Some(step.video),
        audio: audio.clone(),
        subtitles: subtitles.clone(),
    });
    let outputs = outputs.collect();
    let job = Job { inputs: vec![input], graph, outputs, threads: args.coding.threads };
    Ok(LadderPlan { plan: Plan { job, fallback, notes, expect }, names })
}

/// The file of a rendition.
pub fn file(name: &str) -> String {
    format!("{name}.mp4")
}
