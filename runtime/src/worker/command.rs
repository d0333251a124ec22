//! The door to any program: JSON on stdin, JSON on stdout, one process per call.
//!
//! stderr is the log. Progress and checkpoints are JSON lines written to the path in
//! `$VDEPLOY_EVENTS`, a pipe: `{"progress": {"fraction": 0.5}}` or `{"checkpoint": …}`. What the
//! program leaves in `$VDEPLOY_ARTIFACTS` becomes the call's artifacts. A program that fails may
//! say why on stdout: `{"error": {"message": "…", "hint": "…", "retryable": false}}`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::args::{ArgsSchema, Direction};
use crate::environment;
use crate::handler::Context;
use crate::process;
use crate::storage::{InputFile, OutputFile, StagedOutput};
use crate::wire::{Artifact, Failure, FailureKind, Phase, Progress};

/// Bytes of JSON a program may print as its result.
const RESULT_LIMIT: usize = 16 << 20;
/// Lines of stderr quoted in an error.
const QUOTED_LINES: usize = 5;
/// How long a program that was asked to end is waited for.
const GRACE: Duration = Duration::from_secs(5);
/// The line after a program's last event; not JSON.
const END_OF_EVENTS: &str = "<end>";

/// Runs `argv` for one call. Relative paths in `argv` and the program's own imports are those of
/// `source`, the deployed copy of its code; it runs in the call's scratch folder.
pub(super) async fn run(
    argv: &[String],
    source: Option<&Path>,
    cx: Context,
    mut args: Value,
) -> Result<Value, Failure> {
    let outputs = stage_files(&cx, &mut args).await?;
    let folders =
        prepare(&cx, source).map_err(|error| machine("can't prepare the call", &error))?;
    let mut child = spawn(argv, &folders, &cx)?;
    let events = follow_events(&folders.events, cx.clone());
    let finished = tokio::select! {
        finished = attend(&mut child, &args) => finished,
        () = cx.cancellation().cancelled() => {
            stop(&mut child).await;
            Err(Failure::new(FailureKind::Cancelled, "the call was cancelled"))
        }
    };
    end_events(events, &folders.events).await;
    let result = finished.and_then(|finished| finished.result(&argv[0]))?;
    for (name, output) in outputs {
        if output.path().exists() {
            cx.add_artifact(output.commit(&name)?);
        }
    }
    collect_artifacts(&cx).map_err(|error| machine("can't collect the artifacts", &error))?;
    Ok(result)
}

/// Puts real paths in place of the files that the arguments name.
async fn stage_files(
    cx: &Context,
    args: &mut Value,
) -> Result<Vec<(String, StagedOutput)>, Failure> {
    let Some(schema) = cx.invocation().function.schema.clone() else { return Ok(Vec::new()) };
    let files = ArgsSchema::compile(&schema)?.files(args);
    let mut outputs = Vec::new();
    for file in files {
        let Some(slot) = args.pointer_mut(&file.pointer) else { continue };
        let text = slot.as_str().unwrap_or_default().to_owned();
        let path = match file.direction {
            Direction::Input => cx.files().input(&InputFile::from(text)).await?,
            Direction::Output => {
                let staged = cx.files().output(Some(&OutputFile::from(text)), "output")?;
                let path = staged.path();
                outputs.push((file.pointer.trim_start_matches('/').replace('/', "."), staged));
                path
            }
        };
        *slot = Value::String(path.to_string_lossy().into_owned());
    }
    Ok(outputs)
}

struct Folders {
    scratch: PathBuf,
    artifacts: PathBuf,
    events: PathBuf,
}

/// Makes the folders of the call. The scratch folder shows the deployed code by links, so that the
/// program finds its files by the paths the manifest says and can't change the copy by accident.
fn prepare(cx: &Context, source: Option<&Path>) -> io::Result<Folders> {
    let invocation = cx.invocation();
    let scratch = invocation.scratch.clone();
    let artifacts = invocation.artifacts.clone();
    std::fs::create_dir_all(&scratch)?;
    std::fs::create_dir_all(&artifacts)?;
    if let Some(source) = source {
        for entry in std::fs::read_dir(source)? {
            let entry = entry?;
            std::os::unix::fs::symlink(entry.path(), scratch.join(entry.file_name()))?;
        }
    }
    let events = scratch.join(".vdeploy-events");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &events, rustix::fs::FileType::Fifo, mode, 0)?;
    Ok(Folders { scratch, artifacts, events })
}

fn spawn(argv: &[String], folders: &Folders, cx: &Context) -> Result<Child, Failure> {
    let invocation = cx.invocation();
    #[expect(clippy::disallowed_methods, reason = "the one place that runs a user's program")]
    let mut command = Command::new(program(&argv[0], &folders.scratch));
    command
        .args(&argv[1..])
        .current_dir(&folders.scratch)
        .env(environment::CALL, &invocation.call.0)
        .env(environment::ATTEMPT, invocation.attempt.to_string())
        .env(environment::SCRATCH, &folders.scratch)
        .env(environment::ARTIFACTS, &folders.artifacts)
        .env(environment::EVENTS, &folders.events)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(checkpoint) = &invocation.checkpoint {
        command.env(environment::CHECKPOINT, checkpoint.to_string());
    }
    command.spawn().map_err(|error| {
        let failure =
            Failure::new(FailureKind::Handler, format!("can't start `{}`", argv[0])).cause(&error);
        match error.kind() {
            io::ErrorKind::NotFound => failure.hint(format!(
                "install `{}` on this machine, or add its file to `source` in the manifest",
                argv[0]
            )),
            io::ErrorKind::PermissionDenied => {
                failure.hint(format!("make it executable: `chmod +x {}`", argv[0]))
            }
            _ => failure,
        }
    })
}

/// A name with a slash is a file of the deployed code; any other is looked up in `PATH`.
fn program(name: &str, scratch: &Path) -> PathBuf {
    if name.contains('/') { scratch.join(name) } else { PathBuf::from(name) }
}

struct Finished {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr_tail: Vec<String>,
}

async fn attend(child: &mut Child, args: &Value) -> Result<Finished, Failure> {
    let broken = |error: io::Error| machine("lost contact with the program", &error);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let input = args.to_string();
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // A program that doesn't read its arguments closes the pipe; that is its right.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let status = async {
        let status = child.wait().await.map_err(broken);
        // What it left running would keep its pipes open.
        process::end_children();
        status
    };
    let ((), stdout, stderr_tail, status) =
        tokio::join!(feed, read_result(stdout), copy_log(stderr), status);
    Ok(Finished { status: status?, stdout: stdout.map_err(broken)?, stderr_tail })
}

/// Reads up to one byte over the limit, then drops the pipe: the program gets SIGPIPE.
async fn read_result(stdout: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(RESULT_LIMIT as u64 + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Copies the program's stderr to this process's and keeps the last lines.
async fn copy_log(stderr: Option<impl AsyncRead + Unpin>) -> Vec<String> {
    let mut tail = VecDeque::new();
    let Some(stderr) = stderr else { return Vec::new() };
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    // Lines are cut so that a program that never ends one can't fill the memory.
    while let Ok(1..) = (&mut reader).take(64 << 10).read_until(b'\n', &mut line).await {
        let _ = io::stderr().write_all(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !text.is_empty() {
            tail.push_back(text.chars().take(300).collect());
        }
        if tail.len() > QUOTED_LINES {
            tail.pop_front();
        }
        line.clear();
    }
    tail.into()
}

impl Finished {
    fn result(self, program: &str) -> Result<Value, Failure> {
        if self.stdout.len() > RESULT_LIMIT {
            return Err(self
                .failure(format!(
                    "`{program}` printed more than {} MiB as its result",
                    RESULT_LIMIT >> 20
                ))
                .retryable(false)
                .hint(
                    "put large results in files below `$VDEPLOY_ARTIFACTS`, and logs on stderr",
                ));
        }
        match self.status.code() {
            Some(0) => self.parse(program),
            Some(code) => Err(self.declared().unwrap_or_else(|| {
                self.failure(format!("`{program}` exited with status {code}")).retryable(true)
            })),
            None => Err(self.killed(program)),
        }
    }

    fn parse(&self, program: &str) -> Result<Value, Failure> {
        if self.stdout.iter().all(u8::is_ascii_whitespace) {
            return Err(self
                .failure(format!("`{program}` exited with status 0 but printed no result"))
                .retryable(false)
                .hint("print one JSON value on stdout, for example `{}`"));
        }
        serde_json::from_slice(&self.stdout).map_err(|error| {
            let start: String = String::from_utf8_lossy(&self.stdout).chars().take(120).collect();
            let mut failure = Failure::new(
                FailureKind::Handler,
                format!("`{program}` printed something that isn't one JSON value"),
            )
            .cause(error)
            .cause(format!("its output starts with {start:?}"))
            .hint("print the result on stdout and everything else on stderr");
            failure.retryable = false;
            failure
        })
    }

    fn killed(&self, program: &str) -> Failure {
        let signal = self.status.signal().unwrap_or_default();
        let failure = self.failure(format!("`{program}` was killed by signal {signal}"));
        let failure = failure.retryable(true);
        if signal == 9 {
            failure
                .hint("if the machine ran out of memory, raise `memory` or lower `max_containers`")
        } else {
            failure
        }
    }

    fn failure(&self, message: String) -> Failure {
        let mut failure = Failure::new(FailureKind::Handler, message);
        failure.causes.clone_from(&self.stderr_tail);
        failure
    }

    /// What the program itself says about its failure.
    fn declared(&self) -> Option<Failure> {
        #[derive(Deserialize)]
        struct Declared {
            error: Said,
        }
        #[derive(Deserialize)]
        struct Said {
            message: String,
            hint: Option<String>,
            #[serde(default)]
            retryable: bool,
        }
        let Declared { error } = serde_json::from_slice(&self.stdout).ok()?;
        let mut failure = self.failure(error.message).retryable(error.retryable);
        failure.hint = error.hint;
        Some(failure)
    }
}

/// Asks the program to end, and ends it when it doesn't.
async fn stop(child: &mut Child) {
    if let Some(pid) = child.id() {
        process::terminate(pid);
    }
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        // It has no way to refuse, so only a process that is already gone fails here.
        let _ = child.kill().await;
    }
    process::end_children();
}

/// Reads events while the program runs. The pipe is opened for both ways, so that neither side
/// ever waits for the other to open it.
fn follow_events(path: &Path, cx: Context) -> tokio::task::JoinHandle<()> {
    let opened = pipe::OpenOptions::new().read_write(true).open_receiver(path);
    tokio::spawn(async move {
        let Ok(receiver) = opened else { return };
        let mut lines = BufReader::new(receiver).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match line.trim() {
                "" => {}
                END_OF_EVENTS => return,
                line => report_event(line, &cx),
            }
        }
    })
}

/// Waits until what the program wrote last has been read: a pipe has no end while it is open for
/// writing on this side, so it gets a line that no event can be.
async fn end_events(mut events: tokio::task::JoinHandle<()>, path: &Path) {
    let end = async {
        let mut pipe = pipe::OpenOptions::new().open_sender(path)?;
        pipe.write_all(format!("\n{END_OF_EVENTS}\n").as_bytes()).await
    };
    let ended = async { (end.await, (&mut events).await) };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        events.abort();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Progress(Map<String, Value>),
    Checkpoint(Value),
}

fn report_event(line: &str, cx: &Context) {
    let reported = serde_json::from_str(line).and_then(|event| {
        match event {
            Event::Progress(progress) => cx.progress(progress_of(progress)?),
            Event::Checkpoint(value) => cx.checkpoint(value),
        }
        Ok(())
    });
    if let Err(error) = reported {
        tracing::warn!(%error, line, "not an event");
    }
}

/// Progress as a program says it: one that names no phase is at work.
fn progress_of(mut said: Map<String, Value>) -> serde_json::Result<Progress> {
    said.entry("phase").or_insert_with(|| json!(Phase::Processing));
    serde_json::from_value(Value::Object(said))
}

fn collect_artifacts(cx: &Context) -> io::Result<()> {
    let root = &cx.invocation().artifacts;
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
            cx.add_artifact(Artifact {
                name: name.to_string_lossy().into_owned(),
                location: entry.path().to_string_lossy().into_owned(),
                bytes: entry.metadata()?.len(),
            });
        }
    }
    Ok(())
}

fn machine(message: &str, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Machine, message).cause(error)
}
