//! Where a program works: the folders of its call. To make and remove them costs as much as to run
//! a small program, so that a worker keeps those that were left as they were made, under another
//! name, and gives them to its next call.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::events::Events;

/// The pipe for events, in the scratch folder.
const EVENTS: &str = ".vdeploy-events";
/// The folders within the folder of a call, when they are all there is.
const FOLDERS: [&str; 2] = ["artifacts", "scratch"];

/// The folders of a call, and what its program says while it runs.
#[derive(Debug)]
pub(super) struct Workplace {
    /// Where it works.
    pub(super) scratch: PathBuf,
    /// Where it leaves what is kept.
    pub(super) artifacts: PathBuf,
    /// What it says.
    pub(super) events: Events,
    /// What was put into `scratch`.
    made: BTreeSet<Entry>,
}

/// Where a call has its scratch folder, and where its artifacts.
type Paths<'a> = (&'a Path, &'a Path);

/// A name in a folder, the number of its file, and where it leads if it is a link: numbers of files
/// that are gone are given away again, that of the open pipe isn't.
type Entry = (OsString, u64, Option<PathBuf>);

impl Workplace {
    /// Makes the folders of a call. The scratch folder shows the deployed code by links, so that
    /// the program finds its files by the paths the manifest says and can't change the copy by
    /// accident.
    fn make((scratch, artifacts): Paths, source: Option<&Path>) -> io::Result<Self> {
        let (scratch, artifacts) = (scratch.to_owned(), artifacts.to_owned());
        let pipe = scratch.join(EVENTS);
        if pipe.exists() {
            // Of a killed worker, whose attempt could not be recorded on a full disk.
            std::fs::remove_dir_all(&scratch)?;
        }
        std::fs::create_dir_all(&scratch)?;
        std::fs::create_dir_all(&artifacts)?;
        if let Some(source) = source {
            for entry in std::fs::read_dir(source)? {
                let entry = entry?;
                std::os::unix::fs::symlink(entry.path(), scratch.join(entry.file_name()))?;
            }
        }
        let events = Events::make(pipe)?;
        Ok(Workplace { made: entries(&scratch)?, scratch, artifacts, events })
    }

    /// The folder of the call, where it holds both others.
    fn folder(&self) -> Option<&Path> {
        self.scratch.parent().filter(|parent| Some(*parent) == self.artifacts.parent())
    }

    /// Makes it that of another call, whose folder is no longer missing.
    fn moved_to(&mut self, (scratch, artifacts): Paths) {
        self.scratch = scratch.to_owned();
        self.artifacts = artifacts.to_owned();
        self.events.moved_to(self.scratch.join(EVENTS));
    }
}

/// The folders that the last call left, while there is no next.
#[derive(Debug, Default)]
pub struct Spare {
    /// Where they are; none: they are not kept.
    path: Option<PathBuf>,
    kept: Mutex<Option<Workplace>>,
}

impl Spare {
    /// To be kept at `path`; none: not at all.
    pub fn at(path: Option<PathBuf>) -> Self {
        Spare { path, kept: Mutex::default() }
    }

    /// The folders of a call: those that are kept, or new ones.
    pub(super) fn workplace(&self, paths: Paths, source: Option<&Path>) -> io::Result<Workplace> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(mut place), Some(path)) = (kept, &self.path) {
            place.moved_to(paths);
            // Not over a folder that holds what an earlier attempt left.
            if place.folder().is_some_and(|folder| std::fs::rename(path, folder).is_ok()) {
                return Ok(place);
            }
        }
        Workplace::make(paths, source)
    }

    /// Keeps the folders of a call that has ended, if its program left them as they were.
    pub(super) fn keep(&self, place: Workplace) {
        let (Some(path), Some(folder)) = (&self.path, place.folder()) else { return };
        if moved(folder, path).is_err() {
            return;
        }
        if is_as_made(path, &place.made).unwrap_or(false) {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        } else {
            // Back to where it is looked for. Only after it was moved could nobody add to it.
            let _ = std::fs::rename(path, folder);
        }
    }
}

/// Moves `from` to `to`, whose folder may be missing, over what may be there still.
fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::rename(from, to)
        }
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            std::fs::remove_dir_all(to)?;
            std::fs::rename(from, to)
        }
        moved => moved,
    }
}

/// Whether a call's folder holds what was `made` for it and nothing else.
fn is_as_made(folder: &Path, made: &BTreeSet<Entry>) -> io::Result<bool> {
    let [artifacts, scratch] = FOLDERS;
    let names: Vec<OsString> = entries(folder)?.into_iter().map(|(name, ..)| name).collect();
    Ok(names == FOLDERS
        && entries(&folder.join(artifacts))?.is_empty()
        && entries(&folder.join(scratch))? == *made)
}

fn entries(folder: &Path) -> io::Result<BTreeSet<Entry>> {
    let entry = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        let is_link = entry.file_type()?.is_symlink();
        let target = is_link.then(|| std::fs::read_link(entry.path())).transpose()?;
        Ok((entry.file_name(), entry.ino(), target))
    };
    std::fs::read_dir(folder)?.map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(home.path().join("source/code")).unwrap();
            Home(home)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn spare(&self) -> Spare {
            Spare::at(Some(self.path("spares/one")))
        }

        fn place(&self, spare: &Spare, call: &str) -> Workplace {
            let (scratch, artifacts) =
                (self.path(call).join("scratch"), self.path(call).join("artifacts"));
            spare.workplace((&scratch, &artifacts), Some(&self.path("source"))).unwrap()
        }
    }

    fn number(place: &Workplace) -> u64 {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(&place.scratch).unwrap().ino()
    }

    #[tokio::test]
    async fn folders_that_were_left_as_they_were_are_those_of_the_next_call() {
        let home = Home::new();
        let spare = home.spare();
        let first = home.place(&spare, "a");
        let folder = number(&first);
        spare.keep(first);
        assert!(!home.path("a").exists());
        let second = home.place(&spare, "b");
        assert_eq!(number(&second), folder);
        assert!(second.scratch.join("code").is_dir() && second.artifacts.is_dir());
        assert!(second.events.path().starts_with(home.path("b")) && second.events.path().exists());
        assert!(!home.path("spares/one").exists());
    }

    #[tokio::test]
    async fn nothing_of_a_call_gets_into_the_next() {
        let home = Home::new();
        let spare = home.spare();
        let traces: [fn(&Workplace); 5] = [
            |place| std::fs::write(place.scratch.join("left.txt"), "").unwrap(),
            |place| std::fs::write(place.artifacts.join("made.txt"), "").unwrap(),
            |place| std::fs::write(place.scratch.with_file_name("log"), "").unwrap(),
            |place| {
                std::fs::remove_file(place.scratch.join("code")).unwrap();
                std::fs::write(place.scratch.join("code"), "").unwrap();
            },
            |place| {
                std::fs::remove_file(place.scratch.join("code")).unwrap();
                std::os::unix::fs::symlink("/etc", place.scratch.join("code")).unwrap();
            },
        ];
        for trace in traces {
            let place = home.place(&spare, "a");
            trace(&place);
            spare.keep(place);
            assert!(home.path("a").exists(), "what is to be looked for has to stay");
            let next = home.place(&spare, "b");
            assert_eq!(entries(&next.scratch).unwrap().len(), 2);
            assert!(is_as_made(&home.path("b"), &next.made).unwrap());
            std::fs::remove_dir_all(home.path("a")).unwrap();
            std::fs::remove_dir_all(home.path("b")).unwrap();
        }
    }

    #[tokio::test]
    async fn what_an_earlier_attempt_left_stays() {
        let home = Home::new();
        let spare = home.spare();
        let first = home.place(&spare, "a");
        spare.keep(first);
        std::fs::create_dir_all(home.path("b")).unwrap();
        std::fs::write(home.path("b/log"), "first attempt").unwrap();
        let second = home.place(&spare, "b");
        assert_eq!(std::fs::read_to_string(home.path("b/log")).unwrap(), "first attempt");
        spare.keep(second);
        assert!(home.path("b/log").exists());
    }
}
