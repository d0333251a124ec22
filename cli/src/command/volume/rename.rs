//! `vdeploy volume rename`.

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Give a volume another name
///
/// Its files stay as they are; in a bucket, the store copies them. Manifests and arguments that name it have to be changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The volume
    name: String,
    /// Its new name
    new: String,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let Args { name, new, yes } = args;
    let volumes = super::volumes(settings).await?;
    volumes.open(name).await.map_err(super::explain)?;
    let question =
        format!("Rename volume `{name}` to `{new}`? Functions that use it won't find it.");
    if !yes && !settings.printer.confirm(&question, settings.interactive)? {
        return Err(CliError::failed(format!("volume `{name}` was not renamed")));
    }
    volumes.rename(name, new).await.map_err(super::explain)?;
    settings.printer.done(format!("renamed volume `{name}` to `{new}`"));
    Ok(Exit::Ok)
}
