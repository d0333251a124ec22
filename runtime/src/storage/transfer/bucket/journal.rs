//! What of a file that is on its way from a bucket has arrived: kept beside its part, so that an
//! interrupted transfer doesn't fetch it again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The journal of one part. What it says is believed only as far as the hash of the whole agrees.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal at `path` of a fetch of the object with `etag`; tells which ranges an
    /// earlier fetch of the same object noted.
    pub(super) fn open(path: PathBuf, etag: &str) -> io::Result<(Self, Vec<usize>)> {
        let arrived = arrived(&path, etag);
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        if arrived.is_empty() {
            file.set_len(0)?;
            writeln!(file, "{etag}")?;
        }
        Ok((Journal { path, file }, arrived))
    }

    /// Notes that a range was written to the part.
    pub(super) fn note(&self, range: usize) -> io::Result<()> {
        (&self.file).write_all(format!("{range}\n").as_bytes())
    }

    /// Removes the journal, since its part is one no longer.
    pub(super) fn remove(self) {
        // It is swept with the folder otherwise.
        let _ = fs::remove_file(&self.path);
    }
}

fn arrived(path: &Path, etag: &str) -> Vec<usize> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // A line that was cut short is no line.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines = whole.lines();
    if lines.next() != Some(etag) {
        return Vec::new();
    }
    lines.filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_known_while_the_object_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (journal, arrived) = Journal::open(path.clone(), "\"a\"").unwrap();
        assert!(arrived.is_empty());
        journal.note(3).unwrap();
        journal.note(12).unwrap();
        fs::write(&path, fs::read_to_string(&path).unwrap() + "1").unwrap();
        assert_eq!(Journal::open(path.clone(), "\"a\"").unwrap().1, [3, 12]);
        assert!(Journal::open(path.clone(), "\"b\"").unwrap().1.is_empty());
        assert!(Journal::open(path, "\"a\"").unwrap().1.is_empty());
    }
}
