//! A volume as a directory, and paths that can't leave it.

use std::path::{Path, PathBuf};

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

    /// The directory entry that `path` names within the volume, whether it exists or not.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, VolumePathError> {
        let mut resolved = self.root.clone();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(VolumePathError::Outside),
                part => resolved.push(part),
            }
        }
        Ok(resolved)
    }
}
