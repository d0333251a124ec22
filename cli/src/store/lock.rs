//! One change of an environment at a time: a lock that the kernel frees when its holder dies, and a
//! file that says who holds it.
//!
//! The lock is the environment's, since its apps share volumes. Readers take none: they see what was
//! committed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The user.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process on it.
    pub pid: u32,
    /// What it does, such as `deploy`.
    pub operation: String,
    /// Since when.
    pub since: Timestamp,
}

/// A held lock; freed when dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// Why a lock wasn't taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("the state is locked by another operation")]
    Held {
        /// Who, when they have said so yet.
        holder: Option<Holder>,
    },
    /// The bucket said no.
    #[error("can't lock the environment: can't {}", .0.doing)]
    Cloud(#[from] vdeploy_runtime::aws::AwsError),
    /// The disk said no.
    #[error("can't lock `{}`", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock at `path`, or says at once who has it.
    pub fn take(path: &Path, holder: &Holder) -> Result<Lock, LockError> {
        loop {
            let mut file = open(path).map_err(|source| io_error(path, source))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held { holder: read_holder(path) });
                }
                Err(TryLockError::Error(source)) => return Err(io_error(path, source)),
            }
            // Whoever broke the lock took its file away: then what was locked is not the lock.
            if is_still_at(&file, path) {
                write_holder(&mut file, holder).map_err(|source| io_error(path, source))?;
                return Ok(Lock { path: path.to_owned(), file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if is_still_at(&self.file, &self.path) {
            // An empty file is a free lock; one that can't be emptied is still freed below.
            let _ = self.file.set_len(0);
        }
        let _ = self.file.unlock();
    }
}

/// Who has the lock at `path`, as far as its file says.
pub fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Frees the lock at `path` whoever has it. What its holder still records is refused by the serial.
pub fn break_lock(path: &Path) -> Result<(), LockError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_error(path, source)),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(holder)?)
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(there)) => held.ino() == there.ino() && held.dev() == there.dev(),
        _ => false,
    }
}

fn io_error(path: &Path, source: io::Error) -> LockError {
    LockError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(operation: &str) -> Holder {
        Holder {
            user: "ada".into(),
            host: "vm".into(),
            pid: 7,
            operation: operation.into(),
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_second_taker_hears_who_was_first_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env/state.lock");
        let lock = Lock::take(&path, &holder("deploy")).unwrap();
        let Err(LockError::Held { holder: first }) = Lock::take(&path, &holder("destroy")) else {
            panic!("taken twice");
        };
        assert_eq!(first, Some(holder("deploy")));
        drop(lock);
        Lock::take(&path, &holder("destroy")).unwrap();
    }

    #[test]
    fn a_broken_lock_can_be_taken_and_its_old_holder_leaves_the_new_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.lock");
        let old = Lock::take(&path, &holder("deploy")).unwrap();
        break_lock(&path).unwrap();
        let _new = Lock::take(&path, &holder("destroy")).unwrap();
        drop(old);
        assert_eq!(read_holder(&path), Some(holder("destroy")));
        assert!(Lock::take(&path, &holder("plan")).is_err());
    }
}
