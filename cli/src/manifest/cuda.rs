//! Which versions of CUDA, Python, systems and drivers an image may name.

use std::ops::Range;

use super::decode::{At, one_of};
use super::problem::{Problem, Problems};
use super::raw::RawImage;
use crate::image::{PairError, check_kind, check_pair, defaults};

/// Notes what isn't a version, and what doesn't exist together.
pub(super) fn check(raw: &RawImage, problems: &mut Problems) {
    versions(raw, problems);
    pair(raw, problems);
}

fn versions(raw: &RawImage, problems: &mut Problems) {
    for (key, version, example) in [("cuda", &raw.cuda, "12.4.1"), ("python", &raw.python, "3.12")]
    {
        let Some(version) = version else { continue };
        if !is_version(&version.value) {
            problems.push(
                Problem::new(&version.span, format!("`{}` isn't a version", version.value))
                    .hint(format!("write it as `{key} = \"{example}\"`")),
            );
        }
    }
    let Some(os) = &raw.os else { return };
    if os.value.is_empty() || !os.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        problems.push(
            Problem::new(&os.span, format!("`{}` isn't an operating system of CUDA", os.value))
                .hint("write it as `os = \"ubuntu22.04\"`"),
        );
    }
}

/// CUDA, its parts, its system and a driver that there are together.
fn pair(raw: &RawImage, problems: &mut Problems) {
    let Some(kind) = raw.kind.as_ref() else { return };
    let name = kind.value.0;
    if !matches!(name, "cuda" | "cuda-ffmpeg" | "detect") || !problems.is_empty() {
        return;
    }
    let value = |at: &Option<At<String>>, default: &str| {
        at.as_ref().map_or_else(|| default.to_owned(), |at| at.value.clone())
    };
    let defaults = defaults(name);
    let (cuda, os) = (value(&raw.cuda, defaults.cuda), value(&raw.os, defaults.system));
    let flavor = raw.flavor.as_ref().map_or(defaults.flavor, |flavor| flavor.value.0);
    let driver = raw.driver.as_ref().and_then(|at| at.value.split('.').next()?.parse().ok());
    let checked = check_pair(&cuda, &os, driver);
    if let Err(error) = checked.and_then(|()| check_kind(name, &cuda, flavor, &os)) {
        let place = place(raw, &error).unwrap_or_else(|| kind.span.clone());
        problems.push(explain(&error, &place, &cuda, &os));
    }
}

/// The value that is wrong.
fn place(raw: &RawImage, error: &PairError) -> Option<Range<usize>> {
    let span = |at: &Option<At<String>>| at.as_ref().map(|at| at.span.clone());
    match error {
        PairError::Version { .. } => span(&raw.cuda),
        PairError::System { .. } => span(&raw.os).or(span(&raw.cuda)),
        PairError::Driver { .. } => span(&raw.driver),
        PairError::OnnxRuntime { .. } => span(&raw.cuda).or(span(&raw.os)),
        PairError::Flavor { .. } => raw.flavor.as_ref().map(|at| at.span.clone()),
    }
}

fn explain(error: &PairError, place: &Range<usize>, cuda: &str, os: &str) -> Problem {
    let or = |before: &str, version: Option<&str>, after: &str| {
        version.map(|v| format!("{before}`cuda = \"{v}\"`{after}")).unwrap_or_default()
    };
    let (message, hint) = match error {
        PairError::Version { nearest } => (
            format!("there is no image of CUDA {cuda}"),
            format!("the nearest is `cuda = \"{nearest}\"`"),
        ),
        PairError::System { systems, version } => (
            format!("there is no image of CUDA {cuda} on `{os}`"),
            format!("it may be {}{}", one_of(systems), or(", or ", *version, " with this one")),
        ),
        PairError::Driver { needs, version } => (
            format!("CUDA {cuda} needs driver {needs} or newer"),
            format!("raise `driver`{}", or(", or use ", *version, "")),
        ),
        PairError::OnnxRuntime { versions, system } => (
            format!("ONNX Runtime doesn't run with CUDA {cuda} on `{os}`"),
            format!("use `os = \"{system}\"` with CUDA {}, or leave both out", one_of(versions)),
        ),
        PairError::Flavor { flavors } => (
            "there is no image of cuDNN with these parts of CUDA".to_owned(),
            format!("`flavor` may be {}", one_of(flavors)),
        ),
    };
    Problem::new(place, message).hint(hint)
}

fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (2..=3).contains(&parts.len()) && parts.iter().all(number)
}
