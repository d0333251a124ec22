//! Copies files and folders between a volume and this machine, or within a volume: unchanged ones
//! are skipped, interrupted ones resumed, and each appears in its place whole or not at all.
//!
//! [`Transfer::run`] is the recipe: scan the source, check it against the destination, refuse
//! before anything is written, copy. Memory doesn't depend on the size of files.

mod blocks;
mod bucket;
mod check;
mod content;
mod copy;
mod hash;
mod index;
mod job;
mod part;
mod scan;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use self::bucket::{BucketTransfer, get_bucket_stream, put_bucket_stream};
pub(crate) use self::content::content_hash;
pub use self::stream::{get_stream, put_stream};

use self::hash::Hasher;
use self::index::Index;
use self::scan::{Found, Item};
use super::path::VolumePath;
use super::place::sync_folder;
use super::tree::{Kind, Stat, Tree};

/// What to copy, and how.
pub struct Transfer<'a> {
    /// Where files come from.
    pub from: &'a Tree,
    /// Where they go.
    pub to: &'a Tree,
    /// What goes where: each names a file, or a folder with everything in it.
    pub pairs: Vec<Pair>,
    /// Files that are in the way are replaced.
    pub overwrite: bool,
    /// Where hashes are remembered, if anywhere.
    pub index: Option<PathBuf>,
    /// Stops it between two blocks; what was copied of unfinished files stays for the next time.
    pub cancel: &'a CancellationToken,
    /// Hears how far it is, from any thread; must not block.
    pub events: &'a (dyn Fn(Event) + Sync),
}

/// One thing to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its path in the tree it comes from.
    pub from: VolumePath,
    /// Its path in the tree it goes to.
    pub to: VolumePath,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A file was found while scanning.
    Found {
        /// Its size.
        bytes: u64,
    },
    /// So many bytes are about to be read to see whether files are unchanged.
    Checking {
        /// Bytes in all.
        bytes: u64,
    },
    /// So many bytes in so many files are about to be copied.
    Copying {
        /// Files in all.
        files: u64,
        /// Bytes in all.
        bytes: u64,
    },
    /// Some bytes of the step that was announced last are done.
    Advanced {
        /// How many.
        bytes: u64,
    },
    /// A file is in its place.
    Placed,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files copied.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Files that were already there with the same content.
    pub unchanged: u64,
    /// Bytes that an earlier, interrupted transfer had already copied.
    pub resumed_bytes: u64,
    /// What isn't copied as a rule.
    pub skipped: Vec<Skipped>,
    /// What couldn't be copied.
    pub failed: Vec<Failed>,
}

/// Something that is neither a file nor a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path in the tree it would have come from.
    pub path: VolumePath,
    /// What it is.
    pub kind: Kind,
}

/// A file that couldn't be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its path in the tree it would have come from.
    pub path: VolumePath,
    /// Why, as one line.
    pub why: String,
    /// What kind of error it was.
    #[serde(skip)]
    pub kind: io::ErrorKind,
}

/// Why a transfer didn't take place or didn't finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Files with other content are in the way. Nothing was written.
    #[error("{} already exist", .0.len())]
    Exists(Vec<VolumePath>),
    /// A folder is where a file should go, or the other way round. Nothing was written.
    #[error("`{path}` is {found}")]
    Blocked {
        /// The path in the destination.
        path: VolumePath,
        /// What is there.
        found: Kind,
    },
    /// Two things would go to one place. Nothing was written.
    #[error("two files would become `{0}`")]
    Twice(VolumePath),
    /// What was named isn't there or can't be read. Nothing was written.
    #[error("can't read `{}`", .0.path)]
    Source(Failed),
    /// The destination can't be written.
    #[error("can't write `{}`", .0.path)]
    Destination(Failed),
    /// It was stopped.
    #[error("interrupted")]
    Cancelled,
}

impl Failed {
    fn new(path: VolumePath, error: io::Error) -> Self {
        let kind = error.kind();
        let why = match (error.raw_os_error(), kind) {
            (Some(_), io::ErrorKind::Other) | (None, _) => error.to_string(),
            (Some(_), kind) => kind.to_string(),
        };
        Failed { path, why, kind }
    }
}

impl std::fmt::Debug for Transfer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

/// What the steps of a running transfer share.
struct Run<'a> {
    transfer: &'a Transfer<'a>,
    index: Mutex<Index>,
    hasher: Hasher,
}

impl Transfer<'_> {
    /// Does it. Blocks; files are read and written by a few threads.
    pub fn run(&self) -> Result<Summary, TransferError> {
        let index = Mutex::new(Index::open(self.index.as_deref()));
        let run = Run { transfer: self, index, hasher: Hasher::default() };
        let Found { files, folders, skipped, failed } = run.scan()?;
        let checked = run.check(files, &folders)?;
        run.make_folders(&folders)?;
        let copied = run.copy(&checked.copy);
        part::tidy(self.to);
        let copied = copied?;
        run.sync_folders(&checked.copy);
        Ok(Summary {
            unchanged: checked.unchanged,
            skipped,
            failed: [failed, checked.failed, copied.failed].concat(),
            files: copied.files,
            bytes: copied.bytes,
            resumed_bytes: copied.resumed_bytes,
        })
    }

    fn tell(&self, event: Event) {
        (self.events)(event);
    }

    fn stop_if_cancelled(&self) -> Result<(), TransferError> {
        if self.cancel.is_cancelled() { Err(TransferError::Cancelled) } else { Ok(()) }
    }
}

impl Run<'_> {
    fn scan(&self) -> Result<Found, TransferError> {
        let Transfer { from, pairs, cancel, .. } = self.transfer;
        let seen = |stat: &Stat| {
            if stat.kind == Kind::File {
                self.transfer.tell(Event::Found { bytes: stat.size });
            }
            !cancel.is_cancelled()
        };
        let found = Found::scan(from, pairs, &seen).map_err(TransferError::Source)?;
        self.transfer.stop_if_cancelled()?;
        Ok(found)
    }

    fn make_folders(&self, folders: &[Item]) -> Result<(), TransferError> {
        for folder in folders {
            let made = self.transfer.to.make_folder(&folder.to, folder.stat.mode);
            made.map_err(|error| {
                TransferError::Destination(Failed::new(folder.to.clone(), error))
            })?;
        }
        Ok(())
    }

    /// Makes the new names survive a power cut; the files already do.
    fn sync_folders(&self, files: &[Item]) {
        let mut folders: Vec<_> =
            files.iter().filter_map(|item| Some(item.to.split()?.0)).collect();
        folders.sort();
        folders.dedup();
        for folder in folders {
            let _ = self.transfer.to.folder(&folder).map(sync_folder);
        }
    }

    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All files below the root of `tree`, and what they are.
pub(crate) fn files_in(tree: &Tree) -> io::Result<std::collections::BTreeMap<VolumePath, Stat>> {
    let pairs = [Pair { from: VolumePath::root(), to: VolumePath::root() }];
    let found = Found::scan(tree, &pairs, &|_| true)
        .map_err(|failed| io::Error::new(failed.kind, failed.why))?;
    Ok(found.files.into_iter().map(|item| (item.from, item.stat)).collect())
}

/// How many threads read and write: enough to keep a disk busy while others hash.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| (cores.get() * 2).clamp(4, 16))
}

/// The present moment in nanoseconds since 1970.
fn now() -> i128 {
    crate::clock::now().as_nanosecond()
}
