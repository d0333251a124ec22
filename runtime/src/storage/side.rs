//! A folder of files, wherever it is: the two ends of a transfer.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::bucket::BucketFolder;
use super::glob::Pattern;
use super::path::VolumePath;
use super::transfer::{BucketTransfer, Event, Pair, Summary, Transfer, TransferError};
use super::tree::{Entry, Stat, Tree};

/// A folder of this machine, or one in a bucket.
#[derive(Debug)]
pub enum Side {
    /// Of this machine.
    Folder(Tree),
    /// In a bucket.
    Bucket(BucketFolder),
}

/// What is copied from one side to another, and how.
#[derive(Clone)]
pub struct Copying {
    /// What goes where: each names a file, or a folder with everything in it.
    pub pairs: Vec<Pair>,
    /// Files that are in the way are replaced.
    pub overwrite: bool,
    /// Where hashes are remembered, if anywhere.
    pub index: Option<PathBuf>,
    /// Stops it; what was copied of unfinished files stays for the next time.
    pub cancel: CancellationToken,
    /// Hears how far it is, from any thread; must not block.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
}

impl std::fmt::Debug for Copying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copying").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

impl Side {
    /// What `path` names, following links that stay inside; none when nothing is there.
    pub async fn find(&self, path: &VolumePath) -> io::Result<Option<Stat>> {
        match self {
            Side::Folder(tree) => tree.find(path),
            Side::Bucket(folder) => folder.find(path).await,
        }
    }

    /// What `path` names itself, be it a link; none when nothing is there.
    pub async fn find_itself(&self, path: &VolumePath) -> io::Result<Option<Stat>> {
        match self {
            Side::Folder(tree) => tree.find_itself(path),
            Side::Bucket(folder) => folder.find(path).await,
        }
    }

    /// The names in a folder, sorted, without those that are ours.
    pub async fn list(&self, path: &VolumePath) -> io::Result<Vec<Entry>> {
        match self {
            Side::Folder(tree) => tree.list(path),
            Side::Bucket(folder) => folder.list(path).await,
        }
    }

    /// What matches a pattern, sorted.
    pub async fn matches(&self, pattern: &Pattern) -> io::Result<Vec<VolumePath>> {
        match self {
            Side::Folder(tree) => pattern.matches(tree),
            Side::Bucket(folder) => {
                let walked = folder.walk(&VolumePath::root()).await?;
                Ok(pattern.among(walked.files.into_iter().map(|file| file.path)))
            }
        }
    }

    /// Copies from this side to another. What takes long on this machine is done where waiting is
    /// allowed.
    pub async fn copy_to(self, to: Side, copying: Copying) -> Result<Summary, TransferError> {
        let Copying { pairs, overwrite, index, cancel, events } = copying;
        let (from, to) = match (self, to) {
            (Side::Folder(from), Side::Folder(to)) => (from, to),
            (from, to) => {
                let transfer = BucketTransfer { pairs, overwrite, index, cancel, events };
                return match (from, to) {
                    (Side::Folder(from), Side::Bucket(to)) => transfer.put(from, to).await,
                    (Side::Bucket(from), Side::Folder(to)) => transfer.get(from, to).await,
                    (Side::Bucket(within), _) => transfer.copy(within).await,
                    (Side::Folder(_), Side::Folder(_)) => unreachable!("taken above"),
                };
            }
        };
        let copy = move || {
            let (from, to, cancel, events) = (&from, &to, &cancel, &*events);
            Transfer { from, to, pairs, overwrite, index, cancel, events: &|event| events(event) }
                .run()
        };
        let copied = tokio::task::spawn_blocking(copy).await;
        // A panic of the work goes on here.
        copied.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}
