//! `vdeploy destroy`.

use crate::change::{self, Guard, Site};
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
    /// Remove what carries the app's tags too, whether it is remembered or not; for AWS
    #[arg(long)]
    sweep: bool,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let app = change::app_name(settings, args.app)?;
    let site = Site::open(settings).await?;
    let destroy = async |guard: &mut Guard| {
        let request = change::to_destroy(app, args.delete_data, args.sweep);
        let planned = change::decide(settings, &site, request).await?;
        change::carry_out(settings, &site, guard, planned, args.yes).await
    };
    site.locked(settings, "destroy", destroy).await
}
