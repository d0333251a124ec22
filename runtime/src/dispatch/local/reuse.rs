//! Calls like earlier ones: what makes two calls alike, and an earlier call's outcome given again,
//! with its files at the places that are wanted now.
//!
//! Two calls are alike when environment, function, arguments and the content of input files are the
//! same. Where outputs go doesn't count, only which ending they have: it decides of a file's format.

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
use crate::storage::{Files, OutputFile, StagedOutput};
use crate::wire::{Artifact, Failure, FailureKind, Outcome};

/// What calls have in common that are alike, in hex.
pub(super) type Key = String;

/// A call of a function that says `cache = true`.
#[derive(Clone, Debug)]
pub(super) struct Reusable {
    pub(super) environment: String,
    pub(super) spec: Arc<FunctionSpec>,
    pub(super) args: Value,
    pub(super) files: Files,
    /// Where the folders of calls are.
    pub(super) home: Home,
    /// Where hashes of files are remembered.
    pub(super) index: PathBuf,
    pub(super) cancel: CancellationToken,
}

/// What became of a wish for an earlier outcome.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// None can be given again.
    Nothing,
    /// One, with its files in place; or why they can't be put there.
    Outcome(Outcome),
    /// It was given up; no file was put anywhere.
    Interrupted,
}

/// A file that an earlier call made.
enum Placing {
    /// It is where it is wanted already.
    There(Artifact),
    /// It was copied beside its place; with its name.
    Beside(StagedOutput, String),
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
                    inputs.push(hex(&content_hash(&path, Some(&self.index), &self.cancel).ok()?));
                }
            }
        }
        let mut whole = json!({
            "vdeploy": env!("CARGO_PKG_VERSION"),
            // The same text names another file, secret or function in another environment.
            "environment": self.environment,
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

    /// The outcome of `earlier` with its files where this call wants them; nothing when one of them
    /// has changed or vanished since. Files are put in place when all are ready for that.
    pub(super) fn reuse(&self, earlier: Remembered) -> Found {
        let Outcome::Succeeded { mut result, artifacts, .. } = earlier.outcome.clone() else {
            return Found::Nothing;
        };
        if !earlier.files.iter().all(Mark::still_holds) {
            return Found::Nothing;
        }
        let staged: Result<Vec<_>, _> =
            artifacts.iter().map(|artifact| self.stage(artifact, &earlier)).collect();
        if self.cancel.is_cancelled() {
            return Found::Interrupted;
        }
        let placed = match staged.and_then(|staged| self.commit(staged)) {
            Ok(placed) => placed,
            Err(failure) => return Found::Outcome(Outcome::Failed { failure }),
        };
        for (artifact, here) in artifacts.iter().zip(&placed) {
            rename(&mut result, &artifact.location, &here.location);
        }
        let cached_from = Some(earlier.call);
        Found::Outcome(Outcome::Succeeded { result, artifacts: placed, cached_from })
    }

    fn stage(&self, artifact: &Artifact, earlier: &Remembered) -> Result<Placing, Failure> {
        let wanted = self.wanted(artifact, earlier);
        let from = self.files.locate(&artifact.location)?;
        if let Some(wanted) = &wanted
            && self.files.locate(wanted.as_str()).is_ok_and(|place| place == from)
        {
            let location = wanted.as_str().to_owned();
            return Ok(Placing::There(Artifact { location, ..artifact.clone() }));
        }
        let name = match from.strip_prefix(self.home.call(&earlier.call.0).join("artifacts")) {
            Ok(name) => name.to_string_lossy().into_owned(),
            // It is somewhere that no argument names: there it stays.
            Err(_) if wanted.is_none() => return Ok(Placing::There(artifact.clone())),
            Err(_) => String::new(),
        };
        let staged = self.files.output(wanted.as_ref(), &name)?;
        self.copy(&from, &staged.path()).map_err(|error| {
            let message = format!("can't copy `{}`, which an earlier call made", artifact.location);
            Failure::new(FailureKind::Output, message).cause(error)
        })?;
        Ok(Placing::Beside(staged, artifact.name.clone()))
    }

    /// Puts files in place. When one can't be, those that were and that replaced nothing are taken
    /// away again.
    fn commit(&self, staged: Vec<Placing>) -> Result<Vec<Artifact>, Failure> {
        let (mut placed, mut new) = (Vec::new(), Vec::<PathBuf>::new());
        for placing in staged {
            let (output, name) = match placing {
                Placing::There(artifact) => {
                    placed.push(artifact);
                    continue;
                }
                Placing::Beside(output, name) => (output, name),
            };
            let place = self.files.locate(output.location())?;
            let is_new = place.symlink_metadata().is_err();
            match output.commit(&name) {
                Ok(artifact) => placed.push(artifact),
                Err(failure) => {
                    new.iter().for_each(|place| take_away(place));
                    return Err(failure);
                }
            }
            new.extend(is_new.then_some(place));
        }
        Ok(placed)
    }

    /// Copies a file, or a folder with all that is in it, until nobody wants it any more;
    /// filesystems that can share blocks do.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in walkdir::WalkDir::new(from) {
            if self.cancel.is_cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
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

/// Removes what was put in a place a moment ago. Should that fail, the failure that led here is
/// what there is to say.
fn take_away(place: &Path) {
    let _ =
        if place.is_dir() { std::fs::remove_dir_all(place) } else { std::fs::remove_file(place) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::CallId;

    /// An earlier call that made `a` and `b`, and one like it that wants them as `c` and `d`.
    fn alike(folder: &Path) -> (Reusable, Remembered) {
        let path = |name: &str| folder.join(name).display().to_string();
        for name in ["a", "b"] {
            std::fs::write(path(name), name).unwrap();
        }
        let output = json!({ "type": "string", "format": "output-file" });
        let spec = json!({
            "app": "a", "name": "f", "entry": { "kind": "builtin", "handler": "echo" },
            "schema": { "type": "object", "properties": { "one": output, "two": output } },
        });
        let artifact = |name: &str| Artifact { name: name.into(), location: path(name), bytes: 1 };
        let earlier = Remembered {
            call: CallId("c-1".into()),
            args: json!({ "one": path("a"), "two": path("b") }),
            outcome: Outcome::from_result(Ok((json!({}), vec![artifact("a"), artifact("b")]))),
            files: Vec::new(),
        };
        let reusable = Reusable {
            environment: "main".into(),
            spec: Arc::new(serde_json::from_value(spec).unwrap()),
            args: json!({ "one": path("c"), "two": path("d") }),
            files: Files::without_worker(Default::default(), &folder.join("call"), false),
            home: Home::new(folder.join("home")),
            index: folder.join("index.db"),
            cancel: CancellationToken::new(),
        };
        (reusable, earlier)
    }

    #[test]
    fn files_are_put_in_place_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (reusable, earlier) = alike(folder.path());
        let taken = folder.path().join("d");
        std::fs::write(&taken, "mine").unwrap();
        let found = reusable.reuse(earlier.clone());
        assert!(matches!(found, Found::Outcome(Outcome::Failed { .. })), "{found:?}");
        assert!(!folder.path().join("c").exists());
        std::fs::remove_file(taken).unwrap();
        let found = reusable.reuse(earlier);
        assert!(matches!(found, Found::Outcome(Outcome::Succeeded { .. })), "{found:?}");
        assert_eq!(std::fs::read_to_string(folder.path().join("d")).unwrap(), "b");
    }

    #[test]
    fn a_file_that_was_put_in_place_is_taken_away_when_the_next_one_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let (reusable, earlier) = alike(folder.path());
        let Outcome::Succeeded { artifacts, .. } = &earlier.outcome else { unreachable!() };
        let staged = artifacts.iter().map(|artifact| reusable.stage(artifact, &earlier));
        let staged = staged.collect::<Result<_, _>>().unwrap();
        std::fs::write(folder.path().join("d"), "mine").unwrap();
        assert!(reusable.commit(staged).is_err());
        assert!(!folder.path().join("c").exists());
        assert_eq!(std::fs::read_to_string(folder.path().join("d")).unwrap(), "mine");
    }

    #[test]
    fn a_look_up_that_is_given_up_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (reusable, earlier) = alike(folder.path());
        reusable.cancel.cancel();
        assert_eq!(reusable.reuse(earlier), Found::Interrupted);
        assert!(!folder.path().join("c").exists() && !folder.path().join("d").exists());
    }
}
