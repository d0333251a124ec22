//! How far the calls of a map are together. Pure: made of what they reported, and of nothing else.

use std::collections::BTreeMap;

use crate::dispatch::What;
use crate::wire::{Phase, Progress};

/// What is known of the calls of one map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overall {
    total: Option<u64>,
    ended: u64,
    calls: BTreeMap<u64, One>,
}

#[derive(Clone, Debug, Default)]
struct One {
    last: Progress,
    ended: bool,
}

impl Overall {
    pub(crate) fn new(total: Option<u64>) -> Self {
        Overall { total, ..Overall::default() }
    }

    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = Some(total);
    }

    pub(crate) fn take(&mut self, index: u64, what: &What) {
        let call = self.calls.entry(index).or_default();
        match what {
            // What an attempt that failed had done is not done.
            What::Started { .. } | What::Retrying { .. } => call.last = Progress::default(),
            What::Queued | What::Logged => {}
            What::Progress { progress } => call.last = progress.clone(),
            What::Ended { .. } => {
                call.ended = true;
                self.ended += 1;
            }
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        let calls = self.calls.values();
        let frames = sum(calls.clone().map(|call| call.last.frames));
        let total_frames = self
            .all_known()
            .and_then(|()| calls.clone().map(|call| call.last.total_frames).sum::<Option<u64>>());
        let running = calls.clone().filter(|call| !call.ended);
        let fps = sum(running.clone().map(|call| call.last.fps));
        let done =
            calls.map(|call| if call.ended { 1.0 } else { call.last.fraction.unwrap_or(0.0) });
        let left = total_frames.zip(frames).map(|(total, frames)| total.saturating_sub(frames));
        Progress {
            phase: Phase::Processing,
            fraction: self.total.map(|total| share(done.sum(), total)),
            frames,
            total_frames,
            fps,
            speed: sum(running.map(|call| call.last.speed)),
            eta_seconds: left.zip(fps).filter(|(_, fps)| *fps > 0.0).map(|(l, fps)| l as f64 / fps),
            message: Some(match self.total {
                Some(total) => format!("{} of {total} done", self.ended),
                None => format!("{} done", self.ended),
            }),
        }
    }

    /// Whether every call there will be has been heard of.
    fn all_known(&self) -> Option<()> {
        (self.total? == self.calls.len() as u64).then_some(())
    }
}

fn share(done: f64, total: u64) -> f64 {
    if total == 0 { 1.0 } else { (done / total as f64).min(1.0) }
}

/// The sum of those that are known; none when none is.
fn sum<T: std::iter::Sum>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
    let mut known = values.flatten().peekable();
    known.peek()?;
    Some(known.sum())
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
