//! Checks that many parts of a manifest share: names, numbers, paths and references.

use std::ops::{Range, RangeInclusive};

use super::decode::{At, one_of};
use super::problem::{Problem, Problems};
use crate::error::did_you_mean;

/// Letters of a name; fewer than 64 so that it fits wherever a target puts it.
const LONGEST_NAME: usize = 63;

/// Whether `name` can be the name of anything in a manifest.
pub(crate) fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    starts_well && name.len() <= LONGEST_NAME && name.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)
}

/// The allowed name that is most like `text`.
pub(crate) fn nearest_name(text: &str) -> Option<String> {
    let replaced: String = text
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii() && is_name_byte(c as u8) { c } else { '-' })
        .collect();
    let trimmed: String = replaced.trim_matches(['-', '_']).chars().take(LONGEST_NAME).collect();
    is_name(&trimmed).then_some(trimmed)
}

/// Notes a name that isn't allowed.
pub(super) fn name(name: &At<String>, problems: &mut Problems) {
    if is_name(&name.value) {
        return;
    }
    let rule = "use lowercase letters, digits, `-` and `_`, starting with a letter or digit, \
                fewer than 64";
    let hint = match nearest_name(&name.value) {
        Some(nearest) => format!("{rule}: `{nearest}`"),
        None => rule.to_owned(),
    };
    let message = match name.value.as_str() {
        "" => "a name can't be empty".to_owned(),
        text => format!("`{text}` can't be a name"),
    };
    problems.push(Problem::new(&name.span, message).hint(hint));
}

/// The value of `key`, or none with a note when it isn't allowed.
pub(super) fn number<T: PartialOrd + Copy + std::fmt::Display>(
    key: &str,
    number: Option<At<T>>,
    allowed: RangeInclusive<T>,
    problems: &mut Problems,
) -> Option<T> {
    let number = number?;
    if allowed.contains(&number.value) {
        return Some(number.value);
    }
    problems.push(
        Problem::new(&number.span, format!("`{key}` can't be {}", number.value)).hint(format!(
            "it may be {} to {}",
            allowed.start(),
            allowed.end()
        )),
    );
    None
}

/// Notes an amount that is zero or less.
pub(super) fn more_than_zero(
    key: &str,
    span: &Range<usize>,
    amount: impl Into<f64>,
    problems: &mut Problems,
) {
    if amount.into() <= 0.0 {
        problems.push(
            Problem::new(span, format!("`{key}` must be more than 0"))
                .hint(format!("leave `{key}` out to get the default")),
        );
    }
}

/// Notes a text that is empty, or holds a byte that no program can be given.
pub(super) fn text(key: &str, text: &At<String>, problems: &mut Problems) {
    if text.value.trim().is_empty() {
        problems.push(Problem::new(&text.span, format!("`{key}` is empty")));
    } else if text.value.contains('\0') {
        problems.push(Problem::new(&text.span, format!("`{key}` holds a zero byte")));
    }
}

/// Notes a path that isn't one below the manifest's folder.
pub(super) fn own_path(key: &str, path: &At<String>, problems: &mut Problems) {
    text(key, path, problems);
    let leaves = path.value.starts_with('/') || path.value.split('/').any(|part| part == "..");
    if leaves {
        problems.push(
            Problem::new(&path.span, format!("`{key}` must stay in the manifest's folder"))
                .label("leads out of it")
                .hint("give a path relative to the manifest, without `..`"),
        );
    }
}

/// Notes a name that isn't among those of its kind.
pub(super) fn reference(
    kind: &str,
    name: &At<String>,
    known: &[String],
    problems: &mut Problems,
) -> bool {
    if known.contains(&name.value) {
        return true;
    }
    let hint = match did_you_mean(&name.value, known.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if is_name(&name.value) => format!("add `[{kind}.{}]`", name.value),
        None if known.is_empty() => format!("the manifest has no `[{kind}.NAME]` yet"),
        None => format!("it may be {}", one_of(known)),
    };
    problems.push(
        Problem::new(&name.span, format!("no {kind} is named `{}`", name.value))
            .label("not in this manifest")
            .hint(hint),
    );
    false
}

/// Notes variables that programs can't be given, and those that are vdeploy's own.
pub(super) fn variable(name: &At<String>, problems: &mut Problems) {
    let starts_well = name.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let well = starts_well && name.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !well {
        problems.push(
            Problem::new(&name.span, format!("`{}` can't be a variable's name", name.value))
                .hint("use letters, digits and `_`, not starting with a digit"),
        );
    } else if name.value.starts_with("VDEPLOY_") {
        problems.push(
            Problem::new(&name.span, format!("`{}` is set by vdeploy itself", name.value))
                .hint("choose a name that doesn't start with `VDEPLOY_`"),
        );
    }
}
