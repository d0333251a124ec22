//! Where files are written before they get to their place: a folder beside it, on the same
//! filesystem, that says by its name what it is.
//!
//! Everything in use is locked, and the kernel frees the locks of what was killed. So whoever comes
//! next can tell what was left behind, and removes it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The name of the folder.
pub(super) const FOLDER: &str = ".vdeploy-staging";

/// How often to start over when somebody sweeps away what was just made.
const ATTEMPTS: usize = 16;

/// A folder for one output. Dropped, it is removed with everything in it.
#[derive(Debug)]
pub(super) struct StagingFolder {
    path: PathBuf,
    _lock: File,
}

impl StagingFolder {
    /// Makes a folder on the filesystem of `parent`, after removing what was left in others.
    pub(super) fn create_beside(parent: &Path) -> io::Result<Self> {
        let outer = parent.join(FOLDER);
        sweep(&outer);
        for _ in 0..ATTEMPTS {
            make_outer(&outer)?;
            match tempfile::Builder::new().prefix("output-").tempdir_in(&outer) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(folder) => match File::open(folder.path()) {
                    Ok(lock) if lock.lock().is_ok() && is_at(&lock, folder.path()) => {
                        return Ok(StagingFolder { path: folder.keep(), _lock: lock });
                    }
                    _ => {}
                },
            }
        }
        Err(io::Error::other("staging folders are removed as fast as they are made"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        // What can't be removed now is swept by whoever stages here next.
        let _ = fs::remove_dir_all(&self.path);
        if let Some(outer) = self.path.parent() {
            let _ = fs::remove_dir(outer);
        }
    }
}

fn make_outer(outer: &Path) -> io::Result<()> {
    match fs::create_dir(outer) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Removes the folders in `outer` that nobody holds. Failing to is no reason not to go on.
fn sweep(outer: &Path) {
    let Ok(entries) = fs::read_dir(outer) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(folder) = File::open(&path) else { continue };
        let is_folder = folder.metadata().is_ok_and(|metadata| metadata.is_dir());
        if is_folder && !matches!(folder.try_lock(), Err(TryLockError::WouldBlock)) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether `file` is still what `path` names.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_swept_and_what_is_in_use_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(FOLDER).join("output-left");
        fs::create_dir_all(left.join("deep")).unwrap();
        let in_use = StagingFolder::create_beside(dir.path()).unwrap();
        let other = StagingFolder::create_beside(dir.path()).unwrap();
        assert!(!left.exists());
        assert!(in_use.path().exists());
        drop((in_use, other));
        assert!(!dir.path().join(FOLDER).exists());
    }

    #[test]
    fn many_at_once_get_a_folder_each() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let folder = StagingFolder::create_beside(dir.path()).unwrap();
                        fs::write(folder.path().join("file"), "x").unwrap();
                    }
                });
            }
        });
        assert!(!dir.path().join(FOLDER).exists());
    }
}
