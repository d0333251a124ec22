//! Calls and workers: giving one to the other, and hearing how it goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{
    Claim, Executor, FunctionQueue, Mode, Request, Running, Signal, WorkerEntry, WorkerKey,
};
use crate::clock;
use crate::dispatch::local::process_worker::{self, News};
use crate::dispatch::local::queue::QueueError;
use crate::dispatch::local::record::Ready;
use crate::dispatch::local::schedule::AttemptEnd;
use crate::dispatch::local::writer::When;
use crate::dispatch::{CallEvent, Callee, What};
use crate::home::Home;
use crate::process::ProcessId;
use crate::wire::Progress;
use crate::worker::frame::Invoke;

/// Progress is stored this often at most; whoever watches gets all of it.
const STORE_PROGRESS: Duration = Duration::from_secs(1);

impl Executor {
    /// Gives room to what needs it: first calls that waited for others and can go on, then calls
    /// that others wait for, then the rest. In this order what was begun is ended first, and the
    /// number of calls that wait for others stays small.
    pub(super) fn schedule(&mut self) {
        let mode = *self.mode.borrow();
        if mode == Mode::Release {
            return;
        }
        let fits = self.resume_parents() && self.start_calls(FunctionQueue::child_waits);
        if fits && mode != Mode::Drain && !self.may_find_children() {
            self.start_calls(|function| !function.ready.is_empty());
        }
    }

    /// Gives calls to workers while there is room, functions taking turns. A function whose turn
    /// it is and that doesn't fit keeps its turn, else small calls would keep a large one out:
    /// `false`.
    fn start_calls(&mut self, has_any: impl Fn(&FunctionQueue) -> bool) -> bool {
        let mut passed = 0;
        while passed < self.turns.len() {
            let Some(&id) = self.turns.front() else { return true };
            let Some(function) = self.functions.get_mut(&id) else { return true };
            if !has_any(function) || function.is_full() {
                passed += 1;
                self.turns.rotate_left(1);
                continue;
            }
            if !self.free.take(function.claim) {
                return false;
            }
            self.start_next(id);
            self.turns.rotate_left(1);
            passed = 0;
            self.fetch(id);
        }
        true
    }

    fn start_next(&mut self, id: i64) {
        let Some(function) = self.functions.get_mut(&id) else { return };
        let Some(mut call) = function.ready.pop_front() else { return };
        function.running += 1;
        if function.fetching {
            function.left_since.insert(call.seq);
        }
        let running = Running::new(&mut call, Arc::clone(&function.callee));
        let (seq, attempt, now) = (running.seq, running.attempt, clock::now());
        self.setup.failpoint.hit("claim");
        let key = match self.free_worker(id) {
            Ok(key) => key,
            Err(why) => {
                // An attempt that isn't recorded has no end either.
                self.writer.post(When::Soon, move |queue| queue.start(seq, attempt, None, now));
                return self.ended(id, running, AttemptEnd::WorkerLost(why));
            }
        };
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let pid = worker.process.map(|process| process.pid);
        self.writer.post(When::Soon, move |queue| queue.start(seq, attempt, pid, now));
        let started = running.event(What::Started { attempt });
        let invoke = Invoke {
            attempt,
            args: call.args,
            overwrite: call.overwrite,
            checkpoint: call.checkpoint,
            folder: self.setup.home.call(&call.id.0),
            call: call.id,
            ranged: BTreeMap::new(),
        };
        worker.current = Some(running);
        worker.idle_until = None;
        // A worker's task that is gone has sent its news, which ends this attempt.
        let _ = worker.requests.send(Request::Invoke(Box::new(invoke)));
        self.publish(started);
    }

    /// A worker without a call: one that is idle, or a new one.
    fn free_worker(&mut self, id: i64) -> Result<WorkerKey, String> {
        let function = self.functions.get(&id).ok_or("is of no known function")?;
        let secrets = self.setup.secrets(&function.callee.environment, &function.spec);
        while let Some(key) = self.functions.get_mut(&id).and_then(|function| function.idle.pop()) {
            if self.workers.get(&key).is_some_and(|worker| worker.secrets == secrets) {
                return Ok(key);
            }
            // It has values that were replaced since.
            self.dismiss(key);
        }
        self.start_worker(id)
    }

    /// Ends a free worker.
    pub(super) fn dismiss(&mut self, key: WorkerKey) {
        if let Some(worker) = self.workers.get(&key) {
            // A worker's task that is gone has ended it.
            let _ = worker.requests.send(Request::Kill);
        }
        self.forget_worker(key);
    }

    pub(super) fn start_worker(&mut self, id: i64) -> Result<WorkerKey, String> {
        let function = self.functions.get(&id).ok_or("is of no known function")?;
        // Before they are read: what is set meanwhile is another edition.
        let secrets = self.setup.secrets(&function.callee.environment, &function.spec);
        let blueprint = self
            .setup
            .blueprint(&function.callee.environment, &function.spec)
            .map_err(|error| format!("can't be set up: {error}"))?;
        let program = blueprint.program.display().to_string();
        let key = self.next_worker;
        self.next_worker += 1;
        let signals = self.signals.clone();
        let tell = move |news| {
            // The executor is gone only when nobody needs the news.
            let _ = signals.send(Signal::News(key, news));
        };
        let started = process_worker::start(blueprint, tell)
            .map_err(|error| format!("can't be started: `{program}`: {error}"))?;
        let process = started.process;
        if let Some(process) = process {
            self.writer.post(When::Now, move |queue| queue.add_worker(process));
        }
        self.setup.failpoint.hit("spawn");
        self.workers.insert(
            key,
            WorkerEntry {
                function: id,
                process,
                secrets,
                requests: started.requests,
                task: started.task,
                current: None,
                idle_until: None,
            },
        );
        Ok(key)
    }

    pub(super) fn news(&mut self, key: WorkerKey, news: News) {
        match news {
            News::Progress(progress) => self.progress(key, progress),
            News::Logged => {
                let Some(running) = self.running(key) else { return };
                let event = running.event(What::Logged);
                self.publish(event);
            }
            News::Checkpoint(value) => {
                let Some(running) = self.running(key) else { return };
                let (seq, attempt) = (running.seq, running.attempt);
                self.writer
                    .post(When::Now, move |queue| queue.set_checkpoint(seq, attempt, &value));
            }
            News::Submit(batch) => self.submit(key, batch),
            News::CancelMap(map) => self.cancel_map(key, map),
            News::CloseMap(map) => self.close_map(key, map),
            News::Waiting => self.give_claim_back(key),
            News::Resume(turn) => self.want_claim(key, turn),
            News::Ended { end, alive } => self.worker_ended(key, end, alive),
        }
    }

    /// The call of a worker has ended, or a worker that has none.
    fn worker_ended(&mut self, key: WorkerKey, end: AttemptEnd, alive: bool) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let function = worker.function;
        let running = worker.current.take();
        if alive {
            self.rest(key, function);
        } else {
            self.forget_worker(key);
        }
        match (running, end) {
            (Some(running), end) => self.ended(function, running, end),
            (None, AttemptEnd::WorkerLost(how) | AttemptEnd::Undelivered(how)) => {
                let callee = self.functions.get(&function).map(|function| &function.callee);
                let name = callee.map_or("", |callee| &callee.function);
                tracing::warn!("a worker of `{name}` {how}");
            }
            (None, _) => {}
        }
    }

    pub(super) fn running(&mut self, key: WorkerKey) -> Option<&mut Running> {
        self.workers.get_mut(&key)?.current.as_mut()
    }

    pub(super) fn progress(&mut self, key: WorkerKey, progress: Progress) {
        let Some(running) = self.running(key) else { return };
        let (seq, attempt) = (running.seq, running.attempt);
        let event = running.event(What::Progress { progress: progress.clone() });
        if running.stored.is_none_or(|stored| stored.elapsed() >= STORE_PROGRESS) {
            running.stored = Some(Instant::now());
            self.writer.post(When::Soon, move |queue| queue.set_progress(seq, attempt, &progress));
        }
        self.publish(event);
    }

    pub(super) fn rest(&mut self, key: WorkerKey, function: i64) {
        let Some(queue) = self.functions.get_mut(&function) else { return };
        queue.idle.push(key);
        let until = self.idle_until(function);
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.idle_until = until;
        }
    }

    pub(super) fn forget_worker(&mut self, key: WorkerKey) {
        let Some(worker) = self.workers.remove(&key) else { return };
        self.leaving.retain(|task| !task.is_finished());
        if worker.process.is_none() {
            self.leaving.push(worker.task);
        }
        if let Some(function) = self.functions.get_mut(&worker.function) {
            function.idle.retain(|idle| *idle != key);
        }
        self.hold_again(worker.function);
        self.forget_process(worker.process);
    }

    fn forget_process(&self, process: Option<ProcessId>) {
        if let Some(process) = process {
            self.writer.post(When::Now, move |queue| queue.remove_worker(process));
        }
    }

    /// Gives running calls back to the queue by ending their workers.
    pub(super) fn release(&mut self) {
        for worker in self.workers.values() {
            let _ = worker.requests.send(Request::Kill);
        }
    }

    pub(super) async fn dismiss_workers(mut self) -> Result<(), QueueError> {
        let mut containers = Vec::new();
        for (_, worker) in std::mem::take(&mut self.workers) {
            match worker.process {
                Some(process) => process.kill_group(),
                None => {
                    // One whose task is gone has been removed.
                    let _ = worker.requests.send(Request::Kill);
                    containers.push(worker.task);
                }
            }
            self.forget_process(worker.process);
        }
        containers.append(&mut self.leaving);
        futures::future::join_all(containers).await;
        remove_spares(&self.setup.home);
        // Waiting for a last write makes the earlier ones durable.
        self.writer.write(|_| Ok(())).await
    }
}

/// Removes the folders that workers which have ended kept for a next call.
pub(super) fn remove_spares(home: &Home) {
    // There are none, mostly.
    let _ = std::fs::remove_dir_all(home.spares());
}

impl Running {
    fn new(call: &mut Ready, callee: Arc<Callee>) -> Self {
        Running {
            seq: call.seq,
            attempt: call.attempts + 1,
            id: call.id.clone(),
            map: call.map.clone(),
            callee,
            is_child: call.is_child,
            reuse: call.reuse.take(),
            cancelled: false,
            stored: None,
            claim: Claim::Held,
            waits_since: None,
            waited: Duration::ZERO,
            children: BTreeMap::new(),
        }
    }

    pub(super) fn event(&self, what: What) -> CallEvent {
        let callee = Arc::clone(&self.callee);
        CallEvent { call: self.id.clone(), map: self.map.clone(), callee, what }
    }
}
