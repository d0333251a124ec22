//! Compares the source with the destination, before anything is written: what is unchanged, what is
//! to be copied, and what is in the way.

use std::io;
use std::sync::Mutex;

use super::blocks::Work;
use super::hash::ContentHash;
use super::job::Job;
use super::scan::Item;
use super::{Event, Failed, Run, TransferError, now, threads};
use crate::storage::path::VolumePath;
use crate::storage::tree::{Kind, Stat, Tree, stat_of};

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) copy: Vec<Item>,
    pub(super) unchanged: u64,
    pub(super) failed: Vec<Failed>,
}

/// A file whose hash is wanted.
struct Wanted<'a> {
    tree: &'a Tree,
    path: VolumePath,
    stat: Stat,
    hash: Mutex<Option<ContentHash>>,
}

impl Run<'_> {
    /// Sorts `files` by what is to be done. Fails when anything is in the way.
    pub(super) fn check(
        &self,
        files: Vec<Item>,
        folders: &[Item],
    ) -> Result<Checked, TransferError> {
        self.check_doubles(&files, folders)?;
        for folder in folders {
            self.check_place(&folder.to, Kind::Folder)?;
        }
        let (mut checked, mut exists) = (Checked::default(), Vec::new());
        let mut pairs = Vec::new();
        for item in files {
            match self.check_place(&item.to, Kind::File)? {
                None => checked.copy.push(item),
                Some(there) if there.kind == Kind::File && there.size == item.stat.size => {
                    pairs.push((item, there));
                }
                Some(_) if self.transfer.overwrite => checked.copy.push(item),
                Some(_) => exists.push(item.to),
            }
        }
        for (item, same) in self.compare(pairs)? {
            match same {
                Ok(true) => checked.unchanged += 1,
                Ok(false) if self.transfer.overwrite => checked.copy.push(item),
                Ok(false) => exists.push(item.to),
                Err(error) => checked.failed.push(Failed::new(item.from, error)),
            }
        }
        exists.sort();
        if exists.is_empty() { Ok(checked) } else { Err(TransferError::Exists(exists)) }
    }

    fn check_doubles(&self, files: &[Item], folders: &[Item]) -> Result<(), TransferError> {
        if self.transfer.pairs.len() < 2 {
            return Ok(());
        }
        let mut places: Vec<_> = files.iter().map(|file| &file.to).collect();
        let mut folders: Vec<_> = folders.iter().map(|folder| &folder.to).collect();
        // Folders of one name are merged; files are not.
        folders.dedup();
        places.extend(folders);
        places.sort();
        match places.windows(2).find(|two| two[0] == two[1]) {
            Some(two) => Err(TransferError::Twice(two[0].clone())),
            None => Ok(()),
        }
    }

    /// What is at `path` in the destination; fails when a `kind` can't go there.
    fn check_place(&self, path: &VolumePath, kind: Kind) -> Result<Option<Stat>, TransferError> {
        let destination = |error| TransferError::Destination(Failed::new(path.clone(), error));
        match self.transfer.to.find_itself(path) {
            // A file is where a folder should be; its own check says so if it is one of ours.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(self.blocking_parent(path).unwrap_or_else(|| destination(error)))
            }
            Err(error) => Err(destination(error)),
            Ok(Some(there))
                if there.kind == Kind::Special
                    || (there.kind == Kind::Folder) != (kind == Kind::Folder) =>
            {
                Err(TransferError::Blocked { path: path.clone(), found: there.kind })
            }
            Ok(there) => Ok(there),
        }
    }

    fn blocking_parent(&self, path: &VolumePath) -> Option<TransferError> {
        let mut path = path.clone();
        while let Some((parent, _)) = path.split() {
            if let Ok(Some(there)) = self.transfer.to.find_itself(&parent)
                && there.kind != Kind::Folder
            {
                return Some(TransferError::Blocked { path: parent, found: there.kind });
            }
            path = parent;
        }
        None
    }

    /// Whether files of equal size have equal content, by remembered hashes where possible.
    fn compare(
        &self,
        pairs: Vec<(Item, Stat)>,
    ) -> Result<Vec<(Item, io::Result<bool>)>, TransferError> {
        let wanted: Vec<_> = pairs
            .iter()
            .flat_map(|(item, there)| {
                [
                    self.wanted(self.transfer.from, &item.from, item.stat),
                    self.wanted(self.transfer.to, &item.to, *there),
                ]
            })
            .collect();
        self.hash(&wanted)?;
        let same = wanted.chunks_exact(2).map(|two| Ok(known(&two[0])? == known(&two[1])?));
        Ok(pairs.into_iter().map(|(item, _)| item).zip(same).collect())
    }

    fn wanted<'t>(&self, tree: &'t Tree, path: &VolumePath, stat: Stat) -> Wanted<'t> {
        let hash = Mutex::new(self.index().get(&stat));
        Wanted { tree, path: path.clone(), stat, hash }
    }

    /// Reads the files whose hash isn't known.
    fn hash(&self, wanted: &[Wanted<'_>]) -> Result<(), TransferError> {
        let unknown: Vec<_> = wanted.iter().filter(|file| known(file).is_err()).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let bytes = unknown.iter().map(|file| file.stat.size).sum();
        self.transfer.tell(Event::Checking { bytes });
        let open = |i: usize| {
            let Wanted { tree, path, .. } = unknown[i];
            let (read_at, source) = (now(), tree.open_file(path).ok()?);
            Some(Job { stat: stat_of(&source).ok()?, source, read_at, copy: None })
        };
        let close = |i: usize, job: Job, hash: io::Result<ContentHash>| {
            let Ok(hash) = hash else { return };
            if stat_of(&job.source).is_ok_and(|now| now == job.stat) {
                self.index().remember(job.stat, hash, job.read_at);
                set(unknown[i], hash);
            }
        };
        let work = Work {
            files: unknown.len(),
            open: &open,
            block: &|job, number, buffers| {
                let done = job.block(number, &self.hasher, buffers)?;
                self.transfer.tell(Event::Advanced { bytes: done.bytes });
                Ok(done)
            },
            close: &close,
            stopped: &|| self.transfer.cancel.is_cancelled(),
        };
        work.run(threads());
        self.transfer.stop_if_cancelled()
    }
}

fn set(file: &Wanted<'_>, hash: ContentHash) {
    *file.hash.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(hash);
}

fn known(file: &Wanted<'_>) -> io::Result<ContentHash> {
    let hash = *file.hash.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    hash.ok_or_else(|| io::Error::other("it can't be read, or changes while it is read"))
}
