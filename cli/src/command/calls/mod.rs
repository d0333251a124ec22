//! `vdeploy calls`: looking at calls, cancelling them, making them again, forgetting them.

mod cancel;
mod get;
mod logs;
pub(super) mod ls;
mod prune;
mod retry;
mod watch;

use vdeploy_runtime::client::Client;

use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Look at calls, cancel them, make them again
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Get(get::Args),
    Watch(watch::Args),
    Logs(logs::Args),
    Cancel(cancel::Args),
    Retry(retry::Args),
    Prune(prune::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let client: Client = super::call::connect(settings).await?;
    match args.command {
        Command::Ls(args) => ls::run(args, &client, settings).await,
        Command::Get(args) => get::run(args, client, settings).await,
        Command::Watch(args) => watch::run(args, &client, settings).await,
        Command::Logs(args) => logs::run(args, &client, settings).await,
        Command::Cancel(args) => cancel::run(args, client, settings).await,
        Command::Retry(args) => retry::run(args, &client, settings).await,
        Command::Prune(args) => prune::run(args, &client, settings).await,
    }
}
