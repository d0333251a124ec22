//! One transcode at work: runs the plan, falls back to the CPU where that is allowed, and has the
//! result judged.

use std::sync::atomic::{AtomicBool, Ordering};

use super::args::{Args, Verify};
use super::plan::{self, Place, Plan};
use super::verify::{self, Evidence, Verified};
use crate::ffmpeg::exec::{self, ExecError, Finished};
use crate::ffmpeg::input::MAX_SECONDS;
use crate::ffmpeg::probe::{Count, Media};
use crate::ffmpeg::progress::Sample;
use crate::ffmpeg::{args as argv, failure};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::handler::Context;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// What one transcode works with.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) cx: &'a Context,
    pub(super) args: &'a Args,
    pub(super) media: &'a Media,
    pub(super) place: Place<'a>,
}

impl Attempt<'_> {
    /// Runs `plan`, and the same work on the CPU if a GPU fails and need not be used.
    pub(super) async fn run(
        self,
        plan: Plan,
        hardware: Hardware,
        machine: &Capabilities,
    ) -> Result<(Plan, Finished), Failure> {
        let on_gpu = plan.output().video.encoder.is_hardware();
        match self.ffmpeg(&plan).await {
            Ok(run) => Ok((plan, run)),
            Err(ExecError::Failed { status, log }) if on_gpu && status.code().is_some() => {
                let known = failure::hardware_reason(&log);
                let reason = known.map(|(reason, _)| reason.to_owned());
                let said = || log.error_lines().next().unwrap_or("it said nothing").to_owned();
                let reason = format!("the GPU failed: {}", reason.unwrap_or_else(said));
                if hardware == Hardware::Required {
                    let hint = known.map_or("use `hardware=auto`", |(_, hint)| hint);
                    return Err(Failure::new(FailureKind::Machine, self.what())
                        .cause(reason)
                        .hint(hint));
                }
                let mut plan =
                    plan::plan(self.args, Hardware::Off, self.media, machine, self.place)?;
                plan.fallback = Some(reason);
                let run = self.ffmpeg(&plan).await.map_err(|e| self.failed(e))?;
                Ok((plan, run))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn ffmpeg(self, plan: &Plan) -> Result<Finished, ExecError> {
        let total = self.total_frames(plan);
        let enough = AtomicBool::new(false);
        let stop = self.cx.cancellation().child_token();
        let report = |sample: &Sample| {
            self.cx.progress(progress(sample, total, self.media.duration));
            if sample.seconds > MAX_SECONDS {
                enough.store(true, Ordering::Relaxed);
                stop.cancel();
            }
        };
        let args = argv::args(&plan.job);
        let ended = exec::ffmpeg(&self.cx.tools().ffmpeg, args, &stop, report).await;
        if enough.load(Ordering::Relaxed) {
            return Err(ExecError::Endless { hours: MAX_SECONDS / 3600.0 });
        }
        ended
    }

    /// Frames of the result, where the header claims a number and none are added or left out.
    fn total_frames(self, plan: &Plan) -> Option<u64> {
        let stream = self.media.streams.iter().find(|s| s.index == plan.expect.stream)?;
        stream.claimed_frames.filter(|_| plan.expect.every_frame)
    }

    /// Has the result judged as deeply as was asked for.
    pub(super) async fn verify(
        self,
        plan: &Plan,
        run: &Finished,
    ) -> Result<Option<Verified>, Failure> {
        if self.args.verify == Verify::Off {
            return Ok(None);
        }
        self.cx.progress(Progress { phase: Phase::Verifying, ..Progress::default() });
        let result = self.read_back(Count::Packets).await?;
        let decoded = match self.args.verify {
            Verify::Full => Some(self.read_back(Count::Frames).await?),
            _ => None,
        };
        let decoded = decoded
            .map(|media| media.video().and_then(|(stream, _)| stream.counted_frames).unwrap_or(0));
        let evidence = Evidence {
            name: self.place.name,
            input: self.media,
            expect: plan.expect,
            run,
            result: &result,
            decoded,
        };
        verify::judge(evidence).map(Some)
    }

    async fn read_back(self, count: Count) -> Result<Media, Failure> {
        let read =
            self.cx.tools().inspect(self.place.output, "the result", count, self.cx.cancellation());
        read.await.map_err(|failure| match failure.kind {
            FailureKind::InvalidInput => Failure { kind: FailureKind::Verification, ..failure },
            _ => failure,
        })
    }

    fn failed(self, error: ExecError) -> Failure {
        failure::failure(error, &self.what())
    }

    fn what(self) -> String {
        format!("can't transcode `{}`", self.place.name)
    }
}

fn progress(sample: &Sample, total: Option<u64>, duration: Option<f64>) -> Progress {
    let by_time = duration.filter(|d| *d > 0.0).map(|duration| sample.seconds / duration);
    let by_frames = total.filter(|t| *t > 0).map(|total| sample.frames as f64 / total as f64);
    let fraction = by_frames.or(by_time).map(|fraction| fraction.clamp(0.0, 1.0));
    let left = total.map(|total| total.saturating_sub(sample.frames) as f64 / sample.fps);
    Progress {
        phase: Phase::Processing,
        fraction,
        frames: Some(sample.frames),
        total_frames: total,
        fps: Some(sample.fps),
        speed: Some(sample.speed),
        eta_seconds: left.filter(|seconds| seconds.is_finite()),
        message: None,
    }
}
