//! Finds the manifest and reads it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::app::App;
use super::problem::ManifestErrors;
use super::{parse, render};
use crate::error::{CliError, Report, Result};
use crate::settings::Settings;

/// What a manifest is called.
pub const FILE_NAME: &str = "vdeploy.toml";

/// A manifest that was found to be right.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    /// The folder that its paths are relative to.
    pub root: PathBuf,
    /// What it describes.
    pub app: App,
}

/// The manifest that was named, else the one in this folder or the nearest above.
pub fn load(settings: &Settings) -> Result<Manifest> {
    let path = match &settings.manifest {
        Some(path) if path.is_dir() => path.join(FILE_NAME),
        Some(path) => path.clone(),
        None => find()?,
    };
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    let app = parse(&text, &settings.environment)
        .map_err(|errors| wrong(&errors, &path, &text, settings))?;
    let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    let root = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Manifest { path, root, app })
}

fn find() -> Result<PathBuf> {
    let here = std::env::current_dir()
        .map_err(|error| CliError::failed("the current folder is gone").cause(error))?;
    let found = here.ancestors().find(|folder| folder.join(FILE_NAME).is_file());
    match found {
        Some(folder) if folder == here => Ok(PathBuf::from(FILE_NAME)),
        Some(folder) => Ok(folder.join(FILE_NAME)),
        None => Err(CliError::usage(format!("no `{FILE_NAME}` here or in a folder above"))
            .hint("start a project: `vdeploy init`")
            .hint("or name a manifest: `--manifest PATH`")),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound => CliError::usage(format!("there is no manifest `{shown}`"))
            .hint("start a project: `vdeploy init`"),
        ErrorKind::InvalidData => {
            CliError::usage(format!("manifest `{shown}` isn't UTF-8 text")).hint("save it as UTF-8")
        }
        _ => CliError::usage(format!("can't read manifest `{shown}`")).cause(error),
    }
}

fn wrong(errors: &ManifestErrors, path: &Path, text: &str, settings: &Settings) -> CliError {
    let printer = &settings.printer;
    let shown = path.display().to_string();
    let count = match errors.problems.len() {
        1 => "1 mistake".to_owned(),
        count => format!("{count} mistakes"),
    };
    CliError::usage(format!("manifest `{shown}` has {count}")).report(Report {
        text: render::text(errors, &shown, text, printer.color_stderr, printer.unicode),
        data: render::json(errors, text),
    })
}
