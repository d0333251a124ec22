//! The ways of running calls, behind one face: the queue of this machine, AWS, and this process
//! alone.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;

use super::aws::{AwsDispatcher, PLACED_AT_ONCE};
use super::local::{
    CallFilter, CallRecord, DispatchError, Interest, LocalDispatcher, NewCall, Observation,
    Placement,
};
use super::memory::MemoryDispatcher;
use crate::aws::layout::CallPlace;
use crate::wire::{CallId, Outcome};

/// The calls of a target. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Dispatcher {
    /// Of this machine.
    Local(LocalDispatcher),
    /// Of an account.
    Aws(AwsDispatcher),
    /// Of this process, for tests of programs.
    Memory(MemoryDispatcher),
}

/// How many calls of a map are recorded, and not ended, at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Not ended.
    pub(crate) open: usize,
    /// In one go.
    pub(crate) chunk: usize,
}

type Result<T> = std::result::Result<T, DispatchError>;

impl Dispatcher {
    /// The queue of this machine, where calls are its.
    pub fn local(&self) -> Option<&LocalDispatcher> {
        match self {
            Dispatcher::Local(local) => Some(local),
            Dispatcher::Aws(_) | Dispatcher::Memory(_) => None,
        }
    }

    pub(crate) fn window(&self) -> Window {
        match self {
            // Enough to keep any machine busy.
            Dispatcher::Local(_) | Dispatcher::Memory(_) => Window { open: 1024, chunk: 256 },
            // Each chunk is a job.
            Dispatcher::Aws(_) => Window { open: 8 * PLACED_AT_ONCE, chunk: PLACED_AT_ONCE },
        }
    }

    /// An id for a new call.
    pub fn new_call_id(&self) -> CallId {
        match self {
            Dispatcher::Local(local) => local.new_call_id(),
            Dispatcher::Aws(aws) => aws.new_call_id(),
            Dispatcher::Memory(memory) => memory.new_call_id(),
        }
    }

    /// An id for a new map.
    pub fn new_map_id(&self) -> String {
        match self {
            Dispatcher::Local(local) => local.new_map_id(),
            Dispatcher::Aws(aws) => aws.new_map_id(),
            Dispatcher::Memory(memory) => memory.new_map_id(),
        }
    }

    /// Records a call, durably, under a new id.
    pub async fn submit_as(&self, id: &CallId, call: NewCall) -> Result<()> {
        match self {
            Dispatcher::Local(local) => local.submit_as(id, call).await,
            Dispatcher::Aws(aws) => Ok(aws.submit_as(id, call).await?),
            Dispatcher::Memory(memory) => {
                memory.submit_as(id, call);
                Ok(())
            }
        }
    }

    /// Records calls of a map where their places are free, and tells in order what became of each.
    pub async fn place(&self, calls: Vec<NewCall>) -> Result<Vec<Placement>> {
        match self {
            Dispatcher::Local(local) => local.place(calls).await,
            Dispatcher::Aws(aws) => Ok(aws.place(calls).await?),
            Dispatcher::Memory(memory) => Ok(memory.place(calls)),
        }
    }

    /// Asks for a call to be cancelled; `false` when it has ended or isn't there.
    pub async fn cancel(&self, id: &CallId) -> Result<bool> {
        match self {
            Dispatcher::Local(local) => local.cancel(id).await,
            Dispatcher::Aws(aws) => Ok(aws.cancel(id).await?),
            Dispatcher::Memory(memory) => Ok(memory.cancel(id)),
        }
    }

    pub(crate) fn cancel_soon(&self, id: CallId) {
        match self {
            Dispatcher::Local(local) => local.cancel_soon(id),
            Dispatcher::Aws(aws) => aws.cancel_soon(id),
            Dispatcher::Memory(memory) => drop(memory.cancel(&id)),
        }
    }

    /// Asks for all calls of a map that have not ended to be cancelled.
    pub async fn cancel_map(&self, map: &str) -> Result<()> {
        match self {
            Dispatcher::Local(local) => local.cancel_map(map).await,
            Dispatcher::Aws(aws) => Ok(aws.cancel_map(map).await?),
            Dispatcher::Memory(memory) => {
                memory.cancel_map(map);
                Ok(())
            }
        }
    }

    pub(crate) fn cancel_map_soon(&self, map: String) {
        match self {
            Dispatcher::Local(local) => local.cancel_map_soon(map),
            Dispatcher::Aws(aws) => aws.cancel_map_soon(map),
            Dispatcher::Memory(memory) => memory.cancel_map(&map),
        }
    }

    /// The call of that id.
    pub async fn call(&self, id: &CallId) -> Result<Option<CallRecord>> {
        match self {
            Dispatcher::Local(local) => local.call(id).await,
            Dispatcher::Aws(aws) => Ok(aws.call(id).await?),
            Dispatcher::Memory(memory) => Ok(memory.call(id)),
        }
    }

    /// The outcomes of those of `calls` that have ended.
    pub async fn outcomes(&self, calls: Vec<CallId>) -> Result<Vec<(CallId, Outcome)>> {
        match self {
            Dispatcher::Local(local) => local.outcomes(calls).await,
            Dispatcher::Aws(aws) => Ok(aws.outcomes(calls).await?),
            Dispatcher::Memory(memory) => Ok(memory.outcomes(calls)),
        }
    }

    /// Calls that pass the filter, newest first unless it says otherwise.
    pub async fn calls(&self, filter: CallFilter) -> Result<Vec<CallRecord>> {
        match self {
            Dispatcher::Local(local) => local.calls(filter).await,
            Dispatcher::Aws(aws) => Ok(aws.calls(&filter).await?),
            Dispatcher::Memory(memory) => Ok(memory.calls(&filter)),
        }
    }

    /// How many calls pass the filter, whatever its limit.
    pub async fn count(&self, filter: CallFilter) -> Result<u64> {
        match self {
            Dispatcher::Local(local) => local.count(filter).await,
            Dispatcher::Aws(aws) => Ok(aws.count(&filter).await?),
            Dispatcher::Memory(memory) => Ok(memory.count(filter)),
        }
    }

    /// Forgets calls that ended before `before`, with their logs and artifacts, and says how many.
    pub async fn prune(&self, before: Timestamp) -> Result<usize> {
        match self {
            Dispatcher::Local(local) => local.prune(before).await,
            Dispatcher::Aws(aws) => Ok(aws.prune(before).await?),
            Dispatcher::Memory(memory) => Ok(memory.prune(before)),
        }
    }

    /// Looks on: what happens to calls, without running any.
    pub fn observe(&self, interest: Interest) -> Observation {
        match self {
            Dispatcher::Local(local) => local.observe(interest),
            Dispatcher::Aws(aws) => Observation::of(aws.watch(interest)),
            Dispatcher::Memory(memory) => Observation::of(memory.watch(interest)),
        }
    }

    /// Where to read what a call writes to its log.
    pub fn log(&self, id: &CallId) -> CallLog {
        match self {
            Dispatcher::Local(local) => CallLog::File(local.log(id)),
            Dispatcher::Aws(aws) => CallLog::Bucket(aws.clone(), id.clone()),
            Dispatcher::Memory(memory) => memory.log(id),
        }
    }

    /// Why a call isn't running, in one sentence, where that can be known.
    pub async fn why(&self, id: &CallId) -> Result<Option<String>> {
        match self {
            Dispatcher::Local(_) | Dispatcher::Memory(_) => Ok(None),
            Dispatcher::Aws(aws) => Ok(aws.why(id).await?),
        }
    }
}

/// Bytes of a log that are read in one go.
const CHUNK: u64 = 1 << 20;

/// The log of a call.
#[derive(Clone, Debug)]
pub enum CallLog {
    /// A file, which is there when something was said.
    File(PathBuf),
    /// Objects of a bucket.
    Bucket(AwsDispatcher, CallId),
}

impl CallLog {
    /// What is in it from byte `from` on, or the first part of that; nothing at its end.
    pub async fn read(&self, from: u64) -> io::Result<Bytes> {
        use tokio::io::{AsyncReadExt, AsyncSeekExt};

        match self {
            CallLog::File(path) => {
                let mut file = match tokio::fs::File::open(path).await {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        return Ok(Bytes::new());
                    }
                    file => file?,
                };
                let mut bytes = Vec::new();
                file.seek(io::SeekFrom::Start(from)).await?;
                file.take(CHUNK).read_to_end(&mut bytes).await?;
                Ok(bytes.into())
            }
            CallLog::Bucket(aws, id) => match CallPlace::of(id) {
                Some(place) => {
                    let read = aws.ledger().log(&place, from).await;
                    read.map_err(|error| io::Error::other(format!("{error}: {}", error.cause)))
                }
                None => Ok(Bytes::new()),
            },
        }
    }
}
