//! A volume as a directory, and paths that can't leave it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// How names begin that are ours, in volumes and beside outputs: what is still being written. They
/// are no part of a volume's contents.
const RESERVED: &str = ".vdeploy-";

/// A volume of an environment on the local target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    name: String,
    root: PathBuf,
}

/// Why a path isn't one within a volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolumePathError {
    /// `..`, or a link that leads out.
    #[error("it leads out of the volume")]
    Outside,
    /// A link whose target isn't there, so that nobody can say whether it would be inside.
    #[error("it goes through a link that leads nowhere")]
    Dangling,
    /// A name that is kept for files that are still being written.
    #[error("names that start with `{RESERVED}` are kept for vdeploy itself")]
    Reserved,
    /// A byte that no file name can have.
    #[error("it holds a NUL byte")]
    Nul,
    /// Something on the way to it can't be looked at.
    #[error("it can't be looked up: {0}")]
    Lookup(io::ErrorKind),
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

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> io::Result<bool> {
        for entry in self.root.read_dir()? {
            if !is_reserved(&entry?.file_name()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The place that `path` names within the volume, whether something is there or not. Links are
    /// followed while they stay inside; what is returned has none in it, so that nothing can be
    /// reached that isn't below [`Volume::root`].
    pub fn resolve(&self, path: &str) -> Result<PathBuf, VolumePathError> {
        let root = self.root.canonicalize().map_err(|e| VolumePathError::Lookup(e.kind()))?;
        let mut resolved = root.clone();
        let mut missing = false;
        for part in parts(path)? {
            resolved.push(part);
            if missing {
                continue;
            }
            match resolved.canonicalize() {
                Ok(real) if real.starts_with(&root) => resolved = real,
                Ok(_) => return Err(VolumePathError::Outside),
                Err(error) => match resolved.symlink_metadata() {
                    Ok(_) if error.kind() == io::ErrorKind::NotFound => {
                        return Err(VolumePathError::Dangling);
                    }
                    Ok(_) => return Err(VolumePathError::Lookup(error.kind())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => missing = true,
                    Err(error) => return Err(VolumePathError::Lookup(error.kind())),
                },
            }
        }
        Ok(resolved)
    }
}

/// The names that `path` is made of. A leading slash is the volume's root.
fn parts(path: &str) -> Result<Vec<&str>, VolumePathError> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(VolumePathError::Outside),
            part if part.contains('\0') => return Err(VolumePathError::Nul),
            part if part.starts_with(RESERVED) => return Err(VolumePathError::Reserved),
            part => parts.push(part),
        }
    }
    Ok(parts)
}

/// Whether a name is ours: see [`RESERVED`].
pub(super) fn is_reserved(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(RESERVED.as_bytes())
}
