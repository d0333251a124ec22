//! `vdeploy destroy`.

use crate::change;
use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Remove what the app's deployments made, and nothing else
///
/// Secrets, and volumes that were there before or that other apps use, stay.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The app; without it, the manifest's
    app: Option<String>,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
    /// Remove volumes of the app's with the files in them
    #[arg(long)]
    delete_data: bool,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let app = change::app_name(settings, args.app)?;
    let _lock = change::lock(settings, "destroy")?;
    let request = change::to_destroy(app, args.delete_data);
    let planned = change::decide(settings, request).await?;
    change::carry_out(settings, planned, args.yes).await
}
