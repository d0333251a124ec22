//! Joins the parts that were made, and checks the whole against the source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::args::Args;
use super::cost::{Basis, Model};
use super::split::{Frame, Frames};
use super::{Output, PartResult, scan, stitch};
use crate::encode::part::Window;
use crate::ffmpeg::container::Container;
use crate::ffmpeg::probe::{Count, Media};
use crate::ffmpeg::{exec, failure};
use crate::handler::Context;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// Seconds by which a frame may be shown at another time than in the source: Matroska and WebM
/// count in milliseconds.
const TOLERANCE: f64 = 0.0011;

/// What was verified of the whole.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Verified {
    /// Frames of the source.
    pub frames_in: u64,
    /// Frames of the result.
    pub frames_out: u64,
    /// Frames that could be decoded from the result, with `verify=full`.
    pub frames_decoded: Option<u64>,
    /// Seconds by which the frame that is furthest off is shown at another time.
    pub largest_shift_seconds: f64,
    /// Audio tracks of the result, by codec.
    pub audio: Vec<String>,
}

/// The parts that are done: the sound at 0, then the chunks.
#[derive(Debug, Default)]
pub(super) struct Made {
    started: BTreeMap<u64, Instant>,
    /// Seconds besides the work itself, of parts that were made just now.
    around: Vec<f64>,
    results: BTreeMap<u64, PartResult>,
}

impl Made {
    pub(super) fn started(&mut self, index: u64) {
        self.started.insert(index, Instant::now());
    }

    pub(super) fn ended(&mut self, index: u64, result: Value) -> Result<(), Failure> {
        let result: PartResult = serde_json::from_value(result).map_err(|error| {
            Failure::new(FailureKind::Handler, format!("the result of part {index} is unusual"))
                .cause(error)
        })?;
        if let (Some(started), Some(seconds)) = (self.started.get(&index), result.seconds) {
            self.around.push((started.elapsed().as_secs_f64() - seconds).max(0.0));
        }
        self.results.insert(index, result);
        Ok(())
    }

    /// What the chunks cost; none where earlier attempts made them.
    pub(super) fn costs(&self, chunks: usize) -> Option<Model> {
        if self.around.len() <= chunks {
            return None;
        }
        let of_chunks = self.results.iter().filter(|(index, _)| **index > 0);
        let (mut seconds, mut frames) = (0.0, 0);
        for (_, result) in of_chunks {
            seconds += result.seconds?;
            frames += result.verified.as_ref()?.frames_out;
        }
        Some(Model {
            startup_seconds: self.around.iter().sum::<f64>() / self.around.len() as f64,
            seconds_per_frame: seconds / frames.max(1) as f64,
            basis: Basis::Measured,
        })
    }

    /// Refuses chunks with other frames than they should have, or that differ in how they are
    /// coded: joined, only those like the first would play.
    fn check(&self, windows: &[Window]) -> Result<(), Failure> {
        for (index, window) in (1..).zip(windows) {
            let found = self.results.get(&index).and_then(|part| part.verified.as_ref());
            let frames = found.map(|verified| verified.frames_out);
            if frames.is_some_and(|frames| frames != window.frames) {
                return Err(broken(format!(
                    "chunk {index} has {} frames instead of {}",
                    frames.unwrap_or(0),
                    window.frames
                )));
            }
        }
        let mut encoders = self.chunks().map(|part| part.encoder.as_deref());
        let first = encoders.next().flatten();
        if encoders.any(|encoder| encoder != first) {
            return Err(broken("its chunks were made by different encoders").hint(
                "let all run on the same kind of machine, or pass `hardware=off` in `with`",
            ));
        }
        Ok(())
    }

    fn chunks(&self) -> impl Iterator<Item = &PartResult> {
        self.results.iter().filter(|(index, _)| **index > 0).map(|(_, part)| part)
    }

    fn notes(&self) -> impl Iterator<Item = String> + '_ {
        self.chunks().next().into_iter().flat_map(|part| part.notes.iter().cloned())
    }

    /// The parts aren't needed any more once they are joined.
    fn remove(&self) {
        for part in self.results.values() {
            if let Err(error) = std::fs::remove_file(&part.output) {
                tracing::debug!(%error, "a part stays until its call is pruned");
            }
        }
    }
}

/// What the parts become.
pub(super) struct Whole<'a> {
    pub(super) cx: &'a Context,
    pub(super) args: &'a Args,
    pub(super) frames: &'a Frames,
    pub(super) container: Container,
}

impl Whole<'_> {
    pub(super) async fn join(
        &self,
        made: Made,
        windows: &[Window],
        output: Output,
    ) -> Result<Output, Failure> {
        made.check(windows)?;
        let sound = made.results.get(&0).ok_or_else(|| broken("its sound is missing"))?;
        let chunks: Vec<PathBuf> = made.chunks().map(|part| part.output.clone()).collect();
        let staged = self.cx.files().output(self.args.output.as_ref(), &self.name())?;
        let target = staged.path();
        self.stitch(&chunks, windows, sound, &target).await?;
        self.cx.progress(Progress { phase: Phase::Verifying, ..Progress::default() });
        let verified = self.verify(&target, sound).await?;
        self.cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = staged.commit("output")?;
        made.remove();
        let notes = output.notes.iter().cloned().chain(made.notes()).collect();
        let output = Output {
            output: Some(artifact.location.clone()),
            chunks: windows.iter().map(|window| window.frames).collect(),
            encoder: made.chunks().next().and_then(|part| part.encoder.clone()),
            output_bytes: Some(artifact.bytes),
            verified: Some(verified),
            notes,
            ..output
        };
        self.cx.add_artifact(artifact);
        Ok(output)
    }

    fn name(&self) -> String {
        let stem = std::path::Path::new(self.args.input.as_str()).file_stem();
        let stem = stem.unwrap_or("output".as_ref()).to_string_lossy();
        format!("{stem}.{}", self.container.extension())
    }

    async fn stitch(
        &self,
        chunks: &[PathBuf],
        windows: &[Window],
        sound: &PartResult,
        target: &std::path::Path,
    ) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| {
            Failure::new(FailureKind::Machine, "can't write to the call's folder").cause(error)
        };
        let scratch = self.cx.files().scratch();
        std::fs::create_dir_all(scratch).map_err(cannot)?;
        let script = scratch.join("chunks.ffconcat");
        std::fs::write(&script, stitch::script(chunks, &self.starts(windows))).map_err(cannot)?;
        let args =
            stitch::args(&script, &sound.output, target, (self.container, self.frames.first()));
        let run = exec::ffmpeg(&self.cx.tools().ffmpeg, args, self.cx.cancellation(), |_| {});
        let what = || format!("can't join the chunks of `{}`", self.args.input.as_str());
        run.await.map(drop).map_err(|error| failure::failure(error, &what()))
    }

    /// When each chunk begins.
    fn starts(&self, windows: &[Window]) -> Vec<f64> {
        let times: Vec<f64> = self.frames.times().collect();
        let mut first = 0;
        let start = |window: &Window| {
            let start = times.get(first).copied();
            first += window.frames as usize;
            start
        };
        windows.iter().map_while(start).collect()
    }

    async fn verify(
        &self,
        target: &std::path::Path,
        sound: &PartResult,
    ) -> Result<Verified, Failure> {
        let full = self.args.with.get("verify").is_some_and(|depth| depth == "full");
        let count = if full { Count::Frames } else { Count::Nothing };
        let media = self.read(target, count).await?;
        let (stream, _) = media.video().ok_or_else(|| broken("it has no video"))?;
        let (index, decoded) = (stream.index, stream.counted_frames);
        let written = scan::frames(self.cx, target, "the result", index, 0.0).await?;
        let largest_shift_seconds = shift(self.frames, written.unwrap_or_default())?;
        let frames = self.frames.count() as u64;
        if decoded.is_some_and(|decoded| decoded != frames) {
            let decoded = decoded.unwrap_or(0);
            return Err(broken(format!("only {decoded} of its {frames} frames can be decoded")));
        }
        let audio = tracks(&media);
        let expected = tracks(&self.read(&sound.output, Count::Nothing).await?);
        if audio != expected {
            return Err(broken(format!(
                "it has the audio tracks {audio:?} instead of {expected:?}"
            )));
        }
        Ok(Verified {
            frames_in: frames,
            frames_out: frames,
            frames_decoded: decoded,
            largest_shift_seconds,
            audio,
        })
    }

    async fn read(&self, path: &std::path::Path, count: Count) -> Result<Media, Failure> {
        self.cx.tools().inspect(path, "the result", count, self.cx.cancellation()).await
    }
}

fn tracks(media: &Media) -> Vec<String> {
    media.audio().iter().map(|(stream, _)| stream.codec.clone()).collect()
}

/// The most that a frame is shown earlier or later than in the source, counted from the first.
fn shift(source: &Frames, mut written: Vec<Frame>) -> Result<f64, Failure> {
    written.sort_by(|a, b| a.time.total_cmp(&b.time));
    if written.len() != source.count() {
        let (wants, has) = (source.count(), written.len());
        return Err(broken(format!("{wants} frames went in, {has} came out")));
    }
    let first = written.first().map_or(0.0, |frame| frame.time);
    let shifts =
        source.times().zip(&written).map(|(time, frame)| (frame.time - first - time).abs());
    let largest = shifts.fold(0.0, f64::max);
    if largest > TOLERANCE {
        return Err(broken(format!("a frame is shown {largest:.4} s too early or too late")));
    }
    Ok(largest)
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Verification, "the joined video doesn't hold up to its checks")
        .cause(why)
        .hint("pass `workers=1` to do it in one piece")
}
