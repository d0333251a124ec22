//! The files of a call: brought into the container before it, and back to where they belong after.
//!
//! A volume is a folder here, with those of its files in it that the arguments name. What a call
//! writes there goes to the bucket when it has succeeded, each file whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::publish::Heard;
use super::{Door, link_mount, volume_folder};
use crate::args::{ArgsSchema, Direction};
use crate::aws::AwsError;
use crate::aws::calls::Group;
use crate::aws::layout::CALL_FILES;
use crate::client::call_files;
use crate::storage::transfer::{BucketTransfer, Event, Pair, TransferError, files_in};
use crate::storage::{BucketFolder, FileRef, Stat, Tree, VolumePath};
use crate::wire::{Artifact, Failure, FailureKind, Phase, Progress};

/// What was brought in.
pub(super) struct Stage {
    volumes: Vec<Mounted>,
    outputs: Vec<Elsewhere>,
}

/// An output that belongs into another bucket, by the address that the caller gave.
struct Elsewhere {
    address: String,
    folder: BucketFolder,
    path: VolumePath,
    here: PathBuf,
}

/// A volume in this container.
struct Mounted {
    folder: BucketFolder,
    here: PathBuf,
    /// What was in the folder when the call began.
    before: BTreeMap<VolumePath, Stat>,
    /// What the call was told to write, and what it must not replace.
    outputs: Vec<VolumePath>,
    overwrite: bool,
}

/// A place in a volume that an argument names.
struct Named {
    volume: String,
    path: VolumePath,
    direction: Direction,
}

impl Stage {
    /// Makes folders of the volumes that the call may use, with the files that its arguments name.
    pub(super) async fn bring_in(
        door: &Door,
        group: &Group,
        args: &mut Value,
        heard: Heard,
    ) -> Result<Self, Failure> {
        let named = named(group, args)?;
        let mut volumes = Vec::new();
        let mut names: Vec<_> = named.iter().map(|named| named.volume.clone()).collect();
        names.extend(group.function.volumes.values().cloned());
        names.sort();
        names.dedup();
        for name in names {
            let keys = door.ledger.keys();
            let bucket = door.ledger.bucket();
            let folder = if name == CALL_FILES {
                call_files(bucket, keys)
            } else if bucket.head(&keys.volume_record(&name)).await.map_err(unreachable)?.is_some()
            {
                BucketFolder::new(bucket.clone(), keys.volume(&name))
            } else {
                // Whoever looks for it says so.
                continue;
            };
            let named = named.iter().filter(|named| named.volume == name);
            let mounted = Mounted::bring_in(door, &name, folder, named, group, &heard).await?;
            volumes.push(mounted);
        }
        for (mount, volume) in &group.function.volumes {
            link_mount(mount, &volume_folder(&door.settings, volume));
        }
        let outputs = bring_in_others(door, group, args, &heard).await?;
        Ok(Stage { volumes, outputs })
    }

    /// Brings back what the call wrote. Artifacts without a place of their own go below `keys`.
    pub(super) async fn bring_back(
        self,
        door: &Door,
        keys: &str,
        (result, mut artifacts): (&mut Value, Vec<Artifact>),
        heard: Heard,
    ) -> Result<Vec<Artifact>, Failure> {
        for mounted in self.volumes {
            mounted.bring_back(&heard).await?;
        }
        for output in self.outputs {
            output.bring_back(&heard).await?;
            let (here, address) = (output.here.display().to_string(), &output.address);
            replace_text(result, &here, address);
            for artifact in artifacts.iter_mut().filter(|artifact| artifact.location == here) {
                artifact.location.clone_from(address);
            }
        }
        let mut sent = Vec::new();
        for artifact in artifacts {
            sent.push(send_artifact(door, keys, artifact, &heard).await?);
        }
        Ok(sent)
    }
}

impl Mounted {
    async fn bring_in(
        door: &Door,
        name: &str,
        folder: BucketFolder,
        named: impl Iterator<Item = &Named>,
        group: &Group,
        heard: &Heard,
    ) -> Result<Self, Failure> {
        let here = volume_folder(&door.settings, name);
        let made = std::fs::create_dir_all(&here).and_then(|()| Tree::open(&here));
        let tree = made.map_err(|error| machine(name, &error))?;
        let (mut pairs, mut outputs) = (Vec::new(), Vec::new());
        for Named { path, direction, .. } in named {
            let found = folder.find(path).await.map_err(|error| machine(name, &error))?;
            match direction {
                Direction::Input if found.is_some() => {
                    pairs.push(Pair { from: path.clone(), to: path.clone() });
                }
                // The handler says that it isn't there, as it does anywhere.
                Direction::Input => {}
                Direction::Output if found.is_some() && !group.overwrite => {
                    let location = format!("vol://{name}/{path}");
                    return Err(exists(&location));
                }
                Direction::Output => outputs.push(path.clone()),
            }
        }
        pairs.sort_by(|a, b| a.from.cmp(&b.from));
        pairs.dedup();
        if !pairs.is_empty() {
            let got = transfer(pairs, true, heard, Phase::Downloading).get(folder.clone(), tree);
            check(got.await, &format!("volume `{name}`"), FailureKind::InvalidInput)?;
        }
        let before = files_here(&here).map_err(|error| machine(name, &error))?;
        Ok(Mounted { folder, here, before, outputs, overwrite: group.overwrite })
    }

    async fn bring_back(self, heard: &Heard) -> Result<(), Failure> {
        let name = self.here.display().to_string();
        let now = files_here(&self.here).map_err(|error| machine(&name, &error))?;
        let changed = now.into_iter().filter(|(path, stat)| self.before.get(path) != Some(stat));
        let output = |path: &VolumePath| self.outputs.iter().any(|output| path.is_within(output));
        let (outputs, others): (Vec<_>, Vec<_>) =
            changed.map(|(path, _)| path).partition(|path| output(path));
        for (paths, overwrite) in [(outputs, self.overwrite), (others, true)] {
            if paths.is_empty() {
                continue;
            }
            let pairs: Vec<_> =
                paths.into_iter().map(|path| Pair { from: path.clone(), to: path }).collect();
            let tree = Tree::open(&self.here).map_err(|error| machine(&name, &error))?;
            let put = transfer(pairs, overwrite, heard, Phase::Uploading);
            check(put.put(tree, self.folder.clone()).await, "its outputs", FailureKind::Output)?;
        }
        Ok(())
    }
}

/// Brings in what arguments name by `s3://BUCKET/KEY`, with what the container may do there, and
/// has them name it here instead.
async fn bring_in_others(
    door: &Door,
    group: &Group,
    args: &mut Value,
    heard: &Heard,
) -> Result<Vec<Elsewhere>, Failure> {
    let mut outputs = Vec::new();
    let Some(schema) = &group.function.schema else { return Ok(outputs) };
    let files = ArgsSchema::compile(schema)?.files(args);
    for (number, file) in files.into_iter().enumerate() {
        let Some(Value::String(text)) = args.pointer_mut(&file.pointer) else { continue };
        let Some((bucket, key)) = text.strip_prefix("s3://").and_then(|it| it.split_once('/'))
        else {
            continue;
        };
        let path = VolumePath::parse(key).ok().filter(|path| path.name().is_some());
        let path = path.ok_or_else(|| no_object(text))?;
        let parent = door.settings.home.root().join("files").join(number.to_string());
        let here = parent.join(path.name().unwrap_or_default());
        let tree = std::fs::create_dir_all(&parent).and_then(|()| Tree::open(&parent));
        let tree = tree.map_err(|error| machine(text, &error))?;
        let folder = BucketFolder::new(door.aws.bucket(bucket), "");
        let address = std::mem::replace(text, here.display().to_string());
        match file.direction {
            Direction::Input => {
                let to = VolumePath::parse(path.name().unwrap_or_default()).unwrap_or_default();
                let pairs = vec![Pair { from: path, to }];
                let got = transfer(pairs, true, heard, Phase::Downloading).get(folder, tree).await;
                check(got, &format!("`{address}`"), FailureKind::InvalidInput)?;
            }
            Direction::Output => {
                let there = folder.find(&path).await.map_err(|error| machine(&address, &error))?;
                if there.is_some() && !group.overwrite {
                    return Err(exists(&address));
                }
                outputs.push(Elsewhere { address, folder, path, here });
            }
        }
    }
    Ok(outputs)
}

impl Elsewhere {
    async fn bring_back(&self, heard: &Heard) -> Result<(), Failure> {
        if !self.here.exists() {
            // A handler may leave an output out.
            return Ok(());
        }
        let parent = self.here.parent().unwrap_or(Path::new("/"));
        let tree = Tree::open(parent).map_err(|error| machine(&self.address, &error))?;
        let from = VolumePath::parse(self.path.name().unwrap_or_default()).unwrap_or_default();
        let pairs = vec![Pair { from, to: self.path.clone() }];
        let put = transfer(pairs, true, heard, Phase::Uploading).put(tree, self.folder.clone());
        check(put.await, &format!("`{}`", self.address), FailureKind::Output)
    }
}

fn no_object(text: &str) -> Failure {
    Failure::new(FailureKind::InvalidArgs, format!("`{text}` names no object"))
        .hint("expected `s3://BUCKET/KEY`")
}

fn replace_text(value: &mut Value, was: &str, is: &str) {
    match value {
        Value::String(text) if text == was => is.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_text(item, was, is)),
        Value::Object(map) => map.values_mut().for_each(|item| replace_text(item, was, is)),
        _ => {}
    }
}

/// The places in volumes that the arguments name: by the schema where it says so, and wherever else
/// `vol://` is written.
fn named(group: &Group, args: &Value) -> Result<Vec<Named>, Failure> {
    let mut found = Vec::new();
    if let Some(schema) = &group.function.schema {
        for file in ArgsSchema::compile(schema)?.files(args) {
            let text = args.pointer(&file.pointer).and_then(Value::as_str).unwrap_or_default();
            found.push((text.to_owned(), file.direction));
        }
    }
    collect_texts(args, &mut |text| {
        if text.starts_with("vol://") && !found.iter().any(|(known, _)| known == text) {
            found.push((text.to_owned(), Direction::Input));
        }
    });
    let place = |(text, direction): (String, Direction)| {
        let Ok(FileRef::Volume { volume, path }) = FileRef::parse(&text) else { return None };
        // What isn't a path is told by whoever looks there.
        Some(Named { volume, path: VolumePath::parse(&path).ok()?, direction })
    };
    Ok(found.into_iter().filter_map(place).collect())
}

fn collect_texts(value: &Value, take: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, take)),
        Value::Object(map) => map.values().for_each(|item| collect_texts(item, take)),
        _ => {}
    }
}

/// Sends an artifact that is a file of this container; others are in their place.
async fn send_artifact(
    door: &Door,
    keys: &str,
    artifact: Artifact,
    heard: &Heard,
) -> Result<Artifact, Failure> {
    let path = Path::new(&artifact.location);
    if !path.is_absolute() {
        return Ok(artifact);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("artifact");
    let to = VolumePath::parse(name).unwrap_or_default();
    let folder = BucketFolder::new(door.ledger.bucket().clone(), keys);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let tree = Tree::open(parent).map_err(|error| machine(&artifact.location, &error))?;
    let location = format!("s3://{}/{}", folder.bucket().name(), folder.key(&to));
    let pairs = vec![Pair { from: to.clone(), to }];
    let put = transfer(pairs, true, heard, Phase::Uploading).put(tree, folder);
    check(put.await, &format!("artifact `{name}`"), FailureKind::Output)?;
    Ok(Artifact { location, ..artifact })
}

fn files_here(folder: &Path) -> std::io::Result<BTreeMap<VolumePath, Stat>> {
    files_in(&Tree::open(folder)?)
}

fn transfer(pairs: Vec<Pair>, overwrite: bool, heard: &Heard, phase: Phase) -> BucketTransfer {
    let heard = Arc::clone(heard);
    let bytes = Mutex::new((0_u64, 0_u64));
    let events = move |event: Event| {
        let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Copying { bytes: all, .. } => *bytes = (0, all),
            Event::Advanced { bytes: more } => bytes.0 += more,
            _ => return,
        }
        let (done, all) = *bytes;
        let fraction = (all > 0).then(|| done.min(all) as f64 / all as f64);
        let message = format!("{:.1} of {:.1} MiB", mebibytes(done), mebibytes(all));
        let progress = Progress { phase, fraction, message: Some(message), ..Progress::default() };
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    };
    BucketTransfer {
        pairs,
        overwrite,
        index: None,
        cancel: CancellationToken::new(),
        events: Arc::new(events),
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// One failure of whatever could not be transferred.
fn check(
    done: Result<crate::storage::transfer::Summary, TransferError>,
    what: &str,
    kind: FailureKind,
) -> Result<(), Failure> {
    match done {
        Ok(summary) => match summary.failed.first() {
            None => Ok(()),
            Some(failed) => {
                let message = format!("can't transfer `{}` of {what}", failed.path);
                Err(Failure::new(kind, message).cause(&failed.why).retryable(true))
            }
        },
        Err(TransferError::Exists(paths)) => {
            let path = paths.first().map(ToString::to_string).unwrap_or_default();
            Err(exists(&path))
        }
        Err(TransferError::Destination(failed) | TransferError::Source(failed)) => {
            let message = format!("can't transfer `{}` of {what}", failed.path);
            Err(Failure::new(kind, message).cause(failed.why).retryable(true))
        }
        Err(error) => Err(Failure::new(kind, format!("can't transfer {what}")).cause(error)),
    }
}

fn exists(location: &str) -> Failure {
    Failure::new(FailureKind::Output, format!("output `{location}` already exists"))
        .hint("pass `--force` to replace it, or name another output")
}

fn unreachable(error: AwsError) -> Failure {
    error.into_failure(FailureKind::Machine)
}

fn machine(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(FailureKind::Machine, format!("can't use `{what}` in this container")).cause(error)
}
