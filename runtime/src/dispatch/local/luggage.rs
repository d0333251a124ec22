//! Files of a call that runs where this machine's paths mean nothing: copied into a folder that the
//! worker sees, and its outputs put in their place when the call has succeeded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::args::{ArgsSchema, Direction};
use crate::storage::{FileRef, Files, OutputFile, StagedOutput};
use crate::wire::{Failure, FailureKind, Outcome};
use crate::worker::frame::Invoke;

/// What was brought into a call, and what is to be brought out of it.
#[derive(Debug, Default)]
pub(super) struct Luggage {
    /// The call's folder as this machine knows it, and the one that the worker fills.
    folders: Option<(PathBuf, PathBuf)>,
    outputs: Vec<Output>,
    /// Paths that the worker knows, and what the caller calls them.
    names: Vec<(String, String)>,
}

/// An output: where the worker writes it, and where it belongs.
#[derive(Debug)]
struct Output {
    written: PathBuf,
    place: StagedOutput,
}

impl Luggage {
    /// Nothing: the worker sees what this machine sees.
    pub(super) fn none() -> Self {
        Luggage::default()
    }

    /// Brings the files that the arguments of `invoke` name into `room`, which the worker sees
    /// under the same path, and names them there. Blocks.
    pub(super) fn pack(
        invoke: &mut Invoke,
        schema: Option<&Value>,
        room: &Path,
    ) -> Result<Self, Failure> {
        let inside = room.join("calls").join(&invoke.call.0);
        let host = std::mem::replace(&mut invoke.folder, inside.clone());
        fs::create_dir_all(&inside).map_err(|error| unpackable("the call's folder", &error))?;
        let names = vec![(text(&inside.join("artifacts")), text(&host.join("artifacts")))];
        let mut luggage =
            Luggage { folders: Some((host.clone(), inside)), names, outputs: Vec::new() };
        if let Some(schema) = schema {
            luggage.bring_files(invoke, schema, &host)?;
        }
        Ok(luggage)
    }

    fn bring_files(
        &mut self,
        invoke: &mut Invoke,
        schema: &Value,
        host: &Path,
    ) -> Result<(), Failure> {
        let places = Files::without_worker(Default::default(), host, invoke.overwrite);
        let files = ArgsSchema::compile(schema)?.files(&invoke.args);
        for (index, file) in files.into_iter().enumerate() {
            let Some(argument) = invoke.args.pointer_mut(&file.pointer) else { continue };
            let Some(named) = argument.as_str().map(str::to_owned) else { continue };
            let Ok(FileRef::Path(path)) = FileRef::parse(&named) else { continue };
            let folder = invoke.folder.join("files").join(index.to_string());
            fs::create_dir_all(&folder).map_err(|error| unpackable(&named, &error))?;
            let inside = folder.join(path.file_name().unwrap_or("file".as_ref()));
            match file.direction {
                Direction::Input => {
                    copy(&path, &inside).map_err(|error| unreadable(&named, &error))?;
                }
                Direction::Output => {
                    let output = OutputFile::from(named.clone());
                    let place = places.output(Some(&output), "output")?;
                    self.outputs.push(Output { written: inside.clone(), place });
                }
            }
            *argument = text(&inside).into();
            self.names.push((text(&inside), named));
        }
        Ok(())
    }

    /// Puts outputs and artifacts of a call that has succeeded in their place, and names files as
    /// the caller does.
    pub(super) async fn unpack(self, outcome: Outcome) -> Outcome {
        if self.folders.is_none() {
            return outcome;
        }
        let unpacked = tokio::task::spawn_blocking(move || self.unpack_now(outcome)).await;
        unpacked.expect("unpacking doesn't panic")
    }

    /// The same. Blocks.
    fn unpack_now(self, outcome: Outcome) -> Outcome {
        let Luggage { folders: Some((host, inside)), outputs, names } = self else {
            return outcome;
        };
        let moved = match outcome {
            Outcome::Succeeded { .. } => bring_out(&host, &inside, outputs),
            _ => Ok(()),
        };
        // What stays is removed with the container's room.
        let _ = fs::remove_dir_all(&inside);
        match moved {
            Ok(()) => renamed(outcome, &names),
            Err(failure) => Outcome::Failed { failure },
        }
    }
}

fn bring_out(host: &Path, inside: &Path, outputs: Vec<Output>) -> Result<(), Failure> {
    let artifacts = inside.join("artifacts");
    if artifacts.exists() {
        let to = host.join("artifacts");
        fs::create_dir_all(host)
            .and_then(|()| fs::rename(&artifacts, &to))
            .map_err(|error| unpackable("the call's artifacts", &error))?;
    }
    for Output { written, place } in outputs {
        // A handler may leave an optional output away.
        let Ok(found) = written.symlink_metadata() else { continue };
        if found.is_symlink() {
            let message = format!("the output `{}` is a link", place.location());
            return Err(Failure::new(FailureKind::Output, message));
        }
        move_or_copy(&written, &place.path())
            .map_err(|error| unpackable(place.location(), &error))?;
        place.commit("output")?;
    }
    Ok(())
}

/// A move within one file system is a rename.
fn move_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, to),
        renamed => renamed,
    }
}

/// Copies a file or a folder of files; the kernel shares the blocks where it can. Links in a folder
/// are left out.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// The outcome with `names` in place of the paths that the worker knows.
fn renamed(outcome: Outcome, names: &[(String, String)]) -> Outcome {
    let mut value = serde_json::to_value(&outcome).expect("outcomes serialise");
    rename(&mut value, names);
    serde_json::from_value(value).unwrap_or(outcome)
}

fn rename(value: &mut Value, names: &[(String, String)]) {
    match value {
        Value::String(text) => {
            for (inside, name) in names {
                *text = text.replace(inside, name);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Object(map) => map.values_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn unreadable(named: &str, error: &io::Error) -> Failure {
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("`{named}` isn't there"),
        _ => format!("can't read `{named}`"),
    };
    Failure::new(FailureKind::InvalidInput, message).cause(error)
}

fn unpackable(named: &str, error: &io::Error) -> Failure {
    Failure::new(FailureKind::Output, format!("can't write `{named}`")).cause(error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::CallId;

    fn schema() -> Value {
        json!({ "type": "object", "properties": {
            "input": { "type": "string", "format": "input-file" },
            "output": { "type": "string", "format": "output-file" },
        }})
    }

    fn invoke(folder: &Path, args: Value) -> Invoke {
        Invoke {
            call: CallId("c-1".into()),
            attempt: 1,
            args,
            overwrite: false,
            checkpoint: None,
            folder: folder.join("calls/c-1"),
            ranged: Default::default(),
        }
    }

    #[test]
    fn files_come_in_and_outputs_go_to_their_place_under_the_callers_names() {
        let host = tempfile::tempdir().unwrap();
        let room = host.path().join("room");
        let (input, output) = (host.path().join("in.txt"), host.path().join("out.txt"));
        fs::write(&input, "frames").unwrap();
        let mut invoke =
            invoke(host.path(), json!({ "input": input, "output": output, "fps": 25 }));
        let luggage = Luggage::pack(&mut invoke, Some(&schema()), &room).unwrap();
        let inside = |key: &str| PathBuf::from(invoke.args[key].as_str().unwrap());
        assert!(inside("input").starts_with(&room) && inside("output").starts_with(&room));
        assert_eq!(fs::read_to_string(inside("input")).unwrap(), "frames");
        fs::write(inside("output"), "done").unwrap();
        let said = json!({ "output": inside("output"), "fps": invoke.args["fps"] });
        let outcome = luggage.unpack_now(Outcome::from_result(Ok((said, Vec::new()))));
        let Outcome::Succeeded { result, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(result, json!({ "output": output, "fps": 25 }));
        assert_eq!(fs::read_to_string(&output).unwrap(), "done");
        assert!(!room.join("calls/c-1").exists());
    }

    #[test]
    fn an_output_that_is_there_is_kept_and_a_failure_leaves_none() {
        let host = tempfile::tempdir().unwrap();
        let room = host.path().join("room");
        let output = host.path().join("out.txt");
        let mut call = invoke(host.path(), json!({ "output": output }));
        let luggage = Luggage::pack(&mut call, Some(&schema()), &room).unwrap();
        fs::write(call.args["output"].as_str().unwrap(), "half").unwrap();
        let failure = Failure::new(FailureKind::Handler, "no");
        luggage.unpack_now(Outcome::Failed { failure });
        assert!(!output.exists());
        fs::write(&output, "mine").unwrap();
        let mut call = invoke(host.path(), json!({ "output": output }));
        let refused = Luggage::pack(&mut call, Some(&schema()), &room).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Output);
    }

    #[test]
    fn an_output_that_is_a_link_is_refused() {
        let host = tempfile::tempdir().unwrap();
        let room = host.path().join("room");
        let output = host.path().join("out.txt");
        let mut call = invoke(host.path(), json!({ "output": output }));
        let luggage = Luggage::pack(&mut call, Some(&schema()), &room).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", call.args["output"].as_str().unwrap()).unwrap();
        let outcome = luggage.unpack_now(Outcome::from_result(Ok((json!(null), Vec::new()))));
        assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
        assert!(!output.exists());
    }
}
