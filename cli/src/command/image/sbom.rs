//! `vdeploy image sbom`.

use crate::error::{Exit, Result};
use crate::image;
use crate::settings::Settings;

/// Print what is in an image, as an SPDX document in JSON
///
/// Packages of the system and of Python, the worker program, and an ffmpeg that was compiled, each with
/// its version and package URL. The same image gives the same document.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An image of the manifest
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let docker = super::docker(settings).await?;
    let job = super::built(settings, &docker, &args.name).await?;
    let contents = image::contents(&docker, &job.reference).await;
    let document = image::document(&contents.map_err(super::engine_failed)?);
    // It is JSON with `--json` and without; people get line breaks.
    match settings.printer.json {
        true => settings.printer.data_json(&document)?,
        false => settings.printer.data(format!("{document:#}"))?,
    }
    Ok(Exit::Ok)
}
