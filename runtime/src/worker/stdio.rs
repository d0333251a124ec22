//! The door of a worker on the executor's own machine. Its stdin is one end of a socket pair that
//! carries framed messages both ways; stdout and stderr are the log. A worker in a container finds
//! a socket and a pipe in a folder instead. When the executor is gone the socket says so, and the
//! worker stops what it does.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::frame::{self, FromWorker, Invoke, Serve, ToWorker};
use super::{Spare, Worker, execute};
use crate::children::Calls;
use crate::dispatch::local::{OUTPUT, SOCKET};
use crate::handler::{Registry, Report};
use crate::oom::OomWatch;
use crate::wire::{Invocation, Outcome, VERSION};

/// Where a worker finds its executor.
#[derive(Debug)]
pub(super) enum Line {
    /// At the other end of stdin.
    Stdin,
    /// Behind the socket in this folder, which has a pipe for output too.
    Room(PathBuf),
}

/// Says hello to the executor, which says what to serve unless it hangs up.
pub(super) async fn greet(line: Line) -> io::Result<Option<(UnixStream, Serve)>> {
    let mut socket = match line {
        Line::Stdin => private_socket()?,
        Line::Room(room) => call_back(&room).await?,
    };
    frame::write(&mut socket, &FromWorker::Hello { v: VERSION }).await?;
    match frame::read(&mut socket).await? {
        Some(ToWorker::Serve(serve)) => Ok(Some((socket, *serve))),
        _ => Ok(None),
    }
}

/// Serves calls until the executor hangs up.
pub(super) async fn serve(socket: UnixStream, serve: Serve, registry: Registry) -> io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let worker = Worker {
        registry: Arc::new(registry),
        tools: serve.tools.clone(),
        source: serve.source.clone(),
        oom: Arc::new(OomWatch::start()),
        spare: Arc::new(Spare::at(serve.spare.clone())),
    };
    // Without a limit, so that this side always reads: else both could wait for the other to.
    let (requests, mut next) = mpsc::unbounded_channel();
    tokio::spawn(receive(reader, requests));
    while let Some(request) = next.recv().await {
        if let ToWorker::Invoke(invoke) = request {
            one_call(&worker, &serve, invoke, &mut next, &mut writer).await?;
        }
    }
    Ok(())
}

/// Takes the socket from stdin and puts nothing in its place, so that no child of a handler can
/// read or write messages by accident.
fn private_socket() -> io::Result<UnixStream> {
    let socket = StdStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Sends what is printed into the pipe of the room, and takes its socket.
async fn call_back(room: &Path) -> io::Result<UnixStream> {
    let output = std::fs::File::options().write(true).open(room.join(OUTPUT))?;
    rustix::stdio::dup2_stdout(&output)?;
    rustix::stdio::dup2_stderr(&output)?;
    UnixStream::connect(room.join(SOCKET)).await
}

async fn receive(mut reader: OwnedReadHalf, requests: mpsc::UnboundedSender<ToWorker>) {
    while let Ok(Some(message)) = frame::read(&mut reader).await {
        if requests.send(message).is_err() {
            return;
        }
    }
}

async fn one_call(
    worker: &Worker,
    serve: &Serve,
    invoke: Invoke,
    requests: &mut mpsc::UnboundedReceiver<ToWorker>,
    writer: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let cancel = CancellationToken::new();
    let call = invoke.call.clone();
    let (reports, mut reported) = mpsc::unbounded_channel();
    let (calls, mut asked) = Calls::channel();
    let mut desk = Desk::new(calls.clone());
    let invocation = invocation(serve, invoke);
    let outcome = execute(worker, invocation, cancel.clone(), calls, move |report| {
        // The receiver is gone only when the process is about to be.
        let _ = reports.send(report);
    });
    tokio::pin!(outcome);
    let mut open = true;
    let outcome: Outcome = loop {
        tokio::select! {
            outcome = &mut outcome => break outcome,
            Some(report) = reported.recv() => frame::write(writer, &message(report)).await?,
            Some(ask) = asked.recv() => frame::write(writer, &desk.ask(ask)).await?,
            request = requests.recv(), if open => match request {
                Some(ToWorker::Cancel { call: which }) if which == call => cancel.cancel(),
                Some(message) => desk.take(message),
                None => {
                    open = false;
                    cancel.cancel();
                }
            },
        }
    };
    while let Ok(report) = reported.try_recv() {
        frame::write(writer, &message(report)).await?;
    }
    mark_end_of_log(&serve.log_mark)?;
    frame::write(writer, &FromWorker::Ended { outcome }).await
}

fn invocation(serve: &Serve, invoke: Invoke) -> Invocation {
    let scratch = match &serve.scratch {
        Some(scratch) => scratch.join(&invoke.call.0),
        None => invoke.folder.join("scratch"),
    };
    Invocation {
        v: VERSION,
        call: invoke.call,
        attempt: invoke.attempt,
        function: serve.function.clone(),
        args: invoke.args,
        overwrite: invoke.overwrite,
        checkpoint: invoke.checkpoint,
        scratch,
        artifacts: invoke.folder.join("artifacts"),
        volumes: serve.volumes.clone(),
        ranged: invoke.ranged,
    }
}

fn message(report: Report) -> FromWorker {
    match report {
        Report::Progress(progress) => FromWorker::Progress { progress },
        Report::Checkpoint(value) => FromWorker::Checkpoint { value },
    }
}

fn mark_end_of_log(mark: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(mark.as_bytes())?;
    stdout.flush()
}
