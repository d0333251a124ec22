//! One plan at work: runs it, falls back to the CPU where that is allowed, and has the results
//! judged.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::verify::{self, Evidence, Verified, Written};
use super::{Expect, Frames, Plan, Verify};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::exec::{self, ExecError, Finished};
use crate::ffmpeg::input::MAX_SECONDS;
use crate::ffmpeg::job::{Job, Output};
use crate::ffmpeg::probe::{Count, Media};
use crate::ffmpeg::progress::Sample;
use crate::ffmpeg::{args as argv, failure, inspect};
use crate::function::Hardware;
use crate::handler::Context;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// What one piece of work on one input needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// The call.
    pub cx: &'a Context,
    /// What the handler does, as in "can't transcode".
    pub verb: &'a str,
    /// What the caller called the input.
    pub name: &'a str,
    /// What the input is.
    pub media: &'a Media,
}

/// How far a run can go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    /// Frames of the first output.
    pub frames: Option<u64>,
    /// Seconds of the first output.
    pub seconds: Option<f64>,
}

impl Work<'_> {
    /// Runs `plan`. If a GPU fails and need not be used, runs what `on_cpu` plans instead, and says
    /// why in it.
    pub async fn run(
        self,
        plan: Plan,
        hardware: Hardware,
        on_cpu: impl FnOnce() -> Result<Plan, Failure>,
    ) -> Result<(Plan, Finished), Failure> {
        match self.ffmpeg(&plan.job, self.total(&plan)).await {
            Ok(run) => Ok((plan, run)),
            Err(ExecError::Failed { status, log }) if plan.on_gpu() && status.code().is_some() => {
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
                let mut plan = on_cpu()?;
                plan.fallback = Some(reason);
                let run = self.ffmpeg(&plan.job, self.total(&plan)).await;
                Ok((plan, run.map_err(|error| self.failed(error))?))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Runs one job and tells how far it is. It is stopped when the call is cancelled, and when it
    /// makes more than [`MAX_SECONDS`] of media.
    pub async fn ffmpeg(self, job: &Job, total: Total) -> Result<Finished, ExecError> {
        let enough = AtomicBool::new(false);
        let stop = self.cx.cancellation().child_token();
        let report = |sample: &Sample| {
            self.cx.progress(progress(sample, total));
            if sample.seconds > MAX_SECONDS {
                enough.store(true, Ordering::Relaxed);
                stop.cancel();
            }
        };
        let ended = exec::ffmpeg(&self.cx.tools().ffmpeg, argv::args(job), &stop, report).await;
        if enough.load(Ordering::Relaxed) {
            return Err(ExecError::Endless { hours: MAX_SECONDS / 3600.0 });
        }
        ended
    }

    /// How far the first output of a plan goes: as many frames as were counted, or as the header
    /// claims where none are added or left out.
    fn total(self, plan: &Plan) -> Total {
        let Some(expect) = plan.expect.first() else {
            return Total { frames: None, seconds: self.media.duration };
        };
        let streams = &self.media.streams;
        let stream = streams.iter().find(|s| s.index == expect.source.stream);
        match expect.frames {
            Frames::Exactly(frames) | Frames::Near(frames) => {
                Total { frames: Some(frames), seconds: None }
            }
            Frames::Any | Frames::Part => Total { frames: None, seconds: self.media.duration },
            Frames::Every => Total {
                frames: stream.and_then(|stream| stream.claimed_frames),
                seconds: self.media.duration,
            },
        }
    }

    /// Has the result at `index` among the outputs of `plan` judged as deeply as was asked for.
    pub async fn verify(
        self,
        plan: &Plan,
        index: usize,
        run: &Finished,
        depth: Verify,
    ) -> Result<Option<Verified>, Failure> {
        let (output, expect) = match (plan.job.outputs.get(index), plan.expect.get(index)) {
            (Some(output), Some(expect)) if depth != Verify::Off => (output, *expect),
            _ => return Ok(None),
        };
        self.judge(output, index, expect, run, depth).await.map(Some)
    }

    async fn judge(
        self,
        output: &Output,
        index: usize,
        expect: Expect,
        run: &Finished,
        depth: Verify,
    ) -> Result<Verified, Failure> {
        self.cx.progress(Progress { phase: Phase::Verifying, ..Progress::default() });
        let written = self.written(&output.path, output.container).await?;
        let decoded = match depth {
            Verify::Full => Some(self.read_back(&output.path, Count::Frames).await?),
            _ => None,
        };
        let decoded = decoded
            .map(|media| media.video().and_then(|(stream, _)| stream.counted_frames).unwrap_or(0));
        verify::judge(Evidence {
            name: self.name,
            input: self.media,
            expect,
            output: u32::try_from(index).unwrap_or(u32::MAX),
            run,
            written: written.as_ref(),
            decoded,
        })
    }

    /// What is in a result; none without video.
    async fn written(self, path: &Path, container: Container) -> Result<Option<Written>, Failure> {
        if container.is_mp4() {
            match inspect::index(path).await {
                Ok(index) => return Ok(Written::of_index(&index)),
                Err(error) => tracing::debug!(%error, "the index says too little"),
            }
        }
        Ok(Written::of_media(&self.read_back(path, Count::Packets).await?))
    }

    /// What ffprobe finds in a result.
    pub async fn read_back(self, path: &Path, count: Count) -> Result<Media, Failure> {
        let read = self.cx.tools().inspect(path, "the result", count, self.cx.cancellation());
        read.await.map_err(|failure| match failure.kind {
            FailureKind::InvalidInput => Failure { kind: FailureKind::Verification, ..failure },
            _ => failure,
        })
    }

    /// A failed run as the call's failure.
    pub fn failed(self, error: ExecError) -> Failure {
        failure::failure(error, &self.what())
    }

    fn what(self) -> String {
        format!("can't {} `{}`", self.verb, self.name)
    }
}

fn progress(sample: &Sample, total: Total) -> Progress {
    let Total { frames: total, seconds: duration } = total;
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
    use crate::encode::single::Place;
    use crate::ffmpeg::Tools;
    use crate::ffmpeg::codec::{Encoder, VideoCodec};
    use crate::ffmpeg::container::Container;
    use crate::gpu::{Bitstream, Capabilities, Gpu};
    use crate::handlers::transcode::args::Args;
    use crate::handlers::transcode::plan;
    use crate::storage::Files;
    use crate::wire::Invocation;

    /// A machine that claims a GPU.
    fn boasting() -> Capabilities {
        let encode = BTreeMap::from([(VideoCodec::H264, Ok(()))]);
        let gpu = Gpu {
            index: 0,
            name: "a GPU".into(),
            encode,
            decode: Bitstream::ALL.map(|kind| (kind, Ok(()))).into(),
        };
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
        let tools = Tools {
            ffmpeg,
            ffprobe: "ffprobe".into(),
            cache: folder.join("cache"),
            onnxruntime: None,
        };
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
        let place = Place {
            input: &crate::ffmpeg::input::Source::from(&input),
            name: "in.mp4",
            output: &output,
            container: Container::Mp4,
        };
        let planned = |hardware| plan::plan(&args, hardware, &media, &boasting(), place);
        let plan = planned(hardware).unwrap();
        assert!(plan.on_gpu());
        let work = Work { cx: &cx, verb: "transcode", name: "in.mp4", media: &media };
        work.run(plan, hardware, || planned(Hardware::Off)).await
    }

    #[test]
    fn a_rate_that_is_not_known_yet_is_left_out() {
        let fifty = Total { frames: Some(50), seconds: None };
        let first = Sample { frames: 1, ..Sample::default() };
        let report = progress(&first, fifty);
        assert_eq!((report.fps, report.speed, report.eta_seconds), (None, None, None));
        let later = Sample { frames: 25, fps: 50.0, speed: 2.0, ..Sample::default() };
        let report = progress(&later, fifty);
        assert_eq!(
            (report.fps, report.speed, report.eta_seconds),
            (Some(50.0), Some(2.0), Some(0.5))
        );
    }

    #[tokio::test]
    async fn a_gpu_that_fails_is_followed_by_the_cpu_and_the_reason_is_said() {
        let (plan, run) = attempt(Hardware::Auto).await.unwrap();
        assert_eq!(plan.encoder(), Some(Encoder::X264));
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
