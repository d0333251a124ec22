//! Tables of colours (`.cube`, Adobe's Cube LUT Specification 1.0): read, checked and written
//! anew, so that nothing but numbers gets to ffmpeg.

use std::fmt::Write as _;
use std::io::BufRead;

use crate::wire::{Failure, FailureKind};

/// Entries on each side of a table: more than this is no colour table.
const MOST: u32 = 129;

/// A three-dimensional table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cube {
    side: u32,
    domain: [[f64; 3]; 2],
    /// Red changes fastest.
    entries: Vec<[f64; 3]>,
}

/// Reads a table; `name` is what the caller called it.
pub(super) fn read(lines: impl BufRead, name: &str) -> Result<Cube, Failure> {
    let fail = |cause: String| {
        Failure::new(FailureKind::InvalidInput, format!("`{name}` isn't a colour table"))
            .cause(cause)
            .hint("give a `.cube` file with `LUT_3D_SIZE`")
    };
    let mut cube = Cube { side: 0, domain: [[0.0; 3], [1.0; 3]], entries: Vec::new() };
    for (number, line) in lines.lines().enumerate() {
        let line = line.map_err(|error| fail(error.to_string()))?;
        let place = |what: &str| fail(format!("line {}: {what}", number + 1));
        let line = line.split('#').next().unwrap_or_default().trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "" | "TITLE" | "LUT_3D_INPUT_RANGE" => {}
            "LUT_1D_SIZE" => return Err(place("it has one dimension, and three are needed")),
            "LUT_3D_SIZE" => {
                let side = rest.trim().parse().ok().filter(|side| (2..=MOST).contains(side));
                cube.side =
                    side.ok_or_else(|| place(&format!("the size isn't between 2 and {MOST}")))?;
            }
            "DOMAIN_MIN" | "DOMAIN_MAX" => {
                let entry = entry(rest).ok_or_else(|| place("three numbers were expected"))?;
                cube.domain[usize::from(word == "DOMAIN_MAX")] = entry;
            }
            _ => {
                let entry = entry(line).ok_or_else(|| place("three numbers were expected"))?;
                if cube.entries.len() as u32 >= cube.side.pow(3) {
                    return Err(place("there are more entries than its size says"));
                }
                cube.entries.push(entry);
            }
        }
    }
    let (has, wants) = (cube.entries.len() as u32, cube.side.pow(3));
    if has == 0 || has != wants {
        return Err(fail(format!("it has {has} entries, and its size says {wants}")));
    }
    Ok(cube)
}

fn entry(line: &str) -> Option<[f64; 3]> {
    let numbers = line.split_whitespace().map(|word| {
        word.parse::<f64>().ok().filter(|value| value.is_finite() && value.abs() < 1e6)
    });
    numbers.collect::<Option<Vec<_>>>()?.try_into().ok()
}

impl Cube {
    /// The same table as text.
    pub(super) fn text(&self) -> String {
        let mut text = format!("LUT_3D_SIZE {}\n", self.side);
        let line = |text: &mut String, [r, g, b]: [f64; 3]| {
            let _ = writeln!(text, "{r:.6} {g:.6} {b:.6}");
        };
        for (word, value) in ["DOMAIN_MIN ", "DOMAIN_MAX "].iter().zip(self.domain) {
            text += word;
            line(&mut text, value);
        }
        self.entries.iter().for_each(|entry| line(&mut text, *entry));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Cube, String> {
        super::read(text.as_bytes(), "look.cube").map_err(|failure| failure.causes.join("; "))
    }

    #[test]
    fn a_table_is_read_and_written() {
        let entries = "0 0 0\n1 0 0\n0 1 0\n1 1 0\n0 0 1\n1 0 1\n0 1 1\n1 1 1\n";
        let cube = read(&format!("# by hand\nTITLE \"x\"\nLUT_3D_SIZE 2\n{entries}")).unwrap();
        assert_eq!(read(&cube.text()), Ok(cube));
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        insta::assert_snapshot!(read("LUT_3D_SIZE 2\n0 0 0\n").unwrap_err(), @"it has 1 entries, and its size says 8");
        insta::assert_snapshot!(read("LUT_3D_SIZE 999\n").unwrap_err(), @"line 1: the size isn't between 2 and 129");
        insta::assert_snapshot!(read("LUT_3D_SIZE 2\n0 0 nan\n").unwrap_err(), @"line 2: three numbers were expected");
        insta::assert_snapshot!(read("0 0 0\n").unwrap_err(), @"line 1: there are more entries than its size says");
        insta::assert_snapshot!(read("LUT_1D_SIZE 4\n").unwrap_err(), @"line 1: it has one dimension, and three are needed");
        insta::assert_snapshot!(read("").unwrap_err(), @"it has 0 entries, and its size says 0");
    }
}
