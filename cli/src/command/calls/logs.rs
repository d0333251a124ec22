//! `vdeploy calls logs`.

use std::io;

use vdeploy_runtime::client::Client;
use vdeploy_runtime::dispatch::local::{CallRecord, Interest};
use vdeploy_runtime::dispatch::{Told, What};
use vdeploy_runtime::wire::CallId;

use crate::command::log_tail::LogTail;
use crate::command::{executor, logs};
use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Print what a call wrote to its log
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The call's id
    call: String,
    /// Go on until the call has ended
    #[arg(short, long)]
    follow: bool,
}

pub(super) async fn run(args: Args, client: &Client, settings: &Settings) -> Result<Exit> {
    let id = CallId(args.call);
    let record = client.record(&id).await?;
    let mut tail = LogTail::new(client.dispatcher().log(&id));
    if args.follow && !record.state.has_ended() {
        return tokio::select! {
            followed = follow(&record, &mut tail, client, settings) => followed.map(|()| Exit::Ok),
            interrupt = tokio::signal::ctrl_c() => Ok(interrupt.map(|()| Exit::Interrupted)?),
        };
    }
    print(&record, &mut tail, true, settings).await?;
    Ok(Exit::Ok)
}

/// Prints what is logged until the call has ended. Events say when to look; the log and the queue
/// say what there is.
async fn follow(
    call: &CallRecord,
    tail: &mut LogTail,
    client: &Client,
    settings: &Settings,
) -> Result<()> {
    let interest = Interest::Environment(call.environment.clone());
    let mut events = client.dispatcher().observe(interest);
    loop {
        let ended = match events.next().await {
            Told::Grown => continue,
            Told::Call(event) if event.call != call.id => continue,
            Told::Call(event) => matches!(event.what, What::Ended { .. }),
            told => {
                let ended = client.record(&call.id).await?.state.has_ended();
                if told == Told::Detached && !ended {
                    executor::spawn_background(settings)?;
                }
                ended
            }
        };
        if !print(call, tail, ended, settings).await? || ended {
            return Ok(());
        }
    }
}

/// Prints what is new; `false` when nobody reads it any more.
async fn print(
    call: &CallRecord,
    tail: &mut LogTail,
    ended: bool,
    settings: &Settings,
) -> Result<bool> {
    if settings.printer.json {
        return logs::print(&call.id, tail, ended, false, settings.printer).await;
    }
    match tail.copy(&mut io::stdout()).await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::failed("can't read the call's log").cause(error)),
        Ok(()) => Ok(true),
    }
}
