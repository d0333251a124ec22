//! What a worker is started from, as a process or in a container.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{News, Request, Worker};
use crate::dispatch::local::body::Body;
use crate::dispatch::local::container::{Container, ContainerPlan, Room};
use crate::dispatch::local::log::{self, Log};
use crate::dispatch::local::schedule::AttemptEnd;
use crate::oom::OomWatch;
use crate::process::ProcessId;
use crate::storage::remote::Remote;
use crate::worker::frame::Serve;

/// What is needed to start a worker.
#[derive(Clone, Debug)]
pub(in crate::dispatch::local) struct Blueprint {
    /// The worker program.
    pub(in crate::dispatch::local) program: PathBuf,
    /// Its environment, complete.
    pub(in crate::dispatch::local) env: Vec<(OsString, OsString)>,
    /// The values that no log may show.
    pub(in crate::dispatch::local) secrets: Vec<String>,
    /// What its calls may reach beyond this machine.
    pub(in crate::dispatch::local) remote: Arc<Remote>,
    /// What it is told first.
    pub(in crate::dispatch::local) serve: Serve,
    /// The container it is started in, if it isn't a process of this machine.
    pub(in crate::dispatch::local) container: Option<ContainerPlan>,
}

/// A started worker.
#[derive(Debug)]
pub(in crate::dispatch::local) struct Started {
    /// Its process, which leads a process group; none in a container.
    pub(in crate::dispatch::local) process: Option<ProcessId>,
    /// The way to its task.
    pub(in crate::dispatch::local) requests: mpsc::UnboundedSender<Request>,
    /// Its task, which ends after it.
    pub(in crate::dispatch::local) task: JoinHandle<()>,
}

/// Starts a worker; `tell` gets its news until it is gone.
pub(in crate::dispatch::local) fn start(
    mut blueprint: Blueprint,
    tell: impl Fn(News) + Send + Sync + 'static,
) -> io::Result<Started> {
    match blueprint.container.take() {
        Some(plan) => start_container(blueprint, plan, tell),
        None => start_process(blueprint, tell),
    }
}

/// Starts a container, which takes a while: requests wait meanwhile.
fn start_container(
    blueprint: Blueprint,
    plan: ContainerPlan,
    tell: impl Fn(News) + Send + Sync + 'static,
) -> io::Result<Started> {
    let (room, output) = Room::prepare(&plan)?;
    let tell = Arc::new(tell);
    let log = follow(&blueprint, output, &tell)?;
    let (requests, next) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let program = blueprint.program.display().to_string();
        let command = vec![program, "--connect".into(), plan.room.display().to_string()];
        let environment = blueprint
            .env
            .iter()
            .map(|(key, value)| format!("{}={}", key.to_string_lossy(), value.to_string_lossy()));
        match Container::start(plan, room, environment.collect(), command).await {
            Ok((container, socket)) => {
                let body = Body::Container(container);
                Worker::new(blueprint, body, socket, log, next).live(&*tell).await;
            }
            Err(why) => tell(News::Ended { end: AttemptEnd::WorkerLost(why), alive: false }),
        }
    });
    Ok(Started { process: None, requests, task })
}

fn start_process(
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
    let socket = UnixStream::from_std(ours)?;
    let tell = Arc::new(tell);
    let log = follow(&blueprint, output.into(), &tell)?;
    let process = ProcessId::of(child.id().unwrap_or_default());
    let (requests, next) = mpsc::unbounded_channel();
    let body = Body::Process { child, process, oom: OomWatch::start() };
    let mut worker = Worker::new(blueprint, body, socket, log, next);
    let task = tokio::spawn(async move { worker.live(&*tell).await });
    Ok(Started { process: Some(process), requests, task })
}

fn follow(
    blueprint: &Blueprint,
    output: OwnedFd,
    tell: &Arc<impl Fn(News) + Send + Sync + 'static>,
) -> io::Result<Log> {
    let tell = Arc::clone(tell);
    let mark = blueprint.serve.log_mark.clone();
    log::follow(output, mark, blueprint.secrets.clone(), move || tell(News::Logged))
}
