//! How far the calls of a map are together. Pure: made of what they reported, and of nothing else.

use std::collections::HashMap;
use std::ops::{AddAssign, SubAssign};

use crate::dispatch::What;
use crate::wire::{Phase, Progress};

/// What is known of the calls of one map: sums that are kept as calls get further, so that neither
/// an event nor the memory for it depends on how many calls there were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overall {
    total: Option<u64>,
    ended: u64,
    /// What calls that have not ended reported last.
    open: HashMap<u64, Progress>,
    /// Of all calls, also those that have ended.
    frames: Sum<u64>,
    total_frames: Sum<u64>,
    /// Of calls that have not ended.
    fraction: Sum<f64>,
    fps: Sum<f64>,
    speed: Sum<f64>,
}

/// The sum of those that are known.
#[derive(Clone, Copy, Debug, Default)]
struct Sum<T> {
    sum: T,
    known: u64,
}

impl<T: AddAssign + SubAssign + Copy + Default> Sum<T> {
    fn add(&mut self, value: Option<T>) {
        if let Some(value) = value {
            self.sum += value;
            self.known += 1;
        }
    }

    fn remove(&mut self, value: Option<T>) {
        if let Some(value) = value {
            self.sum -= value;
            self.known -= 1;
        }
        if self.known == 0 {
            // Rounding errors of numbers that are gone go with them.
            self.sum = T::default();
        }
    }

    /// None when none is known.
    fn get(&self) -> Option<T> {
        (self.known > 0).then_some(self.sum)
    }
}

impl Overall {
    pub(crate) fn new(total: Option<u64>) -> Self {
        Overall { total, ..Overall::default() }
    }

    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = Some(total);
    }

    pub(crate) fn take(&mut self, index: u64, what: &What) {
        match what {
            // What an attempt that failed had done is not done.
            What::Started { .. } | What::Retrying { .. } => self.report(index, Progress::default()),
            What::Queued | What::Logged => {}
            What::Progress { progress } => self.report(index, progress.clone()),
            What::Ended { .. } => self.end(index),
        }
    }

    fn report(&mut self, index: u64, progress: Progress) {
        self.frames.add(progress.frames);
        self.total_frames.add(progress.total_frames);
        self.fraction.add(progress.fraction);
        self.fps.add(progress.fps);
        self.speed.add(progress.speed);
        if let Some(before) = self.open.insert(index, progress) {
            self.frames.remove(before.frames);
            self.total_frames.remove(before.total_frames);
            self.no_longer_open(&before);
        }
    }

    fn end(&mut self, index: u64) {
        self.ended += 1;
        if let Some(last) = self.open.remove(&index) {
            self.no_longer_open(&last);
        }
    }

    fn no_longer_open(&mut self, progress: &Progress) {
        self.fraction.remove(progress.fraction);
        self.fps.remove(progress.fps);
        self.speed.remove(progress.speed);
    }

    pub(crate) fn progress(&self) -> Progress {
        let (frames, fps) = (self.frames.get(), self.fps.get());
        // A sum over some of the calls would be taken for the whole.
        let all_known = self.total == Some(self.total_frames.known);
        let total_frames = all_known.then_some(self.total_frames.sum);
        let left = total_frames.zip(frames).map(|(total, frames)| total.saturating_sub(frames));
        let done = self.ended as f64 + self.fraction.sum;
        Progress {
            phase: Phase::Processing,
            fraction: self.total.map(|total| share(done, total)),
            frames,
            total_frames,
            fps,
            speed: self.speed.get(),
            eta_seconds: left.zip(fps).filter(|(_, fps)| *fps > 0.0).map(|(l, fps)| l as f64 / fps),
            message: Some(match self.total {
                Some(total) => format!("{} of {total} done", self.ended),
                None => format!("{} done", self.ended),
            }),
        }
    }
}

/// How many inputs there will be, where that is known.
pub(crate) fn total(inputs: &impl Iterator) -> Option<u64> {
    match inputs.size_hint() {
        (least, Some(most)) if least == most => Some(least as u64),
        _ => None,
    }
}

fn share(done: f64, total: u64) -> f64 {
    if total == 0 { 1.0 } else { (done / total as f64).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Outcome;

    fn at(frames: u64, total: u64) -> What {
        let progress = Progress {
            fraction: Some(frames as f64 / total as f64),
            frames: Some(frames),
            total_frames: Some(total),
            fps: Some(50.0),
            ..Progress::default()
        };
        What::Progress { progress }
    }

    #[test]
    fn frames_add_up_and_inputs_have_equal_shares() {
        let mut overall = Overall::new(Some(2));
        overall.take(0, &at(50, 100));
        let half = overall.progress();
        assert_eq!((half.fraction, half.frames, half.total_frames), (Some(0.25), Some(50), None));
        overall.take(0, &at(100, 100));
        overall.take(0, &What::Ended { outcome: Outcome::Cancelled });
        overall.take(1, &at(25, 100));
        let later = overall.progress();
        assert_eq!(later.fraction, Some(0.625));
        assert_eq!((later.frames, later.total_frames), (Some(125), Some(200)));
        assert_eq!((later.fps, later.eta_seconds), (Some(50.0), Some(1.5)));
        assert_eq!(later.message.as_deref(), Some("1 of 2 done"));
    }

    #[test]
    fn calls_that_have_ended_are_kept_as_sums_only() {
        let mut overall = Overall::new(Some(1000));
        for index in 0..1000 {
            overall.take(index, &at(40, 100));
            overall.take(index, &at(70, 100));
            overall.take(index, &What::Ended { outcome: Outcome::Cancelled });
            assert!(overall.open.is_empty());
        }
        let end = overall.progress();
        assert_eq!((end.frames, end.total_frames), (Some(70_000), Some(100_000)));
        assert_eq!((end.fraction, end.fps), (Some(1.0), None));
    }

    #[test]
    fn nothing_is_guessed_where_nothing_is_known() {
        let mut overall = Overall::new(None);
        overall.take(0, &What::Started { attempt: 1 });
        let progress = overall.progress();
        assert_eq!((progress.fraction, progress.frames, progress.fps), (None, None, None));
        overall.set_total(0);
        assert_eq!(Overall::new(Some(0)).progress().fraction, Some(1.0));
    }

    #[test]
    fn a_retried_call_begins_again() {
        let mut overall = Overall::new(Some(1));
        overall.take(0, &at(90, 100));
        overall.take(0, &What::Started { attempt: 2 });
        assert_eq!(overall.progress().fraction, Some(0.0));
    }
}
