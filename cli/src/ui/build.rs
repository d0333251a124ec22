//! Builds of images, for people: a line per step, or everything.

use super::{Printer, Style, Verbosity};
use crate::image::{Said, shorten};

/// Tells what a build of image `name` says.
pub fn tell(printer: &Printer, name: &str, said: &Said) {
    let name = printer.paint_err(&format!("image.{name}"), Style::Bold);
    match said {
        Said::Step(place, text) => {
            printer.note(format!("    {name} {place} {}", shorten(text)));
        }
        Said::Line(line) if printer.verbosity == Verbosity::Verbose => {
            printer.note(format!("    {name} {line}"));
        }
        Said::Line(_) => {}
    }
}
