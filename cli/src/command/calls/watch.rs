//! `vdeploy calls watch`.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use vdeploy_runtime::client::Client;
use vdeploy_runtime::clock;
use vdeploy_runtime::dispatch::local::{CallFilter, CallRecord, CallState, Interest};
use vdeploy_runtime::dispatch::{CallEvent, Told, What};
use vdeploy_runtime::wire::{CallId, Outcome};

use super::ls::calls_of;
use crate::command::executor;
use crate::error::{Exit, Result};
use crate::settings::Settings;
use crate::ui::screen::{Input, Screen};
use crate::ui::watch::Snapshot;

/// Watch calls as they wait, run and end
///
/// On a terminal a table that is always up to date; `q` or Ctrl-C ends it. On a pipe, or with
/// --json, a line of JSON for each change.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this function, or of APP/FN
    #[arg(value_name = "[APP/]FN")]
    function: Option<String>,
    /// Of this app
    #[arg(long)]
    app: Option<String>,
}

pub(super) async fn run(args: Args, client: &Client, settings: &Settings) -> Result<Exit> {
    let filter = calls_of(args.function.as_deref(), args.app, client, settings).await?;
    let watch = Watch { filter, client, settings };
    if settings.printer.json || !io::stdout().is_terminal() {
        return tokio::select! {
            watched = watch.changes() => watched.map(|()| Exit::Ok),
            interrupt = tokio::signal::ctrl_c() => Ok(interrupt.map(|()| Exit::Interrupted)?),
        };
    }
    watch.table().await
}

/// Between two looks at the queue, and between two pages: fast enough for eyes.
const PAGE: Duration = Duration::from_millis(100);
/// Between two pages while nothing happens but that time passes for calls that run.
const TICK: Duration = Duration::from_secs(1);
/// Calls that are looked at when there are more than fit anywhere.
const MOST: usize = 200;

struct Watch<'c> {
    filter: CallFilter,
    client: &'c Client,
    settings: &'c Settings,
}

impl Watch<'_> {
    async fn table(&self) -> Result<Exit> {
        let mut screen = Screen::open()?;
        let mut events = self.client.dispatcher().observe(self.interest());
        let mut snapshot = Snapshot::default();
        let (mut stale, mut drawn) = (true, Instant::now());
        let mut next = Some(drawn);
        loop {
            tokio::select! {
                told = events.next() => {
                    match told {
                        Told::Call(event) if !self.filter.covers(&event.callee) => continue,
                        Told::Call(CallEvent { what: What::Logged, .. }) => continue,
                        Told::Call(CallEvent { call, what: What::Progress { progress }, .. }) => {
                            drop(snapshot.progress.insert(call, progress));
                        }
                        Told::Call(_) | Told::Grown => stale = true,
                        told => {
                            stale = true;
                            snapshot.executor = told == Told::Attached;
                            self.run_if_nobody_does(&told).await?;
                        }
                    }
                    next = Some(drawn + PAGE);
                }
                input = screen.input() => match input {
                    Input::Quit => return Ok(Exit::Ok),
                    Input::Interrupt => return Ok(Exit::Interrupted),
                    Input::Resized => next = Some(drawn + PAGE),
                },
                () = sleep_until(next.unwrap_or(drawn)), if next.is_some() => {
                    if std::mem::take(&mut stale) {
                        self.look(&mut snapshot, screen.size().1).await?;
                    }
                    drawn = Instant::now();
                    let lines = snapshot.lines(screen.size(), clock::now(), self.settings.printer);
                    screen.draw(&lines)?;
                    next = (!snapshot.running.is_empty()).then(|| drawn + TICK);
                }
            }
        }
    }

    /// Looks at the queue for all that fits into `height` lines.
    async fn look(&self, snapshot: &mut Snapshot, height: usize) -> Result<()> {
        let limit = Some(height.min(MOST));
        let open = |states| CallFilter { states, limit, oldest_first: true, ..self.filter.clone() };
        let ended = CallState::ALL.into_iter().filter(|state| state.has_ended()).collect();
        let dispatcher = self.client.dispatcher();
        snapshot.running = dispatcher.calls(open(vec![CallState::Running])).await?;
        snapshot.queued = dispatcher.calls(open(vec![CallState::Queued])).await?;
        snapshot.waiting = dispatcher.count(open(vec![CallState::Queued])).await?;
        let ended = CallFilter { states: ended, limit, ..self.filter.clone() };
        snapshot.ended = dispatcher.calls(ended).await?;
        snapshot.ended.sort_by_key(|call| std::cmp::Reverse(call.ended));
        let running: BTreeSet<_> = snapshot.running.iter().map(|call| &call.id).collect();
        snapshot.progress.retain(|call, _| running.contains(call));
        Ok(())
    }

    /// Prints changes until nobody reads them any more.
    async fn changes(&self) -> Result<()> {
        let mut events = self.client.dispatcher().observe(self.interest());
        let mut open = BTreeSet::new();
        loop {
            let lines = match events.next().await {
                Told::Grown => continue,
                Told::Call(event) if !self.filter.covers(&event.callee) => continue,
                Told::Call(event) => {
                    let changed = match event.what {
                        What::Ended { .. } => open.remove(&event.call),
                        _ => open.insert(event.call.clone()),
                    };
                    // What is told of a call that was found at the first look is no news.
                    let known = event.what == What::Queued && !changed;
                    if known { Vec::new() } else { change(&event).into_iter().collect() }
                }
                told => {
                    self.run_if_nobody_does(&told).await?;
                    self.untold(&mut open).await?
                }
            };
            for line in lines {
                match writeln!(io::stdout().lock(), "{line}") {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    written => written?,
                }
            }
        }
    }

    /// Lines for what happened while nothing was told: calls that are open, and those of `open`
    /// that have ended.
    async fn untold(&self, open: &mut BTreeSet<CallId>) -> Result<Vec<Value>> {
        let states = vec![CallState::Queued, CallState::Running];
        let filter = CallFilter { states, oldest_first: true, ..self.filter.clone() };
        let records = self.client.dispatcher().calls(filter).await?;
        let still: BTreeSet<_> = records.iter().map(|record| record.id.clone()).collect();
        let mut lines: Vec<_> = records.iter().map(found).collect();
        for gone in open.difference(&still) {
            lines.push(found(&self.client.record(gone).await?));
        }
        *open = still;
        Ok(lines)
    }

    async fn run_if_nobody_does(&self, told: &Told) -> Result<()> {
        let states = vec![CallState::Queued, CallState::Running];
        let open = CallFilter { states, ..self.filter.clone() };
        if *told == Told::Detached && self.client.dispatcher().count(open).await? > 0 {
            executor::spawn_background(self.settings)?;
        }
        Ok(())
    }

    fn interest(&self) -> Interest {
        Interest::Environment(self.settings.environment.clone())
    }
}

/// A call as it was found.
fn found(call: &CallRecord) -> Value {
    let last = call.attempts.last();
    let mut line = json!({
        "call": call.id,
        "function": format!("{}/{}", call.app, call.function),
        "map": call.map,
        "state": call.state,
    });
    if let (CallState::Running, Some(last)) = (call.state, last) {
        line["attempt"] = json!(last.attempt);
        line["progress"] = json!(last.progress);
    }
    if let Some(outcome) = &call.outcome {
        line["outcome"] = json!(outcome);
    }
    line
}

/// What an event tells; none for what isn't a change of the call.
fn change(event: &CallEvent) -> Option<Value> {
    let mut line = json!({
        "call": event.call,
        "function": format!("{}/{}", event.callee.app, event.callee.function),
        "map": event.map,
        "state": CallState::Running,
    });
    match &event.what {
        What::Logged => return None,
        What::Queued => line["state"] = json!(CallState::Queued),
        What::Started { attempt } => line["attempt"] = json!(attempt),
        What::Progress { progress } => line["progress"] = json!(progress),
        What::Retrying { attempt, failure, delay_seconds } => {
            line["state"] = json!(CallState::Queued);
            line["attempt"] = json!(attempt);
            line["failure"] = json!(failure);
            line["delay_seconds"] = json!(delay_seconds);
        }
        What::Ended { outcome } => {
            line["state"] = json!(match outcome {
                Outcome::Succeeded { .. } => CallState::Succeeded,
                Outcome::Failed { .. } => CallState::Failed,
                Outcome::Cancelled => CallState::Cancelled,
            });
            line["outcome"] = json!(outcome);
        }
    }
    Some(line)
}
