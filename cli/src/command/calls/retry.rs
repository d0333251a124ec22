//! `vdeploy calls retry`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::Value;
use vdeploy_runtime::catalog::Published;
use vdeploy_runtime::client::{CallOptions, Client};
use vdeploy_runtime::dispatch::local::CallRecord;
use vdeploy_runtime::wire::CallId;

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Make calls again: the same arguments, to the function as it is deployed now
///
/// Each is made in its own environment, and none unless all can be. The new calls are detached, and
/// their ids are printed.
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
    let mut clients = BTreeMap::new();
    let mut again = Vec::new();
    for call in args.calls {
        let record = client.record(&CallId(call)).await?;
        again.push(Again::prepare(record, &mut clients, settings).await?);
    }
    let spawned = spawn(again, &options, settings).await;
    // Also when one could not be recorded: those before it were.
    crate::command::executor::spawn_background(settings)?;
    spawned.map(|()| Exit::Ok)
}

async fn spawn(calls: Vec<Again>, options: &CallOptions, settings: &Settings) -> Result<()> {
    for again in calls {
        let call = again.client.spawn(&again.function, again.args, options).await?;
        settings.printer.call_id(&call)?;
    }
    Ok(())
}

/// A call that can be made again.
struct Again {
    /// Of the environment that it was made in.
    client: Client,
    function: Published,
    args: Value,
}

impl Again {
    async fn prepare(
        record: CallRecord,
        clients: &mut BTreeMap<String, Client>,
        settings: &Settings,
    ) -> Result<Self> {
        if !record.state.has_ended() {
            return Err(CliError::failed(format!("call `{}` hasn't ended", record.id))
                .hint(format!("cancel it first: `vdeploy calls cancel {}`", record.id)));
        }
        let client = match clients.entry(record.environment) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let base = settings.base.clone().in_environment(new.key())?;
                let client = Client::open(&base).await?;
                new.insert(client).clone()
            }
        };
        let function =
            client.function(&format!("{}/{}", record.app, record.function), None).await?;
        Ok(Again { client, function, args: record.args })
    }
}
