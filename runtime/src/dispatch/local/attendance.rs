//! A command's part in running the queue: it is the executor when there is none, listens to the
//! one there is otherwise, and takes over when that goes away.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::DispatchError;
use super::executor::{Executor, Interest, Mode, Signal, Subscription};
use super::setup::Setup;
use super::socket::{self, Connection, Line};
use super::writer::Writer;
use crate::dispatch::Told;

/// A running part in the queue's work. Dropped without [`Attendance::leave`], it gives what it
/// runs back to the queue.
#[derive(Debug)]
pub struct Attendance {
    control: mpsc::UnboundedSender<Control>,
    mode: watch::Sender<Mode>,
    running: watch::Receiver<usize>,
    task: JoinHandle<()>,
    failure: Arc<Mutex<Option<DispatchError>>>,
}

#[derive(Debug)]
enum Control {
    Watch(Subscription),
    Wake,
}

impl Attendance {
    /// Starts taking part.
    pub(super) fn start(setup: Arc<Setup>, writer: Writer, mode: Mode) -> Self {
        let (control, commands) = mpsc::unbounded_channel();
        let (mode, mode_seen) = watch::channel(mode);
        let (count, running) = watch::channel(0);
        let watching = Vec::new();
        let attendant = Attendant { setup, writer, commands, mode: mode_seen, count, watching };
        let failure = Arc::new(Mutex::new(None));
        let failed = Arc::clone(&failure);
        let task = tokio::spawn(async move {
            if let Err(error) = attendant.run().await {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        });
        Attendance { control, mode, running, task, failure }
    }

    /// Events from [`Told::Attached`] on, whoever runs the calls. That comes again whenever another
    /// process has taken over.
    pub fn watch(&self, interest: Interest) -> mpsc::UnboundedReceiver<Told> {
        let (events, receiver) = mpsc::unbounded_channel();
        // The task ends only when told to.
        let _ = self.control.send(Control::Watch(Subscription { interest, events }));
        receiver
    }

    /// Tells whoever runs the queue that it has changed.
    pub fn wake(&self) {
        let _ = self.control.send(Control::Wake);
    }

    /// Ends the part: calls of other commands that this one runs are finished first, but no new
    /// ones are taken.
    pub async fn leave(mut self) -> Result<(), DispatchError> {
        // The task may have ended with an error, which comes next.
        let _ = self.mode.send(Mode::Drain);
        self.ended().await
    }

    /// Waits until the part ends by itself, as [`Mode::UntilIdle`] does.
    pub async fn ended(&mut self) -> Result<(), DispatchError> {
        (&mut self.task).await.map_err(|_| DispatchError::Ended)?;
        self.failure().map_or(Ok(()), Err)
    }

    /// Why the part ended by itself, if it did.
    pub fn failure(&self) -> Option<DispatchError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How many calls it runs at the moment, without those that other calls wait for.
    pub fn running(&self) -> usize {
        if self.task.is_finished() { 0 } else { *self.running.borrow() }
    }

    /// The way to end it from elsewhere.
    pub fn mode(&self) -> watch::Sender<Mode> {
        self.mode.clone()
    }
}

struct Attendant {
    setup: Arc<Setup>,
    writer: Writer,
    commands: mpsc::UnboundedReceiver<Control>,
    mode: watch::Receiver<Mode>,
    count: watch::Sender<usize>,
    watching: Vec<Subscription>,
}

impl Attendant {
    async fn run(mut self) -> Result<(), DispatchError> {
        let mut pause = Duration::from_millis(1);
        let mut turn = None;
        loop {
            if let Some(lock) = self.lock(self.setup.home.executor_lock())? {
                drop(turn);
                return self.execute(lock).await;
            }
            // Of those that only want the queue to be worked off, one waits for its turn.
            let waits_for_turn = *self.mode.borrow() == Mode::UntilIdle && turn.is_none();
            if waits_for_turn {
                turn = self.lock(self.setup.home.successor_lock())?;
            }
            if let Ok(mut connection) = Connection::open(&socket::path(&self.setup.home)).await {
                pause = Duration::from_millis(1);
                if waits_for_turn && turn.is_none() {
                    // Should the executor be ending, the one whose turn is next looks again.
                    let _ = connection.say(&Line::Wake).await;
                    return Ok(());
                }
                self.follow(connection).await;
                if matches!(*self.mode.borrow(), Mode::Drain | Mode::Release) {
                    return Ok(());
                }
            } else {
                // The other one has the lock and doesn't listen yet, or doesn't any more: nothing
                // tells when that changes.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
                if self.mode.has_changed().is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// The lock at `path`, if no other process has it.
    fn lock(&self, path: PathBuf) -> Result<Option<File>, DispatchError> {
        let failed = |source| DispatchError::Lock { path: path.display().to_string(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    async fn execute(mut self, lock: File) -> Result<(), DispatchError> {
        let (signals, incoming) = mpsc::unbounded_channel();
        for subscription in self.watching.drain(..) {
            let _ = signals.send(Signal::Subscribe(subscription));
        }
        let path = socket::path(&self.setup.home);
        let server = socket::listen(&path, signals.clone())
            .map_err(|source| DispatchError::Socket { path: path.display().to_string(), source })?;
        let executor = Executor::new(
            self.setup,
            self.writer.clone(),
            signals.clone(),
            self.mode.clone(),
            self.count,
        );
        let mut running = std::pin::pin!(executor.run(incoming));
        let result = loop {
            tokio::select! {
                result = &mut running => break result,
                Some(command) = self.commands.recv() => {
                    match command {
                        Control::Wake => drop(signals.send(Signal::Wake)),
                        Control::Watch(subscription) => {
                            drop(signals.send(Signal::Subscribe(subscription)));
                        }
                    }
                }
            }
        };
        // Others may take over only after the socket is gone.
        drop(server);
        drop(lock);
        Ok(result?)
    }

    /// Listens to another process's executor until it goes away or this part ends.
    async fn follow(&mut self, mut connection: Connection) {
        if self.subscribe_all(&mut connection).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                told = connection.next() => match told {
                    Some(told) => self.forward(&told),
                    None => return,
                },
                command = self.commands.recv() => {
                    let said = match command {
                        Some(Control::Wake) => connection.say(&Line::Wake).await,
                        Some(Control::Watch(subscription)) => {
                            let said = connection.say(&Line::watch(&subscription.interest)).await;
                            self.watching.push(subscription);
                            said
                        }
                        None => return,
                    };
                    if said.is_err() { return; }
                }
                changed = self.mode.changed() => {
                    if changed.is_err() || matches!(*self.mode.borrow(), Mode::Drain | Mode::Release) {
                        return;
                    }
                }
            }
        }
    }

    async fn subscribe_all(&mut self, connection: &mut Connection) -> io::Result<()> {
        self.watching.retain(|subscription| !subscription.events.is_closed());
        for subscription in &self.watching {
            connection.say(&Line::watch(&subscription.interest)).await?;
        }
        connection.say(&Line::Wake).await
    }

    fn forward(&mut self, told: &Told) {
        for subscription in &self.watching {
            let wanted = match told {
                Told::Call(event) => subscription.interest.covers(event),
                Told::Attached | Told::Detached | Told::Grown => true,
            };
            if wanted {
                // Whoever watched may be gone.
                let _ = subscription.events.send(told.clone());
            }
        }
    }
}
