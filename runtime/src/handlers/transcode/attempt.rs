//! One transcode at work: runs the plan, falls back to the CPU where that is allowed, and has the
//! result judged.

use std::sync::atomic::{AtomicBool, Ordering};

use super::args::{Args, Verify};
use super::plan::{self, Place, Plan};
use super::verify::{self, Evidence, Verified, Written};
use crate::ffmpeg::exec::{self, ExecError, Finished};
use crate::ffmpeg::input::MAX_SECONDS;
use crate::ffmpeg::probe::{Count, Media};
use crate::ffmpeg::progress::Sample;
use crate::ffmpeg::{args as argv, failure, inspect};
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
        let written = self.written().await?;
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
            written: written.as_ref(),
            decoded,
        };
        verify::judge(evidence).map(Some)
    }

    /// What is in the result; none without video.
    async fn written(self) -> Result<Option<Written>, Failure> {
        if self.place.container.is_mp4() {
            match inspect::index(self.place.output).await {
                Ok(index) => return Ok(Written::of_index(&index)),
                Err(error) => tracing::debug!(%error, "the index says too little"),
            }
        }
        Ok(Written::of_media(&self.read_back(Count::Packets).await?))
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
    // ffmpeg says zero until it has counted for a while.
    let known = |rate: f64| (rate > 0.0).then_some(rate);
    let left = total.map(|total| total.saturating_sub(sample.frames) as f64 / sample.fps);
    Progress {
        phase: Phase::Processing,
        fraction,
        frames: Some(sample.frames),
        total_frames: total,
        fps: known(sample.fps),
        speed: known(sample.speed),
        eta_seconds: left.filter(|seconds| seconds.is_finite()),
        message: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::ffmpeg::Tools;
    use crate::ffmpeg::job::{Container, Encoder, VideoCodec};
    use crate::gpu::Gpu;
    use crate::storage::Files;
    use crate::wire::Invocation;

    /// A machine that claims a GPU.
    fn boasting() -> Capabilities {
        let encode = BTreeMap::from([(VideoCodec::H264, Ok(()))]);
        let gpu = Gpu { index: 0, name: "a GPU".into(), encode, decode: Ok(()) };
        let software = BTreeMap::from([(VideoCodec::H264, Encoder::X264)]);
        Capabilities { software, gpus: vec![gpu], no_gpu: None }
    }

    fn context(folder: &Path) -> Context {
        // An ffmpeg whose GPU fails as a driver that is too old does, and that is real otherwise.
        let ffmpeg = folder.join("ffmpeg");
        let script = "#!/bin/sh\ncase \"$*\" in *_nvenc*)\n\
            echo '[h264_nvenc @ 0x1] [error] Driver does not support the required nvenc API version. Required: 12.1 Found: 11.0' >&2\n\
            exit 1;;\nesac\nexec ffmpeg \"$@\"\n";
        std::fs::write(&ffmpeg, script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&ffmpeg, executable).unwrap();
        let invocation: Invocation = serde_json::from_value(json!({
            "v": 1, "call": "c-1", "attempt": 1, "args": {},
            "function": { "app": "a", "name": "f",
                          "entry": { "kind": "builtin", "handler": "transcode" } },
            "scratch": folder, "artifacts": folder,
        }))
        .unwrap();
        let tools = Tools { ffmpeg, ffprobe: "ffprobe".into(), cache: folder.join("cache") };
        let files = Files::of(&invocation);
        Context::new(invocation, tools, files, CancellationToken::new(), |_| {})
    }

    async fn attempt(hardware: Hardware) -> Result<(Plan, Finished), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let cx = context(folder.path());
        let input = folder.path().join("in.mp4");
        let clip = ["-y", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-pix_fmt", "yuv420p"];
        let clip = clip.iter().map(Into::into).chain([input.clone().into_os_string()]).collect();
        exec::ffmpeg(&cx.tools().ffmpeg, clip, cx.cancellation(), |_| {}).await.unwrap();
        let media =
            cx.tools().inspect(&input, "in", Count::Nothing, cx.cancellation()).await.unwrap();
        let args: Args = serde_json::from_value(json!({ "input": "in.mp4" })).unwrap();
        let output = folder.path().join("out.mp4");
        let place =
            Place { input: &input, name: "in.mp4", output: &output, container: Container::Mp4 };
        let plan = plan::plan(&args, hardware, &media, &boasting(), place).unwrap();
        assert!(plan.output().video.encoder.is_hardware());
        let attempt = Attempt { cx: &cx, args: &args, media: &media, place };
        attempt.run(plan, hardware, &boasting()).await
    }

    #[test]
    fn a_rate_that_is_not_known_yet_is_left_out() {
        let first = Sample { frames: 1, ..Sample::default() };
        let report = progress(&first, Some(50), None);
        assert_eq!((report.fps, report.speed, report.eta_seconds), (None, None, None));
        let later = Sample { frames: 25, fps: 50.0, speed: 2.0, ..Sample::default() };
        let report = progress(&later, Some(50), None);
        assert_eq!(
            (report.fps, report.speed, report.eta_seconds),
            (Some(50.0), Some(2.0), Some(0.5))
        );
    }

    #[tokio::test]
    async fn a_gpu_that_fails_is_followed_by_the_cpu_and_the_reason_is_said() {
        let (plan, run) = attempt(Hardware::Auto).await.unwrap();
        assert_eq!(plan.output().video.encoder, Encoder::X264);
        assert_eq!(
            plan.fallback.as_deref(),
            Some("the GPU failed: the driver is older than this build of ffmpeg wants")
        );
        assert_eq!(run.log.outputs[&(0, 0)], 25);
    }

    #[tokio::test]
    async fn a_gpu_that_is_required_and_fails_ends_the_call_with_the_fix() {
        let failure = attempt(Hardware::Required).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Machine);
        assert_eq!(
            failure.causes,
            ["the GPU failed: the driver is older than this build of ffmpeg wants"]
        );
        assert_eq!(
            failure.hint.as_deref(),
            Some("update the NVIDIA driver, or use an older ffmpeg")
        );
    }
}
