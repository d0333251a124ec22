//! One call as it happens: a bar on a terminal, a line per change of phase elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use vdeploy_runtime::dispatch::What;
use vdeploy_runtime::wire::{Outcome, Phase, Progress};

use super::{Printer, Style};

/// Shows events of one call.
#[derive(Debug)]
pub struct CallView {
    printer: Printer,
    bar: Option<ProgressBar>,
    phase: Option<Phase>,
    tenths: u64,
    frames: u64,
}

/// Steps of the bar; finer than a terminal is wide.
const STEPS: u64 = 1000;

impl CallView {
    /// A view that has shown nothing yet.
    pub fn new(printer: Printer) -> Self {
        CallView { printer, bar: None, phase: None, tenths: 0, frames: 0 }
    }

    /// Shows one event.
    pub fn show(&mut self, what: &What) {
        match what {
            What::Started { attempt } if *attempt > 1 => self.note(&format!("attempt {attempt}")),
            What::Started { .. } | What::Queued | What::Logged => {}
            What::Progress { progress } => self.progress(progress),
            What::Retrying { attempt, failure, delay_seconds } => self.note(&format!(
                "attempt {attempt} failed: {failure}; trying again in {delay_seconds:.1} s"
            )),
            What::Ended { outcome: Outcome::Succeeded { .. } } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(STEPS);
                }
            }
            What::Ended { .. } => {}
        }
    }

    /// Says something in between.
    pub fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.printer.note(text)),
            None => self.printer.note(text),
        }
    }

    /// Leaves the terminal as it should stay.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.frames > 0 {
            self.printer.note(format!("{} frames", self.frames));
        }
    }

    fn progress(&mut self, progress: &Progress) {
        self.frames = progress.frames.unwrap_or(self.frames);
        if self.printer.progress {
            self.draw(progress);
        } else {
            self.print_line(progress);
        }
    }

    fn draw(&mut self, progress: &Progress) {
        let bar = self.bar.get_or_insert_with(|| new_bar(self.printer));
        if let Some(fraction) = progress.fraction {
            bar.set_position((fraction * STEPS as f64) as u64);
        }
        bar.set_message(self.printer.paint_err(&describe(progress), Style::Dim));
    }

    /// On a pipe: a line when the phase changes and at every tenth of the way.
    fn print_line(&mut self, progress: &Progress) {
        let tenths = (progress.fraction.unwrap_or_default() * 10.0) as u64;
        if self.phase != Some(progress.phase) || tenths > self.tenths {
            self.phase = Some(progress.phase);
            self.tenths = tenths;
            let percent = progress.fraction.map(|f| format!("{:3.0}% ", f * 100.0));
            self.printer.note(format!("{}{}", percent.unwrap_or_default(), describe(progress)));
        }
    }
}

fn new_bar(printer: Printer) -> ProgressBar {
    let bar = ProgressBar::new(STEPS);
    let template = "{bar:30.green} {percent:>3}% {wide_msg}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(if printer.unicode {
        style.progress_chars("━╸ ")
    } else {
        style.progress_chars("=> ")
    });
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

pub(crate) fn describe(progress: &Progress) -> String {
    let mut parts = vec![phase_name(progress.phase).to_owned()];
    match (progress.frames, progress.total_frames) {
        (Some(frames), Some(total)) => parts.push(format!("{frames}/{total} frames")),
        (Some(frames), None) => parts.push(format!("{frames} frames")),
        _ => {}
    }
    parts.extend(progress.fps.map(|fps| format!("{fps:.0} fps")));
    parts.extend(progress.speed.map(|speed| format!("{speed:.1}x")));
    parts.extend(progress.eta_seconds.map(|seconds| format!("{} left", duration(seconds))));
    parts.extend(progress.message.clone());
    parts.join(", ")
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Starting => "starting",
        Phase::Downloading => "downloading",
        Phase::Processing => "processing",
        Phase::Verifying => "verifying",
        Phase::Uploading => "uploading",
        Phase::Done => "done",
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.ceil().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_all_that_is_known_and_nothing_else() {
        let progress = Progress {
            phase: Phase::Processing,
            frames: Some(30),
            total_frames: Some(120),
            fps: Some(59.6),
            speed: Some(2.04),
            eta_seconds: Some(61.2),
            ..Progress::default()
        };
        assert_eq!(describe(&progress), "processing, 30/120 frames, 60 fps, 2.0x, 1:02 left");
        assert_eq!(describe(&Progress::default()), "queued");
    }
}
