//! `vdeploy state`: what is remembered, and its lock; one file per subcommand.

mod list;
mod migrate;
mod show;
mod unlock;

use clap::Subcommand;

use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Look at what is remembered of an app, bring it elsewhere, and break a lock
#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    List(list::Args),
    Show(show::Args),
    Migrate(migrate::Args),
    Unlock(unlock::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args {
        Args::List(args) => list::run(args, settings).await,
        Args::Show(args) => show::run(args, settings).await,
        Args::Migrate(args) => migrate::run(&args, settings).await,
        Args::Unlock(args) => unlock::run(&args, settings).await,
    }
}
