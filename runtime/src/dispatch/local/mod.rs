//! Calls on this machine: a durable queue, one executor at a time, and warm worker processes.

mod admission;
mod attempts;
mod attendance;
mod body;
mod container;
mod elsewhere;

mod executor;
mod id;
mod listing;
mod log;
mod luggage;
mod observation;
mod process_worker;
mod queue;
mod record;
mod recover;
mod remembered;
mod reuse;
mod routine;
mod schedule;
mod setup;
mod socket;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use admission::{Difference, Placement};
pub use attendance::Attendance;
pub use container::LABEL_HOME;
pub(crate) use container::{OUTPUT, SOCKET};
pub use elsewhere::Elsewhere;
pub use executor::{Interest, Mode};
pub(crate) use id::ordered_id;
pub use listing::CallFilter;
pub use observation::Observation;
pub use queue::QueueError;
pub use record::{AttemptRecord, CallRecord, CallState, NewCall};
pub(super) use schedule::{AttemptEnd, Next, after_attempt};
pub use schedule::{Capacity, Shortfall};
pub use setup::{Setup, WORKER_IN_IMAGE, machine_capacity};

use jiff::Timestamp;
use serde_json::Value;

use crate::clock;
use crate::home::Home;
use crate::wire::{CallId, Outcome};
use queue::Queue;
use writer::{When, Writer};

/// Why calls could not be recorded or run.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The executor's lock could not be taken or looked at.
    #[error("can't lock `{path}`")]
    Lock {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The executor could not listen.
    #[error("can't listen at `{path}`")]
    Socket {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// AWS said no, or nothing.
    #[error("can't {}: {}", .0.doing, .0.cause)]
    Aws(#[from] crate::aws::AwsError),
    /// The executor's task is gone.
    #[error("the executor ended without a word")]
    Ended,
}

/// Tells whoever runs the queue of `home`, if anybody does, that something was deployed or removed.
pub async fn tell_deployed(home: &Home) {
    socket::tell_deployed(home).await;
}

/// The calls of one `VDEPLOY_HOME`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalDispatcher {
    setup: Arc<Setup>,
    writer: Writer,
}

impl LocalDispatcher {
    /// Opens the queue; runs nothing yet.
    pub fn open(setup: Setup) -> Result<Self, DispatchError> {
        let queue = Queue::open(&setup.home.queue_db())?;
        let writer = Writer::start(queue, setup.failpoint.clone());
        Ok(LocalDispatcher { setup: Arc::new(setup), writer })
    }

    /// An id for a new call.
    pub fn new_call_id(&self) -> CallId {
        CallId(id::ordered_id("c", clock::now(), rand::random()))
    }

    /// Records a call, durably, under a new id.
    pub async fn submit_as(&self, id: &CallId, call: NewCall) -> Result<(), DispatchError> {
        let (id, now) = (id.clone(), clock::now());
        self.writer.write(move |queue| queue.insert(&id, &call, now)).await?;
        self.setup.failpoint.hit("accept");
        Ok(())
    }

    /// Records a call that was begun on another machine: with the attempts made there, and what
    /// the last of them stored.
    pub(crate) async fn submit_begun(
        &self,
        id: &CallId,
        call: NewCall,
        attempts: Vec<AttemptRecord>,
        checkpoint: Option<Value>,
    ) -> Result<(), DispatchError> {
        let (id, now) = (id.clone(), clock::now());
        let submit = move |queue: &Queue| {
            queue.insert(&id, &call, now)?;
            queue.set_past(&id, &attempts, checkpoint.as_ref())
        };
        Ok(self.writer.write(submit).await?)
    }

    /// What the next attempt of a call would get back.
    pub(crate) async fn checkpoint(&self, id: &CallId) -> Result<Option<Value>, DispatchError> {
        let id = id.clone();
        Ok(self.writer.write(move |queue| queue.checkpoint(&id)).await?)
    }

    /// Asks for a call to be cancelled without waiting until that is recorded.
    pub(crate) fn cancel_soon(&self, id: CallId) {
        self.writer.post(When::Now, move |queue| queue.request_cancel(&id).map(drop));
    }

    /// Asks for the calls of a map to be cancelled without waiting until that is recorded.
    pub(crate) fn cancel_map_soon(&self, map: String) {
        self.writer.post(When::Now, move |queue| queue.request_cancel_map(&map));
    }

    /// Records calls of a map, durably and in one go, where their places are free, and tells in
    /// order what became of each.
    pub async fn place(&self, calls: Vec<NewCall>) -> Result<Vec<Placement>, DispatchError> {
        let now = clock::now();
        let place = move |queue: &Queue| {
            let id = || CallId(id::ordered_id("c", now, rand::random()));
            calls.iter().map(|call| queue.place(&id(), call, now)).collect()
        };
        let placed = self.writer.write(place).await?;
        self.setup.failpoint.hit("accept");
        Ok(placed)
    }

    /// An id for a new map.
    pub fn new_map_id(&self) -> String {
        id::ordered_id("m", clock::now(), rand::random())
    }

    /// Asks for all calls of a map that have not ended to be cancelled. Wake whoever runs the
    /// queue afterwards.
    pub async fn cancel_map(&self, map: &str) -> Result<(), DispatchError> {
        let map = map.to_owned();
        Ok(self.writer.write(move |queue| queue.request_cancel_map(&map)).await?)
    }

    /// Takes part in running the queue.
    pub fn attend(&self, mode: Mode) -> Attendance {
        Attendance::start(Arc::clone(&self.setup), self.writer.clone(), mode)
    }

    /// Looks on: what whoever runs the queue tells of it, without running it.
    pub fn observe(&self, interest: Interest) -> Observation {
        Observation::start(self.setup.home.clone(), interest)
    }

    /// Asks for a call to be cancelled; `false` when it has ended or isn't there. Wake whoever
    /// runs the queue afterwards.
    pub async fn cancel(&self, id: &CallId) -> Result<bool, DispatchError> {
        let id = id.clone();
        Ok(self.writer.write(move |queue| queue.request_cancel(&id)).await?)
    }

    /// The call of that id.
    pub async fn call(&self, id: &CallId) -> Result<Option<CallRecord>, DispatchError> {
        let id = id.clone();
        Ok(self.writer.write(move |queue| queue.call(&id)).await?)
    }

    /// The outcomes of those of `calls` that have ended.
    pub async fn outcomes(
        &self,
        calls: Vec<CallId>,
    ) -> Result<Vec<(CallId, Outcome)>, DispatchError> {
        Ok(self.writer.write(move |queue| queue.outcomes(&calls)).await?)
    }

    /// How many calls pass the filter, whatever its limit.
    pub async fn count(&self, filter: CallFilter) -> Result<u64, DispatchError> {
        Ok(self.writer.write(move |queue| queue.count(&filter)).await?)
    }

    /// Calls that pass the filter, newest first unless it says otherwise.
    pub async fn calls(&self, filter: CallFilter) -> Result<Vec<CallRecord>, DispatchError> {
        Ok(self.writer.write(move |queue| queue.calls(&filter)).await?)
    }

    /// Forgets calls that ended before `before`, with their logs and the artifacts that were left
    /// in their folders, and says how many.
    pub async fn prune(&self, before: Timestamp) -> Result<usize, DispatchError> {
        let forgotten = self.writer.write(move |queue| queue.forget_ended(before)).await?;
        for id in &forgotten {
            match std::fs::remove_dir_all(self.folder(id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%id, %error, "the folder of a call stays");
                }
                _ => {}
            }
        }
        Ok(forgotten.len())
    }

    /// What a call wrote to its log; there is no file when it wrote nothing.
    pub fn log(&self, id: &CallId) -> PathBuf {
        self.folder(id).join("log")
    }

    /// What calls can claim of this machine.
    pub fn capacity(&self) -> Capacity {
        self.setup.capacity
    }

    /// The folder of a call: `log` when it said something, `artifacts/` when it made some.
    pub fn folder(&self, id: &CallId) -> PathBuf {
        self.setup.home.call(&id.0)
    }
}
