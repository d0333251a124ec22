//! `vdeploy calls retry`.

use vdeploy_runtime::client::{CallOptions, Client};
use vdeploy_runtime::wire::CallId;

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Make calls again: the same arguments, to the function as it is deployed now
///
/// The new calls are detached, and their ids are printed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The calls' ids
    #[arg(required = true)]
    calls: Vec<String>,
    /// Replace outputs that exist
    #[arg(short, long)]
    force: bool,
}

pub(super) async fn run(args: Args, client: &Client, settings: &Settings) -> Result<Exit> {
    let options = CallOptions {
        overwrite: args.force,
        fresh: true,
        detached: true,
        ..CallOptions::default()
    };
    for call in args.calls {
        let record = client.record(&CallId(call)).await?;
        if !record.state.has_ended() {
            return Err(CliError::failed(format!("call `{}` hasn't ended", record.id))
                .hint(format!("cancel it first: `vdeploy calls cancel {}`", record.id)));
        }
        let function = client.function(&format!("{}/{}", record.app, record.function), None)?;
        let again = client.spawn(&function, record.args, &options).await?;
        settings.printer.data(&again.0)?;
    }
    crate::command::executor::spawn_background(settings)?;
    Ok(Exit::Ok)
}
