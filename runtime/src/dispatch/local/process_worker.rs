//! One worker process: starting it, speaking with it, and ending it with everything it started.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::log::{self, Log};
use super::schedule::AttemptEnd;
use crate::function::FunctionSpec;
use crate::oom::OomWatch;
use crate::process::ProcessId;
use crate::wire::{CallId, Progress, VERSION};
use crate::worker::frame::{self, Batch, FromWorker, Invoke, Serve, ToWorker};

/// How long a call that was asked to stop may take before its process is ended.
const GRACE: Duration = Duration::from_secs(5);
/// How long a worker may take to say hello.
const HELLO: Duration = Duration::from_secs(30);
/// When a worker died that had a call.
const IN_CALL: &str = "in the middle of the call";

/// What is needed to start a worker.
#[derive(Clone, Debug)]
pub(super) struct Blueprint {
    /// The worker program.
    pub(super) program: PathBuf,
    /// Its environment, complete.
    pub(super) env: Vec<(OsString, OsString)>,
    /// The values that no log may show.
    pub(super) secrets: Vec<String>,
    /// What it is told first.
    pub(super) serve: Serve,
}

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

/// A started worker.
#[derive(Debug)]
pub(super) struct Started {
    /// Its process, which leads a process group.
    pub(super) process: ProcessId,
    /// The way to its task.
    pub(super) requests: mpsc::UnboundedSender<Request>,
}

/// Starts a worker; `tell` gets its news until it is gone.
pub(super) fn start(
    blueprint: Blueprint,
    tell: impl Fn(News) + Send + Sync + 'static,
) -> io::Result<Started> {
    let (ours, theirs) = StdStream::pair()?;
    let (output, input) = io::pipe()?;
    #[expect(clippy::disallowed_methods, reason = "the one place that starts workers")]
    let mut command = Command::new(&blueprint.program);
    let child = command
        .env_clear()
        .envs(blueprint.env.iter().cloned())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(input.try_clone()?))
        .stderr(Stdio::from(input))
        .process_group(0)
        .spawn()?;
    // The command keeps the worker's ends of the socket and the pipe open until it is dropped.
    drop(command);
    ours.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(ours)?.into_split();
    let mark = blueprint.serve.log_mark.clone();
    let tell = Arc::new(tell);
    let grown = Arc::clone(&tell);
    let grown = move || grown(News::Logged);
    let log = log::follow(output.into(), mark, blueprint.secrets.clone(), grown)?;
    let process = ProcessId::of(child.id().unwrap_or_default());
    let (requests, next) = mpsc::unbounded_channel();
    let (messages, said) = mpsc::channel(64);
    tokio::spawn(receive(reader, messages));
    let Blueprint { serve, secrets, .. } = blueprint;
    let oom = OomWatch::start();
    let mut worker = Worker { child, process, said, writer, log, serve, secrets, next, oom };
    tokio::spawn(async move { worker.live(&*tell).await });
    Ok(Started { process, requests })
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
    child: Child,
    process: ProcessId,
    said: mpsc::Receiver<FromWorker>,
    writer: OwnedWriteHalf,
    log: Log,
    serve: Serve,
    secrets: Vec<String>,
    next: mpsc::UnboundedReceiver<Request>,
    oom: OomWatch,
}

/// The call that a worker has.
struct InHand {
    id: CallId,
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
    async fn live(&mut self, tell: &(impl Fn(News) + Sync)) {
        let mut greeted = false;
        loop {
            let (end, alive) = match self.next_call(&mut greeted).await {
                Ok(invoke) => self.one_call(*invoke, tell).await,
                Err(end) => (end, false),
            };
            if !alive {
                self.end().await;
                return tell(News::Ended { end, alive });
            }
            tell(News::Ended { end, alive });
        }
    }

    /// Waits for a call, and gets ready for it; or says how the worker ended before it had one.
    async fn next_call(&mut self, greeted: &mut bool) -> Result<Box<Invoke>, AttemptEnd> {
        loop {
            let request = tokio::select! {
                // A call isn't given to a worker that is known to be dead.
                biased;
                // A free worker has nothing to say; it has hung up.
                _ = self.said.recv(), if *greeted => {
                    return Err(AttemptEnd::Undelivered(self.last_words("while it was free").await));
                }
                request = self.next.recv() => request,
            };
            let call = match request {
                Some(Request::Invoke(invoke)) => Some(invoke),
                Some(Request::Prepare) => None,
                // Both are about a call that has ended.
                Some(Request::Cancel(_) | Request::Tell(_)) => continue,
                Some(Request::Kill) | None => return Err(AttemptEnd::Released),
            };
            if !*greeted {
                self.greet().await?;
                *greeted = true;
            }
            if let Some(invoke) = call {
                return Ok(invoke);
            }
        }
    }

    async fn greet(&mut self) -> Result<(), AttemptEnd> {
        match timeout(HELLO, self.said.recv()).await {
            Ok(Some(FromWorker::Hello { v: VERSION })) => {}
            Ok(Some(FromWorker::Hello { v })) => {
                return Err(AttemptEnd::WorkerLost(format!(
                    "speaks version {v} of the protocol and this vdeploy speaks {VERSION}"
                )));
            }
            Err(_) => {
                return Err(AttemptEnd::WorkerLost(format!(
                    "said nothing for {} s after it was started",
                    HELLO.as_secs()
                )));
            }
            Ok(_) => return Err(self.lost("before it was ready").await),
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
        invoke: Invoke,
        tell: &(impl Fn(News) + Sync),
    ) -> (AttemptEnd, bool) {
        let mut call = InHand {
            id: invoke.call.clone(),
            deadline: Instant::now() + allowed(&self.serve.function),
            timed_out: false,
            stopping: false,
        };
        // The log's task ends only with the worker.
        let _ = self.log.folders.send(invoke.folder.clone());
        if frame::write(&mut self.writer, &ToWorker::Invoke(invoke)).await.is_err() {
            return (self.lost(IN_CALL).await, false);
        }
        loop {
            let ended = tokio::select! {
                message = self.said.recv() => self.hear(message, &call, tell).await,
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
        call: &InHand,
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
                return Some((call.ends_as(AttemptEnd::Outcome(outcome)), true));
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
        match timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) => describe(status, self.oom.has_killed(), when),
            _ => "hung up".into(),
        }
    }

    async fn lost(&mut self, when: &str) -> AttemptEnd {
        AttemptEnd::WorkerLost(self.last_words(when).await)
    }

    /// Ends the process and everything in its group.
    async fn end(&mut self) {
        self.process.kill_group();
        // It was killed; waiting only reaps it.
        let _ = self.child.wait().await;
    }
}

fn allowed(function: &FunctionSpec) -> Duration {
    Duration::try_from_secs_f64(function.timeout_seconds).unwrap_or(Duration::MAX / 4)
}

fn describe(status: ExitStatus, out_of_memory: bool, when: &str) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) if out_of_memory => "was killed because there was no memory left".into(),
        (Some(9), _) => "was killed (signal 9); did the machine run out of memory?".into(),
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (_, Some(code)) => format!("exited with status {code} {when}"),
        _ => format!("ended {when}"),
    }
}
