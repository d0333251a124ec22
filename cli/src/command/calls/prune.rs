//! `vdeploy calls prune`.

use jiff::SignedDuration;
use vdeploy_runtime::client::Client;
use vdeploy_runtime::clock;

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Forget calls that ended long ago, with their logs and the files left with them
///
/// Outputs that were written to a path or to a volume stay.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long ago, such as 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = super::ls::age)]
    older_than: SignedDuration,
}

pub(super) async fn run(args: Args, client: &Client, settings: &Settings) -> Result<Exit> {
    let before = clock::now()
        .checked_sub(args.older_than)
        .map_err(|error| CliError::usage("`--older-than` reaches back too far").cause(error))?;
    let count = client.dispatcher().prune(before).await?;
    settings.printer.note(match count {
        1 => "forgot 1 call".to_owned(),
        count => format!("forgot {count} calls"),
    });
    Ok(Exit::Ok)
}
