//! What people and programs see: results on stdout, everything else on stderr.

pub mod build;
pub mod call;
mod human;
mod json;
pub mod map;
pub mod plan;
mod prompt;
pub mod screen;
pub mod table;
pub mod transfer;
pub mod watch;

pub use human::one_line;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::json;
use vdeploy_runtime::wire::CallId;

use crate::error::CliError;

/// How much is said beside the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What happens.
    Normal,
    /// Everything.
    Verbose,
}

/// Decided once at start and passed down: where output goes and what it looks like. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// How much is said beside the result.
    pub verbosity: Verbosity,
    /// Results are JSON.
    pub json: bool,
    /// Bars and spinners may be drawn on stderr.
    pub progress: bool,
    /// stderr shows colours.
    pub color_stderr: bool,
    /// stdout shows colours.
    pub color_stdout: bool,
    /// The locale can show symbols beyond ASCII.
    pub unicode: bool,
}

impl Printer {
    /// Writes a line of the result to stdout. A closed pipe ends the output, not the program.
    pub fn data(&self, text: impl AsRef<str>) -> io::Result<()> {
        self.line(text).map(drop)
    }

    /// Writes one of many lines of the result to stdout; `false` when nobody reads it any more.
    pub fn line(&self, text: impl AsRef<str>) -> io::Result<bool> {
        match writeln!(io::stdout().lock(), "{}", text.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Writes the id of a call that was left to others: bare, or in JSON where that is asked for.
    pub fn call_id(&self, call: &CallId) -> io::Result<()> {
        if self.json { self.data_json(&json!({ "call": call })) } else { self.data(&call.0) }
    }

    /// Writes a value to stdout as JSON: indented for people, one line for pipes.
    pub fn data_json(&self, value: &impl Serialize) -> io::Result<()> {
        let text = if io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        self.data(text)
    }

    /// Tells what happens, unless quiet.
    pub fn note(&self, text: impl AsRef<str>) {
        if self.verbosity > Verbosity::Quiet {
            self.stderr_line(text.as_ref());
        }
    }

    /// Tells that something was done, unless quiet.
    pub fn done(&self, text: impl AsRef<str>) {
        let mark = self.paint_err(self.symbol("✓", "ok:"), Style::Green);
        self.note(format!("{mark} {}", text.as_ref()));
    }

    /// Tells details, if asked for.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.verbosity == Verbosity::Verbose {
            self.stderr_line(text.as_ref());
        }
    }

    /// Warns, unless quiet.
    pub fn warning(&self, text: impl AsRef<str>) {
        self.note(format!("{} {}", self.paint_err("warning:", Style::Yellow), text.as_ref()));
    }

    /// Tells an error, as text or as JSON.
    pub fn error(&self, error: &CliError) {
        let text = if self.json { json::error(error) } else { human::error(self, error) };
        self.stderr_line(text.trim_end());
    }

    /// `text` in a style, where stderr shows colours.
    pub fn paint_err(&self, text: &str, style: Style) -> String {
        human::paint(text, style, self.color_stderr)
    }

    /// `text` in a style, where stdout shows colours.
    pub fn paint_out(&self, text: &str, style: Style) -> String {
        human::paint(text, style, self.color_stdout)
    }

    /// The nicer of two symbols that the locale can show.
    pub fn symbol(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    fn stderr_line(&self, text: &str) {
        // Nowhere is left to report to when stderr is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// The styles in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Created, succeeded.
    Green,
    /// Changed, warned about.
    Yellow,
    /// Destroyed, failed.
    Red,
    /// Names.
    Bold,
    /// What can be passed over.
    Dim,
    /// Advice.
    Cyan,
}
