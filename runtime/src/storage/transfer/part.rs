//! The unfinished copy of one file: kept under a name that follows from its destination, so that
//! the next try finds it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::super::path::VolumePath;
use super::super::place::{Existing, Place, place};
use super::super::staging;
use super::super::tree::{Stat, Tree, stat_of};

/// What a power cut may cost that comes when a part has just been put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Safety {
    /// Nothing: it is on disk before that.
    OnDisk,
    /// The file, of which there is another: the system writes it when it has time, as it does with
    /// what any tool downloads. Waiting for the disk would take longer than the network.
    OnItsWay,
}

/// How often to start over when another transfer removes the folder or the part meanwhile.
const ATTEMPTS: usize = 16;

/// An open, locked part. Dropped before it is finished, it stays for the next try.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    folder: OwnedFd,
    name: String,
    /// Its length when it was opened: what an earlier try may have left.
    found: u64,
    /// Who writes. The kernel lets one at a time into a file, and has the others spin.
    writing: Mutex<()>,
}

impl Part {
    /// Opens the part of `destination`, made when missing. Fails with
    /// [`io::ErrorKind::ResourceBusy`] while another transfer writes it.
    pub(super) fn open(tree: &Tree, destination: &VolumePath) -> io::Result<Self> {
        let name = name_of(destination);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..ATTEMPTS {
            let folder = match staging_folder(tree) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                folder => folder?,
            };
            let file = match rustix::fs::openat(&folder, &name, flags, Mode::from_raw_mode(0o600)) {
                // The folder was empty for a moment, and another transfer removed it.
                Err(Errno::NOENT) => continue,
                file => File::from(file?),
            };
            file.try_lock().map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
            // Whoever had the lock may have put this very file into its place.
            let here = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW);
            let found = stat_of(&file)?;
            if here.is_ok_and(|here| (here.st_dev, here.st_ino) == found.identity) {
                let (found, writing) = (found.size, Mutex::new(()));
                return Ok(Part { file, folder, name, found, writing });
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    pub(super) fn found(&self) -> u64 {
        self.found
    }

    /// Its file's name in the staging folder.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(bytes, offset)
    }

    /// Lets the part share the blocks of `source` on disk, where the filesystem can.
    #[cfg(target_os = "linux")]
    pub(super) fn clone_from(&self, source: &File) -> bool {
        rustix::fs::ioctl_ficlone(&self.file, source).is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn clone_from(&self, _source: &File) -> bool {
        false
    }

    /// Puts the part in its place as a file like `like`. Returns what is there then.
    pub(super) fn finish(
        self,
        tree: &Tree,
        destination: &VolumePath,
        like: &Stat,
        existing: Existing,
        safety: Safety,
    ) -> io::Result<Stat> {
        self.file.set_len(like.size)?;
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(like.mode))?;
        let mtime = timespec(like.mtime);
        let times = Timestamps { last_access: mtime, last_modification: mtime };
        rustix::fs::futimens(&self.file, &times)?;
        if safety == Safety::OnDisk {
            self.file.sync_all()?;
        }
        let (folder, name) = destination.split().ok_or(io::ErrorKind::IsADirectory)?;
        tree.make_folder(&folder, 0o777)?;
        let folder = tree.folder(&folder)?;
        place(
            Place { folder: self.folder.as_fd(), name: self.name.as_ref() },
            Place { folder: folder.as_fd(), name: name.as_ref() },
            existing,
        )?;
        stat_of(&self.file)
    }

    /// Removes the part, when keeping it would only fill the disk.
    pub(super) fn discard(self) {
        let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}

/// Removes the staging folder of `tree` if nothing is in it.
pub(super) fn tidy(tree: &Tree) {
    let _ = rustix::fs::unlinkat(CWD, tree.path().join(staging::FOLDER), AtFlags::REMOVEDIR);
}

fn staging_folder(tree: &Tree) -> io::Result<OwnedFd> {
    let root = tree.folder(&VolumePath::root())?;
    match rustix::fs::mkdirat(&root, staging::FOLDER, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(&root, staging::FOLDER, flags, Mode::empty())?)
}

fn name_of(destination: &VolumePath) -> String {
    let hash: [u8; 32] = Sha256::digest(destination.as_str()).into();
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("part-{hex}")
}

fn timespec(nanos: i128) -> Timespec {
    let second = 1_000_000_000;
    let (tv_sec, tv_nsec) = (nanos.div_euclid(second), nanos.rem_euclid(second));
    Timespec {
        tv_sec: i64::try_from(tv_sec).unwrap_or_default(),
        tv_nsec: i64::try_from(tv_nsec).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> VolumePath {
        VolumePath::parse(text).unwrap()
    }

    #[test]
    fn a_part_belongs_to_one_transfer_and_is_found_again_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let part = Part::open(&tree, &path("a/clip")).unwrap();
        part.write(b"half", 0).unwrap();
        let busy = Part::open(&tree, &path("a/clip")).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(Part::open(&tree, &path("clip")).unwrap().found(), 0);
        drop(part);
        assert_eq!(Part::open(&tree, &path("a/clip")).unwrap().found(), 4);
    }

    #[test]
    fn a_part_in_its_place_is_no_part_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let part = Part::open(&tree, &path("a/clip")).unwrap();
        part.write(b"whole", 0).unwrap();
        let like = Stat { size: 5, mode: 0o640, ..stat_of(part.file()).unwrap() };
        let placed =
            part.finish(&tree, &path("a/clip"), &like, Existing::Keep, Safety::OnItsWay).unwrap();
        assert_eq!((placed.size, placed.mode, placed.mtime), (5, 0o640, like.mtime));
        assert_eq!(std::fs::read(dir.path().join("a/clip")).unwrap(), b"whole");
        assert_eq!(Part::open(&tree, &path("a/clip")).unwrap().found(), 0);
    }
}
