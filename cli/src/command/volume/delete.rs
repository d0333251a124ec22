//! `vdeploy volume delete`.

use vdeploy_runtime::storage::{Contents, VolumesError};

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Delete a volume
///
/// Asks first when files are in it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The volume
    name: String,
    /// Delete its files without asking
    #[arg(short, long)]
    yes: bool,
    /// Succeed when there is no such volume
    #[arg(long)]
    allow_missing: bool,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let Args { name, yes, allow_missing } = args;
    let volumes = super::volumes(settings).await?;
    let contents = if *yes { Contents::Delete } else { Contents::Keep };
    match volumes.delete(name, contents).await {
        Err(VolumesError::NotFound { .. }) if *allow_missing => {
            settings.printer.note(format!("no volume named `{name}`; nothing to delete"));
            return Ok(Exit::Ok);
        }
        Err(VolumesError::NotEmpty(_)) if settings.interactive => {
            let question = format!("Volume `{name}` isn't empty. Delete it and all its files?");
            if !settings.printer.confirm(&question, settings.interactive)? {
                return Err(CliError::failed(format!("volume `{name}` was not deleted")));
            }
            volumes.delete(name, Contents::Delete).await.map_err(super::explain)?;
        }
        result => result.map_err(super::explain)?,
    }
    settings.printer.done(format!("deleted volume `{name}`"));
    Ok(Exit::Ok)
}
