//! Calls that this process runs itself, and forgets when it ends: for tests of programs that call
//! functions, which then need no deploy, no queue and no worker.
//!
//! Attempts, retries, timeouts, cancellation and events are those of a machine: the same
//! `after_attempt` decides and the same `execute` runs. What handlers print goes where this process
//! prints, so logs are empty; handlers can't call functions, and nothing is cached. Programs are not
//! run: whoever runs them looks after all children of its process, which here are somebody else's.

mod ledger;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::local::{
    AttemptEnd, CallFilter, CallRecord, Interest, NewCall, Next, Placement, after_attempt,
};
use super::{CallLog, Told, What, ordered_id};
use crate::children::Calls;
use crate::clock;
use crate::ffmpeg::Tools;
use crate::function::Entry;
use crate::handler::{Registry, Report};
use crate::oom::OomWatch;
use crate::wire::{CallId, Failure, FailureKind, Invocation, Outcome, VERSION};
use crate::worker::{Worker, execute};
use ledger::Ledger;

/// How long a call that was asked to stop may take before nobody waits for it any more.
const GRACE: Duration = Duration::from_secs(5);

/// The calls of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MemoryDispatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    worker: Worker,
    /// Scratch folders and artifacts.
    folder: TempDir,
    /// Calls that may run at the same time.
    slots: Semaphore,
    ledger: Mutex<Ledger>,
}

impl MemoryDispatcher {
    /// No calls yet; `registry` has the handlers of all functions.
    ///
    /// # Errors
    ///
    /// If there is no room for temporary files.
    pub fn new(registry: Registry) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("vdeploy-memory-").tempdir()?;
        let worker = Worker {
            registry: Arc::new(registry),
            tools: Tools::of_image(folder.path().join("cache")),
            source: None,
            oom: Arc::new(OomWatch::start()),
            spare: Arc::default(),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (slots, ledger) = (Semaphore::new(cores), Mutex::default());
        Ok(MemoryDispatcher { inner: Arc::new(Inner { worker, folder, slots, ledger }) })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.inner.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id for a new call.
    pub fn new_call_id(&self) -> CallId {
        CallId(ordered_id("c", clock::now(), rand::random()))
    }

    /// An id for a new map.
    pub fn new_map_id(&self) -> String {
        ordered_id("m", clock::now(), rand::random())
    }

    /// Records a call and has it run.
    pub fn submit_as(&self, id: &CallId, call: NewCall) {
        let cancel = self.ledger().record(id, &call, clock::now());
        tokio::spawn(self.clone().run(id.clone(), call, cancel));
    }

    /// Records calls of a map where their places are free.
    pub fn place(&self, calls: Vec<NewCall>) -> Vec<Placement> {
        let place = |call: NewCall| {
            let occupied = self.ledger().occupant(&call);
            occupied.unwrap_or_else(|| {
                let id = self.new_call_id();
                self.submit_as(&id, call);
                Placement::New(id)
            })
        };
        calls.into_iter().map(place).collect()
    }

    /// Asks for a call to be cancelled; `false` when it has ended or isn't there.
    pub fn cancel(&self, id: &CallId) -> bool {
        self.ledger().cancel(|record| record.id == *id) > 0
    }

    /// Asks for all calls of a map that have not ended to be cancelled.
    pub fn cancel_map(&self, map: &str) {
        self.ledger().cancel(|record| record.map.as_deref() == Some(map));
    }

    /// The call of that id.
    pub fn call(&self, id: &CallId) -> Option<CallRecord> {
        self.ledger().call(id).cloned()
    }

    /// The outcomes of those of `calls` that have ended.
    pub fn outcomes(&self, calls: Vec<CallId>) -> Vec<(CallId, Outcome)> {
        let ledger = self.ledger();
        let outcome = |id: CallId| {
            let outcome = ledger.call(&id)?.outcome.clone()?;
            Some((id, outcome))
        };
        calls.into_iter().filter_map(outcome).collect()
    }

    /// Calls that pass the filter.
    pub fn calls(&self, filter: &CallFilter) -> Vec<CallRecord> {
        self.ledger().calls(filter)
    }

    /// How many calls pass the filter, whatever its limit.
    pub fn count(&self, filter: CallFilter) -> u64 {
        self.ledger().calls(&CallFilter { limit: None, ..filter }).len() as u64
    }

    /// Forgets calls that ended before `before`, with their artifacts, and says how many.
    pub fn prune(&self, before: Timestamp) -> usize {
        let forgotten = self.ledger().prune(before);
        for id in &forgotten {
            // Most have no folder.
            let _ = std::fs::remove_dir_all(self.inner.folder.path().join(&id.0));
        }
        forgotten.len()
    }

    /// What happens to calls from now on.
    pub fn watch(&self, interest: Interest) -> mpsc::UnboundedReceiver<Told> {
        self.ledger().watch(interest)
    }

    /// Where to read what a call writes to its log: nothing.
    pub fn log(&self, id: &CallId) -> CallLog {
        CallLog::File(self.inner.folder.path().join(&id.0).join("log"))
    }

    /// Runs a call to its end, with as many attempts as it gets.
    async fn run(self, id: CallId, call: NewCall, cancel: CancellationToken) {
        let mut attempt = 1;
        loop {
            let end = tokio::select! {
                biased;
                () = cancel.cancelled() => AttemptEnd::Outcome(Outcome::Cancelled),
                Ok(_slot) = self.inner.slots.acquire() => {
                    self.attempt(&id, &call, attempt, &cancel).await
                }
            };
            let (cancelled, jitter) = (cancel.is_cancelled(), rand::random());
            match after_attempt(end, &call.function, attempt, cancelled, jitter) {
                Next::Finish(state, outcome) => {
                    return self.ledger().end(&id, state, outcome, clock::now());
                }
                Next::Retry(failure, delay) => {
                    let delay_seconds = delay.as_secs_f64();
                    let what = What::Retrying { attempt, failure, delay_seconds };
                    self.ledger().happened(&id, what, clock::now());
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = cancel.cancelled() => {}
                    }
                }
            }
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        id: &CallId,
        call: &NewCall,
        attempt: u32,
        cancel: &CancellationToken,
    ) -> AttemptEnd {
        self.ledger().happened(id, What::Started { attempt }, clock::now());
        if matches!(call.function.entry, Entry::Command { .. }) {
            return AttemptEnd::Outcome(Outcome::Failed { failure: no_program(call) });
        }
        let (stop, invocation) = (cancel.child_token(), self.invocation(id, call, attempt));
        let (this, which) = (self.clone(), id.clone());
        let report = move |report| match report {
            Report::Progress(progress) => {
                this.ledger().happened(&which, What::Progress { progress }, clock::now());
            }
            Report::Checkpoint(value) => this.ledger().keep(&which, value),
        };
        let calls = Calls::none();
        let work = execute(&self.inner.worker, invocation, stop.clone(), calls, report);
        tokio::pin!(work);
        let limit = Duration::try_from_secs_f64(call.function.timeout_seconds);
        let timed_out = tokio::select! {
            outcome = &mut work => return AttemptEnd::Outcome(outcome),
            () = cancel.cancelled() => false,
            () = tokio::time::sleep(limit.unwrap_or(Duration::MAX)) => true,
        };
        stop.cancel();
        match (timed_out, tokio::time::timeout(GRACE, work).await) {
            (true, _) => AttemptEnd::TimedOut,
            (false, Ok(outcome)) => AttemptEnd::Outcome(outcome),
            (false, Err(_)) => AttemptEnd::Outcome(Outcome::Cancelled),
        }
    }

    fn invocation(&self, id: &CallId, call: &NewCall, attempt: u32) -> Invocation {
        let folder = self.inner.folder.path().join(&id.0);
        Invocation {
            v: VERSION,
            call: id.clone(),
            attempt,
            function: call.function.clone(),
            args: call.args.clone(),
            overwrite: call.overwrite,
            checkpoint: self.ledger().kept(id),
            scratch: folder.join("scratch"),
            artifacts: folder.join("artifacts"),
            volumes: Default::default(),
            ranged: Default::default(),
        }
    }
}

fn no_program(call: &NewCall) -> Failure {
    let message = format!("`{}` is a program, and those don't run in memory", call.function.name);
    Failure::new(FailureKind::InvalidArgs, message)
        .hint("name a handler of the registry in its place")
}
