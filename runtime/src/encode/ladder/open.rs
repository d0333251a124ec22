//! What handlers begin with that make several renditions of one video in a folder.

use std::path::{Path, PathBuf};

use super::codecs;
use super::rung::Rung;
use crate::encode::Coding;
use crate::encode::open::Opened;
use crate::handler::Context;
use crate::storage::{InputFile, OutputFile, StagedOutput};
use crate::wire::{Failure, FailureKind};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The video to read.
    pub input: &'a InputFile,
    /// The folder that the results go into.
    pub output: Option<&'a OutputFile>,
    /// What holds for all renditions.
    pub coding: &'a Coding,
    /// The renditions.
    pub rungs: &'a [Rung],
}

/// A folder for results, made but not in its place yet.
#[derive(Debug)]
pub struct Folder {
    /// Where to write.
    pub path: PathBuf,
    /// What puts it in its place.
    pub staged: StagedOutput,
}

/// Looks at the input and at this machine, and makes the folder.
pub async fn open<'a>(cx: &'a Context, order: Order<'a>) -> Result<(Opened<'a>, Folder), Failure> {
    let Order { input, output, coding, rungs } = order;
    let codecs = codecs(rungs, coding);
    let keeps_hdr = codecs.iter().any(|codec| coding.keeps_hdr(*codec));
    let opened = Opened::of(cx, input.as_str(), coding, (&codecs, keeps_hdr)).await?;
    // The input's name without its extension.
    let name = Path::new(opened.name).file_stem().unwrap_or("output".as_ref());
    let staged = cx.files().output(output, &name.to_string_lossy())?;
    let path = staged.path();
    make_folder(&path).await?;
    Ok((opened, Folder { path, staged }))
}

/// Makes a folder for results.
pub async fn make_folder(path: &Path) -> Result<(), Failure> {
    tokio::fs::create_dir_all(path).await.map_err(|error| {
        Failure::new(FailureKind::Output, format!("can't write to `{}`", path.display()))
            .cause(error)
    })
}
