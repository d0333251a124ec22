//! One worker, a process or a container: starting it, speaking with it, and ending it with
//! everything it started.

mod beyond;
mod start;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

pub(super) use start::{Blueprint, start};

use super::body::Body;
use super::log::{self, Log};
use super::luggage::Luggage;
use super::schedule::AttemptEnd;
use crate::function::FunctionSpec;
use crate::storage::remote::{Brought, Remote};
use crate::wire::{CallId, Outcome, Progress, VERSION};
use crate::worker::frame::{self, Batch, FromWorker, Invoke, Serve, ToWorker};

/// How long a call that was asked to stop may take before its process is ended.
const GRACE: Duration = Duration::from_secs(5);
/// How long a worker may take to say hello.
const HELLO: Duration = Duration::from_secs(30);
/// When a worker died that had a call.
const IN_CALL: &str = "in the middle of the call";

/// A request to a worker's task.
#[derive(Debug)]
pub(super) enum Request {
    /// Get ready for calls.
    Prepare,
    /// Run this; only sent to a worker that is free.
    Invoke(Box<Invoke>),
    /// Stop this call if it is the one in hand.
    Cancel(CallId),
    /// Tell the call in hand this about calls that it made.
    Tell(ToWorker),
    /// End now, whatever is in hand.
    Kill,
}

/// News of a worker.
#[derive(Debug)]
pub(super) enum News {
    /// How far its call is.
    Progress(Progress),
    /// What the next attempt gets back.
    Checkpoint(serde_json::Value),
    /// The log of its call has grown.
    Logged,
    /// Its call calls a function.
    Submit(Batch),
    /// Its call wants calls that it made to be cancelled.
    CancelMap(u32),
    /// Its call is done with a map.
    CloseMap(u32),
    /// Its call does nothing but wait for calls that it made.
    Waiting,
    /// Its call wants its claim again.
    Resume(u64),
    /// Its call has ended, if it was given one; `alive` tells whether it can take another. A worker
    /// that dies always says so, since a call may be on its way to one that seems free.
    Ended { end: AttemptEnd, alive: bool },
}

/// Reads messages until the worker hangs up or breaks the protocol; reading is a task of its own
/// because a read that is given up in the middle of a message can't be taken up again.
async fn receive(mut reader: OwnedReadHalf, messages: mpsc::Sender<FromWorker>) {
    while let Ok(Some(message)) = frame::read(&mut reader).await {
        if messages.send(message).await.is_err() {
            return;
        }
    }
}

struct Worker {
    body: Body,
    said: mpsc::Receiver<FromWorker>,
    writer: OwnedWriteHalf,
    log: Log,
    serve: Serve,
    secrets: Vec<String>,
    remote: Arc<Remote>,
    next: mpsc::UnboundedReceiver<Request>,
}

/// Whether a worker has said hello.
enum Greeting {
    /// It is to say so by then.
    Expected(Instant),
    /// It is ready for calls.
    Done,
}

impl Greeting {
    /// Ends when a hello should have come, and didn't.
    async fn overdue(&self) {
        match self {
            Greeting::Expected(by) => sleep_until(*by).await,
            Greeting::Done => std::future::pending().await,
        }
    }
}

/// The call that a worker has.
struct InHand {
    id: CallId,
    brought: Option<Brought>,
    luggage: Luggage,
    deadline: Instant,
    timed_out: bool,
    stopping: bool,
}

impl InHand {
    /// How it ended: by its timeout if that came first.
    fn ends_as(&self, end: AttemptEnd) -> AttemptEnd {
        if self.timed_out { AttemptEnd::TimedOut } else { end }
    }
}

impl Worker {
    fn new(
        blueprint: Blueprint,
        body: Body,
        socket: UnixStream,
        log: Log,
        next: mpsc::UnboundedReceiver<Request>,
    ) -> Self {
        let (reader, writer) = socket.into_split();
        let (messages, said) = mpsc::channel(64);
        tokio::spawn(receive(reader, messages));
        let Blueprint { serve, secrets, remote, .. } = blueprint;
        Worker { body, said, writer, log, serve, secrets, remote, next }
    }

    async fn live(&mut self, tell: &(impl Fn(News) + Sync)) {
        let mut greeting = Greeting::Expected(Instant::now() + HELLO);
        loop {
            let (end, alive) = match self.next_call(&mut greeting).await {
                Ok(invoke) => self.one_call(*invoke, tell).await,
                Err(end) => (end, false),
            };
            if !alive {
                self.body.end().await;
                self.remove_spare();
                return tell(News::Ended { end, alive });
            }
            tell(News::Ended { end, alive });
        }
    }

    /// Waits until the worker is ready and has a call; or says how it ended before.
    async fn next_call(&mut self, greeting: &mut Greeting) -> Result<Box<Invoke>, AttemptEnd> {
        let mut call: Option<Box<Invoke>> = None;
        loop {
            tokio::select! {
                // A call isn't given to a worker that is known to be dead.
                biased;
                message = self.said.recv() => {
                    self.welcome(message, greeting).await?;
                    *greeting = Greeting::Done;
                }
                () = greeting.overdue() => return Err(silent()),
                request = self.next.recv() => match request {
                    Some(Request::Invoke(invoke)) => call = Some(invoke),
                    Some(Request::Cancel(which)) if call.as_ref().is_some_and(|it| it.call == which) => {
                        return Err(AttemptEnd::Released);
                    }
                    // The others are about a call that has ended.
                    Some(Request::Prepare | Request::Cancel(_) | Request::Tell(_)) => {}
                    Some(Request::Kill) | None => return Err(AttemptEnd::Released),
                }
            }
            if matches!(greeting, Greeting::Done)
                && let Some(call) = call.take()
            {
                return Ok(call);
            }
        }
    }

    /// Answers the worker's hello, the only thing that it says without having a call; none: it has
    /// hung up.
    async fn welcome(
        &mut self,
        message: Option<FromWorker>,
        greeting: &Greeting,
    ) -> Result<(), AttemptEnd> {
        match (greeting, message) {
            (Greeting::Done, _) => {
                return Err(AttemptEnd::Undelivered(self.last_words("while it was free").await));
            }
            (Greeting::Expected(_), Some(FromWorker::Hello { v: VERSION })) => {}
            (Greeting::Expected(_), Some(FromWorker::Hello { v })) => {
                return Err(AttemptEnd::WorkerLost(format!(
                    "speaks version {v} of the protocol and this vdeploy speaks {VERSION}"
                )));
            }
            (Greeting::Expected(_), _) => return Err(self.lost("before it was ready").await),
        }
        let serve = ToWorker::Serve(Box::new(self.serve.clone()));
        match frame::write(&mut self.writer, &serve).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.lost("before it was ready").await),
        }
    }

    /// Runs one call; the flag tells whether the worker can take another.
    async fn one_call(
        &mut self,
        mut invoke: Invoke,
        tell: &(impl Fn(News) + Sync),
    ) -> (AttemptEnd, bool) {
        // The log's task ends only with the worker.
        let _ = self.log.folders.send(invoke.folder.clone());
        let mut call = InHand {
            id: invoke.call.clone(),
            brought: None,
            luggage: Luggage::none(),
            deadline: Instant::now() + allowed(&self.serve.function),
            timed_out: false,
            stopping: false,
        };
        if let Err(ended) = self.bring_in(&mut invoke, &mut call, tell).await {
            return ended;
        }
        match self.body.pack(&mut invoke).await {
            Ok(luggage) => call.luggage = luggage,
            Err(failure) => return (AttemptEnd::Outcome(Outcome::Failed { failure }), true),
        }
        if frame::write(&mut self.writer, &ToWorker::Invoke(invoke)).await.is_err() {
            return (self.lost(IN_CALL).await, false);
        }
        loop {
            let ended = tokio::select! {
                message = self.said.recv() => self.hear(message, &mut call, tell).await,
                request = self.next.recv() => self.obey(request, &mut call).await,
                () = sleep_until(call.deadline) => self.overdue(&mut call).await,
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// Takes what the worker says; none: it hung up. Returns how the call ended, when it has.
    async fn hear(
        &mut self,
        message: Option<FromWorker>,
        call: &mut InHand,
        tell: &(impl Fn(News) + Sync),
    ) -> Option<(AttemptEnd, bool)> {
        match message {
            Some(FromWorker::Progress { progress }) => tell(News::Progress(progress)),
            Some(FromWorker::Checkpoint { value }) => tell(News::Checkpoint(value)),
            Some(FromWorker::Submit(batch)) => tell(News::Submit(batch)),
            Some(FromWorker::CancelMap { map }) => tell(News::CancelMap(map)),
            Some(FromWorker::CloseMap { map }) => tell(News::CloseMap(map)),
            Some(FromWorker::Waiting) => tell(News::Waiting),
            Some(FromWorker::Resume { turn }) => tell(News::Resume(turn)),
            Some(FromWorker::Ended { outcome }) => {
                let _ = timeout(GRACE, self.log.ends.recv()).await;
                let outcome = log::redact_outcome(outcome, &self.secrets);
                let outcome = std::mem::take(&mut call.luggage).unpack(outcome).await;
                return Some(self.take_out(outcome, call, tell).await);
            }
            Some(FromWorker::Hello { .. }) => {}
            None => return Some((call.ends_as(self.lost(IN_CALL).await), false)),
        }
        None
    }

    /// Does what the executor asks for while a call is in hand.
    async fn obey(
        &mut self,
        request: Option<Request>,
        call: &mut InHand,
    ) -> Option<(AttemptEnd, bool)> {
        match request {
            Some(Request::Cancel(which)) if which == call.id && !call.stopping => {
                self.ask_to_stop(call).await;
            }
            Some(Request::Tell(message)) => {
                // A worker that can't be told is gone, which the next read says.
                let _ = frame::write(&mut self.writer, &message).await;
            }
            Some(Request::Cancel(_) | Request::Invoke(_) | Request::Prepare) => {}
            Some(Request::Kill) | None => return Some((AttemptEnd::Released, false)),
        }
        None
    }

    /// The call has taken as long as it may, or has not stopped as it was asked to.
    async fn overdue(&mut self, call: &mut InHand) -> Option<(AttemptEnd, bool)> {
        if call.stopping {
            let how = "did not stop when it was asked to".into();
            return Some((call.ends_as(AttemptEnd::WorkerLost(how)), false));
        }
        call.timed_out = true;
        self.ask_to_stop(call).await;
        None
    }

    async fn ask_to_stop(&mut self, call: &mut InHand) {
        call.stopping = true;
        call.deadline = Instant::now() + GRACE;
        // A worker that can't be asked is gone, which the next read says.
        let message = ToWorker::Cancel { call: call.id.clone() };
        let _ = frame::write(&mut self.writer, &message).await;
    }

    /// Says how the process died; it has hung up, so it is dead or about to be.
    async fn last_words(&mut self, when: &str) -> String {
        self.body.last_words(when).await
    }

    /// Removes the folders that the worker kept for a next call.
    fn remove_spare(&self) {
        if let Some(spare) = &self.serve.spare {
            // Most keep none.
            let _ = std::fs::remove_dir_all(spare);
        }
    }

    async fn lost(&mut self, when: &str) -> AttemptEnd {
        AttemptEnd::WorkerLost(self.last_words(when).await)
    }
}

fn silent() -> AttemptEnd {
    let seconds = HELLO.as_secs();
    AttemptEnd::WorkerLost(format!("said nothing for {seconds} s after it was started"))
}

fn allowed(function: &FunctionSpec) -> Duration {
    Duration::try_from_secs_f64(function.timeout_seconds).unwrap_or(Duration::MAX / 4)
}
