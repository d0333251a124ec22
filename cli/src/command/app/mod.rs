//! `vdeploy app`: one file per subcommand.

mod history;
mod ls;
mod rollback;
mod show;

use clap::Subcommand;

use crate::error::{Exit, Result};
use crate::settings::Settings;

/// List deployed apps, show them, and go back to earlier versions
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::Args),
    Show(show::Args),
    History(history::Args),
    Rollback(rollback::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args.command {
        Command::Ls(args) => ls::run(args, settings).await,
        Command::Show(args) => show::run(args, settings).await,
        Command::History(args) => history::run(args, settings).await,
        Command::Rollback(args) => rollback::run(args, settings).await,
    }
}
