//! `vdeploy app`: one file per subcommand.

mod history;
mod ls;
mod rollback;
mod show;

use clap::Subcommand;

use crate::error::{Exit, Result};
use crate::settings::Settings;

/// List deployed apps, show them, and go back to earlier versions
#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    Ls(ls::Args),
    Show(show::Args),
    History(history::Args),
    Rollback(rollback::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args {
        Args::Ls(args) => ls::run(args, settings).await,
        Args::Show(args) => show::run(args, settings).await,
        Args::History(args) => history::run(args, settings).await,
        Args::Rollback(args) => rollback::run(args, settings).await,
    }
}
