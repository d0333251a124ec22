//! `vdeploy volume create`.

use vdeploy_runtime::clock;

use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Create an empty volume
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name: letters, digits, `-`, `_` and `.`
    name: String,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let volumes = super::volumes(settings).await?;
    let created = volumes.create(&args.name, None, clock::now()).await;
    let record = created.map_err(super::explain)?;
    let printer = settings.printer;
    if printer.json {
        printer.data_json(&record)?;
    }
    printer.done(format!("created volume `{}`", args.name));
    printer.note(format!("put files into it with `vdeploy volume put {} FILE`", args.name));
    Ok(Exit::Ok)
}
