//! What the content of a file is known by, without reading it again while it is unchanged.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use tokio_util::sync::CancellationToken;

use super::blocks::{Work, lock};
use super::hash::Hasher;
use super::index::Index;
use super::job::Job;
use super::{now, threads};
use crate::storage::tree::{Kind, stat_of, stat_path};

/// The hash of the file at `path`: SHA-256 over its size and the SHA-256 of each of its blocks.
/// Hashes are remembered in the database `index`, if there is one, so that the next look at an unchanged file only
/// asks when it was changed. Blocks until the file is read; memory doesn't grow with it.
pub(crate) fn content_hash(
    path: &Path,
    index: Option<&Path>,
    cancel: &CancellationToken,
) -> io::Result<[u8; 32]> {
    // Opening a pipe would wait for its other end.
    match stat_path(path)? {
        Some(stat) if stat.kind == Kind::File => {}
        Some(stat) => return Err(io::Error::other(format!("it is {}", stat.kind))),
        None => return Err(io::ErrorKind::NotFound.into()),
    }
    let (read_at, source) = (now(), File::open(path)?);
    let stat = stat_of(&source)?;
    let mut remembered = Index::open(index);
    if let Some(hash) = remembered.get(&stat) {
        return Ok(hash.0);
    }
    let job = Mutex::new(Some(Job { stat, source, read_at, copy: None }));
    let hash = Mutex::new(None);
    let hasher = Hasher::default();
    let work = Work {
        files: 1,
        open: &|_| lock(&job).take(),
        block: &|job, number, buffers| job.block(number, &hasher, buffers),
        close: &|_, job, hashed| {
            let unchanged = stat_of(&job.source).is_ok_and(|now| now == stat);
            *lock(&hash) = hashed.ok().filter(|_| unchanged);
        },
        stopped: &|| cancel.is_cancelled(),
    };
    work.run(threads());
    let unreadable = || io::Error::other("it can't be read, or changes while it is read");
    let hash = lock(&hash).take().ok_or_else(unreadable)?;
    remembered.remember(stat, hash, read_at);
    Ok(hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index.db");
        let hash = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            content_hash(&path, Some(&index), &CancellationToken::new()).unwrap()
        };
        let long = vec![7; 3 << 20];
        assert_eq!(hash("a", &long), hash("b", &long));
        assert_ne!(hash("a", &long), hash("a", &long[1..]));
        assert_ne!(hash("a", b""), hash("a", b"x"));
    }

    #[test]
    fn what_is_no_file_has_no_content() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index.db");
        let hash = |path: &Path| content_hash(path, Some(&index), &CancellationToken::new());
        assert!(hash(dir.path()).is_err());
        assert!(hash(&dir.path().join("missing")).is_err());
    }
}
