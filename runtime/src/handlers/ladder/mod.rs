//! Makes several renditions of a video out of one decode, with keyframes at the same frames.
//!
//! `plan` decides, [`crate::encode`] works and judges; this file is the order of it.

pub mod args;
pub mod plan;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use self::args::Args;
use self::plan::{LadderPlan, Place};
use crate::encode::Verify;
use crate::encode::ladder::open::{self, Order};
use crate::encode::open::Opened;
use crate::encode::run::Work;
use crate::encode::verify::Verified;
use crate::ffmpeg::codec::Encoder;
use crate::ffmpeg::exec::Finished;
use crate::ffmpeg::mp4::IndexError;
use crate::ffmpeg::mp4::samples::{MediaKind, Movie};
use crate::function::Hardware;
use crate::handler::{Context, Handler};
use crate::packaging::PackagingError;
use crate::packaging::measure::{Measured, measure};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// The `ladder` handler.
#[derive(Debug)]
pub struct Ladder;

/// What `ladder` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The folder that the results are in.
    pub output: String,
    /// The results, in the order that was asked for.
    pub rungs: Vec<Rendition>,
    /// Why the CPU was used although a GPU was wanted; null when that isn't so.
    pub fallback: Option<String>,
    /// Seconds that ffmpeg worked.
    pub seconds: f64,
    /// Seconds of video per second of work.
    pub speed: f64,
    /// Size of the input in bytes.
    pub input_bytes: u64,
    /// Size of all results in bytes.
    pub output_bytes: u64,
    /// What of the input didn't come along, or was changed on the way.
    pub notes: Vec<String>,
}

/// One result.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Rendition {
    /// Its name.
    pub name: String,
    /// Its file, in the folder.
    pub file: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The encoder that was used, by ffmpeg's name.
    pub encoder: String,
    /// Bits per second of the pictures on average, measured.
    pub average_bitrate: u64,
    /// Bits of the pictures in the busiest second, measured.
    pub peak_bitrate: u64,
    /// Seconds between keyframes at most, measured.
    pub keyframe_seconds: f64,
    /// Size in bytes.
    pub bytes: u64,
    /// What was checked before this counted as a result; null with `verify=off`.
    pub verified: Option<Verified>,
}

impl Handler for Ladder {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "ladder";
    const ABOUT: &'static str = "Makes several sizes of a video at once, ready to switch between.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let rungs = args.rungs();
        args.check(&rungs)?;
        let Args { input, output, coding, .. } = &args;
        let order = Order { input, output: output.as_ref(), coding, rungs: &rungs };
        let (opened, folder) = open::open(&cx, order).await?;
        let Opened { name, source, media, machine, .. } = &opened;
        let (work, hardware) = (opened.work("make a ladder of"), opened.hardware);
        let place = Place { input: source, name, output: &folder.path };
        let planned = |hardware| plan::plan(&args, &rungs, hardware, media, machine, place);
        let LadderPlan { plan, names } = planned(hardware)?;
        let started = Instant::now();
        let ran = work.run(plan, hardware, || planned(Hardware::Off).map(|ladder| ladder.plan));
        let (plan, run) = ran.await?;
        let seconds = started.elapsed().as_secs_f64();
        let made = Made { work, plan: &plan, run: &run, verify: args.coding.verify };
        let rungs = made.renditions(names).await?;
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = folder.staged.commit("output")?;
        let output = Output {
            output: artifact.location.clone(),
            rungs,
            fallback: plan.fallback,
            seconds,
            speed: run.last.seconds / seconds,
            input_bytes: media.bytes,
            output_bytes: artifact.bytes,
            notes: plan.notes,
        };
        cx.add_artifact(artifact);
        Ok(output)
    }
}

/// What ffmpeg made.
#[derive(Clone, Copy)]
struct Made<'a> {
    work: Work<'a>,
    plan: &'a crate::encode::Plan,
    run: &'a Finished,
    verify: Verify,
}

impl Made<'_> {
    /// Has every result judged, and refuses results that can't be switched between.
    async fn renditions(self, names: Vec<String>) -> Result<Vec<Rendition>, Failure> {
        let mut renditions = Vec::new();
        let mut first: Option<Measured> = None;
        for (index, name) in names.into_iter().enumerate() {
            let verified = self.work.verify(self.plan, index, self.run, self.verify).await?;
            let output = &self.plan.job.outputs[index];
            let measured = look_at(&output.path).await.map_err(|error| unfit(&name, &error))?;
            let first = first.get_or_insert_with(|| measured.clone());
            if let Some(keyframe) = apart(first, &measured) {
                return Err(unfit(&name, &keyframe));
            }
            let bytes = tokio::fs::metadata(&output.path).await.map_or(0, |file| file.len());
            let size = self.plan.expect[index].size;
            renditions.push(Rendition {
                file: plan::file(&name),
                name,
                width: size.0,
                height: size.1,
                encoder: encoder_name(output),
                average_bitrate: measured.average,
                peak_bitrate: measured.peak,
                keyframe_seconds: measured.longest_group(),
                bytes,
                verified,
            });
        }
        Ok(renditions)
    }
}

fn encoder_name(output: &crate::ffmpeg::job::Output) -> String {
    output.video.as_ref().map_or("none", |video| Encoder::name(video.encoder)).into()
}

/// Where keyframes of one aren't keyframes of the other.
fn apart(first: &Measured, other: &Measured) -> Option<PackagingError> {
    let pairs = first.keyframes.iter().zip(&other.keyframes);
    let different = pairs.filter(|(a, b)| a != b).map(|(a, _)| *a).next();
    let missing = (first.keyframes.len() != other.keyframes.len()).then_some(first.end);
    different.or(missing).map(|time| PackagingError::Misaligned { seconds: time.seconds() })
}

async fn look_at(path: &Path) -> Result<Measured, PackagingError> {
    let path = path.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let movie = Movie::open(&path)?;
        let track = movie.track(MediaKind::Video).ok_or(IndexError::Unusual("it has no video"))?;
        measure(&movie, track)
    });
    work.await.unwrap_or_else(|stopped| Err(PackagingError::File(stopped.into())))
}

fn unfit(name: &str, error: &PackagingError) -> Failure {
    let message = format!("rendition `{name}` can't be switched to");
    Failure::new(FailureKind::Verification, message)
        .cause(error)
        .hint("please report this with the input, and what `vdeploy check` says")
}
