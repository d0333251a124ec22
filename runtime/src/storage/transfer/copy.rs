//! Copies files into their place, each through a part beside it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::blocks::Work;
use super::hash::ContentHash;
use super::job::{Copy, Job};
use super::part::{Part, Safety};
use super::scan::Item;
use super::{Event, Failed, Run, Summary, TransferError, now, threads};
use crate::storage::place::Existing;
use crate::storage::tree::stat_of;

/// What came of copying, so far.
#[derive(Default)]
struct Tally {
    files: AtomicU64,
    bytes: AtomicU64,
    resumed_bytes: AtomicU64,
    failed: Mutex<Vec<Failed>>,
    /// Why nothing more can be written.
    fatal: Mutex<Option<TransferError>>,
}

impl Run<'_> {
    /// Copies `files`. What can't be read is told in the summary; what can't be written ends it.
    pub(super) fn copy(&self, files: &[Item]) -> Result<Summary, TransferError> {
        let bytes = files.iter().map(|item| item.stat.size).sum();
        self.transfer.tell(Event::Copying { files: files.len() as u64, bytes });
        let tally = Tally::default();
        let work = Work {
            files: files.len(),
            open: &|i| self.open(&files[i], &tally),
            block: &|job, number, buffers| {
                let done = job.block(number, &self.hasher, buffers)?;
                if done.resumed {
                    tally.resumed_bytes.fetch_add(done.bytes, Ordering::Relaxed);
                }
                self.transfer.tell(Event::Advanced { bytes: done.bytes });
                Ok(done)
            },
            close: &|i, job, hash| self.close(&files[i], job, hash, &tally),
            stopped: &|| self.transfer.cancel.is_cancelled() || tally.is_fatal(),
        };
        work.run(threads());
        tally.finish(self.transfer.stop_if_cancelled())
    }

    fn open(&self, item: &Item, tally: &Tally) -> Option<Job> {
        let read_at = now();
        let opened = self.transfer.from.open_file(&item.from);
        let (source, stat) = match opened.and_then(|file| Ok((stat_of(&file)?, file))) {
            Ok((stat, file)) => (file, stat),
            Err(error) => {
                tally.fail(item, error);
                return None;
            }
        };
        match Part::open(self.transfer.to, &item.to) {
            Ok(part) => {
                let copy = Copy::new(part, &source, &stat);
                Some(Job { source, stat, read_at, copy: Some(copy) })
            }
            Err(error) => {
                tally.end(item, error);
                None
            }
        }
    }

    fn close(&self, item: &Item, job: Job, hash: io::Result<ContentHash>, tally: &Tally) {
        let Job { source, stat, read_at, copy } = job;
        let Some(Copy { part, .. }) = copy else { return };
        let hash = match hash {
            Ok(hash) => hash,
            Err(error) if is_full(&error) => {
                part.discard();
                return tally.end(item, error);
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return tally.fail(item, changed());
            }
            Err(error) => return tally.fail(item, error),
        };
        if !stat_of(&source).is_ok_and(|now| now == stat) {
            return tally.fail(item, changed());
        }
        let existing = if self.transfer.overwrite { Existing::Replace } else { Existing::Keep };
        match part.finish(self.transfer.to, &item.to, &stat, existing, Safety::OnDisk) {
            Ok(placed) => {
                let mut index = self.index();
                index.remember(stat, hash, read_at);
                index.remember(placed, hash, read_at);
                drop(index);
                tally.files.fetch_add(1, Ordering::Relaxed);
                tally.bytes.fetch_add(stat.size, Ordering::Relaxed);
                self.transfer.tell(Event::Placed);
            }
            Err(error) => tally.end(item, error),
        }
    }
}

impl Tally {
    fn fail(&self, item: &Item, error: io::Error) {
        let failed = Failed::new(item.from.clone(), error);
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
    }

    fn end(&self, item: &Item, error: io::Error) {
        let error = match error.kind() {
            io::ErrorKind::AlreadyExists => TransferError::Exists(vec![item.to.clone()]),
            _ => TransferError::Destination(Failed::new(item.to.clone(), error)),
        };
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn is_fatal(&self) -> bool {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn finish(self, cancelled: Result<(), TransferError>) -> Result<Summary, TransferError> {
        if let Some(error) = self.fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        cancelled?;
        Ok(Summary {
            files: self.files.into_inner(),
            bytes: self.bytes.into_inner(),
            resumed_bytes: self.resumed_bytes.into_inner(),
            failed: self.failed.into_inner().unwrap_or_else(PoisonError::into_inner),
            ..Summary::default()
        })
    }
}

fn changed() -> io::Error {
    io::Error::other("it changed while it was read")
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
