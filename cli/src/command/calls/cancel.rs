//! `vdeploy calls cancel`.

use vdeploy_runtime::client::Client;
use vdeploy_runtime::wire::CallId;

use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Cancel calls that wait or run, and wait until they have ended
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The calls' ids
    #[arg(required = true)]
    calls: Vec<String>,
}

pub(super) async fn run(args: Args, client: Client, settings: &Settings) -> Result<Exit> {
    for call in args.calls {
        let id = CallId(call);
        let state = client.record(&id).await?.state;
        if client.cancel(&id).await? {
            client.wait(&id).await?;
            settings.printer.note(format!("cancelled {id}"));
        } else {
            settings.printer.note(format!("{id} has ended already: {}", state.as_str()));
        }
    }
    crate::command::call::close(client, settings).await?;
    Ok(Exit::Ok)
}
