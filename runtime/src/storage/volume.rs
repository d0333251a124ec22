//! A volume as a directory, and real paths in it for programs that need one.

use std::io;
use std::path::{Path, PathBuf};

use super::path::{VolumePath, VolumePathError, is_reserved};
use super::staging::StagingFolder;
use super::tree::{Kind, Tree};

/// A volume of an environment on the local target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    name: String,
    root: PathBuf,
}

impl Volume {
    /// The volume called `name` at `root`.
    pub fn new(name: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Volume { name: name.into(), root: root.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its files, to list and to transfer.
    pub fn tree(&self) -> io::Result<Tree> {
        Tree::open(&self.root)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> io::Result<bool> {
        for entry in self.root.read_dir()? {
            if !is_reserved(&entry?.file_name()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes what `path` names: a link rather than what it leads to, a folder with everything in
    /// it. A folder goes out of sight in one step. The root of a volume can't be removed.
    pub fn remove(&self, path: &VolumePath) -> io::Result<()> {
        let tree = self.tree()?;
        match (tree.find_itself(path)?, path.split()) {
            (None, _) => Err(io::ErrorKind::NotFound.into()),
            (Some(stat), Some((parent, name))) if stat.kind == Kind::Folder => {
                let bin = StagingFolder::create_beside(&self.root)?;
                let gone = bin.path().join(name);
                Ok(rustix::fs::renameat(tree.folder(&parent)?, name, rustix::fs::CWD, gone)?)
            }
            (Some(stat), _) => tree.unlink(path, stat.kind),
        }
    }

    /// The place that `path` names within the volume, whether something is there or not. Links are
    /// followed while they stay inside; what is returned has none in it, so that nothing can be
    /// reached that isn't below [`Volume::root`].
    pub fn resolve(&self, path: &str) -> Result<PathBuf, VolumePathError> {
        let root = self.root.canonicalize().map_err(|e| VolumePathError::Lookup(e.kind()))?;
        let path = VolumePath::parse(path)?;
        let mut parts = path.parts();
        let mut resolved = root.clone();
        for part in parts.by_ref() {
            resolved.push(part);
            match follow(&resolved)? {
                Some(real) if real.starts_with(&root) => resolved = real,
                Some(_) => return Err(VolumePathError::Outside),
                None => break,
            }
        }
        resolved.extend(parts);
        Ok(resolved)
    }
}

/// Where `path` really is; none when nothing is there.
fn follow(path: &Path) -> Result<Option<PathBuf>, VolumePathError> {
    let lookup = |error: &io::Error| VolumePathError::Lookup(error.kind());
    let error = match path.canonicalize() {
        Ok(real) => return Ok(Some(real)),
        Err(error) => error,
    };
    match (error.kind(), path.symlink_metadata()) {
        (io::ErrorKind::NotFound, Ok(_)) => Err(VolumePathError::Dangling),
        (_, Ok(_)) => Err(lookup(&error)),
        (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        (_, Err(error)) => Err(lookup(&error)),
    }
}
