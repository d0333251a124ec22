//! Calls that running calls make, and what those claim while they wait.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{
    ChildMap, Claim, Executor, Interest, Request, Running, Signal, Subscription, WorkerKey,
};
use crate::catalog::Catalog;
use crate::dispatch::local::Elsewhere;
use crate::dispatch::local::routine::Caller;
use crate::dispatch::local::writer::When;
use crate::dispatch::{CallEvent, Told, What};
use crate::wire::{CallId, Failure, FailureKind, Outcome};
use crate::worker::frame::{Accepted, Batch, Routine, ToWorker};

impl Executor {
    /// Records the calls of a batch and tells the worker what became of them.
    pub(super) fn submit(&mut self, key: WorkerKey, batch: Batch) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let Some(function) = self.functions.get(&worker.function) else { return };
        let Some(running) = worker.current.as_mut() else { return };
        let map = map_id(&running.id, running.attempt, &batch);
        let by_name = matches!(batch.routine, Routine::Function { .. });
        let elsewhere = self.setup.elsewhere.clone().filter(|_| by_name);
        if batch.first == 0 {
            let told = match &elsewhere {
                Some(elsewhere) => elsewhere.watch(&map),
                None => {
                    let (events, told) = mpsc::unbounded_channel();
                    let interest = Interest::Map(map.clone());
                    self.watchers.push(Subscription { interest, events });
                    told
                }
            };
            let folder = self.setup.home.call(&running.id.0).join("scratch").join(CALLED);
            let wanted = elsewhere.clone().filter(|_| batch.settings.files);
            let files = wanted.map(|elsewhere| Files::new(elsewhere, folder));
            let (done, ended) = mpsc::unbounded_channel();
            let done = files.is_some().then_some(done);
            let way = Way { map: batch.map, requests: worker.requests.clone() };
            let mut task = JoinSet::new();
            task.spawn(pass_on(way, told, ended, files));
            running.children.insert(
                batch.map,
                ChildMap {
                    id: map.clone(),
                    cancelled: Arc::default(),
                    elsewhere: elsewhere.clone(),
                    done,
                    _events: task,
                },
            );
        }
        let environment = &function.callee.environment;
        let child_map = running.children.get(&batch.map);
        let cancelled = child_map.map(|map| Arc::clone(&map.cancelled));
        let done = child_map.and_then(|map| map.done.clone());
        let caller = Caller {
            cancelled: cancelled.unwrap_or_default(),
            call: running.id.clone(),
            attempt: running.attempt,
            environment: environment.clone(),
            function: Arc::clone(&function.spec),
            version: function.version,
            catalog: Catalog::new(self.setup.home.environment(environment)),
        };
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        let (requests, failpoint) = (worker.requests.clone(), self.setup.failpoint.clone());
        self.in_flight += 1;
        tokio::spawn(async move {
            let number = batch.map;
            let placed = match (elsewhere, batch.routine.clone()) {
                (Some(elsewhere), Routine::Function { name }) => {
                    Ok(elsewhere.place(caller, batch, &name, &map).await)
                }
                _ => caller.place(batch, map, &writer).await,
            };
            let signal = match placed {
                Ok(mut accepted) => {
                    failpoint.hit("child");
                    if let Some(done) = done {
                        // Nobody hears of it when the map was closed.
                        take_ended(&mut accepted).into_iter().for_each(|one| drop(done.send(one)));
                    }
                    // The worker is gone only when nobody waits for the answer.
                    let _ =
                        requests.send(Request::Tell(ToWorker::Accepted { map: number, accepted }));
                    Signal::Submitted
                }
                Err(error) => Signal::Broken(error),
            };
            let _ = signals.send(signal);
        });
    }

    /// Asks for the calls of a map that a running call makes to be cancelled.
    pub(super) fn cancel_map(&mut self, key: WorkerKey, map: u32) {
        let Some(running) = self.running(key) else { return };
        let Some(map) = running.children.get(&map) else { return };
        // Before the write: what is recorded after it sees the flag, what is recorded before it is
        // found by the write.
        map.cancelled.store(true, Ordering::Release);
        let id = map.id.clone();
        if let Some(elsewhere) = &map.elsewhere {
            return elsewhere.cancel(&id);
        }
        self.writer.post(When::Now, move |queue| queue.request_cancel_map(&id));
        self.look();
    }

    /// A running call is done with calls that it made: a call that makes thousands, one after the
    /// other, has no more on the books than it waits for.
    pub(super) fn close_map(&mut self, key: WorkerKey, map: u32) {
        if let Some(running) = self.running(key) {
            running.children.remove(&map);
        }
    }

    /// A running call only waits: others may have what it claims.
    pub(super) fn give_claim_back(&mut self, key: WorkerKey) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let Some(function) = self.functions.get_mut(&worker.function) else { return };
        let Some(running) = worker.current.as_mut() else { return };
        if running.claim == Claim::Held {
            function.running -= 1;
            self.free.give(function.claim);
        }
        running.claim = Claim::GivenBack;
        running.waits_since.get_or_insert_with(Instant::now);
        self.setup.failpoint.hit("waiting");
    }

    /// A running call can go on and waits for its claim.
    pub(super) fn want_claim(&mut self, key: WorkerKey, turn: u64) {
        let Some(running) = self.running(key) else { return };
        if running.claim == Claim::GivenBack {
            running.claim = Claim::Wanted(turn);
            self.resuming.push_back(key);
        }
    }

    /// Gives calls that waited their claim again, in their order; one that doesn't fit keeps its
    /// turn: `false`.
    pub(super) fn resume_parents(&mut self) -> bool {
        for _ in 0..self.resuming.len() {
            let Some(key) = self.resuming.pop_front() else { return true };
            let Some(worker) = self.workers.get_mut(&key) else { continue };
            let Some(function) = self.functions.get_mut(&worker.function) else { continue };
            let Some(running) = worker.current.as_mut() else { continue };
            let Claim::Wanted(turn) = running.claim else { continue };
            if function.is_full() {
                self.resuming.push_back(key);
                continue;
            }
            if !self.free.take(function.claim) {
                self.resuming.push_front(key);
                return false;
            }
            function.running += 1;
            running.claim = Claim::Held;
            running.waited = running.waited();
            running.waits_since = None;
            self.setup.failpoint.hit("resume");
            let _ = worker.requests.send(Request::Tell(ToWorker::Resumed { turn }));
        }
        true
    }

    /// Whether a look at the queue is under way that may bring calls which others wait for; they
    /// go first.
    pub(super) fn may_find_children(&self) -> bool {
        let looking = self.looking || self.functions.values().any(|function| function.fetching);
        looking && self.has_parents()
    }

    /// Whether any running call has made calls.
    pub(super) fn has_parents(&self) -> bool {
        let mut running = self.workers.values().filter_map(|worker| worker.current.as_ref());
        running.any(|running| !running.children.is_empty())
    }
}

impl Running {
    /// How long it has had no claim.
    pub(super) fn waited(&self) -> Duration {
        self.waited + self.waits_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// The id of a map that a call makes. One that can be resumed has the same id in every attempt.
fn map_id(call: &CallId, attempt: u32, batch: &Batch) -> String {
    match &batch.settings.resume {
        Some(name) => format!("{call}:{name}"),
        None => format!("{call}/{attempt}/{}", batch.map),
    }
}

/// Where, in the scratch folder of a call, files are of calls that it made elsewhere.
const CALLED: &str = "called";

/// Calls whose files are brought at the same time; each holds some memory.
const AT_ONCE: usize = 4;

/// The calls of `accepted` that had ended already, left as if they were open.
fn take_ended(accepted: &mut Result<Vec<Accepted>, Failure>) -> Vec<(CallId, Outcome)> {
    let accepted = accepted.iter_mut().flatten();
    accepted.filter_map(|one| Some((one.call.clone(), one.outcome.take()?))).collect()
}

/// Brings files of calls that ran elsewhere to where their caller is.
#[derive(Clone)]
struct Files {
    elsewhere: Elsewhere,
    folder: PathBuf,
    room: Arc<Semaphore>,
}

impl Files {
    fn new(elsewhere: Elsewhere, folder: PathBuf) -> Self {
        Files { elsewhere, folder, room: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    async fn bring(self, call: CallId, outcome: Outcome) -> Outcome {
        let _room = self.room.acquire().await;
        let folder = self.folder.join(&call.0);
        let bring = self.elsewhere.bring(outcome, &folder);
        // Whoever waits for the call is told in any case.
        let brought = AssertUnwindSafe(bring).catch_unwind().await;
        brought.unwrap_or_else(|_| {
            let failure = Failure::new(FailureKind::Handler, "bringing its files failed");
            Outcome::Failed { failure }
        })
    }
}

/// The way to a worker whose call made a map.
#[derive(Clone)]
struct Way {
    map: u32,
    requests: mpsc::UnboundedSender<Request>,
}

impl Way {
    /// Tells it what happened to a call; `false` when it is gone.
    fn tell(&self, call: CallId, what: What) -> bool {
        let message = ToWorker::Child { map: self.map, call, what };
        self.requests.send(Request::Tell(message)).is_ok()
    }
}

/// Tells a worker what happens to the calls of a map that its call makes; of an end once what the call made
/// is here, while others go on. `done` had ended before.
async fn pass_on(
    way: Way,
    mut told: mpsc::UnboundedReceiver<Told>,
    mut done: mpsc::UnboundedReceiver<(CallId, Outcome)>,
    files: Option<Files>,
) {
    let (mut bringing, mut ended) = (JoinSet::new(), HashSet::new());
    loop {
        let (call, what) = tokio::select! {
            told = told.recv() => match told {
                Some(Told::Call(CallEvent { call, what, .. })) => (call, what),
                Some(_) => continue,
                None => break,
            },
            Some((call, outcome)) = done.recv() => (call, What::Ended { outcome }),
        };
        match (what, &files) {
            (What::Logged, _) => {}
            (What::Ended { outcome }, Some(files)) => {
                // It may be told twice.
                if ended.insert(call.clone()) {
                    let (files, way) = (files.clone(), way.clone());
                    bringing.spawn(async move {
                        let outcome = files.bring(call.clone(), outcome).await;
                        way.tell(call, What::Ended { outcome });
                    });
                }
            }
            (what, _) => {
                if !way.tell(call, what) {
                    return;
                }
            }
        }
        while bringing.try_join_next().is_some() {}
    }
    while bringing.join_next().await.is_some() {}
}
