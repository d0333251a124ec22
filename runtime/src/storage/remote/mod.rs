//! Files beyond the target: in mounted buckets, in S3 and on the web. Whoever runs a call brings
//! them in before it, under paths that the worker knows, and takes its outputs there after it. So
//! workers have neither the credentials nor a need for the network.

mod brought;
pub(crate) mod carry;
mod download;
mod mount;
mod ranged;
mod reach;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

pub(crate) use self::brought::Brought;
use self::brought::File;
use self::carry::{Tell, check_summary, exists, transfer};
use self::mount::Mount;
pub use self::reach::check;
use self::reach::{no_bucket, not_writable, nothing_there, read_only};
use super::{BucketFolder, FileRef, Tree, VolumePath};
use crate::args::{ArgsSchema, Direction};
use crate::aws::Aws;
use crate::dispatch::local::Elsewhere;
use crate::function::{Downloads, FunctionSpec};
use crate::home::EnvironmentHome;
use crate::secret::{SecretError, SecretStore};
use crate::wire::{Failure, FailureKind, Phase};

/// What the calls of a function may reach beyond the target.
#[derive(Debug)]
pub(crate) struct Remote {
    app: String,
    mounts: BTreeMap<String, Mount>,
    downloads: Downloads,
    schema: Option<Value>,
    /// Where volumes are, if they aren't folders of this machine; and the folders of what was brought of them or
    /// is to go there.
    elsewhere: Option<(Elsewhere, EnvironmentHome)>,
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
        elsewhere: Option<(Elsewhere, EnvironmentHome)>,
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
        let mut brought = Brought::new(folder.clone(), tell, overwrite);
        for (number, file) in ArgsSchema::compile(schema)?.files(args).into_iter().enumerate() {
            let Some(Value::String(text)) = args.pointer_mut(&file.pointer) else { continue };
            // What names no file is told by whoever opens it.
            let Ok(reference) = FileRef::parse(text) else { continue };
            if ranged && file.ranged && brought.hold(self, text, &reference).await? {
                continue;
            }
            let fetched = file.fetched && matches!(reference, FileRef::Web(_));
            if fetched || !reference.is_remote() {
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
        match (reference, &self.elsewhere) {
            // What was made here isn't there yet, or another one is.
            (FileRef::Volume { volume, path }, Some((elsewhere, here))) => {
                !elsewhere.is_made_here(&here.volume(volume).join(path))
            }
            _ => reference.is_remote(),
        }
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
                Some((elsewhere, _)) => (elsewhere.volume(volume), path),
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
