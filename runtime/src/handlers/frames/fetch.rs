//! Brings frames: runs of ffmpeg side by side, each from a keyframe on.
//!
//! Frames are told by their times, so a run that began at the wrong place brings too few and never
//! wrong ones; then it begins earlier.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::pick::Run;
use crate::ffmpeg::cut::Cut;
use crate::ffmpeg::exec::{self, ExecError};
use crate::ffmpeg::failure;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::index::FrameIndex;
use crate::ffmpeg::job::Input;
use crate::ffmpeg::picture::{self, PictureCoding, PictureJob, To};
use crate::handler::Context;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// Runs at the same time at most.
const MOST_RUNS: usize = 8;

/// Keyframes by which a run that brought too little begins earlier.
const EARLIER: usize = 3;

/// What frames are brought of, and how.
#[derive(Debug)]
pub(super) struct Fetch<'a> {
    pub(super) cx: &'a Context,
    pub(super) path: &'a Path,
    pub(super) name: &'a str,
    pub(super) stream: u32,
    pub(super) index: &'a FrameIndex,
    /// What is done to each frame that was picked out.
    pub(super) filters: Chain,
    pub(super) keyframes_only: bool,
    pub(super) done: AtomicU64,
    pub(super) total: u64,
}

impl Fetch<'_> {
    /// Brings frames as bytes of pixels; `put` gets the index of each, in any order.
    pub(super) async fn pixels(
        &self,
        runs: &[Run],
        coding: PictureCoding,
        bytes: usize,
        put: impl Fn(usize, &[u8]) -> io::Result<()> + Sync,
    ) -> Result<(), Failure> {
        let put = &put;
        self.side_by_side(runs, |run, from, last| async move {
            let args = picture::args(&self.job(run, from, last, coding, To::Pipe, runs.len()));
            let (program, cancel) = (&self.cx.tools().ffmpeg, self.cx.cancellation());
            let each = |at: u64, pixels: &[u8]| {
                self.tell(1);
                let frame = usize::try_from(at).ok().and_then(|at| run.frames.get(at));
                frame.map_or(Ok(()), |frame| put(*frame, pixels))
            };
            let brought = exec::frames(program, args, bytes, cancel, each).await?;
            brought.map_err(Stopped::Write)
        })
        .await
    }

    /// Brings frames as files of a folder; gives back where each is.
    pub(super) async fn files(
        &self,
        runs: &[Run],
        coding: PictureCoding,
        folder: &Path,
    ) -> Result<Vec<(usize, PathBuf)>, Failure> {
        let place = |run: &Run| folder.join(format!("run-{}", run.frames[0]));
        self.side_by_side(runs, |run, from, last| async move {
            let to = place(run);
            tokio::fs::create_dir_all(&to).await.map_err(Stopped::Write)?;
            let args =
                picture::args(&self.job(run, from, last, coding, To::Folder(to), runs.len()));
            let (program, cancel) = (&self.cx.tools().ffmpeg, self.cx.cancellation());
            let finished = exec::ffmpeg(program, args, cancel, |_| {}).await?;
            let brought = finished.log.outputs.get(&(0, 0)).copied().unwrap_or(0);
            self.tell(brought);
            Ok(brought)
        })
        .await?;
        let numbered = |run: &Run| {
            let folder = place(run);
            let file = move |at: usize| picture::numbered(&folder, at as u64, coding);
            run.frames.iter().enumerate().map(|(at, frame)| (*frame, file(at))).collect::<Vec<_>>()
        };
        Ok(runs.iter().flat_map(numbered).collect())
    }

    /// Runs `bring` for each run, a few at the same time, until it has brought every frame: first
    /// from the keyframe, then from an earlier one, at last from the start of the file.
    async fn side_by_side<'r, F, B>(&'r self, runs: &'r [Run], bring: B) -> Result<(), Failure>
    where
        F: Future<Output = Result<u64, Stopped>> + Send,
        B: Fn(&'r Run, Option<usize>, bool) -> F + Sync,
    {
        let most = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_RUNS);
        let bring = &bring;
        let mut jobs: Vec<BoxFuture<'_, Result<(), Failure>>> = Vec::with_capacity(runs.len());
        for run in runs {
            jobs.push(self.one(run, bring).boxed());
        }
        futures::stream::iter(jobs).buffer_unordered(most).try_collect().await
    }

    async fn one<'r, F, B>(&'r self, run: &'r Run, bring: &B) -> Result<(), Failure>
    where
        F: Future<Output = Result<u64, Stopped>> + Send,
        B: Fn(&'r Run, Option<usize>, bool) -> F + Sync,
    {
        for (attempt, from) in self.starts(run).into_iter().enumerate() {
            let brought = bring(run, from, attempt > 0).await;
            if brought.map_err(|stopped| self.failed(stopped))? == run.frames.len() as u64 {
                return Ok(());
            }
        }
        Err(self.missing(run))
    }

    fn starts(&self, run: &Run) -> Vec<Option<usize>> {
        let keys = |from: usize| {
            let before = self.index.frames[..from].iter().enumerate().rev();
            before.filter(|(_, frame)| frame.key).map(|(at, _)| at).nth(EARLIER - 1)
        };
        let mut starts = vec![run.from];
        starts.extend(run.from.and_then(keys).map(Some));
        starts.push(None);
        starts.dedup();
        starts
    }

    fn job(
        &self,
        run: &Run,
        from: Option<usize>,
        again: bool,
        coding: PictureCoding,
        to: To,
        runs: usize,
    ) -> PictureJob {
        let at = |index: &usize| self.index.frames[*index].pts;
        let select = match self.index.seekable {
            true => Filter::Cut(Cut::SelectTimes(run.frames.iter().map(at).collect())),
            false => Filter::Cut(Cut::SelectFrames(
                run.frames.iter().map(|frame| *frame as u64).collect(),
            )),
        };
        let mut filters = Chain(vec![select]);
        filters.0.extend(self.filters.0.iter().cloned());
        // A little after the keyframe, so that rounding doesn't lead to the one before it.
        let seek = from
            .filter(|from| *from > 0)
            .map(|from| at(&from) as f64 * self.index.time_base.value() + 0.000_5);
        PictureJob {
            input: Input { seek, ..Input::of(self.path) },
            stream: self.stream,
            keyframes_only: self.keyframes_only && !again,
            filters,
            coding,
            most: run.frames.len() as u64,
            to,
            // Several processes use the cores better than several threads in one.
            threads: (runs > 1).then_some(1),
        }
    }

    fn tell(&self, frames: u64) {
        let done = (self.done.fetch_add(frames, Ordering::Relaxed) + frames).min(self.total);
        self.cx.progress(Progress {
            phase: Phase::Processing,
            fraction: Some(done as f64 / self.total.max(1) as f64),
            frames: Some(done),
            total_frames: Some(self.total),
            ..Progress::default()
        });
    }

    fn failed(&self, stopped: Stopped) -> Failure {
        let what = format!("can't take frames of `{}`", self.name);
        match stopped {
            Stopped::Exec(error) => failure::failure(error, &what),
            Stopped::Write(error) => Failure::new(FailureKind::Output, what).cause(error),
        }
    }

    fn missing(&self, run: &Run) -> Failure {
        let (first, last) = (run.frames[0], run.frames[run.frames.len() - 1]);
        let which = match first == last {
            true => format!("frame {first}"),
            false => format!("a frame between {first} and {last}"),
        };
        Failure::new(FailureKind::InvalidInput, format!("`{}` is damaged", self.name))
            .cause(format!("{which} is listed, and can't be decoded"))
            .hint("leave it out, or take frames from a copy that was transcoded with `verify=off`")
    }
}

/// Why a run ended too early.
#[derive(Debug)]
pub(super) enum Stopped {
    Exec(ExecError),
    Write(io::Error),
}

impl From<ExecError> for Stopped {
    fn from(error: ExecError) -> Self {
        Stopped::Exec(error)
    }
}
