//! The door to any program: JSON on stdin, JSON on stdout, one process per call.
//!
//! stderr is the log. Progress and checkpoints are JSON lines written to the path in
//! `$VDEPLOY_EVENTS`, a pipe: `{"progress": {"fraction": 0.5}}` or `{"checkpoint": …}`. What the
//! program leaves in `$VDEPLOY_ARTIFACTS` becomes the call's artifacts. A program that fails may
//! say why on stdout: `{"error": {"message": "…", "hint": "…", "retryable": false}}`.

mod ending;
mod events;
mod workplace;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use ending::{Ending, RESULT_LIMIT};
pub use workplace::Spare;
use workplace::Workplace;

use crate::args::{ArgsSchema, Direction};
use crate::environment;
use crate::handler::Context;
use crate::oom::OomWatch;
use crate::process;
use crate::storage::{InputFile, OutputFile, StagedOutput};
use crate::wire::{Artifact, Failure, FailureKind, Invocation};

/// Lines of stderr quoted in an error.
const QUOTED_LINES: usize = 5;
/// Bytes of stderr in which those are looked for.
const QUOTED_BYTES: usize = 8 << 10;
/// How long a program that was asked to end is waited for.
const GRACE: Duration = Duration::from_secs(5);
/// Runs `argv` for one call. Relative paths in `argv` and the program's own imports are those of
/// `source`, the deployed copy of its code; it runs in the call's scratch folder.
pub(super) async fn run(
    argv: &[String],
    source: Option<&Path>,
    (oom, spare): (&OomWatch, &Spare),
    cx: Context,
    mut args: Value,
) -> Result<Value, Failure> {
    let outputs = stage_files(&cx, &mut args).await?;
    let Invocation { scratch, artifacts, .. } = cx.invocation();
    let mut place = spare
        .workplace((scratch, artifacts), source)
        .map_err(|error| machine("can't prepare the call", &error))?;
    let mut child = spawn(argv, &place, &cx)?;
    let attended = async {
        tokio::select! {
            ended = attend(&mut child, &args) => ended,
            () = cx.cancellation().cancelled() => {
                stop(&mut child).await;
                Err(Failure::new(FailureKind::Cancelled, "the call was cancelled"))
            }
        }
    };
    let ended = tokio::select! {
        ended = attended => ended,
        never = place.events.follow(&cx) => match never {},
    };
    // Nobody is left who could write more.
    place.events.finish(&cx);
    let ending = ended?;
    let was_silent = ending.stderr_tail.is_empty();
    let result = ending.result(&argv[0], &place.scratch, oom)?;
    for (name, output) in outputs {
        if output.path().exists() {
            cx.add_artifact(output.commit(&name)?);
        }
    }
    collect_artifacts(&cx).map_err(|error| machine("can't collect the artifacts", &error))?;
    if was_silent {
        spare.keep(place);
    }
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

fn spawn(argv: &[String], place: &Workplace, cx: &Context) -> Result<Child, Failure> {
    let invocation = cx.invocation();
    #[expect(clippy::disallowed_methods, reason = "the one place that runs a user's program")]
    let mut command = Command::new(program(&argv[0], &place.scratch));
    command
        .arg0(&argv[0])
        .args(&argv[1..])
        .current_dir(&place.scratch)
        .env(environment::CALL, &invocation.call.0)
        .env(environment::ATTEMPT, invocation.attempt.to_string())
        .env(environment::SCRATCH, &place.scratch)
        .env(environment::ARTIFACTS, &place.artifacts)
        .env(environment::EVENTS, place.events.path())
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

/// A name with a slash is a file of the deployed code; any other is looked up in `PATH`: here, since
/// to look costs less than to try to start what isn't there.
fn program(name: &str, scratch: &Path) -> PathBuf {
    if name.contains('/') {
        return scratch.join(name);
    }
    let path = environment::search_path().unwrap_or_default();
    let found = std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok());
    found.unwrap_or_else(|| PathBuf::from(name))
}

async fn attend(child: &mut Child, args: &Value) -> Result<Ending, Failure> {
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
    Ok(Ending { status: status?, stdout: stdout.map_err(broken)?, stderr_tail })
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
    let Some(mut stderr) = stderr else { return Vec::new() };
    let mut chunk = vec![0; 64 << 10];
    let mut tail = Vec::new();
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        let _ = io::stderr().write_all(&chunk[..count]);
        tail.extend_from_slice(&chunk[..count]);
        tail.drain(..tail.len().saturating_sub(QUOTED_BYTES));
    }
    last_lines(&tail)
}

fn last_lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let mut last: Vec<String> =
        lines.rev().take(QUOTED_LINES).map(|line| line.chars().take(300).collect()).collect();
    last.reverse();
    last
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
