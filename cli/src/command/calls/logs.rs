//! `vdeploy calls logs`.

use std::io;

use vdeploy_runtime::client::Client;
use vdeploy_runtime::wire::CallId;

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Print what a call wrote to its log
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The call's id
    call: String,
}

pub(super) async fn run(args: Args, client: &Client, _settings: &Settings) -> Result<Exit> {
    let id = CallId(args.call);
    client.record(&id).await?;
    let path = client.dispatcher().folder(&id).join("log");
    match std::fs::File::open(&path) {
        Ok(mut log) => drop(io::copy(&mut log, &mut io::stdout().lock())?),
        // A call that says nothing has no log.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(CliError::failed(format!("can't read `{}`", path.display())).cause(error));
        }
    }
    Ok(Exit::Ok)
}
