//! The segments of a recording: each is put in its place as soon as it is whole.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::handler::Context;
use crate::storage::OutputFile;
use crate::wire::{Failure, FailureKind};

/// A file of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Segment {
    /// Where it is.
    pub location: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The segments that ffmpeg writes into a folder of the call, and those that are in their place.
pub(super) struct Segments<'a> {
    cx: &'a Context,
    folder: PathBuf,
    output: Option<&'a OutputFile>,
    placed: BTreeSet<String>,
    pub(super) done: Vec<Segment>,
}

impl<'a> Segments<'a> {
    pub(super) fn new(cx: &'a Context, output: Option<&'a OutputFile>) -> Result<Self, Failure> {
        let folder = cx.files().scratch().join("segments");
        std::fs::create_dir_all(&folder).map_err(|error| {
            Failure::new(FailureKind::Machine, "can't make the call's folder").cause(error)
        })?;
        Ok(Segments { cx, folder, output, placed: BTreeSet::new(), done: Vec::new() })
    }

    /// What ffmpeg names its segments, and where it lists those that are whole.
    pub(super) fn pattern(&self, run: u32) -> PathBuf {
        self.folder.join(format!("{run:03}-%05d.mkv"))
    }

    pub(super) fn list(&self) -> PathBuf {
        self.folder.join("whole.csv")
    }

    /// Puts those in their place that ffmpeg has finished.
    pub(super) fn place_whole(&mut self) -> Result<(), Failure> {
        // It is being written: a line that isn't complete yet is there the next time.
        let listed = std::fs::read_to_string(self.list()).unwrap_or_default();
        let names = listed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let names: Vec<String> =
            names.filter_map(|line| Some(line.split(',').next()?.to_owned())).collect();
        names.iter().try_for_each(|name| self.place(name))
    }

    /// Puts all that was written in its place, whole or not: Matroska plays as far as it goes.
    pub(super) fn place_rest(&mut self) -> Result<(), Failure> {
        let entries = std::fs::read_dir(&self.folder).map_err(|error| unreadable(&error))?;
        let mut names: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() > 0))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".mkv"))
            .collect();
        names.sort();
        names.iter().try_for_each(|name| self.place(name))?;
        let _ = std::fs::remove_file(self.list());
        Ok(())
    }

    fn place(&mut self, name: &str) -> Result<(), Failure> {
        let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !self.placed.insert(name.clone()) {
            return Ok(());
        }
        let target = format!("{:05}.mkv", self.done.len());
        let output = self.output.map(|folder| {
            OutputFile::from(format!("{}/{target}", folder.as_str().trim_end_matches('/')))
        });
        let staged = self.cx.files().output(output.as_ref(), &target)?;
        let from = self.folder.join(name);
        relocate(&from, &staged.path()).map_err(|error| unreadable(&error))?;
        let artifact = staged.commit("segment")?;
        self.done.push(Segment { location: artifact.location.clone(), bytes: artifact.bytes });
        self.cx.add_artifact(artifact);
        Ok(())
    }
}

/// Another folder may be on another disk.
fn relocate(from: &Path, to: &Path) -> io::Result<()> {
    if std::fs::rename(from, to).is_err() {
        std::fs::copy(from, to)?;
        std::fs::remove_file(from)?;
    }
    Ok(())
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(FailureKind::Output, "can't put a segment in its place").cause(error)
}
