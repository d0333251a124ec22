//! A worker in a container. It speaks the same messages as a process, over a socket in a folder
//! that both sides see, its room; its output comes through a pipe there. When the executor is
//! gone the socket says so, the worker ends, and with it the container.

mod plan;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures::StreamExt;
use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

pub(super) use plan::{Bind, ContainerPlan};

use super::luggage::Luggage;
use crate::engine::EngineAddress;
use crate::wire::Failure;
use crate::worker::frame::Invoke;

/// How long a started container may take to call back.
const CALL_BACK: Duration = Duration::from_secs(60);
/// How long one that has hung up may take to be seen as ended.
const GRACE: Duration = Duration::from_secs(5);
/// The socket in the room of a container.
pub(crate) const SOCKET: &str = "socket";
/// The pipe for its output there.
pub(crate) const OUTPUT: &str = "output";
/// By which containers of workers are known, with the root of the local target they belong to.
pub const LABEL_HOME: &str = "dev.vdeploy.home";

/// A container that was started.
#[derive(Debug)]
pub(super) struct Container {
    docker: Docker,
    plan: ContainerPlan,
}

/// The room of a container that isn't started yet: what it will call back on.
#[derive(Debug)]
pub(super) struct Room {
    listener: UnixListener,
    /// Keeps the pipe from ending before the worker has opened it.
    _held: File,
}

impl Room {
    /// Makes the room of `plan`; the worker's output comes out of the second value.
    pub(super) fn prepare(plan: &ContainerPlan) -> io::Result<(Self, OwnedFd)> {
        std::fs::create_dir_all(&plan.room)?;
        let output = plan.room.join(OUTPUT);
        make_pipe(&output)?;
        let reader = rustix::fs::open(&output, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
        let held = File::options().write(true).open(&output)?;
        let listener = UnixListener::bind(plan.room.join(SOCKET))?;
        Ok((Room { listener, _held: held }, reader))
    }
}

/// Makes a pipe with a name.
#[cfg(target_os = "linux")]
fn make_pipe(path: &Path) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    Ok(rustix::fs::mknodat(rustix::fs::CWD, path, fifo, mode, 0)?)
}

/// Elsewhere containers run in a virtual machine, which shares files and neither sockets nor pipes.
#[cfg(not(target_os = "linux"))]
fn make_pipe(_path: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "functions run in containers on Linux only"))
}

impl Container {
    /// Starts the container and waits until its worker calls back; else says why it can't, in
    /// words that follow "the worker".
    pub(super) async fn start(
        plan: ContainerPlan,
        room: Room,
        environment: Vec<String>,
        command: Vec<String>,
    ) -> Result<(Self, UnixStream), String> {
        let docker = plan.engine.connect().await.map_err(|error| not_started(&error))?;
        let container = Container { docker, plan };
        match container.call_in(room, environment, command).await {
            Ok(socket) => Ok((container, socket)),
            Err(why) => {
                container.remove().await;
                Err(why)
            }
        }
    }

    async fn call_in(
        &self,
        room: Room,
        environment: Vec<String>,
        command: Vec<String>,
    ) -> Result<UnixStream, String> {
        let options = CreateContainerOptionsBuilder::default().name(self.name()).build();
        let body = self.plan.body(environment, command);
        let created = self.docker.create_container(Some(options), body).await;
        created.map_err(|error| self.refused(&error))?;
        let started = self.docker.start_container(self.name(), None).await;
        started.map_err(|error| self.refused(&error))?;
        let mut ended = self.docker.wait_container(self.name(), None);
        tokio::select! {
            called = timeout(CALL_BACK, room.listener.accept()) => match called {
                Ok(Ok((socket, _))) => Ok(socket),
                Ok(Err(error)) => Err(not_started(&error)),
                Err(_) => Err(format!("said nothing for {} s after it was started", CALL_BACK.as_secs())),
            },
            _ = ended.next() => Err(self.last_words("before it was ready").await),
        }
    }

    fn refused(&self, error: &BollardError) -> String {
        match error {
            BollardError::DockerResponseServerError { status_code: 404, .. } => format!(
                "can't be started: image `{}` isn't there any more; `vdeploy deploy` builds it again",
                self.plan.image
            ),
            BollardError::DockerResponseServerError { message, .. } => {
                format!("can't be started: {}", message.trim())
            }
            error => not_started(error),
        }
    }

    /// The name of the container: that of its room.
    fn name(&self) -> &str {
        name_of(&self.plan.room)
    }

    /// Says how it died; it has hung up, so it is dead or about to be.
    pub(super) async fn last_words(&self, when: &str) -> String {
        let mut ended = self.docker.wait_container(self.name(), None);
        // The answer of a container that failed is an error to bollard; what counts is that it came.
        let _ = timeout(GRACE, ended.next()).await;
        let Ok(found) = self.docker.inspect_container(self.name(), None).await else {
            return "was removed by somebody else".into();
        };
        let state = found.state.unwrap_or_default();
        if state.oom_killed == Some(true) {
            return match self.plan.memory {
                Some(bytes) => format!(
                    "was killed because it used more than its memory of {} MiB; raise `memory`",
                    bytes >> 20
                ),
                None => "was killed because there was no memory left".into(),
            };
        }
        match state.exit_code {
            _ if state.running == Some(true) => "hung up".into(),
            Some(code) if code > 128 => format!("was killed by signal {}", code - 128),
            Some(code) => {
                let said = self.said().await;
                format!("exited with status {code} {when}{said}")
            }
            None => format!("ended {when}"),
        }
    }

    /// The end of what it printed before it had its pipe.
    async fn said(&self) -> String {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("3").build();
        let mut logs = self.docker.logs(self.name(), Some(options));
        let mut text = String::new();
        while let Some(Ok(line)) = logs.next().await {
            text.push_str(&line.to_string());
        }
        if text.trim().is_empty() { text } else { format!(": {}", text.trim()) }
    }

    /// Ends it and removes it with its room.
    pub(super) async fn remove(&self) {
        remove(&self.docker, self.name()).await;
        let room = self.plan.room.clone();
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(room)).await;
    }

    /// Brings the files of a call into the room.
    pub(super) async fn pack(&self, invoke: &mut Invoke) -> Result<Luggage, Failure> {
        let (schema, room) = (self.plan.schema.clone(), self.plan.room.clone());
        let mut packed = invoke.clone();
        let pack = move || {
            let luggage = Luggage::pack(&mut packed, schema.as_ref(), &room);
            luggage.map(|luggage| (luggage, packed))
        };
        let (luggage, packed) =
            tokio::task::spawn_blocking(pack).await.expect("packing doesn't panic")?;
        *invoke = packed;
        Ok(luggage)
    }
}

/// Ends the containers whose rooms are in `folder`, left behind by an executor that was killed, and
/// removes the rooms. Without rooms the engine isn't asked.
pub(super) async fn remove_leftovers(engine: &EngineAddress, folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let rooms: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    if rooms.is_empty() {
        return;
    }
    match engine.connect().await {
        Ok(docker) => {
            let remove = rooms.iter().map(|room| remove(&docker, name_of(room)));
            futures::future::join_all(remove).await;
        }
        Err(error) => {
            tracing::warn!(%error, "containers of a killed executor can't be removed");
            return;
        }
    }
    for room in rooms {
        if let Err(error) = std::fs::remove_dir_all(&room) {
            tracing::warn!(%error, "`{}` can't be removed", room.display());
        }
    }
}

async fn remove(docker: &Docker, name: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    // One that isn't there needs no removing.
    let _ = docker.remove_container(name, Some(options)).await;
}

fn name_of(room: &Path) -> &str {
    room.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn not_started(error: &dyn std::error::Error) -> String {
    let mut text = format!("can't be started: {error}");
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
