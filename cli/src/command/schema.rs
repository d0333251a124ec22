//! `vdeploy schema`.

use crate::error::{Exit, Result};
use crate::manifest;
use crate::settings::Settings;

/// Print the JSON Schema of vdeploy.toml
///
/// Editors complete and check a manifest by it: put it in a file and begin the manifest with
/// `#:schema ./FILE`, as `vdeploy init` does.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, settings: &Settings) -> Result<Exit> {
    settings.printer.data(manifest::schema_text())?;
    Ok(Exit::Ok)
}
