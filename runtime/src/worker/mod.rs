//! The doors through which an invocation reaches a handler; behind each is the same [`execute`].

mod cloud;
mod command;
mod desk;
pub mod frame;
pub mod in_image;
mod stdio;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

pub use self::command::Spare;
use self::stdio::Line;
use crate::children::Calls;
use crate::ffmpeg::Tools;
use crate::function::Entry;
use crate::handler::{Context, Registry, Report};
use crate::oom::OomWatch;
use crate::storage::Files;
use crate::wire::{Failure, FailureKind, Invocation, Outcome};

/// The whole of a worker program: serves calls of the executor that started it, with `--describe`
/// prints what its handlers take and return, and with `check --in-image` what the image it is in
/// can do. As `batch` and as `lambda` it serves calls in AWS Batch and in AWS Lambda.
pub fn main(registry: Registry) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["--describe"] => describe(&registry),
        ["--connect", room] => serve(registry, Line::Room(room.into())),
        ["batch", ..] => return far(cloud::serve_batch()),
        ["lambda", ..] => return far(cloud::serve_lambda()),
        ["check", "--in-image"] => return in_image::check(),
        [] if !io::stdin().is_terminal() => serve(registry, Line::Stdin),
        _ => usage(&registry),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // stderr is the log; without it there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: the worker lost its executor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(registry: Registry, line: Line) -> io::Result<()> {
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(tracing::Level::WARN).init();
    crate::process::adopt_orphans();
    let alone = Builder::new_current_thread().enable_all().build()?;
    let Some((socket, serve)) = alone.block_on(stdio::greet(line))? else { return Ok(()) };
    // One thread is enough to look after a program, and costs a call less than two that wake each
    // other. Handlers do work of their own.
    if matches!(serve.function.entry, Entry::Command { .. }) {
        return alone.block_on(stdio::serve(socket, serve, registry));
    }
    let socket = socket.into_std()?;
    let several = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    several.block_on(async { stdio::serve(UnixStream::from_std(socket)?, serve, registry).await })
}

/// Serves calls that come from a bucket, by an executor and workers of this very program.
fn far(serve: impl Future<Output = ExitCode>) -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(tracing::Level::WARN).init();
    match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: can't start: {error}");
            ExitCode::FAILURE
        }
    }
}

fn describe(registry: &Registry) -> io::Result<()> {
    let text = serde_json::to_string(&registry.descriptions())?;
    writeln!(io::stdout(), "{text}")
}

fn usage(registry: &Registry) -> io::Result<()> {
    let names: Vec<_> = registry.names().collect();
    writeln!(
        io::stderr(),
        "This is a vdeploy worker; `vdeploy call` starts it. Handlers: {}.\n\
         Options: --describe prints their arguments and results as JSON Schemas; `batch` and\n\
         `lambda` serve calls in AWS Batch and in AWS Lambda.",
        names.join(", ")
    )
}

/// What is the same for every call that this process serves.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The handlers there are.
    pub registry: Arc<Registry>,
    /// ffmpeg and what is known of the machine.
    pub tools: Tools,
    /// The folder of the function's own code, if it has any.
    pub source: Option<PathBuf>,
    /// Knows whether a program was killed for want of memory.
    pub oom: Arc<OomWatch>,
    /// The folders of its last program's call, for the next.
    pub spare: Arc<Spare>,
}

/// Runs one attempt to its end. A handler that panics fails; nothing it left in its scratch folder
/// stays, and no artifact of a call that did not succeed.
pub async fn execute(
    worker: &Worker,
    invocation: Invocation,
    cancel: CancellationToken,
    calls: Calls,
    report: impl Fn(Report) + Send + Sync + 'static,
) -> Outcome {
    let folders = Folders::of(&invocation);
    if invocation.attempt > 1 {
        // A worker that was killed had no time to clean up.
        folders.clean(false);
    }
    let files = Files::of(&invocation);
    let cx =
        Context::new(invocation, worker.tools.clone(), files, cancel, report).with_calls(calls);
    let run = tokio::spawn(run(worker.clone(), cx.clone()));
    let result = run.await.unwrap_or_else(|error| Err(panicked(error)));
    let outcome = Outcome::from_result(result.map(|value| (value, cx.artifacts())));
    folders.clean(matches!(outcome, Outcome::Succeeded { .. }));
    outcome
}

/// The folders of an attempt, of which many make none.
struct Folders {
    scratch: PathBuf,
    artifacts: PathBuf,
}

impl Folders {
    fn of(invocation: &Invocation) -> Self {
        let Invocation { scratch, artifacts, .. } = invocation;
        Folders { scratch: scratch.clone(), artifacts: artifacts.clone() }
    }

    /// Removes what the attempt leaves behind: all, or all but artifacts that are `kept`. It blocks
    /// the thread, which has nothing else to do before or after an attempt.
    fn clean(&self, kept: bool) {
        if !self.scratch.exists() && !self.artifacts.exists() {
            return;
        }
        // It removes what is there, and fails for what is not.
        let _ = std::fs::remove_dir_all(&self.scratch);
        let _ = match kept {
            true => std::fs::remove_dir(&self.artifacts),
            false => std::fs::remove_dir_all(&self.artifacts),
        };
        if let Some(call) = self.scratch.parent() {
            // It stays when it holds a log or artifacts.
            let _ = std::fs::remove_dir(call);
        }
    }
}

async fn run(worker: Worker, cx: Context) -> Result<serde_json::Value, Failure> {
    let args = cx.invocation().args.clone();
    match cx.invocation().function.entry.clone() {
        Entry::Builtin { handler } | Entry::Binary { handler, .. } => {
            worker.registry.run(&handler, cx, args).await
        }
        Entry::Command { argv } => {
            let kept = (&*worker.oom, &*worker.spare);
            command::run(&argv, worker.source.as_deref(), kept, cx, args).await
        }
    }
}

fn panicked(error: tokio::task::JoinError) -> Failure {
    let text = error.try_into_panic().ok().and_then(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref::<String>().cloned())
    });
    let failure = Failure::new(FailureKind::Handler, "the handler panicked");
    match text {
        Some(text) => failure.cause(text),
        None => failure,
    }
}
