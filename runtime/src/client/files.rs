//! Files of this machine in calls that run elsewhere: brought there before, and back after.
//!
//! They go through a volume of calls' own, [`layout::CALL_FILES`], so that workers know of nothing
//! but volumes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Client, ClientError};
use crate::args::{ArgsSchema, Direction};
use crate::aws::layout::{self, Keys};
use crate::aws::objects::Bucket;
use crate::catalog::Published;
use crate::clock;
use crate::dispatch::{Dispatcher, ordered_id};
use crate::settings::Settings;
use crate::storage::transfer::Pair;
use crate::storage::{BucketFolder, Copying, FileRef, Side, Tree, VolumePath};
use crate::wire::{Artifact, Failure, FailureKind, Outcome};

/// The outputs of a call that belong on this machine.
#[derive(Clone, Debug, Default)]
pub struct SentFiles {
    outputs: Vec<Output>,
    overwrite: bool,
}

#[derive(Clone, Debug)]
struct Output {
    remote: VolumePath,
    local: PathBuf,
}

impl Client {
    /// Brings the files of this machine that `args` name to where `function` runs, and names them
    /// there instead. Calls on this machine need none of it.
    pub async fn send_files(
        &self,
        function: &Published,
        args: &mut Value,
        overwrite: bool,
    ) -> Result<SentFiles, ClientError> {
        let mut sent = SentFiles { outputs: Vec::new(), overwrite };
        let (Dispatcher::Aws(aws), Some(schema)) =
            (self.dispatcher(), function.function.schema.as_ref())
        else {
            return Ok(sent);
        };
        let folder = call_files(aws.ledger().bucket(), aws.ledger().keys());
        let batch = ordered_id("f", clock::now(), rand::random());
        for (number, file) in ArgsSchema::compile(schema)?.files(args).into_iter().enumerate() {
            let Some(Value::String(text)) = args.pointer_mut(&file.pointer) else { continue };
            let Ok(FileRef::Path(local)) = FileRef::parse(text) else { continue };
            let remote = remote_path(&batch, number, &local)?;
            match file.direction {
                Direction::Input => put(&folder, &local, &remote).await?,
                Direction::Output if !overwrite && local.symlink_metadata().is_ok() => {
                    return Err(exists(&local).into());
                }
                Direction::Output => {
                    sent.outputs.push(Output { remote: remote.clone(), local: local.clone() });
                }
            }
            *text = location(&remote);
        }
        Ok(sent)
    }

    /// Brings the outputs of a call that has succeeded to this machine, and names them as they are
    /// here.
    pub async fn fetch_files(
        &self,
        sent: SentFiles,
        outcome: &mut Outcome,
    ) -> Result<(), ClientError> {
        let (Dispatcher::Aws(aws), Outcome::Succeeded { result, artifacts, .. }) =
            (self.dispatcher(), outcome)
        else {
            return Ok(());
        };
        let folder = call_files(aws.ledger().bucket(), aws.ledger().keys());
        for Output { remote, local } in sent.outputs {
            // A handler may leave an output out.
            if folder.find(&remote).await.map_err(|error| path_error(&local, error))?.is_some() {
                get(&folder, &remote, &local, sent.overwrite).await?;
            }
            let (was, is) = (location(&remote), local.display().to_string());
            rename(result, &was, &is);
            for artifact in artifacts.iter_mut() {
                artifact.location = artifact.location.replace(&was, &is);
            }
        }
        Ok(())
    }
}

/// Brings an artifact that is in the target's bucket to `local`.
pub async fn fetch(
    settings: &Settings,
    artifact: &Artifact,
    local: &Path,
    overwrite: bool,
) -> Result<(), ClientError> {
    let target = settings.aws().await?;
    let bucket = target.access.bucket(&target.bucket);
    let keys = Keys::of(&settings.environment);
    let unknown = || path_error(Path::new(&artifact.location), std::io::ErrorKind::NotFound.into());
    let whole = format!("s3://{}/", target.bucket);
    let (folder, path) = match artifact.location.strip_prefix(&whole) {
        Some(key) => (BucketFolder::new(bucket, ""), key.to_owned()),
        None => match FileRef::parse(&artifact.location) {
            Ok(FileRef::Volume { volume, path }) if volume == layout::CALL_FILES => {
                (call_files(&bucket, &keys), path)
            }
            Ok(FileRef::Volume { volume, path }) => {
                (BucketFolder::new(bucket, keys.volume(&volume)), path)
            }
            // Where an output of this call was brought to.
            Ok(FileRef::Path(path)) if path == local => return Ok(()),
            _ => return Err(unknown()),
        },
    };
    let path = VolumePath::parse(&path).map_err(|_| unknown())?;
    get(&folder, &path, local, overwrite).await
}

/// The files of calls of an environment.
pub(crate) fn call_files(bucket: &Bucket, keys: &Keys) -> BucketFolder {
    BucketFolder::new(bucket.clone(), keys.call_files())
}

fn location(path: &VolumePath) -> String {
    format!("vol://{}/{path}", layout::CALL_FILES)
}

/// A place of its own for a file, with its name, which tools look at.
fn remote_path(batch: &str, number: usize, local: &Path) -> Result<VolumePath, ClientError> {
    let name = local.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    VolumePath::parse(&format!("{batch}/{number}/{name}")).map_err(|error| {
        path_error(local, std::io::Error::new(std::io::ErrorKind::InvalidFilename, error))
    })
}

async fn put(folder: &BucketFolder, local: &Path, remote: &VolumePath) -> Result<(), ClientError> {
    let local = local.canonicalize().map_err(|error| path_error(local, error))?;
    let (tree, from) = beside(&local)?;
    let copying = copying(Pair { from, to: remote.clone() }, false);
    let copied = Side::Folder(tree).copy_to(Side::Bucket(folder.clone()), copying).await;
    checked(copied, &local)
}

async fn get(
    folder: &BucketFolder,
    remote: &VolumePath,
    local: &Path,
    overwrite: bool,
) -> Result<(), ClientError> {
    let local = std::path::absolute(local).map_err(|error| path_error(local, error))?;
    if let Some(parent) = local.parent() {
        std::fs::create_dir_all(parent).map_err(|error| path_error(&local, error))?;
    }
    let (tree, to) = beside(&local)?;
    let copying = copying(Pair { from: remote.clone(), to }, overwrite);
    let copied = Side::Bucket(folder.clone()).copy_to(Side::Folder(tree), copying).await;
    checked(copied, &local)
}

/// The folder that a file is in, and its name there; a folder is one itself.
fn beside(local: &Path) -> Result<(Tree, VolumePath), ClientError> {
    let parent = local.parent().unwrap_or(Path::new("/"));
    let name = local.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let tree = Tree::open(parent).map_err(|error| path_error(local, error))?;
    let path = VolumePath::parse(name).map_err(|error| {
        path_error(local, std::io::Error::new(std::io::ErrorKind::InvalidFilename, error))
    })?;
    Ok((tree, path))
}

fn copying(pair: Pair, overwrite: bool) -> Copying {
    Copying {
        pairs: vec![pair],
        overwrite,
        index: None,
        cancel: CancellationToken::new(),
        events: Arc::new(|_| {}),
    }
}

fn checked(
    copied: Result<crate::storage::transfer::Summary, crate::storage::transfer::TransferError>,
    local: &Path,
) -> Result<(), ClientError> {
    let path = local.display().to_string();
    let summary = copied.map_err(|source| ClientError::Transfer { path, source })?;
    match summary.failed.into_iter().next() {
        None => Ok(()),
        Some(failed) => Err(path_error(local, std::io::Error::other(failed.why))),
    }
}

fn rename(value: &mut Value, was: &str, is: &str) {
    match value {
        Value::String(text) if text == was => is.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, was, is)),
        Value::Object(map) => map.values_mut().for_each(|item| rename(item, was, is)),
        _ => {}
    }
}

fn exists(local: &Path) -> Failure {
    let message = format!("output `{}` already exists", local.display());
    Failure::new(FailureKind::Output, message)
        .hint("pass `--force` to replace it, or name another output")
}

fn path_error(path: &Path, source: std::io::Error) -> ClientError {
    ClientError::Path { path: path.display().to_string(), source }
}
