//! A volume by its name: putting files in, getting them out, and looking.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::ClientError;
use crate::settings::Settings;
use crate::storage::transfer::{Pair, Summary};
use crate::storage::{Copying, Kind, Side, Stat, Tree, VolumePath, VolumeStore, Volumes};

/// A volume. Looked up when it is used. Cheap to clone.
///
/// ```
/// use vdeploy_runtime::client::Volume;
/// # use vdeploy_runtime::home::Home;
/// # use vdeploy_runtime::storage::Volumes;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let home = Home::new(folder.path().join("home")).environment("main");
/// # Volumes::of(&home).create("footage", None, vdeploy_runtime::clock::now())?;
/// # let (clip, copy) = (folder.path().join("clip.mov"), folder.path().join("copy.mov"));
/// # std::fs::write(&clip, "a clip")?;
/// // As `Volume::from_name("footage")`, but of a home that is named:
/// let footage = Volume::of(&home, "footage");
/// footage.put(&clip, "raw/").await?;
/// let files = footage.ls("raw").await?;
/// assert_eq!(files[0].0.to_string(), "raw/clip.mov");
/// footage.get("raw/clip.mov", &copy).await?;
/// assert_eq!(std::fs::read(&copy)?, b"a clip");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Volume {
    name: String,
    volumes: Option<VolumeStore>,
    overwrite: bool,
}

impl Volume {
    /// The volume of that name, in the environment that the variables or the profile of this
    /// process name.
    pub fn from_name(name: impl Into<String>) -> Self {
        Volume { name: name.into(), volumes: None, overwrite: false }
    }

    /// The volume of that name in an environment.
    pub fn of(home: &crate::home::EnvironmentHome, name: impl Into<String>) -> Self {
        let volumes = Some(VolumeStore::Local(Volumes::of(home)));
        Volume { volumes, ..Volume::from_name(name) }
    }

    /// Whether files with other content may be replaced; they may not by default.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Puts a file, or what is in a folder, into the volume at `remote`: its new name, or with a
    /// slash at the end the folder it goes into. Files that are there with the same content are
    /// left as they are. Each appears whole or not at all; dropped, no further one appears, and the
    /// next put of the same goes on where this one was.
    pub async fn put(&self, local: impl AsRef<Path>, remote: &str) -> Result<Summary, ClientError> {
        let local = local.as_ref();
        let local = local.canonicalize().map_err(|error| path_error(local, error))?;
        let (folder, from) = split(&local, local.is_dir())?;
        let to = destination(remote, &from)?;
        let tree = Tree::open(&folder).map_err(|error| path_error(&folder, error))?;
        let from_here = Side::Folder(tree);
        let path = local.display().to_string();
        self.transfer(from_here, self.files().await?, Pair { from, to }, path).await
    }

    /// Gets a file, or what is in a folder, out of the volume to `local`, which is its new name, or
    /// a folder that exists.
    pub async fn get(&self, remote: &str, local: impl AsRef<Path>) -> Result<Summary, ClientError> {
        let local = local.as_ref();
        let from = parse(remote)?;
        let source = self.files().await?;
        let found = source.find(&from).await.map_err(|error| path_error(remote, error))?;
        let is_folder = found.is_some_and(|stat| stat.kind == Kind::Folder);
        let (folder, to) = match (is_folder, local.is_dir()) {
            (true, _) => (local.to_owned(), VolumePath::root()),
            (false, true) => (local.to_owned(), parse(from.name().unwrap_or_default())?),
            (false, false) => split(local, false)?,
        };
        std::fs::create_dir_all(&folder).map_err(|error| path_error(&folder, error))?;
        let tree = Tree::open(&folder).map_err(|error| path_error(&folder, error))?;
        self.transfer(source, Side::Folder(tree), Pair { from, to }, remote.to_owned()).await
    }

    /// What is in a folder of the volume, by name; the root is `/`.
    pub async fn ls(&self, folder: &str) -> Result<Vec<(VolumePath, Stat)>, ClientError> {
        let path = parse(folder)?;
        let entries = self.files().await?.list(&path).await;
        let entries = entries.map_err(|error| path_error(folder, error))?;
        let entry =
            |entry: crate::storage::Entry| Some((path.join(entry.name.to_str()?), entry.stat));
        Ok(entries.into_iter().filter_map(entry).collect())
    }

    async fn files(&self) -> Result<Side, ClientError> {
        Ok(self.volumes().await?.open(&self.name).await?)
    }

    async fn volumes(&self) -> Result<VolumeStore, ClientError> {
        match &self.volumes {
            Some(volumes) => Ok(volumes.clone()),
            None => Ok(Settings::from_env()?.volumes().await?),
        }
    }

    async fn transfer(
        &self,
        from: Side,
        to: Side,
        pair: Pair,
        path: String,
    ) -> Result<Summary, ClientError> {
        let cancel = CancellationToken::new();
        let copying = Copying {
            pairs: vec![pair],
            overwrite: self.overwrite,
            index: Some(self.volumes().await?.index_path(&self.name)),
            cancel: cancel.clone(),
            events: Arc::new(|_| {}),
        };
        let stop = cancel.drop_guard();
        let done = from.copy_to(to, copying).await;
        stop.disarm();
        done.map_err(|source| ClientError::Transfer { path, source })
    }
}

/// The folder that a path is in, and its place in it; a folder is its own root.
fn split(path: &Path, is_folder: bool) -> Result<(PathBuf, VolumePath), ClientError> {
    if is_folder {
        return Ok((path.to_owned(), VolumePath::root()));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok((parent.unwrap_or(Path::new(".")).to_owned(), parse(name)?))
}

fn destination(remote: &str, from: &VolumePath) -> Result<VolumePath, ClientError> {
    let path = parse(remote)?;
    Ok(match from.name() {
        Some(name) if remote.ends_with('/') || path.is_root() => path.join(name),
        _ => path,
    })
}

fn parse(text: &str) -> Result<VolumePath, ClientError> {
    VolumePath::parse(text).map_err(|error| path_error(text, io::Error::other(error)))
}

fn path_error(path: impl AsRef<Path>, source: io::Error) -> ClientError {
    ClientError::Path { path: path.as_ref().display().to_string(), source }
}
