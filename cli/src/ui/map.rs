//! A map as it happens: one bar for all of it, and a line for each call that runs.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use vdeploy_runtime::client::MapItem;
use vdeploy_runtime::dispatch::{CallEvent, What};
use vdeploy_runtime::wire::{CallId, Outcome};

use super::{Printer, Style};

/// Lines for calls that run; more than these are counted only.
const LINES: usize = 16;

/// Shows a map.
#[derive(Debug)]
pub struct MapView {
    printer: Printer,
    bars: Option<(MultiProgress, ProgressBar)>,
    lines: BTreeMap<CallId, ProgressBar>,
    total: u64,
    ended: u64,
    failed: u64,
    cancelled: u64,
    earlier: u64,
    tenths: u64,
}

impl MapView {
    /// A view of a map of `total` inputs.
    pub fn new(printer: Printer, total: u64) -> Self {
        let bars = printer.progress.then(|| {
            let bars = MultiProgress::new();
            let bar = bars.add(ProgressBar::new(total));
            let template = "{bar:30.green} {pos}/{len} {msg} {eta} left";
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars(if printer.unicode { "━╸ " } else { "=> " }),
            );
            (bars, bar)
        });
        MapView {
            printer,
            bars,
            lines: BTreeMap::new(),
            total,
            ended: 0,
            failed: 0,
            cancelled: 0,
            earlier: 0,
            tenths: 0,
        }
    }

    /// Shows what happens to one of its calls.
    pub fn call(&mut self, index: u64, event: &CallEvent) {
        match &event.what {
            What::Progress { progress } => {
                let text = format!("  {index}: {}", super::call::describe(progress));
                if let Some(line) = self.line(&event.call) {
                    line.set_message(text);
                }
            }
            What::Retrying { attempt, failure, .. } => {
                self.note(&format!("input {index}: attempt {attempt} failed: {failure}"));
            }
            What::Started { .. } | What::Ended { .. } | What::Queued | What::Logged => {}
        }
    }

    /// Shows that one of its calls has ended.
    pub fn ended(&mut self, item: &MapItem) {
        if let (Some(line), Some((bars, _))) = (self.lines.remove(&item.call), &self.bars) {
            bars.remove(&line);
        }
        match &item.outcome {
            Outcome::Succeeded { .. } => {}
            Outcome::Failed { failure } => {
                self.failed += 1;
                self.note(&format!("input {} failed: {failure}", item.index));
            }
            Outcome::Cancelled => self.cancelled += 1,
        }
        self.ended += 1;
        self.earlier += u64::from(item.earlier);
        self.count();
    }

    /// Says something in between.
    pub fn note(&self, text: &str) {
        match &self.bars {
            Some((bars, _)) => bars.suspend(|| self.printer.note(text)),
            None => self.printer.note(text),
        }
    }

    /// Leaves the terminal as it should stay.
    pub fn finish(&mut self) {
        if let Some((bars, bar)) = self.bars.take() {
            bar.finish_and_clear();
            // A terminal that can't be cleared keeps the last line.
            let _ = bars.clear();
        }
        let done = self.ended - self.failed - self.cancelled;
        let mut parts = vec![format!("{} of {} done", done, self.total)];
        if self.earlier > 0 {
            parts.push(format!("{} of them earlier", self.earlier));
        }
        if self.failed > 0 {
            parts.push(self.printer.paint_err(&format!("{} failed", self.failed), Style::Red));
        }
        if self.cancelled > 0 {
            parts.push(format!("{} cancelled", self.cancelled));
        }
        self.printer.note(parts.join(", "));
    }

    fn line(&mut self, call: &CallId) -> Option<&ProgressBar> {
        let (bars, _) = self.bars.as_ref()?;
        if !self.lines.contains_key(call) && self.lines.len() < LINES {
            let line = bars.add(ProgressBar::no_length());
            line.set_style(ProgressStyle::with_template("{msg}").ok()?);
            self.lines.insert(call.clone(), line);
        }
        self.lines.get(call)
    }

    fn count(&mut self) {
        let failed =
            if self.failed > 0 { format!("{} failed,", self.failed) } else { String::new() };
        if let Some((_, bar)) = &self.bars {
            bar.set_message(failed);
            bar.set_position(self.ended);
            return;
        }
        let tenths = (self.ended * 10).checked_div(self.total).unwrap_or(10);
        if tenths > self.tenths {
            self.tenths = tenths;
            self.printer.note(format!("{}/{} {failed}", self.ended, self.total).trim_end());
        }
    }
}
