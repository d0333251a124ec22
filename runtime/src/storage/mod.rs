//! The files of a call: where inputs come from, and how outputs get to their place whole or not
//! at all.

mod bucket;
mod bucket_volumes;
mod glob;
mod path;
mod place;
mod reference;
pub(crate) mod remote;
mod side;
mod staged;
mod staging;
mod store;
pub mod transfer;
mod tree;
mod volume;
mod volumes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use bucket::BucketFolder;
pub use bucket_volumes::BucketVolumes;
pub use glob::Pattern;
pub use path::{VolumePath, VolumePathError};
pub use reference::{FileRef, InputFile, OutputFile, RangedFile, ReferenceError};
pub use remote::check as check_remote;
pub use side::{Copying, Side};
pub use staged::StagedOutput;
pub use store::{VolumeStore, aws_error};
pub use tree::{Entry, Kind, Stat, Tree, stat_path};
pub use volume::Volume;
pub use volumes::{Contents, VolumeRecord, Volumes, VolumesError};

use crate::ffmpeg::input::Source;
use crate::wire::{Failure, FailureKind, Invocation, Loopback};

/// Inputs and outputs of one attempt.
#[derive(Clone, Debug)]
pub struct Files {
    volumes: BTreeMap<String, Volume>,
    scratch: PathBuf,
    artifacts: PathBuf,
    overwrite: bool,
    ranged: BTreeMap<String, Loopback>,
}

impl Files {
    /// The files that `invocation` may use.
    pub fn of(invocation: &Invocation) -> Self {
        let volumes = invocation
            .volumes
            .iter()
            .map(|(name, path)| (name.clone(), Volume::new(name, path)))
            .collect();
        Files {
            volumes,
            scratch: invocation.scratch.clone(),
            artifacts: invocation.artifacts.clone(),
            overwrite: invocation.overwrite,
            ranged: invocation.ranged.clone(),
        }
    }

    /// The files that a call may use whose folder is `folder`, for work that is done without a
    /// worker.
    pub(crate) fn without_worker(
        volumes: BTreeMap<String, PathBuf>,
        folder: &Path,
        overwrite: bool,
    ) -> Self {
        let volumes =
            volumes.into_iter().map(|(name, path)| (name.clone(), Volume::new(name, path)));
        Files {
            volumes: volumes.collect(),
            scratch: folder.join("scratch"),
            artifacts: folder.join("artifacts"),
            overwrite,
            ranged: BTreeMap::new(),
        }
    }

    /// Where on this machine the file is that an argument or an artifact names.
    pub(crate) fn locate(&self, text: &str) -> Result<PathBuf, Failure> {
        let reference = FileRef::parse(text).map_err(|e| bad_reference(text, &e))?;
        self.resolve(&reference)
    }

    /// A folder that is removed when the attempt has ended.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Writes a file into the scratch folder, which is made if it isn't there yet.
    pub fn write_scratch(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.scratch.join(name);
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, bytes));
        written.map(|()| path).map_err(|error| {
            Failure::new(FailureKind::Output, "can't write to the call's folder").cause(error)
        })
    }

    /// The local path of an input that exists and can be read.
    pub async fn input(&self, file: &InputFile) -> Result<PathBuf, Failure> {
        let reference =
            FileRef::parse(file.as_str()).map_err(|e| bad_reference(file.as_str(), &e))?;
        let path = self.resolve(&reference)?;
        staged::check_readable(file.as_str(), &path).await?;
        Ok(path)
    }

    /// Where to read an input of which parts are enough: a file of this machine, or one that is
    /// brought as it is read.
    pub async fn source(&self, file: &str) -> Result<Source, Failure> {
        if let Some(held) = self.ranged.get(file) {
            return Ok(Source::Loopback(held.clone()));
        }
        self.input(&InputFile::from(file.to_owned())).await.map(Source::File)
    }

    /// The local path of an input that is a folder.
    pub fn folder(&self, file: &InputFile) -> Result<PathBuf, Failure> {
        let reference =
            FileRef::parse(file.as_str()).map_err(|e| bad_reference(file.as_str(), &e))?;
        let path = self.resolve(&reference)?;
        if path.is_dir() {
            return Ok(path);
        }
        Err(Failure::new(FailureKind::InvalidInput, format!("`{}` isn't a folder", file.as_str())))
    }

    /// A place for an output: where `file` says, or an artifact called `default_name`.
    pub fn output(
        &self,
        file: Option<&OutputFile>,
        default_name: &str,
    ) -> Result<StagedOutput, Failure> {
        let (path, location) = match file {
            None => {
                let path = self.artifacts.join(default_name);
                let location = path.to_string_lossy().into_owned();
                (path, location)
            }
            Some(file) => {
                let reference =
                    FileRef::parse(file.as_str()).map_err(|e| bad_reference(file.as_str(), &e))?;
                (self.resolve(&reference)?, file.as_str().to_owned())
            }
        };
        StagedOutput::create(path, location, self.overwrite)
    }

    fn resolve(&self, reference: &FileRef) -> Result<PathBuf, Failure> {
        match reference {
            FileRef::Path(path) => Ok(path.clone()),
            FileRef::Volume { volume, path } => {
                let volume = self.volumes.get(volume).ok_or_else(|| self.no_volume(volume))?;
                volume.resolve(path).map_err(|error| {
                    Failure::new(
                        FailureKind::InvalidArgs,
                        format!("`{reference}` isn't a path in volume `{}`", volume.name()),
                    )
                    .cause(error)
                })
            }
            FileRef::Bucket { .. } | FileRef::Object { .. } | FileRef::Web(_) => {
                let message = format!("`{reference}` wasn't brought into the call");
                Err(Failure::new(FailureKind::InvalidArgs, message).cause(
                    "only arguments that the function's schema gives the format `input-file` or \
                     `output-file` may name files beyond this target",
                ))
            }
        }
    }

    fn no_volume(&self, name: &str) -> Failure {
        Failure::new(FailureKind::InvalidArgs, format!("no volume named `{name}`"))
            .hint(format!("create it with `vdeploy volume create {name}`"))
    }
}

fn bad_reference(text: &str, error: &ReferenceError) -> Failure {
    Failure::new(FailureKind::InvalidArgs, format!("`{text}` isn't a file")).cause(error)
}
