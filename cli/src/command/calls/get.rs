//! `vdeploy calls get`.

use vdeploy_runtime::client::Client;
use vdeploy_runtime::dispatch::local::{CallRecord, CallState};
use vdeploy_runtime::wire::{CallId, Outcome};

use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Show a call: its state, attempts and result
///
/// Without --json the result is printed, as `vdeploy call` does, once there is one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The call's id
    call: String,
    /// Wait until it has ended
    #[arg(short, long)]
    wait: bool,
}

pub(super) async fn run(args: Args, client: Client, settings: &Settings) -> Result<Exit> {
    let id = CallId(args.call);
    let mut record = client.record(&id).await?;
    if args.wait && !record.state.has_ended() {
        client.wait(&id).await?;
        record = client.record(&id).await?;
    }
    let why =
        client.dispatcher().why(&id).await.map_err(vdeploy_runtime::client::ClientError::from)?;
    crate::command::call::close(client, settings).await?;
    if settings.printer.json {
        settings.printer.data_json(&record)?;
    } else {
        describe(&record, why, settings)?;
    }
    Ok(if args.wait { exit(&record) } else { Exit::Ok })
}

fn describe(record: &CallRecord, why: Option<String>, settings: &Settings) -> Result<()> {
    let printer = settings.printer;
    printer.note(format!(
        "{} {}/{} version {}: {}",
        record.id,
        record.app,
        record.function,
        record.version,
        record.state.as_str()
    ));
    if let Some(Outcome::Succeeded { cached_from: Some(call), .. }) = &record.outcome {
        printer.note(format!("  from the cache: call {call} was alike"));
    }
    if let Some(why) = why {
        printer.note(format!("  {why}"));
    }
    if let Some(cost) = record.cost {
        printer.note(format!("  {:.1} s of work, cost {cost:.4}", record.seconds));
    }
    for attempt in &record.attempts {
        let failure = attempt.failure.as_ref().map(|failure| format!(": {failure}"));
        let worker = attempt.worker.map(|pid| format!(" in process {pid}")).unwrap_or_default();
        printer.note(format!(
            "  attempt {}{worker}{}",
            attempt.attempt,
            failure.unwrap_or_default()
        ));
    }
    if let Some(Outcome::Succeeded { result, .. }) = &record.outcome {
        printer.data_json(result)?;
    }
    Ok(())
}

fn exit(record: &CallRecord) -> Exit {
    match record.state {
        CallState::Succeeded => Exit::Ok,
        _ => Exit::FunctionFailed,
    }
}

/// Why a call has no result, in one line.
pub(super) fn why(record: &CallRecord) -> Option<String> {
    match &record.outcome {
        Some(Outcome::Failed { failure }) => Some(failure.message.clone()),
        _ => None,
    }
}
