//! `vdeploy secret`: one file per subcommand.

mod create;
mod delete;
mod dotenv;
mod list;

use clap::Subcommand;
use vdeploy_runtime::secret::SecretStore;

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Keep credentials for functions, out of manifests and plans
///
/// The keys of a secret become environment variables of the functions that name it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Args),
    List(list::Args),
    Delete(delete::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args.command {
        Command::Create(args) => create::run(&args, settings),
        Command::List(args) => list::run(args, settings),
        Command::Delete(args) => delete::run(&args, settings).await,
    }
}

/// The secrets of the environment that was chosen.
fn secrets(settings: &Settings) -> Result<SecretStore> {
    if settings.target != "local" {
        return Err(CliError::usage(format!(
            "secrets of target `{}` can't be reached yet",
            settings.target
        ))
        .hint("use `--target local`"));
    }
    Ok(SecretStore::of(&settings.home.environment(&settings.environment)))
}
