//! `vdeploy secret`: one file per subcommand.

mod create;
mod delete;
mod dotenv;
mod list;
mod secrets;

use clap::Subcommand;
use vdeploy_runtime::secret::SecretStore;

use crate::change::Site;
use crate::error::{Exit, Result};
use crate::provider::CloudSecrets;
use crate::settings::Settings;
use secrets::Secrets;

/// Keep credentials for functions, out of manifests and plans
///
/// The keys of a secret become environment variables of the functions that name it.
#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    Create(create::Args),
    List(list::Args),
    Delete(delete::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args {
        Args::Create(args) => create::run(&args, settings).await,
        Args::List(args) => list::run(args, settings).await,
        Args::Delete(args) => delete::run(&args, settings).await,
    }
}

/// The secrets of the environment that was chosen.
async fn secrets(settings: &Settings) -> Result<Secrets> {
    Ok(match Site::open(settings).await? {
        Site::Local(home) => Secrets::Local(SecretStore::of(&home)),
        Site::Aws(site) => Secrets::Aws(CloudSecrets::of(Box::new(site.session), site.environment)),
    })
}
