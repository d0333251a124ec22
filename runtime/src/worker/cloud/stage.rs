//! The files of a call: brought into the container before it, and back to where they belong after.
//!
//! A volume is a folder here, with those of its files in it that the arguments name. What a call
//! writes there goes to the bucket when it has succeeded, each file whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Door, link_mount, volume_folder};
use crate::args::{ArgsSchema, Direction};
use crate::aws::AwsError;
use crate::aws::calls::Group;
use crate::aws::layout::CALL_FILES;
use crate::client::call_files;
use crate::storage::remote::carry::{Tell, check_summary, exists, machine, transfer};
use crate::storage::transfer::{Pair, files_in};
use crate::storage::{BucketFolder, FileRef, Kind, Stat, Tree, VolumePath};
use crate::wire::{Artifact, Failure, FailureKind, Phase};

/// What was brought in.
pub(super) struct Stage {
    volumes: Vec<Mounted>,
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
    /// Parts of it are enough, which are brought as they are read.
    ranged: bool,
}

impl Stage {
    /// Makes folders of the volumes that the call may use, with the files that its arguments name.
    pub(super) async fn bring_in(
        door: &Door,
        group: &Group,
        args: &Value,
        tell: Tell,
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
            let mounted = Mounted::bring_in(door, &name, folder, named, group, &tell).await?;
            volumes.push(mounted);
        }
        let brought = volumes.iter().flat_map(Mounted::brought).collect();
        door.elsewhere.set_brought(brought);
        for (mount, volume) in &group.function.volumes {
            link_mount(mount, &volume_folder(&door.settings, volume));
        }
        Ok(Stage { volumes })
    }

    /// Brings back what the call wrote. Artifacts without a place of their own go below `keys`.
    pub(super) async fn bring_back(
        self,
        door: &Door,
        keys: &str,
        artifacts: Vec<Artifact>,
        tell: Tell,
    ) -> Result<Vec<Artifact>, Failure> {
        for mounted in self.volumes {
            mounted.bring_back(&tell).await?;
        }
        let mut sent = Vec::new();
        for artifact in artifacts {
            sent.push(send_artifact(door, keys, artifact, &tell).await?);
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
        tell: &Tell,
    ) -> Result<Self, Failure> {
        let here = volume_folder(&door.settings, name);
        let made = std::fs::create_dir_all(&here).and_then(|()| Tree::open(&here));
        let tree = made.map_err(|error| machine(name, &error))?;
        let (mut pairs, mut outputs) = (Vec::new(), Vec::new());
        for Named { path, direction, ranged, .. } in named {
            let found = folder.find(path).await.map_err(|error| machine(name, &error))?;
            match direction {
                Direction::Input
                    if *ranged && found.as_ref().is_some_and(|it| it.kind == Kind::File) => {}
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
            let got =
                transfer(pairs.clone(), true, tell, Phase::Downloading).get(folder.clone(), tree);
            check_summary(got.await, &format!("volume `{name}`"), FailureKind::InvalidInput)?;
        }
        let mut before = files_here(&here).map_err(|error| machine(name, &error))?;
        // What an earlier call left here may no longer be what the volume has.
        let named = |path: &VolumePath| pairs.iter().any(|pair| path.is_within(&pair.from));
        for (path, _) in before.extract_if(.., |path, _| !named(path)) {
            let removed = std::fs::remove_file(here.join(path.as_str()));
            removed.map_err(|error| machine(name, &error))?;
        }
        Ok(Mounted { folder, here, before, outputs, overwrite: group.overwrite })
    }

    /// The files that are here before the call.
    fn brought(&self) -> impl Iterator<Item = (PathBuf, Stat)> {
        self.before.iter().map(|(path, stat)| (self.here.join(path.as_str()), *stat))
    }

    async fn bring_back(self, tell: &Tell) -> Result<(), Failure> {
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
            let put = transfer(pairs, overwrite, tell, Phase::Uploading);
            check_summary(
                put.put(tree, self.folder.clone()).await,
                "its outputs",
                FailureKind::Output,
            )?;
        }
        Ok(())
    }
}

/// The places in volumes that the arguments name: by the schema where it says so, and wherever else
/// `vol://` is written.
fn named(group: &Group, args: &Value) -> Result<Vec<Named>, Failure> {
    let mut found = Vec::new();
    if let Some(schema) = &group.function.schema {
        for file in ArgsSchema::compile(schema)?.files(args) {
            let text = args.pointer(&file.pointer).and_then(Value::as_str).unwrap_or_default();
            found.push((text.to_owned(), file.direction, file.ranged));
        }
    }
    collect_texts(args, &mut |text| {
        if text.starts_with("vol://") && !found.iter().any(|(known, ..)| known == text) {
            found.push((text.to_owned(), Direction::Input, false));
        }
    });
    let place = |(text, direction, ranged): (String, Direction, bool)| {
        let Ok(FileRef::Volume { volume, path }) = FileRef::parse(&text) else { return None };
        // What isn't a path is told by whoever looks there.
        Some(Named { volume, path: VolumePath::parse(&path).ok()?, direction, ranged })
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
    tell: &Tell,
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
    let put = transfer(pairs, true, tell, Phase::Uploading).put(tree, folder);
    check_summary(put.await, &format!("artifact `{name}`"), FailureKind::Output)?;
    Ok(Artifact { location, ..artifact })
}

fn files_here(folder: &Path) -> std::io::Result<BTreeMap<VolumePath, Stat>> {
    files_in(&Tree::open(folder)?)
}

fn unreachable(error: AwsError) -> Failure {
    error.into_failure(FailureKind::Machine)
}
