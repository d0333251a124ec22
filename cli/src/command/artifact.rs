//! Bringing what a call made to where the caller wants it.

use std::io;
use std::path::{Path, PathBuf};

use vdeploy_runtime::storage::{FileRef, Volume};
use vdeploy_runtime::wire::Artifact;

use crate::error::{CliError, Result};
use crate::settings::Settings;

/// Copies an artifact to `target`, which appears whole or not at all.
pub(super) async fn copy(
    artifact: &Artifact,
    target: &Path,
    force: bool,
    settings: &Settings,
) -> Result<()> {
    if let Some(copied) = fetch(artifact, target, force, settings).await {
        return copied;
    }
    let source = local_path(artifact, settings)?;
    place(&source, target, force).map_err(|error| {
        CliError::failed(format!("can't write `{}`", target.display()))
            .cause(error)
            .hint(format!("the call succeeded; its file is `{}`", artifact.location))
    })
}

/// Fetches an artifact that is in a bucket; none when it is a file here.
async fn fetch(
    artifact: &Artifact,
    target: &Path,
    force: bool,
    settings: &Settings,
) -> Option<Result<()>> {
    if settings.target == "local" {
        return None;
    }
    let fetched = vdeploy_runtime::client::fetch(&settings.base, artifact, target, force).await;
    Some(fetched.map_err(|error| {
        CliError::from(error)
            .hint(format!("the call succeeded; its file is `{}`", artifact.location))
    }))
}

fn local_path(artifact: &Artifact, settings: &Settings) -> Result<PathBuf> {
    let lost = |cause: String| {
        CliError::failed(format!("can't find what the call made at `{}`", artifact.location))
            .cause(cause)
    };
    match FileRef::parse(&artifact.location).map_err(|error| lost(error.to_string()))? {
        FileRef::Path(path) => Ok(path),
        FileRef::Volume { volume, path } => {
            let root = settings.home.environment(&settings.environment).volume(&volume);
            Volume::new(volume, root).resolve(&path).map_err(|error| lost(error.to_string()))
        }
        FileRef::Bucket { .. } | FileRef::Object { .. } | FileRef::Web(_) => {
            Err(lost("it isn't on this machine".into()))
        }
    }
}

fn place(source: &Path, target: &Path, force: bool) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    io::copy(&mut std::fs::File::open(source)?, &mut beside)?;
    beside.as_file().sync_all()?;
    let placed = if force { beside.persist(target) } else { beside.persist_noclobber(target) };
    placed.map(drop).map_err(|error| error.error)
}
