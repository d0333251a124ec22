//! Files of this machine in calls that run elsewhere: brought there before, and back after.
//!
//! They go through a volume of calls' own, [`layout::CALL_FILES`], so that workers know of nothing
//! but volumes. Inputs lie there by their content: the same file goes once, for whichever calls.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{Client, ClientError};
use crate::args::{ArgsSchema, Direction};
use crate::aws::layout::{self, Keys};
use crate::aws::objects::{Bucket, Head};
use crate::catalog::Published;
use crate::clock;
use crate::dispatch::local::DispatchError;
use crate::dispatch::{Dispatcher, ordered_id};
use crate::settings::Settings;
use crate::storage::transfer::{Pair, content_hash};
use crate::storage::{BucketFolder, Copying, FileRef, Side, Tree, VolumePath};
use crate::wire::{Artifact, Failure, FailureKind, Outcome};

/// The outputs of a call that belong on this machine.
#[derive(Clone, Debug, Default)]
pub struct SentFiles {
    outputs: Vec<Output>,
    overwrite: bool,
    resumed: bool,
}

#[derive(Clone, Debug)]
struct Output {
    remote: VolumePath,
    local: PathBuf,
}

impl SentFiles {
    /// Whether anything is to be brought back.
    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }
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
        let batch = ordered_id("f", clock::now(), rand::random());
        match self.sender(function, overwrite, false)? {
            Some(sender) => sender.send(args, &batch).await,
            None => Ok(SentFiles::default()),
        }
    }

    /// What brings the files of many calls of `function` to where it runs; none where calls see
    /// the files of this machine. `resumed` are calls that an earlier run has made: what it brought
    /// back may be here already.
    pub fn sender(
        &self,
        function: &Published,
        overwrite: bool,
        resumed: bool,
    ) -> Result<Option<Sender>, ClientError> {
        let (Dispatcher::Aws(aws), Some(schema)) =
            (self.dispatcher(), function.function.schema.clone())
        else {
            return Ok(None);
        };
        let folder = call_files(aws.ledger().bucket(), aws.ledger().keys());
        let (schema, known) = (ArgsSchema::owned(schema)?, Mutex::default());
        let index = self.inner.cache.as_ref().map(|cache| cache.join("content.db"));
        Ok(Some(Sender { folder, schema, overwrite, resumed, known, index }))
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
            let here = sent.resumed && local.symlink_metadata().is_ok();
            // A handler may leave an output out.
            let there = folder.find(&remote).await.map_err(|error| path_error(&local, error))?;
            if !here && there.is_some() {
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

/// Brings the files of calls of one function to where it runs. Each file goes once, whichever calls
/// name it.
#[derive(Debug)]
pub struct Sender {
    folder: BucketFolder,
    schema: ArgsSchema<'static>,
    overwrite: bool,
    resumed: bool,
    /// Where files of this machine are there, once they are.
    known: Mutex<HashMap<PathBuf, Arc<OnceCell<VolumePath>>>>,
    /// Where hashes of files are remembered.
    index: Option<PathBuf>,
}

impl Sender {
    /// Brings the files that `args` name, and has them name those. Outputs get places by `call`,
    /// which no other call has.
    pub async fn send(&self, args: &mut Value, call: &str) -> Result<SentFiles, ClientError> {
        let Sender { overwrite, resumed, .. } = *self;
        let mut sent = SentFiles { outputs: Vec::new(), overwrite, resumed };
        let taken = |local: &Path| local.symlink_metadata().is_ok();
        for (number, file) in self.schema.files(args).into_iter().enumerate() {
            let Some(Value::String(text)) = args.pointer_mut(&file.pointer) else { continue };
            let Ok(FileRef::Path(local)) = FileRef::parse(text) else { continue };
            let remote = match file.direction {
                Direction::Input => self.put_once(&local, &format!("{call}/{number}")).await?,
                Direction::Output if !overwrite && !resumed && taken(&local) => {
                    return Err(exists(&local).into());
                }
                Direction::Output => {
                    let remote = remote_path(&format!("{call}/{number}"), &local)?;
                    sent.outputs.push(Output { remote: remote.clone(), local });
                    remote
                }
            };
            *text = location(&remote);
        }
        Ok(sent)
    }

    /// The place of `local` there, where it is after this; a folder gets one at `own`.
    async fn put_once(&self, local: &Path, own: &str) -> Result<VolumePath, ClientError> {
        let known = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(local.to_owned()).or_default())
        };
        known.get_or_try_init(|| self.put(local, own)).await.cloned()
    }

    async fn put(&self, local: &Path, own: &str) -> Result<VolumePath, ClientError> {
        if local.is_dir() {
            let remote = remote_path(own, local)?;
            return put(&self.folder, local, &remote).await.map(|()| remote);
        }
        let (path, index) = (local.to_owned(), self.index.clone());
        let hash = move || content_hash(&path, index.as_deref(), &CancellationToken::new());
        let hash = tokio::task::spawn_blocking(hash).await.expect("hashing doesn't panic");
        let hash = hash.map_err(|error| path_error(local, error))?;
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let remote = remote_path(&format!("content/{}/{hash}", &hash[..2]), local)?;
        let key = self.folder.key(&remote);
        let there = self.folder.bucket().head(&key).await.map_err(DispatchError::from)?;
        match there {
            Some(head) if is_fresh(&head) => {}
            // It may expire before a call that waits long gets to it.
            Some(head) if head.size <= COPIED => {
                let again = self.folder.bucket().touch(&key, head.metadata).await;
                again.map_err(DispatchError::from)?;
            }
            _ => put(&self.folder, local, &remote).await?,
        }
        Ok(remote)
    }
}

/// How long after it was written a file needn't be written again: less than what is kept of calls
/// is kept.
const FRESH: Duration = Duration::from_secs(12 * 3600);
/// Bytes of an object that the store copies by one request.
const COPIED: u64 = 5 << 30;

fn is_fresh(head: &Head) -> bool {
    Duration::try_from(clock::now().duration_since(head.modified)).is_ok_and(|age| age < FRESH)
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

/// The place of a file in a folder, with its name, which tools look at.
fn remote_path(within: &str, local: &Path) -> Result<VolumePath, ClientError> {
    let name = local.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    VolumePath::parse(&format!("{within}/{name}")).map_err(|error| {
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

/// Brings a file or folder of a bucket to a place on this machine.
pub(crate) async fn get(
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

/// Calls a file otherwise, wherever `value` names it.
pub(crate) fn rename(value: &mut Value, was: &str, is: &str) {
    match value {
        Value::String(text) => {
            // What is in a folder goes with it.
            let within =
                text.strip_prefix(was).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            if let Some(within) = within {
                *text = format!("{is}{within}");
            }
        }
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
