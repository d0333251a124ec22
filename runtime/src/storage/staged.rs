//! An output that isn't there yet: written beside its place, then renamed into it.

use std::io;
use std::path::{Path, PathBuf};

use crate::wire::{Artifact, Failure, FailureKind};

/// A file being written beside its place. Dropped without [`StagedOutput::commit`], it leaves
/// nothing behind.
#[derive(Debug)]
pub struct StagedOutput {
    staging: tempfile::TempDir,
    target: PathBuf,
    location: String,
    overwrite: bool,
}

impl StagedOutput {
    pub(super) fn create(
        target: PathBuf,
        location: String,
        overwrite: bool,
    ) -> Result<Self, Failure> {
        if !overwrite && target.symlink_metadata().is_ok() {
            return Err(exists(&location));
        }
        let parent =
            target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let staging = std::fs::create_dir_all(parent)
            .and_then(|()| tempfile::Builder::new().prefix(".vdeploy-").tempdir_in(parent))
            .map_err(|error| cannot_write(&location, &error))?;
        Ok(StagedOutput { staging, target, location, overwrite })
    }

    /// Where to write. The name has the final extension, so that tools pick the right container.
    pub fn path(&self) -> PathBuf {
        self.staging.path().join(self.target.file_name().unwrap_or("output".as_ref()))
    }

    /// Where the file will be, as the caller named it.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Puts the file in its place, atomically.
    pub fn commit(self, name: &str) -> Result<Artifact, Failure> {
        let path = self.path();
        let commit = || -> io::Result<u64> {
            let file = std::fs::File::open(&path)?;
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            if self.overwrite {
                std::fs::rename(&path, &self.target)?;
            } else {
                // A hard link fails where the target exists; a rename would replace it.
                std::fs::hard_link(&path, &self.target)?;
            }
            Ok(bytes)
        };
        match commit() {
            Ok(bytes) => Ok(Artifact { name: name.into(), location: self.location.clone(), bytes }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(&self.location))
            }
            Err(error) => Err(cannot_write(&self.location, &error)),
        }
    }
}

/// Fails with one plain sentence unless `path` is a file that can be read.
pub(super) async fn check_readable(text: &str, path: &Path) -> Result<(), Failure> {
    let fail = |why: String| {
        Err(Failure::new(FailureKind::InvalidInput, format!("can't read input `{text}`"))
            .cause(why))
    };
    match tokio::fs::File::open(path).await {
        Err(error) => fail(error.to_string()),
        Ok(file) => match file.metadata().await {
            Ok(metadata) if metadata.is_dir() => fail("it is a directory".into()),
            Ok(_) => Ok(()),
            Err(error) => fail(error.to_string()),
        },
    }
}

fn exists(location: &str) -> Failure {
    Failure::new(FailureKind::Output, format!("output `{location}` already exists"))
        .hint("pass `--force` to replace it, or name another output")
}

fn cannot_write(location: &str, error: &io::Error) -> Failure {
    let failure =
        Failure::new(FailureKind::Output, format!("can't write output `{location}`")).cause(error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.hint("free some space, or name an output on another disk")
        }
        io::ErrorKind::PermissionDenied => {
            failure.hint("name an output in a folder you may write to")
        }
        _ => failure,
    }
}
