//! Paths within a volume, which can't be written down in a way that leads out of it.

use std::ffi::OsStr;
use std::fmt;
use std::io;

use serde::Serialize;

/// How names begin that are ours, in volumes and beside outputs: what is still being written. They
/// are no part of a volume's contents.
const RESERVED: &str = ".vdeploy-";

/// A path below some folder: names joined by `/`, none of them `.`, `..` or ours. Empty for the
/// folder itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct VolumePath(String);

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

impl VolumePath {
    /// The folder itself.
    pub fn root() -> Self {
        VolumePath::default()
    }

    /// Reads what was typed. A leading slash is the volume's root.
    pub fn parse(text: &str) -> Result<Self, VolumePathError> {
        let mut path = VolumePath::default();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(VolumePathError::Outside),
                part if part.contains('\0') => return Err(VolumePathError::Nul),
                part if is_reserved(part.as_ref()) => return Err(VolumePathError::Reserved),
                part => path = path.join(part),
            }
        }
        Ok(path)
    }

    /// The names it is made of.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The last name; none for the folder itself.
    pub fn name(&self) -> Option<&str> {
        self.parts().last()
    }

    /// Whether it is the folder itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path as text, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `other` or below it.
    pub fn is_within(&self, other: &VolumePath) -> bool {
        let mut parts = self.parts();
        other.parts().all(|part| parts.next() == Some(part))
    }

    /// The folder it is in; the root is in itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        self.split().map(|(folder, _)| folder).unwrap_or_default()
    }

    /// The path of `name` in this folder. `name` is one name, as the kernel gave it or as parsed.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        if self.is_root() { VolumePath(name.into()) } else { VolumePath(format!("{self}/{name}")) }
    }

    /// This path below another.
    #[must_use]
    pub fn below(&self, folder: &VolumePath) -> Self {
        self.parts().fold(folder.clone(), |path, part| path.join(part))
    }

    /// The folder it is in, and its name there.
    pub(super) fn split(&self) -> Option<(VolumePath, &str)> {
        match self.0.rsplit_once('/') {
            Some((folder, name)) => Some((VolumePath(folder.into()), name)),
            None if self.is_root() => None,
            None => Some((VolumePath::root(), &self.0)),
        }
    }

    /// What the kernel takes: the folder itself is `.`.
    pub(super) fn or_dot(&self) -> &str {
        if self.is_root() { "." } else { &self.0 }
    }
}

impl fmt::Display for VolumePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a name is ours: see [`RESERVED`].
pub(super) fn is_reserved(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(RESERVED.as_bytes())
}
