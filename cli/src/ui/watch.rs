//! Calls as they happen, as lines that fill a terminal: what runs, what waits, what has ended.

use std::collections::HashMap;

use jiff::Timestamp;
use vdeploy_runtime::dispatch::local::{CallRecord, CallState};
use vdeploy_runtime::wire::{CallId, Outcome, Progress};

use super::{Printer, Style, one_line};

/// Columns of a bar.
const BAR: usize = 20;
/// Columns of a function's name.
const NAME: usize = 20;

/// What is known of calls at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Somebody runs the queue.
    pub executor: bool,
    /// Calls that run, oldest first.
    pub running: Vec<CallRecord>,
    /// How far they are, where that was told since they were looked up.
    pub progress: HashMap<CallId, Progress>,
    /// Calls that wait, the oldest first; not all of them.
    pub queued: Vec<CallRecord>,
    /// How many wait.
    pub waiting: u64,
    /// Calls that have ended, the latest first.
    pub ended: Vec<CallRecord>,
}

impl Snapshot {
    /// The lines of a terminal of `width` columns and `height` rows at the moment `now`.
    pub fn lines(
        &self,
        (width, height): (usize, usize),
        now: Timestamp,
        printer: Printer,
    ) -> Vec<String> {
        let mut lines = vec![self.heading(width, printer), String::new()];
        let row = |call| self.row(call, width, now, printer);
        lines.extend(self.running.iter().map(row));
        let queued = &self.queued[..self.queued.len().min(height / 3)];
        lines.extend(queued.iter().map(row));
        let hidden = self.waiting.saturating_sub(queued.len() as u64);
        if hidden > 0 {
            let text = clip(&format!("and {hidden} more in the queue"), width);
            lines.push(printer.paint_out(&text, Style::Dim));
        }
        lines.extend(self.ended.iter().map(row));
        lines.truncate(height);
        lines
    }

    fn heading(&self, width: usize, printer: Printer) -> String {
        let nobody = if self.executor { "" } else { ", nobody runs the queue" };
        let (running, waiting) = (self.running.len(), self.waiting);
        let text = format!("{running} running, {waiting} queued{nobody}; q quits");
        printer.paint_out(&clip(&text, width), Style::Bold)
    }

    fn row(&self, call: &CallRecord, width: usize, now: Timestamp, printer: Printer) -> String {
        let name = clip(&format!("{}/{}", call.app, call.function), NAME);
        let head = format!("{}  {name:NAME$}  ", call.id);
        let state = format!("{:9}", call.state.as_str());
        let rest = format!("  {:>8}  {}", seconds(call, now), self.about(call, printer));
        match width.checked_sub(head.chars().count() + state.len()) {
            None => clip(&format!("{head}{state}"), width),
            Some(left) => {
                let rest = clip(rest.trim_end(), left);
                let state = if rest.is_empty() { state.trim_end() } else { &state };
                let state = printer.paint_out(state, style(call.state));
                format!("{head}{state}{rest}")
            }
        }
    }

    fn about(&self, call: &CallRecord, printer: Printer) -> String {
        let last = call.attempts.last();
        match (&call.outcome, call.state) {
            (Some(Outcome::Failed { failure }), _) => one_line(&failure.message),
            (None, CallState::Running) => {
                let recorded = last.and_then(|attempt| attempt.progress.as_ref());
                let progress = self.progress.get(&call.id).or(recorded);
                progress.map(|progress| how_far(progress, printer)).unwrap_or_default()
            }
            (None, CallState::Queued) => {
                let failure = last.and_then(|attempt| attempt.failure.as_ref());
                failure.map(|failure| one_line(&failure.message)).unwrap_or_default()
            }
            _ => String::new(),
        }
    }
}

fn seconds(call: &CallRecord, now: Timestamp) -> String {
    let Some(started) = call.started else { return String::new() };
    let seconds = call.ended.unwrap_or(now).duration_since(started).as_secs_f64();
    format!("{seconds:.1} s")
}

fn style(state: CallState) -> Style {
    match state {
        CallState::Running => Style::Cyan,
        CallState::Succeeded => Style::Green,
        CallState::Failed | CallState::Lost => Style::Red,
        CallState::Queued | CallState::Cancelled => Style::Dim,
    }
}

/// A bar where the share is known, and the figures.
fn how_far(progress: &Progress, printer: Printer) -> String {
    let text = one_line(&super::call::describe(progress));
    let Some(fraction) = progress.fraction else { return text };
    let fraction = fraction.clamp(0.0, 1.0);
    let full = (fraction * BAR as f64) as usize;
    let (full, empty) = (printer.symbol("━", "=").repeat(full), " ".repeat(BAR - full));
    format!("{full}{empty} {:3.0}%  {text}", fraction * 100.0)
}

fn clip(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::Value;
    use vdeploy_runtime::wire::{Failure, FailureKind, Phase};

    use super::*;
    use crate::ui::Verbosity;

    const PLAIN: Printer = Printer {
        verbosity: Verbosity::Normal,
        json: false,
        progress: false,
        color_stderr: false,
        color_stdout: false,
        unicode: false,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn call(name: &str, state: CallState) -> CallRecord {
        let failure = Failure::new(FailureKind::Machine, "the disk is\x1b full");
        CallRecord {
            id: CallId(format!("c-{name:0>26}")),
            environment: "main".into(),
            app: "demo".into(),
            function: "transcode".into(),
            version: 1,
            state,
            args: Value::Null,
            map: None,
            parent: None,
            created: at(0),
            started: (state != CallState::Queued).then(|| at(10)),
            ended: state.has_ended().then(|| at(13)),
            seconds: 0.0,
            cost: None,
            attempts: Vec::new(),
            outcome: (state == CallState::Failed).then_some(Outcome::Failed { failure }),
        }
    }

    fn snapshot() -> Snapshot {
        let running = call("a", CallState::Running);
        let half = Progress {
            phase: Phase::Processing,
            fraction: Some(0.5),
            fps: Some(60.0),
            ..Progress::default()
        };
        Snapshot {
            executor: true,
            progress: HashMap::from([(running.id.clone(), half)]),
            running: vec![running],
            queued: vec![call("b", CallState::Queued), call("c", CallState::Queued)],
            waiting: 40,
            ended: vec![call("d", CallState::Failed), call("e", CallState::Cancelled)],
        }
    }

    #[test]
    fn a_terminal_shows_what_runs_what_waits_and_what_has_ended() {
        let lines = snapshot().lines((110, 20), at(12), PLAIN);
        assert_snapshot!(lines.join("\n"), @r"
        1 running, 40 queued; q quits

        c-0000000000000000000000000a  demo/transcode        running       2.0 s  ==========            50%  processing
        c-0000000000000000000000000b  demo/transcode        queued
        c-0000000000000000000000000c  demo/transcode        queued
        and 38 more in the queue
        c-0000000000000000000000000d  demo/transcode        failed        3.0 s  the disk is\u{1b} full
        c-0000000000000000000000000e  demo/transcode        cancelled     3.0 s
        ");
    }

    #[test]
    fn no_line_is_wider_and_no_frame_higher_than_the_terminal() {
        for (width, height) in [(1, 1), (20, 3), (60, 4), (80, 100)] {
            let lines = snapshot().lines((width, height), at(12), PLAIN);
            assert!(lines.len() <= height);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
        }
    }
}
