//! The files of a call while it runs: where they are for it, and where they belong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Remote;
use super::carry::{self, Tell, check_summary, transfer};
use super::ranged::Held;
use crate::args::Direction;
use crate::storage::transfer::Pair;
use crate::storage::{BucketFolder, FileRef, Tree, VolumePath};
use crate::wire::{Failure, FailureKind, Loopback, Outcome, Phase};

/// What was brought into a call, and what is to be taken out of it. Dropped, it leaves nothing here.
pub(crate) struct Brought {
    folder: PathBuf,
    pub(super) tell: Tell,
    pub(super) overwrite: bool,
    pub(super) files: Vec<File>,
    /// What is read in parts, by what the arguments call it.
    held: BTreeMap<String, Held>,
}

/// A file of a call: what the caller calls it, where it is for the call, and where it belongs if the
/// call makes it.
#[derive(Debug)]
pub(super) struct File {
    pub(super) address: String,
    pub(super) here: PathBuf,
    pub(super) there: Option<(BucketFolder, VolumePath)>,
}

impl std::fmt::Debug for Brought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brought").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Brought {
    /// Nothing yet. What is in the folder is of an earlier attempt.
    pub(super) fn new(folder: PathBuf, tell: Tell, overwrite: bool) -> Self {
        let (files, held) = (Vec::new(), BTreeMap::new());
        let brought = Brought { folder, tell, overwrite, files, held };
        brought.clear();
        brought
    }

    /// Holds a file ready of which parts are read: `false` where it can't be, or isn't one.
    pub(super) async fn hold(
        &mut self,
        remote: &Remote,
        text: &str,
        reference: &FileRef,
    ) -> Result<bool, Failure> {
        if !remote.is_beyond(reference) || matches!(reference, FileRef::Web(_)) {
            return Ok(false);
        }
        if self.held.contains_key(text) {
            return Ok(true);
        }
        let (folder, path) = remote.open(reference, Direction::Input).await?;
        let unusable = |error| carry::unusable(text, &error);
        let Some(held) = Held::open(&folder, &path).await.map_err(unusable)? else {
            return Ok(false);
        };
        self.held.insert(text.to_owned(), held);
        Ok(true)
    }

    /// Where files are read in parts, by what the arguments call them.
    pub(crate) fn ranged(&self) -> BTreeMap<String, Loopback> {
        self.held.iter().map(|(text, held)| (text.clone(), held.address().clone())).collect()
    }

    /// Has `tell` hear how far the way out is.
    pub(crate) fn report_to(&mut self, tell: Tell) {
        self.tell = tell;
    }

    /// Takes the outputs of a call that has succeeded to their places, and names files as the
    /// caller does.
    pub(crate) async fn take_out(&self, outcome: Outcome) -> Result<Outcome, Failure> {
        let Outcome::Succeeded { mut result, mut artifacts, cached_from } = outcome else {
            return Ok(outcome);
        };
        for File { address, here, there } in &self.files {
            // A handler may leave an output out.
            if let Some((folder, path)) = there
                && here.symlink_metadata().is_ok()
            {
                self.put(address, here, folder, path).await?;
            }
            let (was, is) = (here.display().to_string(), address);
            rename(&mut result, &was, is);
            for artifact in &mut artifacts {
                artifact.location = artifact.location.replace(&was, is);
            }
        }
        Ok(Outcome::Succeeded { result, artifacts, cached_from })
    }

    async fn put(
        &self,
        address: &str,
        here: &Path,
        folder: &BucketFolder,
        path: &VolumePath,
    ) -> Result<(), Failure> {
        let parent = here.parent().unwrap_or(Path::new("/"));
        let tree = Tree::open(parent).map_err(|error| carry::unusable(address, &error))?;
        let from = VolumePath::parse(path.name().unwrap_or_default()).unwrap_or_default();
        let pairs = vec![Pair { from, to: path.clone() }];
        let put = transfer(pairs, self.overwrite, &self.tell, Phase::Uploading);
        let put = put.put(tree, folder.clone()).await;
        check_summary(put, &format!("`{address}`"), FailureKind::Output)
    }

    fn clear(&self) {
        // What can't be removed is found by whoever removes the call.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        self.clear();
        if let Some(call) = self.folder.parent() {
            // It stays when it holds a log or artifacts.
            let _ = std::fs::remove_dir(call);
        }
    }
}

/// Puts `is` wherever a text of `value` says `was`, or a path below it.
fn rename(value: &mut Value, was: &str, is: &str) {
    match value {
        Value::String(text) if text.starts_with(was) => *text = text.replacen(was, is, 1),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, was, is)),
        Value::Object(map) => map.values_mut().for_each(|item| rename(item, was, is)),
        _ => {}
    }
}
