//! How far a transfer of files is, and what came of it.

use std::time::Duration;

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use vdeploy_runtime::storage::transfer::{Event, Summary};

use super::Printer;

/// A bar on a terminal; nothing elsewhere.
#[derive(Debug)]
pub struct TransferBar {
    bar: ProgressBar,
    unicode: bool,
}

const SCANNING: &str = "{spinner} {msg} {human_pos} files";
const COPYING: &str =
    "{msg} {bar:24} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  ETA {eta}";
const STREAMING: &str = "{spinner} {msg} {binary_bytes}  {binary_bytes_per_sec}";

impl TransferBar {
    /// A bar for a transfer that begins with looking at what there is.
    pub fn scanning(printer: &Printer) -> Self {
        Self::new(printer, SCANNING, "scanning")
    }

    /// A bar for a stream, whose end nobody knows.
    pub fn streaming(printer: &Printer) -> Self {
        Self::new(printer, STREAMING, "copying")
    }

    fn new(printer: &Printer, template: &str, message: &'static str) -> Self {
        let target = match printer.progress {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(style(template, printer.unicode));
        bar.set_message(message);
        TransferBar { bar, unicode: printer.unicode }
    }

    /// Shows what happened.
    pub fn show(&self, event: Event) {
        match event {
            Event::Found { .. } => self.bar.inc(1),
            Event::Checking { bytes } => self.begin("checking", bytes),
            Event::Copying { bytes, .. } => self.begin("copying ", bytes),
            Event::Advanced { bytes } => self.bar.inc(bytes),
            Event::Placed => {}
        }
    }

    fn begin(&self, message: &'static str, bytes: u64) {
        self.bar.reset();
        self.bar.set_length(bytes);
        self.bar.set_message(message);
        self.bar.set_style(style(COPYING, self.unicode));
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str, unicode: bool) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    let (chars, ticks) =
        if unicode { ("━╸ ", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ") } else { ("#> ", "-\\|/ ") };
    style.progress_chars(chars).tick_chars(ticks)
}

/// `put 12 files, 1.20 GiB in 3.4 s (3 unchanged)`.
pub fn summary_line(verb: &str, summary: &Summary, took: Duration) -> String {
    let Summary { files, bytes, unchanged, resumed_bytes, .. } = *summary;
    let notes: Vec<_> = [
        (unchanged > 0).then(|| format!("{unchanged} unchanged")),
        (resumed_bytes > 0).then(|| format!("{} resumed", size(resumed_bytes))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    let files = counted(files, "file");
    format!("{verb} {files}, {} in {:.1} s{notes}", size(bytes), took.as_secs_f64())
}

/// `1 file`, `2 files`.
pub fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// `1.20 GiB`.
pub fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_what_was_done_and_what_was_not_needed() {
        let line = |summary: Summary| summary_line("put", &summary, Duration::from_millis(3_440));
        let summary = Summary { files: 1, bytes: 3 << 29, ..Summary::default() };
        assert_eq!(line(summary), "put 1 file, 1.50 GiB in 3.4 s");
        let summary = Summary { unchanged: 3, resumed_bytes: 1 << 20, ..Summary::default() };
        assert_eq!(line(summary), "put 0 files, 0 B in 3.4 s (3 unchanged, 1.00 MiB resumed)");
    }
}
