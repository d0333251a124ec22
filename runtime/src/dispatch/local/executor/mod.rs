//! The one that runs calls: fetches what waits, claims room for it on this machine, gives it to a
//! worker, and records how it ended. At most one runs per `VDEPLOY_HOME`; an OS lock sees to that.
//! All its state belongs to one task, which other tasks send [`Signal`]s.

mod assign;
mod children;
mod ends;
mod function_queue;
mod hold;
mod intake;
mod reuse;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::container;
use super::elsewhere::Elsewhere;
use super::process_worker::{News, Request};
use super::queue::QueueError;
use super::record::{Cancelling, KnownFunction, Ready};
use super::recover;
use super::reuse::{Key, Reusable};
use super::schedule::Capacity;
use super::setup::Setup;
use super::writer::Writer;
use crate::dispatch::{CallEvent, Callee, Told, What};
use crate::process::ProcessId;
use crate::secret::Edition;
use crate::wire::{CallId, Outcome};
use function_queue::FunctionQueue;
use reuse::Checked;

/// How long an executor goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until its command is done.
    Run,
    /// Until it is told to end, with as many workers ready as functions ask for.
    Serve,
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
    Looked(Vec<KnownFunction>, Vec<Cancelling>, Option<jiff::Timestamp>),
    /// Calls of a function.
    Fetched(i64, Vec<Ready>),
    /// What became of a call that was looked up among earlier ones.
    Checked(i64, i64, Box<Checked>),
    /// Something was deployed or removed.
    Deployed,
    /// What is deployed, and the functions that want workers held ready.
    Held(HashSet<(Callee, u64)>, Vec<KnownFunction>),
    /// News of a worker.
    News(WorkerKey, News),
    /// An end was recorded; the flag tells whether it was the first.
    Recorded(CallEvent, bool),
    /// Calls that a running call makes were recorded, or refused.
    Submitted,
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
    /// Of all calls of an environment, what waits and what is logged included.
    Environment(String),
}

impl Interest {
    /// Whether `event` is one of those.
    pub(in crate::dispatch) fn covers(&self, event: &CallEvent) -> bool {
        let for_lookers_on = matches!(event.what, What::Queued | What::Logged);
        match self {
            Interest::Call(id) => *id == event.call && !for_lookers_on,
            Interest::Map(map) => event.map.as_ref() == Some(map) && !for_lookers_on,
            Interest::Environment(name) => *name == event.callee.environment,
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
    running: watch::Sender<usize>,
    functions: BTreeMap<i64, FunctionQueue>,
    turns: VecDeque<i64>,
    /// Workers whose calls gave their claim back and want it again, first come, first served.
    resuming: VecDeque<WorkerKey>,
    workers: HashMap<WorkerKey, WorkerEntry>,
    /// Containers that are on their way out.
    leaving: Vec<JoinHandle<()>>,
    next_worker: WorkerKey,
    free: Capacity,
    due: Option<Instant>,
    /// When workers that ended while they were held are replaced.
    hold_due: Option<Instant>,
    /// Bounds how many calls are looked up among earlier ones at a time.
    turns_to_check: Arc<Semaphore>,
    watchers: Vec<Subscription>,
    /// Looks at the queue and records of ends that are on their way.
    in_flight: usize,
    looking: bool,
    look_again: bool,
}

#[derive(Debug)]
struct WorkerEntry {
    function: i64,
    /// Its process; none in a container.
    process: Option<ProcessId>,
    /// Ends after it.
    task: JoinHandle<()>,
    /// The secrets it was started with.
    secrets: Edition,
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
    callee: Arc<Callee>,
    /// Another call waits for it.
    is_child: bool,
    reuse: Option<(Key, Arc<Reusable>)>,
    cancelled: bool,
    stored: Option<Instant>,
    claim: Claim,
    /// When it gave its claim back, while it hasn't got it again.
    waits_since: Option<Instant>,
    /// How long it had none before that.
    waited: Duration,
    /// The tasks that tell it of calls that it made, by map; empty when it made none.
    children: BTreeMap<u32, ChildMap>,
}

/// Whether a running call has its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// It counts against its function's limit and the machine.
    Held,
    /// It waits for calls that it made.
    GivenBack,
    /// Those have ended; the worker's own number of the wish.
    Wanted(u64),
}

/// A map that a running call makes.
#[derive(Debug)]
struct ChildMap {
    id: String,
    /// Calls of it that are still being recorded are cancelled as well.
    cancelled: Arc<AtomicBool>,
    /// Where its calls are, if not in this executor's queue.
    elsewhere: Option<Elsewhere>,
    /// Takes calls that had ended already, where their files are wanted.
    done: Option<mpsc::UnboundedSender<(CallId, Outcome)>>,
    /// Ends with this.
    _events: JoinSet<()>,
}

impl Executor {
    /// An executor that holds the lock already.
    pub(super) fn new(
        setup: Arc<Setup>,
        writer: Writer,
        signals: mpsc::UnboundedSender<Signal>,
        mode: watch::Receiver<Mode>,
        running: watch::Sender<usize>,
    ) -> Self {
        let free = setup.capacity;
        let checks = usize::try_from(free.millicpu / 1000).unwrap_or(1).max(1);
        Executor {
            setup,
            writer,
            signals,
            mode,
            running,
            functions: BTreeMap::new(),
            turns: VecDeque::new(),
            resuming: VecDeque::new(),
            workers: HashMap::new(),
            leaving: Vec::new(),
            next_worker: 0,
            free,
            due: None,
            hold_due: None,
            turns_to_check: Arc::new(Semaphore::new(checks)),
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
        let (engine, rooms) = (&self.setup.engine, self.setup.home.containers());
        container::remove_leftovers(engine, &rooms).await;
        recover::from_dead_executor(&self.writer).await?;
        assign::remove_spares(&self.setup.home);
        self.look();
        self.look_at_catalog();
        let ended = self.run_until_done(&mut incoming).await;
        // Also when the queue has failed: the next executor shouldn't find them at work.
        let dismissed = self.dismiss_workers().await;
        ended.and(dismissed)
    }

    async fn run_until_done(
        &mut self,
        incoming: &mut mpsc::UnboundedReceiver<Signal>,
    ) -> Result<(), QueueError> {
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
                    self.put_checks_back();
                    if *self.mode.borrow() == Mode::Release { self.release(); }
                }
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                    self.on_timer();
                }
            }
            self.schedule();
            self.count_running();
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let busy = self.in_flight > 0 || self.workers.values().any(|w| w.current.is_some());
        let waiting = self.functions.values().any(|f| !f.ready.is_empty() || f.more || f.fetching);
        match *self.mode.borrow() {
            Mode::Run | Mode::Serve => false,
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
            Signal::Checked(function, seq, checked) => self.checked(function, seq, *checked),
            Signal::Deployed => self.look_at_catalog(),
            Signal::Held(deployed, functions) => self.held(&deployed, functions),
            Signal::News(worker, news) => self.news(worker, news),
            Signal::Recorded(event, first) => {
                self.in_flight -= 1;
                if first {
                    self.publish(event);
                }
            }
            Signal::Submitted => {
                self.in_flight -= 1;
                self.look();
            }
            Signal::Broken(error) => return Err(error),
        }
        Ok(())
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

    fn has_lookers_on(&self) -> bool {
        self.watchers.iter().any(|watcher| matches!(watcher.interest, Interest::Environment(_)))
    }

    /// Tells those who look at everything that there may be more to see.
    fn publish_growth(&mut self) {
        self.watchers.retain(|watcher| match watcher.interest {
            Interest::Environment(_) => watcher.events.send(Told::Grown).is_ok(),
            Interest::Call(_) | Interest::Map(_) => !watcher.events.is_closed(),
        });
    }

    /// Calls that other calls wait for end with those, and are theirs.
    fn count_running(&self) {
        let current = self.workers.values().filter_map(|worker| worker.current.as_ref());
        let running = current.filter(|call| !call.is_child).count();
        self.running.send_if_modified(|count| std::mem::replace(count, running) != running);
    }

    fn next_timer(&self) -> Option<Instant> {
        let idle = self.workers.values().filter_map(|worker| worker.idle_until);
        idle.chain(self.due).chain(self.hold_due).min()
    }

    fn on_timer(&mut self) {
        let now = Instant::now();
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.look();
        }
        if self.hold_due.is_some_and(|due| due <= now) {
            self.hold_due = None;
            self.hold();
        }
        let expired: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.idle_until.is_some_and(|until| until <= now))
            .map(|(key, _)| *key)
            .collect();
        expired.into_iter().for_each(|key| self.dismiss(key));
    }
}
