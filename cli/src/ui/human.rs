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
    let report = error.report.iter().map(|report| format!("{}\n", report.text));
    report.chain([head]).chain(causes).chain(hints).collect::<Vec<_>>().join("\n")
}

/// A text of somebody else's on one line of a terminal: control characters are shown, not obeyed.
pub fn one_line(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_give_orders_to_a_terminal() {
        assert_eq!(one_line("a\x1b[2Jb\nc ü"), "a\\u{1b}[2Jb\\nc ü");
    }
}
