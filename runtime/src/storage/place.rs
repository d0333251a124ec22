//! Puts a finished file or folder in its place in one step.

use std::ffi::OsStr;
use std::io;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

/// What happens to something that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It stays, and placing fails with [`io::ErrorKind::AlreadyExists`].
    Keep,
    /// It is replaced; a file only by a file, and a folder only by a folder.
    Replace,
}

/// A name in an open folder. With [`rustix::fs::CWD`] as the folder, the name may be any path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
}

/// Moves `from` to `to` on the same filesystem: readers see the old or the new, never a part.
/// Where a folder replaces a folder, the old one may end up at `from`.
pub(super) fn place(from: Place<'_>, to: Place<'_>, existing: Existing) -> io::Result<()> {
    let result = match existing {
        Existing::Keep => match rename(from, to, RenameFlags::NOREPLACE) {
            Err(errno) if is_unsupported(errno) => place_by_link(from, to),
            result => result,
        },
        Existing::Replace => match rustix::fs::renameat(from.folder, from.name, to.folder, to.name)
        {
            Err(Errno::NOTEMPTY | Errno::EXIST) => replace_folder(from, to),
            result => result,
        },
    };
    match result {
        Err(Errno::NOTEMPTY) => Err(Errno::EXIST.into()),
        result => Ok(result?),
    }
}

fn rename(from: Place<'_>, to: Place<'_>, flags: RenameFlags) -> Result<(), Errno> {
    rustix::fs::renameat_with(from.folder, from.name, to.folder, to.name, flags)
}

/// For filesystems that can't rename with conditions: a hard link fails where something exists.
fn place_by_link(from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    match rustix::fs::linkat(from.folder, from.name, to.folder, to.name, AtFlags::empty()) {
        Ok(()) => rustix::fs::unlinkat(from.folder, from.name, AtFlags::empty()),
        Err(Errno::PERM | Errno::MLINK) => place_unguarded(from, to),
        Err(errno) if is_unsupported(errno) => place_unguarded(from, to),
        Err(errno) => Err(errno),
    }
}

/// For filesystems that have no hard links either, and for folders: look first. Between the look
/// and the rename an empty folder or a file could still appear; there is no better way there.
fn place_unguarded(from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    match rustix::fs::statat(to.folder, to.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(from.folder, from.name, to.folder, to.name),
        Err(errno) => Err(errno),
    }
}

/// A rename doesn't replace a folder that has something in it.
fn replace_folder(from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    match rename(from, to, RenameFlags::EXCHANGE) {
        Err(errno) if is_unsupported(errno) => replace_folder_in_steps(from, to),
        result => result,
    }
}

fn replace_folder_in_steps(from: Place<'_>, to: Place<'_>) -> Result<(), Errno> {
    let mut aside = from.name.to_owned();
    aside.push(".old");
    let aside = Place { folder: from.folder, name: &aside };
    rename(to, aside, RenameFlags::empty())?;
    rename(from, to, RenameFlags::empty()).inspect_err(|_| {
        // Back to where it was; if that fails too, it is still beside.
        let _ = rename(aside, to, RenameFlags::empty());
    })
}

fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)
}

/// Makes the names in a folder survive a power cut.
pub(super) fn sync_folder(folder: impl AsFd) -> io::Result<()> {
    match rustix::fs::fsync(folder) {
        // Some filesystems have nothing to sync for a folder.
        Err(Errno::INVAL | Errno::BADF) => Ok(()),
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rustix::fs::CWD;

    use super::*;

    fn at(path: &Path) -> Place<'_> {
        Place { folder: CWD, name: path.as_os_str() }
    }

    type Way = fn(Place<'_>, Place<'_>) -> io::Result<()>;

    /// The ways to place that keep what exists: by rename, by link, by looking first.
    const KEEPING: [Way; 3] = [
        |from, to| place(from, to, Existing::Keep),
        |from, to| Ok(place_by_link(from, to)?),
        |from, to| Ok(place_unguarded(from, to)?),
    ];

    #[test]
    fn nothing_that_exists_is_replaced_unless_asked() {
        for way in KEEPING {
            let dir = tempfile::tempdir().unwrap();
            let (new, old) = (dir.path().join("new"), dir.path().join("old"));
            fs::write(&new, "new").unwrap();
            fs::write(&old, "old").unwrap();
            let error = way(at(&new), at(&old)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read_to_string(&old).unwrap(), "old");

            fs::remove_file(&old).unwrap();
            way(at(&new), at(&old)).unwrap();
            assert_eq!(fs::read_to_string(&old).unwrap(), "new");
            assert!(!new.exists());
        }
    }

    #[test]
    fn folders_are_placed_whole_by_every_way() {
        for way in KEEPING {
            let dir = tempfile::tempdir().unwrap();
            let (new, old) = (dir.path().join("new"), dir.path().join("old"));
            fs::create_dir(&new).unwrap();
            fs::create_dir(&old).unwrap();
            fs::write(new.join("a"), "").unwrap();
            fs::write(old.join("b"), "").unwrap();
            let error = way(at(&new), at(&old)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert!(old.join("b").exists() && !old.join("a").exists());
        }
    }

    #[test]
    fn a_folder_replaces_a_folder_with_all_that_is_in_it() {
        let ways: [Way; 2] = [
            |from, to| place(from, to, Existing::Replace),
            |from, to| Ok(replace_folder_in_steps(from, to)?),
        ];
        for way in ways {
            let dir = tempfile::tempdir().unwrap();
            let (new, old) = (dir.path().join("new"), dir.path().join("old"));
            fs::create_dir(&new).unwrap();
            fs::create_dir(&old).unwrap();
            fs::write(new.join("a"), "").unwrap();
            fs::write(old.join("b"), "").unwrap();
            way(at(&new), at(&old)).unwrap();
            assert!(old.join("a").exists() && !old.join("b").exists());
        }
    }

    #[test]
    fn a_file_never_replaces_a_folder_nor_a_folder_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("file"), dir.path().join("folder"));
        fs::write(&file, "").unwrap();
        fs::create_dir(&folder).unwrap();
        assert!(place(at(&file), at(&folder), Existing::Replace).is_err());
        assert!(place(at(&folder), at(&file), Existing::Replace).is_err());
        assert!(file.is_file() && folder.is_dir());
    }
}
