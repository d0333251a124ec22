//! Transfers between a folder of this machine and one in a bucket, or within a bucket.
//!
//! Files and parts of large files are on their way at the same time, as many as fit a fixed number
//! of bytes. Every byte that goes is checked by the store, and every byte that comes against the
//! hash that its writer noted. A file appears in a bucket when its last part is there, and an
//! interrupted one goes on where it stopped.

mod check;
mod copy;
mod get;
mod journal;
mod put;
mod stream;
#[cfg(test)]
mod tests;

pub use self::stream::{get_bucket_stream, put_bucket_stream};

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hash::{BLOCK, BlockHash, ContentHash, Hasher};
use super::index::Index;
use super::scan::Item;
use super::{Event, Failed, Pair, Skipped, Summary, TransferError};
use crate::aws::AwsError;
use crate::aws::objects::Metadata;
use crate::storage::bucket::{BucketFolder, to_io};
use crate::storage::path::VolumePath;
use crate::storage::tree::Tree;

/// Bytes of a part of a file; more for files that would have too many of these.
const PART: u64 = 8 * BLOCK;
/// S3 takes 10,000.
const PARTS: u64 = 9_000;
/// Bytes on their way at the same time.
const BUFFERED: usize = 40 << 20;
/// Files on their way at the same time.
const FILES: usize = 64;
/// What the hash of a file's content is noted under.
const HASH_NOTE: &str = "vdeploy-sha256";

/// What to transfer, and how.
#[derive(Clone)]
pub struct BucketTransfer {
    /// What goes where: each names a file, or a folder with everything in it.
    pub pairs: Vec<Pair>,
    /// Files that are in the way are replaced.
    pub overwrite: bool,
    /// Where hashes are remembered, if anywhere.
    pub index: Option<PathBuf>,
    /// Stops it; what was transferred of unfinished files stays for the next time.
    pub cancel: CancellationToken,
    /// Hears how far it is, from any thread; must not block.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
}

impl std::fmt::Debug for BucketTransfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketTransfer").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}

impl BucketTransfer {
    /// From a folder of this machine into a bucket.
    pub async fn put(self, from: Tree, to: BucketFolder) -> Result<Summary, TransferError> {
        put::put(Arc::new(Run::new(self, to)), Arc::new(from)).await
    }

    /// Out of a bucket into a folder of this machine.
    pub async fn get(self, from: BucketFolder, to: Tree) -> Result<Summary, TransferError> {
        get::get(Arc::new(Run::new(self, from)), Arc::new(to)).await
    }

    /// Within a bucket, by the store itself.
    pub async fn copy(self, within: BucketFolder) -> Result<Summary, TransferError> {
        copy::copy(Arc::new(Run::new(self, within))).await
    }
}

/// What the tasks of a running transfer share.
struct Run {
    transfer: BucketTransfer,
    remote: BucketFolder,
    index: Mutex<Index>,
    hasher: Hasher,
    /// In KiB.
    buffers: Arc<Semaphore>,
    reused: Buffers,
    /// Cancelled with the transfer, and when nothing more can be written.
    stop: CancellationToken,
}

/// Why a file isn't in its place.
enum Problem {
    /// Only this one.
    File(Failed),
    /// And so no other one will be.
    Fatal(TransferError),
}

/// A file in its place.
#[derive(Clone, Copy, Debug, Default)]
struct Placed {
    bytes: u64,
    resumed: u64,
}

impl Run {
    fn new(transfer: BucketTransfer, remote: BucketFolder) -> Self {
        let index = Mutex::new(Index::open(transfer.index.as_deref()));
        let buffers = Arc::new(Semaphore::new(BUFFERED >> 10));
        let (stop, reused) = (transfer.cancel.child_token(), Buffers::default());
        Run { transfer, remote, index, hasher: Hasher::default(), buffers, reused, stop }
    }

    fn tell(&self, event: Event) {
        (self.transfer.events)(event);
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for `bytes` on their way.
    async fn room(&self, bytes: u64) -> OwnedSemaphorePermit {
        let kibibytes = (bytes >> 10).clamp(1, (BUFFERED >> 10) as u64) as u32;
        let permit = Arc::clone(&self.buffers).acquire_many_owned(kibibytes).await;
        permit.expect("the semaphore is never closed")
    }

    /// Does `work` for each of `items`, many at a time. A file that fails is told in the summary;
    /// whatever else fails ends it, when what is on its way has stopped.
    async fn each<I, F>(
        self: &Arc<Self>,
        items: Vec<I>,
        work: impl Fn(Arc<Self>, I) -> F,
    ) -> Result<Summary, TransferError>
    where
        F: Future<Output = Result<Placed, Problem>> + Send + 'static,
    {
        let (mut summary, mut fatal) = (Summary::default(), None);
        let (mut tasks, mut items) = (JoinSet::new(), items.into_iter());
        loop {
            while tasks.len() < FILES
                && !self.stop.is_cancelled()
                && let Some(item) = items.next()
            {
                tasks.spawn(work(Arc::clone(self), item));
            }
            let Some(ended) = tasks.join_next().await else { break };
            match joined(ended) {
                Ok(placed) => {
                    summary.files += 1;
                    summary.bytes += placed.bytes;
                    summary.resumed_bytes += placed.resumed;
                    self.tell(Event::Placed);
                }
                Err(Problem::File(failed)) => summary.failed.push(failed),
                Err(Problem::Fatal(error)) => {
                    self.stop.cancel();
                    fatal.get_or_insert(error);
                }
            }
        }
        match fatal {
            _ if self.transfer.cancel.is_cancelled() => Err(TransferError::Cancelled),
            Some(error) => Err(error),
            None => Ok(summary),
        }
    }

    /// Nothing gets to its place once it is told to stop.
    fn go_on(&self) -> Result<(), Problem> {
        match self.stop.is_cancelled() {
            true => Err(Problem::Fatal(TransferError::Cancelled)),
            false => Ok(()),
        }
    }

    /// Waits for a request, unless it is told to stop.
    async fn unless_stopped<T>(&self, request: impl Future<Output = T>) -> Result<T, Problem> {
        tokio::select! {
            answer = request => Ok(answer),
            () = self.stop.cancelled() => Err(Problem::Fatal(TransferError::Cancelled)),
        }
    }
}

/// Parts of a file on their way. None is left running when it has failed, since they write to it.
struct Parts<T> {
    tasks: JoinSet<Result<T, Problem>>,
    done: Vec<T>,
    problem: Option<Problem>,
}

impl<T: Send + 'static> Parts<T> {
    fn new() -> Self {
        Parts { tasks: JoinSet::new(), done: Vec::new(), problem: None }
    }

    /// Starts one more, unless one has failed: then `false`.
    fn spawn(&mut self, part: impl Future<Output = Result<T, Problem>> + Send + 'static) -> bool {
        self.tasks.spawn(part);
        while let Some(ended) = self.tasks.try_join_next() {
            self.take(joined(ended));
        }
        self.problem.is_none()
    }

    fn take(&mut self, ended: Result<T, Problem>) {
        match ended {
            Ok(part) => self.done.push(part),
            Err(problem) => drop(self.problem.get_or_insert(problem)),
        }
    }

    /// Waits for all of them.
    async fn finish(mut self) -> Result<Vec<T>, Problem> {
        while let Some(ended) = self.tasks.join_next().await {
            self.take(joined(ended));
        }
        match self.problem {
            Some(problem) => Err(problem),
            None => Ok(self.done),
        }
    }
}

fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    // A panic of the work goes on here.
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Bytes of each part of a file of `size` bytes: whole blocks, and not too many parts.
fn part_size(size: u64) -> u64 {
    PART.max(size.div_ceil(PARTS).next_multiple_of(BLOCK))
}

/// Where the parts of a file of `size` bytes start and end.
fn part_ranges(size: u64) -> impl ExactSizeIterator<Item = (u64, u64)> {
    let part = part_size(size);
    (0..size.div_ceil(part) as usize).map(move |number| {
        let start = number as u64 * part;
        (start, size.min(start + part))
    })
}

/// Reads `start` to `end` of a file, which are whole blocks of it, with the hash of each.
fn read_part(
    file: &File,
    (start, end): (u64, u64),
    run: &Run,
) -> io::Result<(Bytes, Vec<BlockHash>)> {
    use std::os::unix::fs::FileExt;

    let mut buffer = run.reused.take((end - start) as usize);
    file.read_exact_at(&mut buffer.bytes, start)?;
    let hashes = hash_blocks(&buffer.bytes, &run.hasher);
    Ok((Bytes::from_owner(buffer), hashes))
}

fn hash_blocks(bytes: &[u8], hasher: &Hasher) -> Vec<BlockHash> {
    bytes.chunks(BLOCK as usize).map(|block| hasher.block(block)).collect()
}

/// The hashes of the blocks that pieces are together, one piece after another.
#[derive(Default)]
struct BlockHashing {
    done: Vec<BlockHash>,
    block: sha2::Sha256,
    /// Bytes of the block so far.
    filled: usize,
}

impl BlockHashing {
    fn add(&mut self, pieces: &[Bytes]) {
        use sha2::Digest;

        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(BLOCK as usize - self.filled));
                self.block.update(now);
                self.filled += now.len();
                rest = later;
                if self.filled == BLOCK as usize {
                    self.done.push(self.block.finalize_reset().into());
                    self.filled = 0;
                }
            }
        }
    }

    fn finish(mut self) -> Vec<BlockHash> {
        use sha2::Digest;

        if self.filled > 0 {
            self.done.push(self.block.finalize().into());
        }
        self.done
    }
}

/// Buffers that are used again: as many as were ever needed at the same time, and no heap that grows
/// with what is sent.
#[derive(Clone, Debug, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that goes back when its last user is done.
struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, length: usize) -> Buffer {
        let mut bytes = self.free().pop().unwrap_or_default();
        bytes.resize(length, 0);
        Buffer { bytes, home: self.clone() }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home.free().push(bytes);
    }
}

/// Runs what reads, writes or hashes files where waiting is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn noted_hash(metadata: &Metadata) -> Option<ContentHash> {
    metadata.get(HASH_NOTE).and_then(|hex| ContentHash::parse(hex))
}

/// The destination can't be written, for whatever reason: others can't either.
fn fatal(path: &VolumePath, error: io::Error) -> Problem {
    Problem::Fatal(match error.kind() {
        io::ErrorKind::AlreadyExists => TransferError::Exists(vec![path.clone()]),
        _ => TransferError::Destination(Failed::new(path.clone(), error)),
    })
}

fn refused(path: &VolumePath, error: AwsError) -> Problem {
    fatal(path, to_io(error))
}

fn unreadable(path: &VolumePath, error: io::Error) -> Problem {
    Problem::File(Failed::new(path.clone(), error))
}

fn changed(path: &VolumePath) -> Problem {
    unreadable(path, io::Error::other("it changed while it was read"))
}

/// Adds what was known before any file was transferred.
fn summed(copied: Summary, unchanged: u64, skipped: Vec<Skipped>, failed: Vec<Failed>) -> Summary {
    let failed = [failed, copied.failed].concat();
    Summary { unchanged, skipped, failed, ..copied }
}

fn announce(run: &Run, files: &[(Item, super::super::place::Existing)]) {
    let bytes = files.iter().map(|(item, _)| item.stat.size).sum();
    run.tell(Event::Copying { files: files.len() as u64, bytes });
}
