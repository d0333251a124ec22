//! A folder and what is below it, reached only through its open descriptor.
//!
//! Every path is looked up by the kernel below the folder that was opened, so that neither `..` nor
//! a link that somebody puts in the way at the last moment leads out of it. Where the kernel can't
//! (before Linux 5.6, macOS), paths with links in them are refused.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::path::{self, VolumePath};

/// An open folder: the root of a volume, or a folder on this machine.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// Permission bits, without set-user-id and the like.
    pub mode: u32,
    /// When its content changed, in nanoseconds since 1970.
    pub mtime: i128,
    /// When anything about it changed; nobody can set it.
    pub(super) ctime: i128,
    /// Which file it is on this machine.
    pub(super) identity: (u64, u64),
}

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe, socket or device.
    Special,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::File => "a file",
            Kind::Folder => "a folder",
            Kind::Link => "a link",
            Kind::Special => "a pipe, socket or device",
        })
    }
}

/// A name in a folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name, which may be any bytes.
    pub name: OsString,
    /// What it stands for; links are not followed.
    pub stat: Stat,
}

impl Tree {
    /// Opens the folder at `path`, which is trusted to be the right one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Tree { root, path: path.into() })
    }

    /// Where the folder was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `path` names, following links that stay inside; none when nothing is there.
    pub fn find(&self, path: &VolumePath) -> io::Result<Option<Stat>> {
        match self.find_itself(path)? {
            Some(stat) if stat.kind == Kind::Link => {
                Ok(Some(stat_of(self.open_file(path)?.as_fd())?))
            }
            found => Ok(found),
        }
    }

    /// What `path` names itself, be it a link; none when nothing is there.
    pub fn find_itself(&self, path: &VolumePath) -> io::Result<Option<Stat>> {
        let Some((folder, name)) = path.split() else {
            return stat_of(self.root.as_fd()).map(Some);
        };
        let stat = self
            .folder(&folder)
            .and_then(|folder| Ok(rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?));
        match stat {
            Ok(stat) => Ok(Some(Stat::of(&stat))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names in a folder, sorted, without those that are ours.
    pub fn list(&self, path: &VolumePath) -> io::Result<Vec<Entry>> {
        let folder = self.folder(path)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." || path::is_reserved(&name) {
                continue;
            }
            match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.push(Entry { name, stat: Stat::of(&stat) }),
                // It went away meanwhile.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Opens a file to read. Never waits for the other end of a pipe.
    pub fn open_file(&self, path: &VolumePath) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(self.open_beneath(path, flags)?.into())
    }

    /// Opens a folder.
    pub(super) fn folder(&self, path: &VolumePath) -> io::Result<OwnedFd> {
        self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Makes a folder and those above it that are missing. `mode` is for the last one.
    pub fn make_folder(&self, path: &VolumePath, mode: u32) -> io::Result<()> {
        let Some((parent, name)) = path.split() else { return Ok(()) };
        let parent = match self.folder(&parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folder(&parent, 0o777)?;
                self.folder(&parent)?
            }
            found => found?,
        };
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode | 0o700)) {
            Err(Errno::EXIST) => self.folder(path).map(drop),
            result => Ok(result?),
        }
    }

    /// Removes a file, a link or an empty folder.
    pub(super) fn unlink(&self, path: &VolumePath, kind: Kind) -> io::Result<()> {
        let Some((folder, name)) = path.split() else { return Err(Errno::BUSY.into()) };
        let flags = if kind == Kind::Folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        Ok(rustix::fs::unlinkat(self.folder(&folder)?, name, flags)?)
    }

    #[cfg(target_os = "linux")]
    fn open_beneath(&self, path: &VolumePath, flags: OFlags) -> io::Result<OwnedFd> {
        use rustix::fs::ResolveFlags;

        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        loop {
            match rustix::fs::openat2(&self.root, path.or_dot(), flags, Mode::empty(), resolve) {
                // Something was renamed while the kernel looked.
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS) => return self.open_without_links(path, flags),
                Err(Errno::XDEV) => {
                    return Err(io::Error::new(io::ErrorKind::CrossesDevices, LEADS_OUT));
                }
                result => return Ok(result?),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open_beneath(&self, path: &VolumePath, flags: OFlags) -> io::Result<OwnedFd> {
        self.open_without_links(path, flags | OFlags::CLOEXEC)
    }

    /// Opens name by name, so that no link is followed anywhere.
    fn open_without_links(&self, path: &VolumePath, flags: OFlags) -> io::Result<OwnedFd> {
        let step = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Some((parents, name)) = path.split() else {
            return Ok(rustix::fs::openat(&self.root, ".", flags, Mode::empty())?);
        };
        let mut folder = self.root.try_clone()?;
        for part in parents.parts() {
            folder = rustix::fs::openat(&folder, part, step, Mode::empty())?;
        }
        Ok(rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?)
    }
}

impl Stat {
    fn of(stat: &rustix::fs::Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Special,
        };
        let time = |seconds: i64, nanos: i128| i128::from(seconds) * 1_000_000_000 + nanos;
        Stat {
            kind,
            size: stat.st_size.unsigned_abs(),
            mode: stat.st_mode & 0o777,
            mtime: time(stat.st_mtime, stat.st_mtime_nsec.into()),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec.into()),
            identity: (stat.st_dev, stat.st_ino),
        }
    }
}

#[cfg(target_os = "linux")]
const LEADS_OUT: &str = "a link on the way leads out of the volume or folder";

/// What an open file is.
pub(super) fn stat_of(file: impl AsFd) -> io::Result<Stat> {
    Ok(Stat::of(&rustix::fs::fstat(file)?))
}

/// What the path of an argument on this machine names, following links; none when nothing is there.
pub fn stat_path(path: &Path) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(CWD, path, AtFlags::empty()) {
        Ok(stat) => Ok(Some(Stat::of(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
