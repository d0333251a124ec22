//! How other commands reach the executor: JSON lines over a Unix socket that only its owner can
//! open. They ask to be told of calls and wake it up; calls themselves go through the queue, so
//! that none is lost with a connection.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::executor::{Interest, Signal, Subscription};
use crate::dispatch::Told;
use crate::home::Home;
use crate::process::ProcessId;
use crate::wire::CallId;

/// `sun_path` holds 108 bytes on Linux and 104 on macOS (unix(7)), with a terminating zero.
const LONGEST_PATH: usize = 100;

/// What a command says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    /// First of all: who it is.
    Hello { process: ProcessId },
    /// Tell me of this call.
    WatchCall { call: CallId },
    /// Tell me of this map's calls.
    WatchMap { map: String },
    /// Tell me of all calls of this environment.
    WatchEnvironment { environment: String },
    /// Something was deployed or removed.
    Deployed,
    /// The queue has changed.
    Wake,
}

impl Line {
    pub(super) fn watch(interest: &Interest) -> Self {
        match interest {
            Interest::Call(call) => Line::WatchCall { call: call.clone() },
            Interest::Map(map) => Line::WatchMap { map: map.clone() },
            Interest::Environment(environment) => {
                Line::WatchEnvironment { environment: environment.clone() }
            }
        }
    }
}

/// Where the executor of `home` listens. A path too long for a socket is replaced by a short one in
/// the folder for temporary files, which differs for each home.
pub(super) fn path(home: &Home) -> PathBuf {
    let path = home.root().join("executor.sock");
    if path.as_os_str().len() <= LONGEST_PATH {
        return path;
    }
    let mut hasher = DefaultHasher::new();
    home.root().hash(&mut hasher);
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("vdeploy-{user}-{:016x}", hasher.finish())).join("sock")
}

/// Listens at `path`; only the holder of the executor's lock may call it, so that what is there
/// already is what a dead one left.
pub(super) fn listen(path: &Path, signals: mpsc::UnboundedSender<Signal>) -> io::Result<Server> {
    if let Some(parent) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(attend(stream, signals.clone()));
        }
    });
    Ok(Server { task, path: path.to_owned() })
}

/// A listening socket; dropped, it is gone.
#[derive(Debug)]
pub(super) struct Server {
    task: tokio::task::JoinHandle<()>,
    path: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // The next executor removes it otherwise.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Tells whoever runs the queue of `home` that something was deployed or removed.
pub(super) async fn tell_deployed(home: &Home) {
    if let Ok(mut connection) = Connection::look_on(&path(home)).await {
        // One that is ending needn't know.
        let _ = connection.say(&Line::Deployed).await;
    }
}

async fn attend(stream: UnixStream, signals: mpsc::UnboundedSender<Signal>) {
    let (reader, writer) = stream.into_split();
    let (events, outgoing) = mpsc::unbounded_channel();
    let sender = tokio::spawn(send_events(writer, outgoing));
    let mut lines = BufReader::new(reader).lines();
    let mut process = None;
    while let Ok(Some(line)) = lines.next_line().await {
        let interest = match serde_json::from_str(&line) {
            Ok(Line::Hello { process: caller }) => {
                process = Some(caller);
                continue;
            }
            Ok(Line::Wake) => {
                // Sent only while the executor still takes signals.
                let _ = signals.send(Signal::Wake);
                continue;
            }
            Ok(Line::Deployed) => {
                let _ = signals.send(Signal::Deployed);
                continue;
            }
            Ok(Line::WatchCall { call }) => Interest::Call(call),
            Ok(Line::WatchMap { map }) => Interest::Map(map),
            Ok(Line::WatchEnvironment { environment }) => Interest::Environment(environment),
            Err(_) => break,
        };
        let _ = signals.send(Signal::Subscribe(Subscription { interest, events: events.clone() }));
    }
    sender.abort();
    if let Some(process) = process {
        wait_for_end(process).await;
        let _ = signals.send(Signal::Departed);
    }
}

/// A process that is killed closes its sockets a moment before it is gone.
async fn wait_for_end(process: ProcessId) {
    for _ in 0..40 {
        if !process.is_alive() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

async fn send_events(mut writer: OwnedWriteHalf, mut events: mpsc::UnboundedReceiver<Told>) {
    while let Some(event) = events.recv().await {
        let mut line = serde_json::to_vec(&event).expect("events serialise");
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// A connection to another process's executor.
#[derive(Debug)]
pub(super) struct Connection {
    lines: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Connection {
    /// Connects as one who waits for calls: they end with this process.
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let mut connection = Connection::look_on(path).await?;
        connection.say(&Line::Hello { process: ProcessId::current() }).await?;
        Ok(connection)
    }

    /// Connects as one who only looks on.
    pub(super) async fn look_on(path: &Path) -> io::Result<Self> {
        let (reader, writer) = UnixStream::connect(path).await?.into_split();
        Ok(Connection { lines: BufReader::new(reader).lines(), writer })
    }

    pub(super) async fn say(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.writer.write_all(&bytes).await
    }

    /// The next event; none when the executor is gone. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<Told> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}
