//! The JSON Schemas of functions' arguments: from a file, a built-in handler or the user's binary.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use vdeploy_runtime::function::Entry;
use vdeploy_runtime::handler::{Description, Registry};
use vdeploy_runtime::handlers;
use vdeploy_runtime::process::ProcessId;

use super::FileProblem;
use crate::manifest::Function;

/// How long a binary may take to print its handlers, which needs no work.
const DESCRIBE: Duration = Duration::from_secs(10);
/// More bytes than any binary's handlers take.
const DESCRIPTION_LIMIT: u64 = 16 << 20;

/// Schemas that were read, each once.
pub(super) struct Schemas {
    builtin: Registry,
    known: BTreeMap<Origin, Value>,
    binaries: BTreeMap<String, Vec<Description>>,
}

/// Where a schema comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    File(String),
    Builtin(String),
    Binary(String, String),
}

impl Default for Schemas {
    fn default() -> Self {
        let (known, binaries) = (BTreeMap::new(), BTreeMap::new());
        Schemas { builtin: handlers::builtin(), known, binaries }
    }
}

impl Schemas {
    /// The schema of a function's arguments; none when anything goes.
    pub(super) fn of(
        &mut self,
        function: &Function,
        folder: &Path,
    ) -> Result<Option<Value>, FileProblem> {
        let origin = match (&function.args, &function.spec.entry) {
            (Some(path), _) => Origin::File(path.clone()),
            (None, Entry::Builtin { handler }) => Origin::Builtin(handler.clone()),
            (None, Entry::Binary { binary, handler }) => {
                Origin::Binary(binary.clone(), handler.clone())
            }
            (None, Entry::Command { .. }) => return Ok(None),
        };
        if let Some(schema) = self.known.get(&origin) {
            return Ok(Some(schema.clone()));
        }
        let schema = match &origin {
            Origin::File(path) => read_schema(folder, path)?,
            // The manifest knows the names; one that no worker has yet brings no schema.
            Origin::Builtin(handler) => match self.builtin.describe(handler) {
                Some(description) => description.args,
                None => return Ok(None),
            },
            Origin::Binary(binary, handler) => self.of_binary(folder, binary, handler)?,
        };
        self.known.insert(origin, schema.clone());
        Ok(Some(schema))
    }

    fn of_binary(
        &mut self,
        folder: &Path,
        binary: &str,
        handler: &str,
    ) -> Result<Value, FileProblem> {
        if !self.binaries.contains_key(binary) {
            self.binaries.insert(binary.into(), describe(folder, binary)?);
        }
        let described = &self.binaries[binary];
        match described.iter().find(|description| description.name == handler) {
            Some(description) => Ok(description.args.clone()),
            None => Err(FileProblem::NotInBinary {
                binary: binary.into(),
                handler: handler.into(),
                known: described.iter().map(|d| format!("`{}`", d.name)).collect(),
            }),
        }
    }
}

fn read_schema(folder: &Path, path: &str) -> Result<Value, FileProblem> {
    let text = match std::fs::read_to_string(folder.join(path)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(FileProblem::Missing(path.into()));
        }
        Err(source) => return Err(FileProblem::Io { path: path.into(), source }),
    };
    let schema = serde_json::from_str(&text)
        .map_err(|source| FileProblem::NotJson { path: path.into(), source })?;
    match jsonschema::validator_for(&schema) {
        Ok(_) => Ok(schema),
        Err(error) => Err(FileProblem::NotSchema { path: path.into(), why: error.to_string() }),
    }
}

/// Asks a binary for its handlers.
fn describe(folder: &Path, binary: &str) -> Result<Vec<Description>, FileProblem> {
    let path = folder.join(binary);
    if !path.exists() {
        return Err(FileProblem::Missing(binary.into()));
    }
    let failed = |why: String| FileProblem::NoDescription { binary: binary.into(), why };
    let output = match ask(&path, DESCRIBE) {
        Ok(Some(output)) => output,
        Ok(None) => {
            let seconds = DESCRIBE.as_secs();
            return Err(failed(format!("didn't answer `--describe` within {seconds} s")));
        }
        Err(error) => return Err(failed(format!("doesn't start: {error}"))),
    };
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| failed(format!("didn't print its handlers: {error}")))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one question that is put to a user's binary at deploy; it isn't a worker"
)]
fn ask(path: &Path, limit: Duration) -> std::io::Result<Option<Output>> {
    let child = std::process::Command::new(path)
        .arg("--describe")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let group = ProcessId::of(child.id());
    let (answer, answered) = mpsc::channel();
    // Nobody waits for the answer any more when it takes too long.
    std::thread::spawn(move || drop(answer.send(attend(child))));
    match answered.recv_timeout(limit) {
        Ok(output) => output.map(Some),
        Err(_) => {
            // Whatever it started ends with it.
            group.kill_group();
            Ok(None)
        }
    }
}

fn attend(mut child: Child) -> std::io::Result<Output> {
    let mut stdout = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(DESCRIPTION_LIMIT).read_to_end(&mut stdout)?;
    }
    Ok(Output { status: child.wait()?, stdout, stderr: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(folder: &Path, script: &str) -> std::path::PathBuf {
        let path = folder.join("worker");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_program_that_does_not_answer_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        for script in ["exec sleep 1000", "exec sleep 1000 >&-", "sleep 1000 &"] {
            let path = program(folder.path(), script);
            assert!(ask(&path, Duration::from_millis(300)).unwrap().is_none(), "{script}");
        }
    }

    #[test]
    fn a_program_that_never_stops_talking_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), "exec yes");
        let output = ask(&path, Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(output.stdout.len() as u64, DESCRIPTION_LIMIT);
        assert!(!output.status.success());
    }
}
