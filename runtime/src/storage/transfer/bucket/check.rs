//! Compares what is to be transferred with what is there, before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use futures::StreamExt;

use super::super::job::{Buffers, Job};
use super::{PART, Run, blocking, noted_hash};
use crate::storage::bucket::{BucketFile, BucketFolder, to_io};
use crate::storage::path::VolumePath;
use crate::storage::transfer::hash::ContentHash;
use crate::storage::transfer::scan::Item;
use crate::storage::transfer::{Event, Failed, TransferError, now};
use crate::storage::tree::{Kind, Stat, Tree, stat_of};

/// How many files are looked at at the same time.
const AT_ONCE: usize = 32;

/// What is in the places that a transfer writes to, in a bucket.
#[derive(Debug, Default)]
pub(super) struct There {
    files: BTreeMap<VolumePath, BucketFile>,
    /// Folders, by what files are in them.
    folders: BTreeSet<VolumePath>,
}

impl There {
    /// Looks at the places of `roots`, and at everything below them.
    pub(super) async fn look(
        folder: &BucketFolder,
        roots: &[(VolumePath, Kind)],
    ) -> io::Result<Self> {
        let mut there = There::default();
        for (root, kind) in roots {
            let mut above = root.clone();
            while !above.is_root() {
                there.add(folder.file(&above).await?);
                above = above.parent();
            }
            if *kind == Kind::Folder || there.files.is_empty() {
                let walked = match kind {
                    Kind::Folder => folder.walk(root).await?.files,
                    // Whether it is a folder is all that counts.
                    _ => match folder.find(root).await? {
                        Some(stat) if stat.kind == Kind::Folder => {
                            there.folders.insert(root.clone());
                            Vec::new()
                        }
                        _ => Vec::new(),
                    },
                };
                walked.into_iter().for_each(|file| there.add(Some(file)));
            }
        }
        Ok(there)
    }

    fn add(&mut self, file: Option<BucketFile>) {
        let Some(file) = file else { return };
        let mut folder = file.path.parent();
        while self.folders.insert(folder.clone()) && !folder.is_root() {
            folder = folder.parent();
        }
        self.files.insert(file.path.clone(), file);
    }

    /// What is where a file should go; fails when a file can't go there.
    pub(super) fn at(&self, path: &VolumePath) -> Result<Option<&BucketFile>, TransferError> {
        if self.folders.contains(path) {
            return Err(TransferError::Blocked { path: path.clone(), found: Kind::Folder });
        }
        let mut parent = path.parent();
        while !parent.is_root() {
            if self.files.contains_key(&parent) {
                return Err(TransferError::Blocked { path: parent, found: Kind::File });
            }
            parent = parent.parent();
        }
        Ok(self.files.get(path))
    }
}

/// Fails when two things would go to one place.
pub(super) fn check_doubles(files: &[Item]) -> Result<(), TransferError> {
    let mut places: Vec<_> = files.iter().map(|file| &file.to).collect();
    places.sort();
    match places.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(TransferError::Twice(two[0].clone())),
        None => Ok(()),
    }
}

/// A file here and one in the bucket that may have the same content.
#[derive(Clone, Debug)]
pub(super) struct Alike {
    pub(super) item: Item,
    pub(super) local: (VolumePath, Stat),
    pub(super) remote: BucketFile,
}

/// Whether files of equal size have equal content. Remembered hashes go before noted ones, and
/// those before reading; a file in the bucket that says nothing of its content counts as different.
pub(super) async fn compare(
    run: &Arc<Run>,
    tree: &Arc<Tree>,
    alike: Vec<Alike>,
) -> Result<Vec<(Item, Result<bool, Failed>)>, TransferError> {
    let unknown = alike.iter().filter(|alike| run.index().get(&alike.local.1).is_none());
    let bytes: u64 = unknown.map(|alike| alike.local.1.size).sum();
    if bytes > 0 {
        run.tell(Event::Checking { bytes });
    }
    let mut compared = Vec::new();
    let mut comparing = futures::stream::iter(alike)
        .map(|alike| {
            let (run, tree) = (Arc::clone(run), Arc::clone(tree));
            async move {
                let same = same_content(&run, &tree, &alike).await;
                (alike.item, same)
            }
        })
        .buffer_unordered(AT_ONCE);
    loop {
        tokio::select! {
            next = comparing.next() => match next {
                Some(one) => compared.push(one),
                None => return Ok(compared),
            },
            () = run.transfer.cancel.cancelled() => return Err(TransferError::Cancelled),
        }
    }
}

async fn same_content(run: &Arc<Run>, tree: &Arc<Tree>, alike: &Alike) -> Result<bool, Failed> {
    let failed = |error| Failed::new(alike.item.from.clone(), error);
    let Some(remote) = remote_hash(run, &alike.remote).await.map_err(failed)? else {
        return Ok(false);
    };
    let (path, stat) = alike.local.clone();
    let (run, tree) = (Arc::clone(run), Arc::clone(tree));
    let local = blocking(move || local_hash(&run, &tree, &path, &stat)).await.map_err(failed)?;
    Ok(local == remote)
}

/// The hash of a file in the bucket, if anything says it.
pub(super) async fn remote_hash(run: &Run, file: &BucketFile) -> io::Result<Option<ContentHash>> {
    let key = run.remote.key(&file.path);
    if let Some(hash) = run.index().remote(run.remote.bucket().name(), &key, &file.etag) {
        return Ok(Some(hash));
    }
    let bucket = run.remote.bucket();
    let head = bucket.head(&key).await.map_err(to_io)?;
    let mut noted = head.as_ref().and_then(|head| noted_hash(&head.metadata));
    if noted.is_none() && file.size > PART {
        noted = noted_hash(&bucket.tags(&key).await.map_err(to_io)?);
    }
    if let (Some(hash), Some(head)) = (noted, head) {
        run.index().remember_remote(bucket.name(), &key, &head.etag, hash);
    }
    Ok(noted)
}

/// The hash of a file here, remembered or by reading it.
fn local_hash(run: &Run, tree: &Tree, path: &VolumePath, stat: &Stat) -> io::Result<ContentHash> {
    if let Some(hash) = run.index().get(stat) {
        return Ok(hash);
    }
    let (read_at, source) = (now(), tree.open_file(path)?);
    let job = Job { stat: stat_of(&source)?, source, read_at, copy: None };
    let (mut buffers, mut hashes) = (Buffers::default(), Vec::new());
    for number in 0..job.blocks() {
        if run.transfer.cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let done = job.block(number, &run.hasher, &mut buffers)?;
        run.tell(Event::Advanced { bytes: done.bytes });
        hashes.push(done.hash);
    }
    if stat_of(&job.source)? != job.stat {
        return Err(io::Error::other("it changes while it is read"));
    }
    let hash = ContentHash::of(job.stat.size, &hashes);
    run.index().remember(job.stat, hash, read_at);
    Ok(hash)
}
