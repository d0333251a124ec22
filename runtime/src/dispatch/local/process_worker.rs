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
    /// Its call does nothing but wait for calls that it made.
    Waiting,
    /// Its call wants its claim again.
    Resume(u64),
    /// Its call has ended; `alive` tells whether it can take another.
    Ended { end: AttemptEnd, alive: bool },
    /// It has ended while it was free.
    Gone,
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

impl Worker {
    async fn live(&mut self, tell: &(impl Fn(News) + Sync)) {
        let mut greeted = false;
        loop {
            let invoke = tokio::select! {
                request = self.next.recv() => match request {
                    Some(Request::Invoke(invoke)) => invoke,
                    // Both are about a call that has ended.
                    Some(Request::Cancel(_) | Request::Tell(_)) => continue,
                    Some(Request::Prepare) if greeted => continue,
                    Some(Request::Prepare) => match self.greet().await {
                        Ok(()) => {
                            greeted = true;
                            continue;
                        }
                        Err(_) => break self.end().await,
                    },
                    Some(Request::Kill) | None => break self.end().await,
                },
                // A free worker has nothing to say; it has hung up.
                _ = self.said.recv(), if greeted => break self.end().await,
            };
            let end = if greeted { Ok(()) } else { self.greet().await };
            greeted = true;
            let end = match end {
                Ok(()) => self.one_call(*invoke, tell).await,
                Err(end) => (end, false),
            };
            let (end, alive) = end;
            if !alive {
                self.end().await;
                tell(News::Ended { end, alive });
                return;
            }
            tell(News::Ended { end, alive });
        }
        tell(News::Gone);
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
            Ok(_) => return Err(self.lost().await),
        }
        let serve = ToWorker::Serve(Box::new(self.serve.clone()));
        match frame::write(&mut self.writer, &serve).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.lost().await),
        }
    }

    /// Runs one call; the flag tells whether the worker can take another.
    async fn one_call(
        &mut self,
        invoke: Invoke,
        tell: &(impl Fn(News) + Sync),
    ) -> (AttemptEnd, bool) {
        let call = invoke.call.clone();
        // The log's task ends only with the worker.
        let _ = self.log.folders.send(invoke.folder.clone());
        let mut deadline = Instant::now() + allowed(&self.serve.function);
        let mut timed_out = false;
        let mut stopping = false;
        if frame::write(&mut self.writer, &ToWorker::Invoke(invoke)).await.is_err() {
            return (self.lost().await, false);
        }
        loop {
            tokio::select! {
                message = self.said.recv() => match message {
                    Some(FromWorker::Progress { progress }) => tell(News::Progress(progress)),
                    Some(FromWorker::Checkpoint { value }) => tell(News::Checkpoint(value)),
                    Some(FromWorker::Submit(batch)) => tell(News::Submit(batch)),
                    Some(FromWorker::CancelMap { map }) => tell(News::CancelMap(map)),
                    Some(FromWorker::Waiting) => tell(News::Waiting),
                    Some(FromWorker::Resume { turn }) => tell(News::Resume(turn)),
                    Some(FromWorker::Ended { outcome }) => {
                        let _ = timeout(GRACE, self.log.ends.recv()).await;
                        let end = if timed_out { AttemptEnd::TimedOut } else { AttemptEnd::Outcome(log::redact_outcome(outcome, &self.secrets)) };
                        return (end, true);
                    }
                    Some(FromWorker::Hello { .. }) => {}
                    None if timed_out => return (AttemptEnd::TimedOut, false),
                    None => return (self.lost().await, false),
                },
                request = self.next.recv() => match request {
                    Some(Request::Cancel(which)) if which == call && !stopping => {
                        stopping = true;
                        deadline = Instant::now() + GRACE;
                        self.ask_to_stop(&call).await;
                    }
                    Some(Request::Tell(message)) => {
                        // A worker that can't be told is gone, which the next read says.
                        let _ = frame::write(&mut self.writer, &message).await;
                    }
                    Some(Request::Cancel(_) | Request::Invoke(_) | Request::Prepare) => {}
                    Some(Request::Kill) | None => return (AttemptEnd::Released, false),
                },
                () = sleep_until(deadline) => {
                    if stopping {
                        let how = "did not stop when it was asked to".into();
                        let end = if timed_out { AttemptEnd::TimedOut } else { AttemptEnd::WorkerLost(how) };
                        return (end, false);
                    }
                    (stopping, timed_out) = (true, true);
                    deadline = Instant::now() + GRACE;
                    self.ask_to_stop(&call).await;
                }
            }
        }
    }

    async fn ask_to_stop(&mut self, call: &CallId) {
        // A worker that can't be asked is gone, which the next read says.
        let _ = frame::write(&mut self.writer, &ToWorker::Cancel { call: call.clone() }).await;
    }

    /// Says how the process died; it has hung up, so it is dead or about to be.
    async fn lost(&mut self) -> AttemptEnd {
        match timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) => AttemptEnd::WorkerLost(describe(status, self.oom.has_killed())),
            _ => AttemptEnd::WorkerLost("hung up".into()),
        }
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

fn describe(status: ExitStatus, out_of_memory: bool) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) if out_of_memory => "was killed because there was no memory left".into(),
        (Some(9), _) => "was killed (signal 9); did the machine run out of memory?".into(),
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (_, Some(code)) => format!("exited with status {code} in the middle of the call"),
        _ => "ended in the middle of the call".into(),
    }
}
