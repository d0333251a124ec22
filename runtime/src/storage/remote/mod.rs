//! Files beyond the target: in mounted buckets, in S3 and on the web. Whoever runs a call brings
//! them in before it, under paths that the worker knows, and takes its outputs there after it. So
//! workers have neither the credentials nor a need for the network.

pub(crate) mod carry;
mod download;
mod mount;
mod ranged;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

use self::carry::{Tell, check_summary, exists, transfer};
use self::mount::Mount;
use self::ranged::Held;
use super::{BucketFolder, FileRef, Tree, VolumePath};
use crate::args::{ArgsSchema, Direction};
use crate::aws::Aws;
use crate::dispatch::local::Elsewhere;
use crate::function::{Downloads, FunctionSpec};
use crate::secret::{SecretError, SecretStore};
use crate::wire::{Failure, FailureKind, Loopback, Outcome, Phase};

/// What the calls of a function may reach beyond the target.
#[derive(Debug)]
pub(crate) struct Remote {
    app: String,
    mounts: BTreeMap<String, Mount>,
    downloads: Downloads,
    schema: Option<Value>,
    /// Where volumes are, if they aren't folders of this machine.
    elsewhere: Option<Elsewhere>,
    /// The longest that anything may take.
    limit: Duration,
    /// The credentials of this process, once they are needed.
    own: OnceCell<Aws>,
}

impl Remote {
    /// What `function` may reach, with credentials of `secrets`; `schema` says which arguments are
    /// files.
    pub(crate) fn of(
        function: &FunctionSpec,
        schema: Option<Value>,
        secrets: &SecretStore,
        elsewhere: Option<Elsewhere>,
    ) -> Result<Self, SecretError> {
        let mount = |(name, mount): (&String, &crate::function::BucketMount)| {
            Ok((name.clone(), Mount::of(mount.clone(), secrets)?))
        };
        let limit = Duration::try_from_secs_f64(function.timeout_seconds);
        Ok(Remote {
            app: function.app.clone(),
            mounts: function.buckets.iter().map(mount).collect::<Result<_, SecretError>>()?,
            downloads: function.downloads.clone(),
            schema,
            elsewhere,
            limit: limit.unwrap_or(Duration::from_secs(24 * 3600)),
            own: OnceCell::new(),
        })
    }

    /// Brings the files that `args` name beyond the target into `folder`, and names them there;
    /// none when there are none. Those that are read in parts stay where they are, and are held
    /// ready. What was in the folder is of an earlier attempt.
    pub(crate) async fn bring_in(
        &self,
        args: &mut Value,
        errand: Errand,
    ) -> Result<Option<Brought>, Failure> {
        let beyond = |reference: &FileRef| self.is_beyond(reference);
        let Some(schema) = self.schema.as_ref().filter(|_| mentions(args, &beyond)) else {
            return Ok(None);
        };
        let Errand { folder, overwrite, ranged, tell } = errand;
        let (files, held) = (Vec::new(), BTreeMap::new());
        let mut brought = Brought { folder: folder.clone(), tell, overwrite, files, held };
        brought.clear();
        for (number, file) in ArgsSchema::compile(schema)?.files(args).into_iter().enumerate() {
            let Some(Value::String(text)) = args.pointer_mut(&file.pointer) else { continue };
            // What names no file is told by whoever opens it.
            let Ok(reference) = FileRef::parse(text) else { continue };
            if ranged && file.ranged && brought.hold(self, text, &reference).await? {
                continue;
            }
            if !reference.is_remote() {
                continue;
            }
            let known = brought.files.iter().find(|known| known.address == *text);
            let here = match (known, file.direction) {
                (Some(known), Direction::Input) => known.here.clone(),
                _ => {
                    let within = folder.join(number.to_string());
                    let named = Named { text: text.clone(), reference, within };
                    self.bring_one(named, file.direction, &mut brought).await?
                }
            };
            *text = here.display().to_string();
        }
        Ok(Some(brought))
    }

    async fn bring_one(
        &self,
        named: Named,
        direction: Direction,
        brought: &mut Brought,
    ) -> Result<PathBuf, Failure> {
        let Named { text, reference, within } = named;
        let address = reference.to_string();
        let unusable = |error| carry::unusable(&address, &error);
        std::fs::create_dir_all(&within).map_err(unusable)?;
        if let FileRef::Web(url) = &reference {
            if direction == Direction::Output {
                return Err(not_writable(&reference));
            }
            let tell = Arc::clone(&brought.tell);
            let here = download::download(url, &within, &self.downloads, self.limit, tell).await?;
            brought.files.push(File { address: text, here: here.clone(), there: None });
            return Ok(here);
        }
        let (folder, path) = self.open(&reference, direction).await?;
        let name = VolumePath::parse(path.name().unwrap_or_default()).unwrap_or_default();
        let here = within.join(name.as_str());
        let there = match direction {
            Direction::Input => {
                if folder.find(&path).await.map_err(unusable)?.is_none() {
                    return Err(nothing_there(&address));
                }
                let tree = Tree::open(&within).map_err(unusable)?;
                let pair = super::transfer::Pair { from: path, to: name };
                let get = transfer(vec![pair], true, &brought.tell, Phase::Downloading);
                check_summary(
                    get.get(folder, tree).await,
                    &format!("`{address}`"),
                    FailureKind::InvalidInput,
                )?;
                None
            }
            Direction::Output => {
                let found = folder.find(&path).await.map_err(unusable)?;
                if found.is_some() && !brought.overwrite {
                    return Err(exists(&address));
                }
                Some((folder, path))
            }
        };
        brought.files.push(File { address: text, here: here.clone(), there });
        Ok(here)
    }

    /// Whether a file isn't one of this machine.
    fn is_beyond(&self, reference: &FileRef) -> bool {
        let elsewhere = self.elsewhere.is_some() && matches!(reference, FileRef::Volume { .. });
        elsewhere || reference.is_remote()
    }

    /// The bucket that a reference means, and the path in it.
    async fn open(
        &self,
        reference: &FileRef,
        direction: Direction,
    ) -> Result<(BucketFolder, VolumePath), Failure> {
        let (folder, path) = match reference {
            FileRef::Bucket { name, path } => {
                let mount = self.mounts.get(name).ok_or_else(|| no_bucket(name, &self.app))?;
                if mount.spec.read_only && direction == Direction::Output {
                    return Err(read_only(name));
                }
                (mount.open(&self.own).await?, path)
            }
            FileRef::Object { bucket, key } => {
                let own = self.own.get_or_init(|| Aws::load(None)).await;
                (BucketFolder::new(own.bucket(bucket), ""), key)
            }
            FileRef::Volume { volume, path } => match &self.elsewhere {
                Some(elsewhere) => (elsewhere.volume(volume), path),
                None => return Err(not_writable(reference)),
            },
            FileRef::Path(_) | FileRef::Web(_) => return Err(not_writable(reference)),
        };
        match VolumePath::parse(path) {
            Ok(path) => Ok((folder, path)),
            Err(error) => {
                let message = format!("`{reference}` isn't a path in a bucket");
                Err(Failure::new(FailureKind::InvalidArgs, message).cause(error))
            }
        }
    }
}

/// How the files of a call are brought.
pub(crate) struct Errand {
    /// Where to.
    pub(crate) folder: PathBuf,
    /// Outputs that exist may be replaced.
    pub(crate) overwrite: bool,
    /// The worker can read from an address of this machine.
    pub(crate) ranged: bool,
    /// Hears how far it is.
    pub(crate) tell: Tell,
}

/// A file that an argument names, and the folder it is brought into.
struct Named {
    text: String,
    reference: FileRef,
    within: PathBuf,
}

/// What was brought into a call, and what is to be taken out of it. Dropped, it leaves nothing here.
pub(crate) struct Brought {
    folder: PathBuf,
    tell: Tell,
    overwrite: bool,
    files: Vec<File>,
    /// What is read in parts, by what the arguments call it.
    held: BTreeMap<String, Held>,
}

/// A file of a call: what the caller calls it, where it is for the call, and where it belongs if the
/// call makes it.
#[derive(Debug)]
struct File {
    address: String,
    here: PathBuf,
    there: Option<(BucketFolder, VolumePath)>,
}

impl std::fmt::Debug for Brought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brought").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Brought {
    /// Holds a file ready of which parts are read: `false` where it can't be, or isn't one.
    async fn hold(
        &mut self,
        remote: &Remote,
        text: &str,
        reference: &FileRef,
    ) -> Result<bool, Failure> {
        if !remote.is_beyond(reference) || matches!(reference, FileRef::Web(_)) {
            return Ok(false);
        }
        if self.held.contains_key(text) {
            return Ok(true);
        }
        let (folder, path) = remote.open(reference, Direction::Input).await?;
        let unusable = |error| carry::unusable(text, &error);
        let Some(held) = Held::open(&folder, &path).await.map_err(unusable)? else {
            return Ok(false);
        };
        self.held.insert(text.to_owned(), held);
        Ok(true)
    }

    /// Where files are read in parts, by what the arguments call them.
    pub(crate) fn ranged(&self) -> BTreeMap<String, Loopback> {
        self.held.iter().map(|(text, held)| (text.clone(), held.address().clone())).collect()
    }

    /// Has `tell` hear how far the way out is.
    pub(crate) fn report_to(&mut self, tell: Tell) {
        self.tell = tell;
    }

    /// Takes the outputs of a call that has succeeded to their places, and names files as the
    /// caller does.
    pub(crate) async fn take_out(&self, outcome: Outcome) -> Result<Outcome, Failure> {
        let Outcome::Succeeded { mut result, mut artifacts, cached_from } = outcome else {
            return Ok(outcome);
        };
        for File { address, here, there } in &self.files {
            // A handler may leave an output out.
            if let Some((folder, path)) = there
                && here.symlink_metadata().is_ok()
            {
                self.put(address, here, folder, path).await?;
            }
            let (was, is) = (here.display().to_string(), address);
            rename(&mut result, &was, is);
            for artifact in &mut artifacts {
                artifact.location = artifact.location.replace(&was, is);
            }
        }
        Ok(Outcome::Succeeded { result, artifacts, cached_from })
    }

    async fn put(
        &self,
        address: &str,
        here: &Path,
        folder: &BucketFolder,
        path: &VolumePath,
    ) -> Result<(), Failure> {
        let parent = here.parent().unwrap_or(Path::new("/"));
        let tree = Tree::open(parent).map_err(|error| carry::unusable(address, &error))?;
        let from = VolumePath::parse(path.name().unwrap_or_default()).unwrap_or_default();
        let pairs = vec![super::transfer::Pair { from, to: path.clone() }];
        let put = transfer(pairs, self.overwrite, &self.tell, Phase::Uploading);
        let put = put.put(tree, folder.clone()).await;
        check_summary(put, &format!("`{address}`"), FailureKind::Output)
    }

    fn clear(&self) {
        // What can't be removed is found by whoever removes the call.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        self.clear();
        if let Some(call) = self.folder.parent() {
            // It stays when it holds a log or artifacts.
            let _ = std::fs::remove_dir(call);
        }
    }
}

/// Whether any text in `args` could name such a file. Most calls name none, and are spared a look
/// at the schema.
fn mentions(args: &Value, such: &dyn Fn(&FileRef) -> bool) -> bool {
    match args {
        Value::String(text) => FileRef::parse(text).is_ok_and(|reference| such(&reference)),
        Value::Array(items) => items.iter().any(|item| mentions(item, such)),
        Value::Object(map) => map.values().any(|item| mentions(item, such)),
        _ => false,
    }
}

/// Fails when `args` name a file beyond the target that `function` can't reach, before anything
/// is recorded.
pub fn check(
    function: &FunctionSpec,
    schema: &ArgsSchema<'_>,
    args: &Value,
) -> Result<(), Failure> {
    if !mentions(args, &FileRef::is_remote) {
        return Ok(());
    }
    for file in schema.files(args) {
        let Some(Value::String(text)) = args.pointer(&file.pointer) else { continue };
        let Ok(reference) = FileRef::parse(text) else { continue };
        let output = file.direction == Direction::Output;
        match &reference {
            FileRef::Bucket { name, .. } => match function.buckets.get(name) {
                None => return Err(no_bucket(name, &function.app)),
                Some(mount) if mount.read_only && output => return Err(read_only(name)),
                Some(_) => {}
            },
            FileRef::Web(_) if output => return Err(not_writable(&reference)),
            FileRef::Web(url) => download::check(url, &function.downloads)?,
            FileRef::Object { .. } | FileRef::Path(_) | FileRef::Volume { .. } => {}
        }
    }
    Ok(())
}

fn nothing_there(address: &str) -> Failure {
    Failure::new(FailureKind::InvalidInput, format!("can't read input `{address}`"))
        .cause("nothing is there")
}

fn no_bucket(name: &str, app: &str) -> Failure {
    Failure::new(FailureKind::InvalidArgs, format!("app `{app}` has no bucket `{name}`"))
        .hint(format!("add `[bucket.{name}]` to its manifest, and `vdeploy deploy`"))
}

fn read_only(name: &str) -> Failure {
    Failure::new(FailureKind::InvalidArgs, format!("bucket `{name}` is read-only")).hint(
        "put the output elsewhere, or take `read_only` out of the manifest and `vdeploy deploy`",
    )
}

fn not_writable(reference: &FileRef) -> Failure {
    Failure::new(FailureKind::InvalidArgs, format!("nothing can be written to `{reference}`"))
        .hint("write to a path, `vol://VOLUME/PATH`, `bucket://NAME/PATH` or `s3://BUCKET/KEY`")
}

/// Puts `is` wherever a text of `value` says `was`, or a path below it.
fn rename(value: &mut Value, was: &str, is: &str) {
    match value {
        Value::String(text) if text.starts_with(was) => *text = text.replacen(was, is, 1),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, was, is)),
        Value::Object(map) => map.values_mut().for_each(|item| rename(item, was, is)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(args: Value) -> String {
        let function: FunctionSpec = serde_json::from_value(json!({
            "app": "reel", "name": "f", "entry": { "kind": "builtin", "handler": "transcode" },
            "buckets": { "library": { "bucket": "videos", "read_only": true } },
        }))
        .unwrap();
        let schema = json!({ "properties": {
            "input": { "type": "string", "format": "input-file" },
            "output": { "type": "string", "format": "output-file" },
        }});
        let schema = ArgsSchema::compile(&schema).unwrap();
        check(&function, &schema, &args).map_or_else(|failure| failure.message, |()| "ok".into())
    }

    #[test]
    fn what_a_function_cannot_reach_is_said_before_it_is_called() {
        for (args, said) in [
            (json!({ "input": "bucket://library/a.mp4", "output": "s3://videos/b.mp4" }), "ok"),
            (json!({ "input": "bucket://libary/a.mp4" }), "app `reel` has no bucket `libary`"),
            (json!({ "output": "bucket://library/a.mp4" }), "bucket `library` is read-only"),
            (
                json!({ "output": "https://u:p@a.example/b?token=1" }),
                "nothing can be written to `https://a.example/b`",
            ),
            (json!({ "text": "bucket://nowhere/a" }), "ok"),
        ] {
            assert_eq!(checked(args), said);
        }
    }
}
