//! The one that runs calls: fetches what waits, claims room for it on this machine, gives it to a
//! worker, and records how it ended. At most one runs per `VDEPLOY_HOME`; an OS lock sees to that.
//! All its state belongs to one task, which other tasks send [`Signal`]s.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::process_worker::{self, News, Request};
use super::queue::QueueError;
use super::record::{KnownFunction, Ready};
use super::recover;
use super::schedule::{AttemptEnd, Capacity, Next, after_attempt};
use super::setup::Setup;
use super::writer::Writer;
use crate::clock;
use crate::dispatch::{CallEvent, Told, What};
use crate::function::FunctionSpec;
use crate::process::ProcessId;
use crate::wire::{CallId, Outcome, Progress};
use crate::worker::frame::Invoke;

/// Calls of one function that are held in memory while they wait.
const WINDOW: usize = 64;
/// Progress is stored this often at most; whoever watches gets all of it.
const STORE_PROGRESS: Duration = Duration::from_secs(1);

/// How long an executor goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until its command is done.
    Run,
    /// Claims nothing more and ends when nothing runs.
    Drain,
    /// Gives running calls back to the queue and ends at once.
    Release,
    /// Until nothing waits, nothing runs and no worker is warm.
    UntilIdle,
}

/// What other tasks tell the executor.
#[derive(Debug)]
pub(super) enum Signal {
    /// The queue may hold new calls or cancellations.
    Wake,
    /// Send events of these calls here.
    Subscribe(Subscription),
    /// A command hung up; calls that only it waited for are cancelled.
    Departed,
    /// What a look at the queue found.
    Looked(Vec<KnownFunction>, Vec<(i64, u32, CallId)>, Option<jiff::Timestamp>),
    /// Calls of a function.
    Fetched(i64, Vec<Ready>),
    /// News of a worker.
    News(WorkerKey, News),
    /// An end was recorded; the flag tells whether it was the first.
    Recorded(CallEvent, bool),
    /// The queue can't be read or written: nothing can be promised any more.
    Broken(QueueError),
}

/// Names a worker within one executor.
pub(super) type WorkerKey = u64;

/// Whose events a watcher wants.
#[derive(Clone, Debug)]
pub enum Interest {
    /// Of one call.
    Call(CallId),
    /// Of all calls of a map.
    Map(String),
    /// Of all calls.
    All,
}

impl Interest {
    /// Whether `event` is one of those.
    pub(super) fn covers(&self, event: &CallEvent) -> bool {
        match self {
            Interest::Call(id) => *id == event.call,
            Interest::Map(map) => event.map.as_ref() == Some(map),
            Interest::All => true,
        }
    }
}

/// A watcher.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    /// Whose events.
    pub interest: Interest,
    /// Where they go.
    pub events: mpsc::UnboundedSender<Told>,
}

/// An executor; [`Executor::run`] is its task.
#[derive(Debug)]
pub(super) struct Executor {
    setup: Arc<Setup>,
    writer: Writer,
    signals: mpsc::UnboundedSender<Signal>,
    mode: watch::Receiver<Mode>,
    functions: BTreeMap<i64, FunctionQueue>,
    turns: VecDeque<i64>,
    workers: HashMap<WorkerKey, WorkerEntry>,
    next_worker: WorkerKey,
    free: Capacity,
    due: Option<Instant>,
    watchers: Vec<Subscription>,
    /// Looks at the queue and records of ends that are on their way.
    in_flight: usize,
    looking: bool,
    look_again: bool,
}

#[derive(Debug)]
struct FunctionQueue {
    spec: Arc<FunctionSpec>,
    environment: String,
    claim: Capacity,
    ready: VecDeque<Ready>,
    running: u32,
    idle: Vec<WorkerKey>,
    fetching: bool,
    fetch_again: bool,
    /// The queue may hold more than is in memory.
    more: bool,
}

#[derive(Debug)]
struct WorkerEntry {
    function: i64,
    process: ProcessId,
    requests: mpsc::UnboundedSender<Request>,
    current: Option<Running>,
    idle_until: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    seq: i64,
    attempt: u32,
    id: CallId,
    map: Option<String>,
    cancelled: bool,
    stored: Option<Instant>,
}

impl Executor {
    /// An executor that holds the lock already.
    pub(super) fn new(
        setup: Arc<Setup>,
        writer: Writer,
        signals: mpsc::UnboundedSender<Signal>,
        mode: watch::Receiver<Mode>,
    ) -> Self {
        let free = setup.capacity;
        Executor {
            setup,
            writer,
            signals,
            mode,
            functions: BTreeMap::new(),
            turns: VecDeque::new(),
            workers: HashMap::new(),
            next_worker: 0,
            free,
            due: None,
            watchers: Vec::new(),
            in_flight: 0,
            looking: false,
            look_again: false,
        }
    }

    /// Ends what an earlier executor left, then runs calls until its mode says stop.
    pub(super) async fn run(
        mut self,
        mut incoming: mpsc::UnboundedReceiver<Signal>,
    ) -> Result<(), QueueError> {
        recover::from_dead_executor(&self.writer).await?;
        self.look();
        while !self.is_done() {
            let timer = self.next_timer();
            tokio::select! {
                Some(signal) = incoming.recv() => {
                    self.handle(signal)?;
                    while let Ok(signal) = incoming.try_recv() {
                        self.handle(signal)?;
                    }
                }
                changed = self.mode.changed() => {
                    // A command that is gone has nobody left to run calls for.
                    if changed.is_err() { break; }
                    if *self.mode.borrow() == Mode::Release { self.release(); }
                }
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                    self.on_timer();
                }
            }
            self.schedule();
        }
        self.dismiss_workers().await
    }

    fn is_done(&self) -> bool {
        let busy = self.in_flight > 0 || self.workers.values().any(|w| w.current.is_some());
        let waiting = self.functions.values().any(|f| !f.ready.is_empty() || f.more || f.fetching);
        match *self.mode.borrow() {
            Mode::Run => false,
            Mode::Drain | Mode::Release => !busy,
            Mode::UntilIdle => {
                !busy && !waiting && self.workers.is_empty() && self.due.is_none() && !self.looking
            }
        }
    }

    fn handle(&mut self, signal: Signal) -> Result<(), QueueError> {
        match signal {
            Signal::Wake => self.look(),
            Signal::Subscribe(subscription) => {
                // A watcher that is gone already is dropped with the next event.
                let _ = subscription.events.send(Told::Attached);
                self.watchers.push(subscription);
            }
            Signal::Departed => self.cancel_abandoned(),
            Signal::Looked(functions, cancelling, due) => self.looked(functions, cancelling, due),
            Signal::Fetched(function, calls) => self.fetched(function, calls),
            Signal::News(worker, news) => self.news(worker, news),
            Signal::Recorded(event, first) => {
                self.in_flight -= 1;
                if first {
                    self.publish(event);
                }
            }
            Signal::Broken(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks at the queue, once at a time; a wish that comes meanwhile is granted after.
    fn look(&mut self) {
        if self.looking {
            self.look_again = true;
            return;
        }
        self.looking = true;
        self.in_flight += 1;
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            let now = clock::now();
            let found = writer
                .write(move |queue| {
                    Ok((queue.functions_with_queued()?, queue.cancelling()?, queue.next_due(now)?))
                })
                .await;
            // The executor is gone only when nobody needs the answer.
            let _ = signals.send(match found {
                Ok((functions, cancelling, due)) => Signal::Looked(functions, cancelling, due),
                Err(error) => Signal::Broken(error),
            });
        });
    }

    fn looked(
        &mut self,
        functions: Vec<KnownFunction>,
        cancelling: Vec<(i64, u32, CallId)>,
        due: Option<jiff::Timestamp>,
    ) {
        self.in_flight -= 1;
        self.looking = false;
        if std::mem::take(&mut self.look_again) {
            self.look();
        }
        self.due = due.map(|due| Instant::now() + until(due));
        for (seq, attempts, id) in cancelling {
            self.cancel(seq, attempts, id);
        }
        for known in functions {
            let id = known.id;
            if !self.functions.contains_key(&id) {
                self.functions.insert(id, FunctionQueue::new(known, &self.setup.capacity));
                self.turns.push_back(id);
            }
            if let Some(function) = self.functions.get_mut(&id) {
                function.more = true;
                // What is on its way may have been read before the queue changed.
                function.fetch_again = function.fetching;
            }
            self.fetch(id);
        }
    }

    /// Gets more calls of a function when few are left in memory.
    fn fetch(&mut self, id: i64) {
        let draining = matches!(*self.mode.borrow(), Mode::Drain | Mode::Release);
        let Some(function) = self.functions.get_mut(&id) else { return };
        if draining || function.fetching || !function.more || function.ready.len() > WINDOW / 2 {
            return;
        }
        function.fetching = true;
        let limit = WINDOW + function.ready.len();
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            let now = clock::now();
            let calls = writer.write(move |queue| queue.ready(id, limit, now)).await;
            let _ = signals.send(match calls {
                Ok(calls) => Signal::Fetched(id, calls),
                Err(error) => Signal::Broken(error),
            });
        });
    }

    fn fetched(&mut self, id: i64, calls: Vec<Ready>) {
        let Some(function) = self.functions.get_mut(&id) else { return };
        function.fetching = false;
        let again = std::mem::take(&mut function.fetch_again);
        function.more = again || calls.len() >= WINDOW;
        let mut held: HashSet<i64> = function.ready.iter().map(|call| call.seq).collect();
        held.extend(self.workers.values().filter_map(|w| w.current.as_ref().map(|c| c.seq)));
        function.ready.extend(calls.into_iter().filter(|call| !held.contains(&call.seq)));
        if again {
            self.fetch(id);
        }
    }

    /// Gives calls to workers while there is room, functions taking turns. A function whose turn
    /// it is and that doesn't fit keeps its turn: else small calls would keep a large one out.
    fn schedule(&mut self) {
        if matches!(*self.mode.borrow(), Mode::Drain | Mode::Release) {
            return;
        }
        let mut passed = 0;
        while passed < self.turns.len() {
            let Some(&id) = self.turns.front() else { return };
            let Some(function) = self.functions.get_mut(&id) else { return };
            let limit = function.spec.scaling.max_containers.unwrap_or(u32::MAX);
            if function.ready.is_empty() || function.running >= limit {
                passed += 1;
                self.turns.rotate_left(1);
                continue;
            }
            if !self.free.take(function.claim) {
                return;
            }
            self.start_next(id);
            self.turns.rotate_left(1);
            passed = 0;
            self.fetch(id);
        }
    }

    fn start_next(&mut self, id: i64) {
        let Some(function) = self.functions.get_mut(&id) else { return };
        let Some(call) = function.ready.pop_front() else { return };
        function.running += 1;
        let attempt = call.attempts + 1;
        let running = Running {
            seq: call.seq,
            attempt,
            id: call.id.clone(),
            map: call.map.clone(),
            cancelled: false,
            stored: None,
        };
        self.setup.failpoint.hit("claim");
        let key = match self.functions.get_mut(&id).and_then(|f| f.idle.pop()) {
            Some(key) => Ok(key),
            None => self.start_worker(id),
        };
        let key = match key {
            Ok(key) => key,
            Err(why) => return self.ended(id, running, AttemptEnd::WorkerLost(why)),
        };
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let (seq, pid, now) = (running.seq, worker.process.pid, clock::now());
        self.writer.post(move |queue| queue.start(seq, attempt, pid, now));
        let invoke = Invoke {
            call: call.id.clone(),
            attempt,
            args: call.args,
            overwrite: call.overwrite,
            checkpoint: call.checkpoint,
            folder: self.setup.home.call(&call.id.0),
        };
        worker.current = Some(running);
        worker.idle_until = None;
        // A worker's task that is gone has sent its news, which ends this attempt.
        let _ = worker.requests.send(Request::Invoke(Box::new(invoke)));
        self.publish(CallEvent { call: call.id, map: call.map, what: What::Started { attempt } });
    }

    fn start_worker(&mut self, id: i64) -> Result<WorkerKey, String> {
        let function = self.functions.get(&id).ok_or("is of no known function")?;
        let blueprint = self
            .setup
            .blueprint(&function.environment, &function.spec)
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
        self.writer.post(move |queue| queue.add_worker(process));
        self.setup.failpoint.hit("spawn");
        self.workers.insert(
            key,
            WorkerEntry {
                function: id,
                process,
                requests: started.requests,
                current: None,
                idle_until: None,
            },
        );
        Ok(key)
    }

    fn news(&mut self, key: WorkerKey, news: News) {
        match news {
            News::Progress(progress) => self.progress(key, progress),
            News::Checkpoint(value) => {
                let Some(running) = self.running(key) else { return };
                let (seq, attempt) = (running.seq, running.attempt);
                self.writer.post(move |queue| queue.set_checkpoint(seq, attempt, &value));
            }
            News::Ended { end, alive } => {
                let Some(worker) = self.workers.get_mut(&key) else { return };
                let function = worker.function;
                let running = worker.current.take();
                if alive {
                    self.rest(key, function);
                } else {
                    self.forget_worker(key);
                }
                if let Some(running) = running {
                    self.ended(function, running, end);
                }
            }
            News::Gone => self.forget_worker(key),
        }
    }

    fn running(&mut self, key: WorkerKey) -> Option<&mut Running> {
        self.workers.get_mut(&key)?.current.as_mut()
    }

    fn progress(&mut self, key: WorkerKey, progress: Progress) {
        let Some(running) = self.running(key) else { return };
        let (seq, attempt) = (running.seq, running.attempt);
        let event = CallEvent {
            call: running.id.clone(),
            map: running.map.clone(),
            what: What::Progress { progress: progress.clone() },
        };
        if running.stored.is_none_or(|stored| stored.elapsed() >= STORE_PROGRESS) {
            running.stored = Some(Instant::now());
            self.writer.post(move |queue| queue.set_progress(seq, attempt, &progress));
        }
        self.publish(event);
    }

    fn rest(&mut self, key: WorkerKey, function: i64) {
        let Some(queue) = self.functions.get_mut(&function) else { return };
        queue.idle.push(key);
        let window = queue.spec.scaling.scaledown_window_seconds;
        let window = Duration::try_from_secs_f64(window).unwrap_or_default();
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.idle_until = Some(Instant::now() + window);
        }
    }

    fn forget_worker(&mut self, key: WorkerKey) {
        let Some(worker) = self.workers.remove(&key) else { return };
        if let Some(function) = self.functions.get_mut(&worker.function) {
            function.idle.retain(|idle| *idle != key);
        }
        self.writer.post(move |queue| queue.remove_worker(worker.process));
    }

    fn ended(&mut self, function: i64, running: Running, end: AttemptEnd) {
        let Some(queue) = self.functions.get_mut(&function) else { return };
        queue.running -= 1;
        self.free.give(queue.claim);
        let spec = Arc::clone(&queue.spec);
        let Running { seq, attempt, id, map, cancelled, .. } = running;
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        let next = after_attempt(end, &spec, attempt, cancelled, rand::random());
        self.setup.failpoint.hit("outcome");
        self.in_flight += 1;
        tokio::spawn(async move {
            let retrying = matches!(next, Next::Retry(..));
            let recorded = record(&writer, seq, attempt, next).await;
            let _ = signals.send(recorded_signal(id, map, recorded));
            if retrying {
                let _ = signals.send(Signal::Wake);
            }
        });
    }

    fn cancel(&mut self, seq: i64, attempts: u32, id: CallId) {
        let running = self
            .workers
            .values_mut()
            .find(|worker| worker.current.as_ref().is_some_and(|current| current.seq == seq));
        if let Some(worker) = running {
            if let Some(current) = &mut worker.current {
                current.cancelled = true;
            }
            let _ = worker.requests.send(Request::Cancel(id));
            return;
        }
        let mut map = None;
        for function in self.functions.values_mut() {
            if let Some(place) = function.ready.iter().position(|call| call.seq == seq) {
                map = function.ready.remove(place).and_then(|call| call.map);
            }
        }
        self.in_flight += 1;
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            let next = Next::Finish(super::record::CallState::Cancelled, Outcome::Cancelled);
            let recorded = record(&writer, seq, attempts, next).await;
            let _ = signals.send(recorded_signal(id, map, recorded));
        });
    }

    fn cancel_abandoned(&mut self) {
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            match recover::cancel_abandoned(&writer).await {
                Ok(()) => drop(signals.send(Signal::Wake)),
                Err(error) => tracing::warn!(%error, "can't look for abandoned calls"),
            }
        });
    }

    /// Gives running calls back to the queue by ending their workers.
    fn release(&mut self) {
        for worker in self.workers.values() {
            let _ = worker.requests.send(Request::Kill);
        }
    }

    fn publish(&mut self, event: CallEvent) {
        self.watchers.retain(|watcher| {
            if watcher.interest.covers(&event) {
                watcher.events.send(Told::Call(event.clone())).is_ok()
            } else {
                !watcher.events.is_closed()
            }
        });
    }

    fn next_timer(&self) -> Option<Instant> {
        self.workers.values().filter_map(|worker| worker.idle_until).chain(self.due).min()
    }

    fn on_timer(&mut self) {
        let now = Instant::now();
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.look();
        }
        let expired: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.idle_until.is_some_and(|until| until <= now))
            .map(|(key, _)| *key)
            .collect();
        for key in expired {
            if let Some(worker) = self.workers.get(&key) {
                let _ = worker.requests.send(Request::Kill);
            }
            self.forget_worker(key);
        }
    }

    async fn dismiss_workers(mut self) -> Result<(), QueueError> {
        for (_, worker) in self.workers.drain() {
            worker.process.kill_group();
            self.writer.post(move |queue| queue.remove_worker(worker.process));
        }
        // Waiting for a last write makes the earlier ones durable.
        self.writer.write(|_| Ok(())).await
    }
}

impl FunctionQueue {
    fn new(known: KnownFunction, machine: &Capacity) -> Self {
        FunctionQueue {
            claim: machine.clamp(&known.spec.resources, known.spec.hardware),
            spec: Arc::new(known.spec),
            environment: known.environment,
            ready: VecDeque::new(),
            running: 0,
            idle: Vec::new(),
            fetching: false,
            fetch_again: false,
            more: true,
        }
    }
}

fn recorded_signal(
    call: CallId,
    map: Option<String>,
    recorded: Result<(What, bool), QueueError>,
) -> Signal {
    match recorded {
        Ok((what, first)) => Signal::Recorded(CallEvent { call, map, what }, first),
        Err(error) => Signal::Broken(error),
    }
}

/// Records what follows an attempt; the flag tells whether this was the attempt that counts.
async fn record(
    writer: &Writer,
    seq: i64,
    attempt: u32,
    next: Next,
) -> Result<(What, bool), QueueError> {
    let now = clock::now();
    let (what, written) = match next {
        Next::Finish(state, outcome) => {
            let what = What::Ended { outcome: outcome.clone() };
            let write =
                move |queue: &super::queue::Queue| queue.finish(seq, attempt, state, &outcome, now);
            (what, writer.write(write).await)
        }
        Next::Retry(failure, delay) => {
            let what = What::Retrying {
                attempt,
                failure: failure.clone(),
                delay_seconds: delay.as_secs_f64(),
            };
            let due = now.saturating_add(delay).unwrap_or(now);
            let write =
                move |queue: &super::queue::Queue| queue.retry(seq, attempt, &failure, due, now);
            (what, writer.write(write).await)
        }
    };
    Ok((what, written?))
}

fn until(due: jiff::Timestamp) -> Duration {
    Duration::try_from(due.duration_since(clock::now())).unwrap_or_default()
}
