//! `vdeploy run`: call a function of the manifest without deploying it.

use vdeploy_runtime::client::Client;

use super::call::{self, ArgsInput, OutputArgs};
use crate::change;
use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Run a function of the manifest once, without deploying it
///
/// What the function's code and settings are now is what runs. Volumes and secrets are those of
/// the environment; nothing is created.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The function's name in the manifest
    #[arg(value_name = "FN")]
    function: String,
    #[command(flatten)]
    input: ArgsInput,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let (function, code) = change::undeployed_function(settings, &args.function)?;
    let client = Client::connect(settings.local_setup()?, &settings.environment)?;
    let installed = match &code {
        Some(code) => code.install(settings).await?,
        None => false,
    };
    let ended = call::wait_for(client, &function, &args.input, &args.output, 0, settings).await;
    if let (Some(code), true) = (&code, installed) {
        code.remove(settings).await?;
    }
    ended
}
