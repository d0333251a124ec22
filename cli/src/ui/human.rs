//! Text for people.

use super::{Printer, Style};
use crate::error::CliError;

pub(super) fn paint(text: &str, style: Style, color: bool) -> String {
    if !color {
        return text.to_owned();
    }
    let code = match style {
        Style::Green => "32",
        Style::Yellow => "33",
        Style::Red => "31",
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Cyan => "36",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

pub(super) fn error(printer: &Printer, error: &CliError) -> String {
    let head = format!("{} {}", printer.paint_err("error:", Style::Red), error.message);
    let causes = error.causes.iter().map(|cause| format!("  cause: {cause}"));
    let hints = error
        .hints
        .iter()
        .map(|hint| format!("{} {hint}", printer.paint_err("hint:", Style::Cyan)));
    std::iter::once(head).chain(causes).chain(hints).collect::<Vec<_>>().join("\n")
}
