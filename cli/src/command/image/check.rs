//! `vdeploy image check`.

use crate::error::{CliError, Exit, Result};
use crate::image;
use crate::settings::Settings;

/// Say what an image can do, found out inside it
///
/// What every build ends with: ffmpeg runs, its encoders encode, the worker program speaks this
/// vdeploy's messages, libraries are there, and nothing starts as root.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An image of the manifest
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let docker = super::docker(settings).await?;
    let job = super::built(settings, &docker, &args.name).await?;
    let found = image::check(&docker, &job.reference, job.cuda).await.map_err(|error| {
        let hints = error.hint().into_iter().collect();
        CliError { hints, ..CliError::chain(&error) }
    })?;
    let printer = settings.printer;
    if printer.json {
        printer.data_json(&found)?;
        return Ok(Exit::Ok);
    }
    printer.data(format!("image {}", job.reference))?;
    printer.data(format!("ffmpeg {}", found.ffmpeg.as_deref().unwrap_or("none")))?;
    printer.data(format!("encoders {}", found.encoders.join(", ")))?;
    printer.data(format!("NVENC {}", if found.nvenc { "built in" } else { "not built in" }))?;
    printer.data(format!("user {}", found.uid))?;
    for missing in found.missing {
        printer.data(format!("lacks {missing}"))?;
    }
    Ok(Exit::Ok)
}
