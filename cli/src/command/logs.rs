//! `vdeploy logs`: what the calls of a function write to their logs.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;
use vdeploy_runtime::client::Client;
use vdeploy_runtime::clock;
use vdeploy_runtime::dispatch::local::{CallFilter, CallRecord, CallState, Interest};
use vdeploy_runtime::dispatch::{CallEvent, Told, What};
use vdeploy_runtime::wire::CallId;

use super::calls::ls::calls_of;
use super::executor;
use super::log_tail::LogTail;
use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;
use crate::ui::{Printer, Style};

/// Print what the calls of a function wrote to their logs
///
/// Without --follow these are its latest calls, oldest first. Each line is marked with its call
/// where there are several.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vdeploy logs transcode
  vdeploy logs reel-studio/transcode -f
  vdeploy calls logs ID -f                  the log of one call")]
pub(crate) struct Args {
    /// The function: its name, or APP/NAME where several apps have one
    #[arg(value_name = "[APP/]FN")]
    function: String,
    /// Print what running calls log, and calls to come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Of so many calls, the latest
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N", conflicts_with = "follow")]
    calls: usize,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let client = super::call::connect(settings).await?;
    let filter = calls_of(Some(&args.function), None, &client, settings).await?;
    if args.follow {
        return tokio::select! {
            followed = follow(filter, &client, settings) => followed.map(|()| Exit::Ok),
            interrupt = tokio::signal::ctrl_c() => Ok(interrupt.map(|()| Exit::Interrupted)?),
        };
    }
    let limit = Some(args.calls);
    let calls = client.dispatcher().calls(CallFilter { limit, ..filter }).await?;
    print_all(&calls, &client, settings.printer).await?;
    Ok(Exit::Ok)
}

async fn print_all(calls: &[CallRecord], client: &Client, printer: Printer) -> Result<()> {
    let mark = calls.len() > 1;
    for call in calls.iter().rev() {
        let mut tail = LogTail::new(client.dispatcher().log(&call.id));
        if !print(&call.id, &mut tail, true, mark, printer).await? {
            break;
        }
    }
    Ok(())
}

/// Prints new lines of a call's log; `false` when nobody reads them any more.
pub(super) async fn print(
    call: &CallId,
    tail: &mut LogTail,
    ended: bool,
    mark: bool,
    printer: Printer,
) -> Result<bool> {
    let mut out = io::stdout();
    let mark = mark.then(|| printer.paint_out(&call.0, Style::Dim));
    let printed = tail.lines(ended, |line| match &mark {
        _ if printer.json => writeln!(out, "{}", json!({ "call": call, "line": line })),
        Some(mark) => writeln!(out, "{mark} {line}"),
        None => writeln!(out, "{line}"),
    });
    match printed.await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::failed(format!("can't read the log of `{call}`")).cause(error)),
        Ok(()) => Ok(true),
    }
}

/// Prints until nobody reads it any more.
async fn follow(filter: CallFilter, client: &Client, settings: &Settings) -> Result<()> {
    let interest = Interest::Environment(settings.environment.clone());
    let mut events = client.dispatcher().observe(interest);
    let mut followed =
        Followed { filter, client, printer: settings.printer, tails: BTreeMap::new() };
    let mut looked = clock::now();
    loop {
        let open = match events.next().await {
            Told::Grown => continue,
            Told::Call(event) if !followed.filter.covers(&event.callee) => continue,
            Told::Call(event) => followed.event(&event).await?,
            told => {
                let since = std::mem::replace(&mut looked, clock::now());
                if told == Told::Detached && followed.waiting().await? {
                    executor::spawn_background(settings)?;
                }
                followed.look(since).await?
            }
        };
        if !open {
            return Ok(());
        }
    }
}

/// The calls whose logs are being printed.
struct Followed<'c> {
    filter: CallFilter,
    client: &'c Client,
    printer: Printer,
    tails: BTreeMap<CallId, LogTail>,
}

impl Followed<'_> {
    /// Prints what an event tells of; `false` when nobody reads it any more.
    async fn event(&mut self, event: &CallEvent) -> Result<bool> {
        match event.what {
            What::Started { .. } | What::Logged => self.print(&event.call, false).await,
            What::Ended { .. } => self.print(&event.call, true).await,
            What::Queued | What::Progress { .. } | What::Retrying { .. } => Ok(true),
        }
    }

    /// Looks at what was not told: calls that run, and those that ended since.
    async fn look(&mut self, since: jiff::Timestamp) -> Result<bool> {
        let states = vec![CallState::Running];
        let running = CallFilter { states, oldest_first: true, ..self.filter.clone() };
        let running = self.client.dispatcher().calls(running).await?;
        let latest = CallFilter { limit: Some(MISSED), ..self.filter.clone() };
        let latest = self.client.dispatcher().calls(latest).await?;
        let ended = latest.iter().rev().filter(|call| call.ended.is_some_and(|at| at >= since));
        for call in ended.chain(&running) {
            if !self.print(&call.id, call.state.has_ended()).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether calls wait or seem to run.
    async fn waiting(&self) -> Result<bool> {
        let states = vec![CallState::Queued, CallState::Running];
        let open = CallFilter { states, ..self.filter.clone() };
        Ok(self.client.dispatcher().count(open).await? > 0)
    }

    async fn print(&mut self, call: &CallId, ended: bool) -> Result<bool> {
        let log = || LogTail::new(self.client.dispatcher().log(call));
        let tail = self.tails.entry(call.clone()).or_insert_with(log);
        let open = print(call, tail, ended, true, self.printer).await?;
        if ended {
            self.tails.remove(call);
        }
        Ok(open)
    }
}

/// Calls that are looked at when an executor has gone, for those that it did not tell of.
const MISSED: usize = 1000;
