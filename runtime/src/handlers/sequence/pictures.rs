//! The pictures of a folder, in order, as one stream.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::wire::{Failure, FailureKind};

/// Puts the pictures of `folder` into `stream`, one behind the other; gives back how many there are.
pub(super) async fn gather(
    folder: &Path,
    stream: &Path,
    name: &str,
    cancel: &CancellationToken,
) -> Result<u64, Failure> {
    let what = format!("can't read the pictures of `{name}`");
    let failed = |error: io::Error| Failure::new(FailureKind::InvalidInput, &what).cause(error);
    let pictures = pictures(folder).map_err(failed)?;
    let count = pictures.len() as u64;
    check(&pictures, name)?;
    let (stream, stop) = (stream.to_owned(), cancel.clone());
    let copied = tokio::task::spawn_blocking(move || copy(&pictures, &stream, &stop)).await;
    copied.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(failed)?;
    if cancel.is_cancelled() {
        return Err(Failure::new(FailureKind::Cancelled, "the call was cancelled"));
    }
    Ok(count)
}

/// Plain files with the extension of a picture, by their names.
fn pictures(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_file() && kind(&path).is_some() {
            pictures.push(path);
        }
    }
    pictures.sort_by(|a, b| by_numbers(&name(a), &name(b)));
    Ok(pictures)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn kind(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_string_lossy().to_lowercase().as_str() {
        "png" => Some("PNG"),
        "jpg" | "jpeg" => Some("JPEG"),
        "webp" => Some("WebP"),
        _ => None,
    }
}

fn check(pictures: &[PathBuf], folder: &str) -> Result<(), Failure> {
    let Some(first) = pictures.first() else {
        return Err(Failure::new(FailureKind::InvalidInput, format!("`{folder}` has no pictures"))
            .cause("no file in it ends in .png, .jpg, .jpeg or .webp"));
    };
    match pictures.iter().find(|picture| kind(picture) != kind(first)) {
        None => Ok(()),
        Some(other) => Err(Failure::new(
            FailureKind::InvalidInput,
            format!("the pictures of `{folder}` are of several formats"),
        )
        .cause(format!("`{}` and `{}`", name(first), name(other)))),
    }
}

fn copy(pictures: &[PathBuf], stream: &Path, stop: &CancellationToken) -> io::Result<()> {
    if let Some(parent) = stream.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut stream = File::create(stream)?;
    for picture in pictures {
        if stop.is_cancelled() {
            break;
        }
        io::copy(&mut File::open(picture)?, &mut stream)?;
    }
    Ok(())
}

/// Names as people sort them: `frame-9` comes before `frame-10`.
fn by_numbers(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (text_a, rest_a) = split(a, |c| !c.is_ascii_digit());
        let (text_b, rest_b) = split(b, |c| !c.is_ascii_digit());
        let (number_a, after_a) = split(rest_a, |c| c.is_ascii_digit());
        let (number_b, after_b) = split(rest_b, |c| c.is_ascii_digit());
        let digits = |text: &str| text.trim_start_matches('0').len();
        let order = text_a
            .cmp(text_b)
            .then(digits(number_a).cmp(&digits(number_b)))
            .then(number_a.trim_start_matches('0').cmp(number_b.trim_start_matches('0')));
        if order != Ordering::Equal || (after_a.is_empty() && after_b.is_empty()) {
            return order.then(a.len().cmp(&b.len()));
        }
        (a, b) = (after_a, after_b);
    }
}

fn split(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_by_their_value() {
        let mut names = ["f10.png", "f9.png", "f009b.png", "a.png", "f1-2.png", "f1-10.png"];
        names.sort_by(|a, b| by_numbers(a, b));
        assert_eq!(names, ["a.png", "f1-2.png", "f1-10.png", "f9.png", "f009b.png", "f10.png"]);
    }
}
