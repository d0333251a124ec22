//! An output that isn't there yet: written beside its place, then moved into it in one step.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;

use super::FileRef;
use super::place::{Existing, Place, place, sync_folder};
use super::staging::StagingFolder;
use crate::wire::{Artifact, Failure, FailureKind};

/// A file or a folder of files being written beside its place. Dropped without
/// [`StagedOutput::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct StagedOutput {
    staging: StagingFolder,
    target: PathBuf,
    location: String,
    existing: Existing,
}

impl StagedOutput {
    pub(super) fn create(
        target: PathBuf,
        location: String,
        overwrite: bool,
    ) -> Result<Self, Failure> {
        if target.file_name().is_none() {
            return Err(no_name(&location));
        }
        let existing = if overwrite { Existing::Replace } else { Existing::Keep };
        if existing == Existing::Keep && target.symlink_metadata().is_ok() {
            return Err(exists(&location));
        }
        let parent = parent_of(&target);
        let staging = fs::create_dir_all(parent)
            .and_then(|()| StagingFolder::create_beside(parent))
            .map_err(|error| cannot_write(&location, &error))?;
        Ok(StagedOutput { staging, target, location, existing })
    }

    /// Where to write a file, or to make a folder and write many. The name has the final
    /// extension, so that tools pick the right container.
    pub fn path(&self) -> PathBuf {
        self.staging.path().join(self.target.file_name().unwrap_or("output".as_ref()))
    }

    /// Where the output will be, as the caller named it.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Puts the output in its place, whole, and makes it survive a power cut. What is already
    /// there is replaced only if the call may overwrite.
    pub fn commit(self, name: &str) -> Result<Artifact, Failure> {
        match self.place() {
            Ok(bytes) => Ok(Artifact { name: name.into(), location: self.location, bytes }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(&self.location))
            }
            Err(error) => Err(cannot_write(&self.location, &error)),
        }
    }

    fn place(&self) -> io::Result<u64> {
        let written = self.path();
        let bytes = sync_tree(&written)?;
        place(
            Place { folder: CWD, name: written.as_os_str() },
            Place { folder: CWD, name: self.target.as_os_str() },
            self.existing,
        )?;
        sync_folder(File::open(parent_of(&self.target))?)?;
        Ok(bytes)
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a file, or every file of a folder, survive a power cut. Returns the bytes in them.
fn sync_tree(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in walkdir::WalkDir::new(path).contents_first(true) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let file = File::open(entry.path())?;
            file.sync_all()?;
            bytes += file.metadata()?.len();
        } else if entry.file_type().is_dir() {
            sync_folder(File::open(entry.path())?)?;
        }
    }
    Ok(bytes)
}

/// Fails with one plain sentence unless `path` is a file that can be read.
pub(super) async fn check_readable(text: &str, path: &Path) -> Result<(), Failure> {
    let fail = |why: String| {
        Err(Failure::new(FailureKind::InvalidInput, format!("can't read input `{text}`"))
            .cause(why)
            .hint(look_for(text)))
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

/// How to see what there is in place of an input.
fn look_for(text: &str) -> String {
    if let Ok(FileRef::Volume { volume, .. }) = FileRef::parse(text) {
        return format!("see what is in the volume: `vdeploy volume ls {volume}`");
    }
    match Path::new(text).parent() {
        Some(folder) => format!("see what is there: `ls -l '{}'`", folder.display()),
        None => "name a file".into(),
    }
}

fn no_name(location: &str) -> Failure {
    Failure::new(FailureKind::Output, format!("output `{location}` has no file name"))
        .hint("name the file, such as `out/clip.mp4`")
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn staged(target: &Path, overwrite: bool) -> Result<StagedOutput, Failure> {
        StagedOutput::create(target.into(), target.display().to_string(), overwrite)
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_at_commit_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("deep/er/clip.mp4");
        let output = staged(&target, false).unwrap();
        assert_eq!(output.path().extension().unwrap(), "mp4");
        fs::write(output.path(), "frames").unwrap();
        assert!(!target.exists());
        assert_eq!(output.commit("output").unwrap().bytes, 6);
        assert_eq!(fs::read_to_string(&target).unwrap(), "frames");
        assert_eq!(names(target.parent().unwrap()), ["clip.mp4"]);
    }

    #[test]
    fn a_file_has_the_permissions_that_any_new_file_has() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("plain"), "").unwrap();
        let target = dir.path().join("clip");
        let output = staged(&target, false).unwrap();
        fs::write(output.path(), "").unwrap();
        output.commit("output").unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("clip"), mode("plain"));
    }

    #[test]
    fn dropped_it_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let output = staged(&dir.path().join("clip"), false).unwrap();
        fs::write(output.path(), "half").unwrap();
        drop(output);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn an_output_that_exists_is_refused_at_start_and_at_commit() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("clip");
        let late = staged(&target, false).unwrap();
        fs::write(late.path(), "late").unwrap();
        fs::write(&target, "mine").unwrap();
        assert!(staged(&target, false).unwrap_err().message.contains("already exists"));
        assert!(late.commit("output").unwrap_err().message.contains("already exists"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");

        let asked = staged(&target, true).unwrap();
        fs::write(asked.path(), "new").unwrap();
        asked.commit("output").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    }

    #[test]
    fn a_folder_is_an_output_too() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("hls");
        let output = staged(&target, false).unwrap();
        fs::create_dir(output.path()).unwrap();
        fs::write(output.path().join("0.ts"), "four").unwrap();
        fs::write(output.path().join("index.m3u8"), "x").unwrap();
        assert_eq!(output.commit("output").unwrap().bytes, 5);
        assert_eq!(names(&target), ["0.ts", "index.m3u8"]);
    }

    #[test]
    fn a_link_in_the_place_is_replaced_and_never_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (target, other) = (dir.path().join("clip"), dir.path().join("other"));
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, &target).unwrap();
        assert!(staged(&target, false).is_err());
        let output = staged(&target, true).unwrap();
        fs::write(output.path(), "new").unwrap();
        output.commit("output").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    }

    #[test]
    fn a_place_without_a_name_or_with_nothing_written_is_one_clear_failure() {
        let dir = tempfile::tempdir().unwrap();
        let error = staged(&dir.path().join(".."), false).unwrap_err();
        assert!(error.message.ends_with("has no file name"), "{error}");
        let nothing = staged(&dir.path().join("clip"), false).unwrap();
        assert!(nothing.commit("output").unwrap_err().message.starts_with("can't write output"));
        assert!(names(dir.path()).is_empty());
    }
}
