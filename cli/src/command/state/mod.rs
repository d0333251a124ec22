//! `vdeploy state`: what is remembered, and its lock; one file per subcommand.

mod list;
mod migrate;
mod show;
mod unlock;

use clap::Subcommand;

use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Look at what is remembered of an app, bring it elsewhere, and break a lock
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Migrate(migrate::Args),
    Unlock(unlock::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args.command {
        Command::List(args) => list::run(args, settings).await,
        Command::Show(args) => show::run(args, settings).await,
        Command::Migrate(args) => migrate::run(&args, settings).await,
        Command::Unlock(args) => unlock::run(&args, settings).await,
    }
}
