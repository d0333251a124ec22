//! Calls like earlier ones: what makes two calls alike, and an earlier call's outcome given again,
//! with its files at the places that are wanted now.
//!
//! Two calls are alike when function, arguments and the content of input files are the same. Where
//! outputs go doesn't count, only which ending they have: it decides of a file's format.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::remembered::Remembered;
use crate::args::{ArgsSchema, Direction};
use crate::function::FunctionSpec;
use crate::home::Home;
use crate::storage::transfer::content_hash;
use crate::storage::{Files, OutputFile};
use crate::wire::{Artifact, Failure, FailureKind, Outcome};

/// What calls have in common that are alike, in hex.
pub(super) type Key = String;

/// A call of a function that says `cache = true`.
#[derive(Clone, Debug)]
pub(super) struct Reusable {
    pub(super) spec: Arc<FunctionSpec>,
    pub(super) args: Value,
    pub(super) files: Files,
    /// Where the folders of calls are.
    pub(super) home: Home,
    /// Where hashes of files are remembered.
    pub(super) index: PathBuf,
    pub(super) cancel: CancellationToken,
}

/// A file of an outcome as it was left. Anything about it differs: it isn't what the call made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    fn of(path: &Path) -> io::Result<Self> {
        let stat = std::fs::metadata(path)?;
        Ok(Mark {
            path: path.to_owned(),
            device: stat.dev(),
            inode: stat.ino(),
            size: stat.size(),
            modified: (stat.mtime(), stat.mtime_nsec()),
            changed: (stat.ctime(), stat.ctime_nsec()),
        })
    }

    fn still_holds(&self) -> bool {
        Mark::of(&self.path).is_ok_and(|now| now == *self)
    }
}

impl Reusable {
    /// What it has in common with calls that are alike; none when an input can't be read or isn't
    /// a file of this machine, which is for the function to say. Reads inputs that aren't known.
    pub(super) fn key(&self) -> Option<Key> {
        let anything = Value::Bool(true);
        let schema = ArgsSchema::compile(self.spec.schema.as_ref().unwrap_or(&anything)).ok()?;
        let mut args = self.args.clone();
        let mut inputs = Vec::new();
        for file in schema.files(&self.args) {
            let value = args.pointer_mut(&file.pointer)?;
            let text = value.as_str()?.to_owned();
            match file.direction {
                Direction::Output => {
                    let ending =
                        Path::new(&text).extension().map(|ending| ending.to_string_lossy());
                    *value = json!({ "ending": ending });
                }
                Direction::Input => {
                    let path = self.files.locate(&text).ok()?;
                    inputs.push(hex(&content_hash(&path, &self.index, &self.cancel).ok()?));
                }
            }
        }
        let mut whole = json!({
            "vdeploy": env!("CARGO_PKG_VERSION"),
            "function": self.spec.as_ref(),
            "args": args,
            "inputs": inputs,
        });
        // The order in which arguments were typed means nothing.
        whole.sort_all_objects();
        Some(hex(&Sha256::digest(whole.to_string())))
    }

    /// What is to be remembered of a success: the files it left. None when its inputs are no longer
    /// those of `key`, or a file can't be found.
    pub(super) fn marks(&self, key: &Key, outcome: &Outcome) -> Option<Vec<Mark>> {
        let Outcome::Succeeded { artifacts, .. } = outcome else { return None };
        if self.key().as_ref() != Some(key) {
            return None;
        }
        let mut marks = Vec::new();
        for artifact in artifacts {
            for entry in walkdir::WalkDir::new(self.files.locate(&artifact.location).ok()?) {
                let entry = entry.ok()?;
                if entry.file_type().is_file() {
                    marks.push(Mark::of(entry.path()).ok()?);
                }
            }
        }
        Some(marks)
    }

    /// The outcome of `earlier` with its files where this call wants them; none when one of them
    /// has changed or vanished since.
    pub(super) fn reuse(&self, earlier: Remembered) -> Option<Outcome> {
        let Outcome::Succeeded { mut result, artifacts, .. } = earlier.outcome.clone() else {
            return None;
        };
        if !earlier.files.iter().all(Mark::still_holds) {
            return None;
        }
        let mut placed = Vec::new();
        for artifact in artifacts {
            match self.place(&artifact, &earlier) {
                Ok(here) => {
                    rename(&mut result, &artifact.location, &here.location);
                    placed.push(here);
                }
                Err(failure) => return Some(Outcome::Failed { failure }),
            }
        }
        Some(Outcome::Succeeded { result, artifacts: placed, cached_from: Some(earlier.call) })
    }

    fn place(&self, artifact: &Artifact, earlier: &Remembered) -> Result<Artifact, Failure> {
        let wanted = self.wanted(artifact, earlier);
        if wanted.as_ref().is_some_and(|wanted| wanted.as_str() == artifact.location) {
            return Ok(artifact.clone());
        }
        let from = self.files.locate(&artifact.location)?;
        let name = match from.strip_prefix(self.home.call(&earlier.call.0).join("artifacts")) {
            Ok(name) => name.to_string_lossy().into_owned(),
            // It is somewhere that no argument names: there it stays.
            Err(_) if wanted.is_none() => return Ok(artifact.clone()),
            Err(_) => String::new(),
        };
        let staged = self.files.output(wanted.as_ref(), &name)?;
        copy(&from, &staged.path()).map_err(|error| {
            let message = format!("can't copy `{}`, which an earlier call made", artifact.location);
            Failure::new(FailureKind::Output, message).cause(error)
        })?;
        if self.cancel.is_cancelled() {
            return Err(Failure::new(FailureKind::Cancelled, "the call was cancelled"));
        }
        staged.commit(&artifact.name)
    }

    /// The place that this call names for what the earlier one put where it named.
    fn wanted(&self, artifact: &Artifact, earlier: &Remembered) -> Option<OutputFile> {
        let schema = ArgsSchema::compile(self.spec.schema.as_ref()?).ok()?;
        let text = |args: &Value, pointer: &str| args.pointer(pointer)?.as_str().map(str::to_owned);
        schema
            .files(&earlier.args)
            .into_iter()
            .filter(|file| file.direction == Direction::Output)
            .find(|file| text(&earlier.args, &file.pointer).as_ref() == Some(&artifact.location))
            .and_then(|file| text(&self.args, &file.pointer))
            .map(OutputFile::from)
    }
}

/// Copies a file, or a folder with all that is in it; filesystems that can share blocks do.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        let target = match entry.path().strip_prefix(from) {
            Ok(below) if !below.as_os_str().is_empty() => to.join(below),
            _ => to.to_owned(),
        };
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(&target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Puts `to` wherever `value` says `from`.
fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => *text = to.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(map) => map.values_mut().for_each(|item| rename(item, from, to)),
        _ => {}
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
