//! Fonts: what libass said of them, and the name of one that came as a file.

use std::collections::BTreeSet;
use std::path::Path;

use ttf_parser::{Face, name_id};

use crate::ffmpeg::log::Log;
use crate::wire::{Failure, FailureKind};

/// Bytes that a font file may have.
const MOST_BYTES: u64 = 64 << 20;

/// Families that stand for whatever font a machine has.
const GENERIC: &[&str] = &["sans", "sansserif", "serif", "mono", "monospace"];

/// Puts the font at `path` into `folder`, where libass finds it, and returns its family.
pub(super) fn install(path: &Path, name: &str, folder: &Path) -> Result<String, Failure> {
    let fail = |cause: String| {
        Failure::new(FailureKind::InvalidInput, format!("`{name}` isn't a font")).cause(cause)
    };
    let bytes = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if bytes > MOST_BYTES {
        return Err(fail(format!("it is larger than {} MiB", MOST_BYTES >> 20)));
    }
    let font = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let family = family(&font).ok_or_else(|| {
        fail("it names no family".into()).hint("give a TrueType or OpenType file: `.ttf`, `.otf`")
    })?;
    std::fs::create_dir_all(folder)
        .and_then(|()| {
            let count = std::fs::read_dir(folder)?.count();
            std::fs::write(folder.join(format!("{count}.ttf")), &font)
        })
        .map_err(|error| fail(format!("it can't be copied: {error}")))?;
    Ok(family)
}

/// The family that a font says it is of. Signs that mean something in a script can't be in it.
fn family(font: &[u8]) -> Option<String> {
    let face = Face::parse(font, 0).ok()?;
    let names = face.names();
    let family = names
        .into_iter()
        .filter(|name| name.name_id == name_id::FAMILY && name.is_unicode())
        .find_map(|name| name.to_string())?;
    let plain = |c: char| !c.is_control() && !matches!(c, ',' | '{' | '}' | '\\');
    (!family.is_empty() && family.chars().all(plain)).then_some(family)
}

/// What a reader should know of the fonts that were used.
pub(super) fn notes(log: &Log) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut missing = BTreeSet::new();
    let mut notes = Vec::new();
    for line in &log.fonts {
        if let Some((_, rest)) = line.split_once("with glyph 0x") {
            let digits = rest.split(' ').next().unwrap_or_default();
            missing.extend(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32));
        } else if let Some((wanted, found)) = choice(line)
            && seen.insert(wanted.to_owned())
            && !same(wanted, found)
        {
            notes.push(format!("font `{wanted}` isn't on this machine: `{found}` was used"));
        }
    }
    // It joins words and shows nothing, and it is ours.
    missing.remove(&'\u{2060}');
    if !missing.is_empty() {
        let named: Vec<_> =
            missing.iter().take(8).map(|c| format!("`{c}` (U+{:04X})", u32::from(*c))).collect();
        let more = if missing.len() > 8 { " and others" } else { "" };
        notes.push(format!("no font on this machine has {}{more}", named.join(", ")));
    }
    notes
}

/// `(DejaVu Sans, 400, 0) -> /usr/share/fonts/DejaVuSans.ttf, 0, DejaVuSans`: the family that was
/// wanted and the font that was found.
fn choice(line: &str) -> Option<(&str, &str)> {
    let (wanted, found) = line.strip_prefix('(')?.split_once(") -> ")?;
    let family = wanted.rsplitn(3, ", ").nth(2)?;
    Some((family, found.rsplit(", ").next()?))
}

/// Whether a font, by its PostScript name, is of a family.
fn same(family: &str, font: &str) -> bool {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let family = plain(family);
    GENERIC.contains(&family.as_str()) || plain(font).starts_with(&family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Vec<String> {
        let mut log = Log::default();
        lines.iter().for_each(|line| log.line(&format!("[Parsed_ass_1 @ 0x1] {line}")));
        notes(&log)
    }

    #[test]
    fn fonts_and_characters_that_are_missing_are_noted() {
        let notes = said(&[
            "[info] fontselect: (Nice Font, 400, 0) -> /f/DejaVuSans.ttf, 0, DejaVuSans",
            "[info] Glyph 0x939 not found, selecting one more font for (Nice Font, 400, 0)",
            "[warning] fontselect: failed to find any fallback with glyph 0x939 for font: (Nice Font, 400, 0)",
            "[info] fontselect: (Nice Font, 400, 0) -> /f/Other.ttf, 0, Other",
            "[info] fontselect: (DejaVu Sans, 700, 0) -> /f/B.ttf, 0, DejaVuSans-Bold",
            "[info] fontselect: (Sans, 400, 0) -> /f/D.ttf, 0, DejaVuSans",
        ]);
        insta::assert_snapshot!(notes.join("\n"), @r"
        font `Nice Font` isn't on this machine: `DejaVuSans` was used
        no font on this machine has `ह` (U+0939)
        ");
    }
}
