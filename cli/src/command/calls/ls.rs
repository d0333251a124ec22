//! `vdeploy calls ls`.

use jiff::{SignedDuration, Timestamp};
use vdeploy_runtime::client::Client;
use vdeploy_runtime::clock;
use vdeploy_runtime::dispatch::local::{CallFilter, CallRecord, CallState};

use crate::error::{Exit, Result};
use crate::settings::Settings;
use crate::ui::table::Table;

/// List calls, newest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this function, or of APP/FN
    #[arg(value_name = "[APP/]FN")]
    function: Option<String>,
    /// Of this app
    #[arg(long)]
    app: Option<String>,
    /// In this state; may be given more than once
    #[arg(long, value_parser = state)]
    state: Vec<CallState>,
    /// Of this map
    #[arg(long, value_name = "ID")]
    map: Option<String>,
    /// Accepted within this time, such as 2h or 3d
    #[arg(long, value_name = "TIME", value_parser = age)]
    since: Option<SignedDuration>,
    /// At most so many; 0 for all
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

pub(super) async fn run(args: Args, client: &Client, settings: &Settings) -> Result<Exit> {
    let now = clock::now();
    let filter = filter(args, settings, now);
    let calls = client.dispatcher().calls(filter).await?;
    if settings.printer.json {
        settings.printer.data_json(&calls)?;
    } else if calls.is_empty() {
        settings.printer.note("no calls");
    } else {
        settings.printer.data(table(&calls, now).to_string().trim_end())?;
        settings.printer.note(sum(&calls));
    }
    Ok(Exit::Ok)
}

fn filter(args: Args, settings: &Settings, now: Timestamp) -> CallFilter {
    let (app, function) = args.function.as_deref().map(full_name).unwrap_or_default();
    CallFilter {
        environment: Some(settings.environment.clone()),
        app: app.or(args.app),
        function,
        states: args.state,
        map: args.map,
        since: args.since.and_then(|since| now.checked_sub(since).ok()),
        limit: (args.limit > 0).then_some(args.limit),
        oldest_first: false,
    }
}

/// The parts of `[APP/]FN`.
pub(in crate::command) fn full_name(name: &str) -> (Option<String>, Option<String>) {
    match name.split_once('/') {
        Some((app, function)) => (Some(app.to_owned()), Some(function.to_owned())),
        None => (None, Some(name.to_owned())),
    }
}

fn table(calls: &[CallRecord], now: Timestamp) -> Table {
    let mut table = Table::new(["call", "function", "state", "attempts", "seconds", "age", "why"]);
    for call in calls {
        table.row([
            call.id.to_string(),
            format!("{}/{}", call.app, call.function),
            call.state.as_str().to_owned(),
            call.attempts.len().to_string(),
            seconds(call, now).map(|s| format!("{s:.1}")).unwrap_or_default(),
            short(now.duration_since(call.created)),
            super::get::why(call).unwrap_or_default(),
        ]);
    }
    table
}

/// What all of `calls` took together.
fn sum(calls: &[CallRecord]) -> String {
    let seconds: f64 = calls.iter().map(|call| call.seconds).sum();
    let costs: Vec<f64> = calls.iter().filter_map(|call| call.cost).collect();
    let cost = match costs.as_slice() {
        [] => String::new(),
        costs => format!(", cost {:.4}", costs.iter().sum::<f64>()),
    };
    let count = if calls.len() == 1 { "1 call".into() } else { format!("{} calls", calls.len()) };
    format!("{count}, {seconds:.1} s of work{cost}")
}

/// Seconds of work so far or in all.
fn seconds(call: &CallRecord, now: Timestamp) -> Option<f64> {
    Some(call.ended.unwrap_or(now).duration_since(call.started?).as_secs_f64())
}

/// The largest whole unit: `3d`, `2h`, `5m`, `7s`.
fn short(age: SignedDuration) -> String {
    let seconds = age.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn state(name: &str) -> Result<CallState, String> {
    CallState::parse(name).ok_or_else(|| {
        let names: Vec<_> = CallState::ALL.iter().map(|state| state.as_str()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

pub(super) fn age(text: &str) -> Result<SignedDuration, String> {
    // A duration such as `3d` has a unit that differs in length only for calendars.
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
    match days {
        Some(days) => Ok(SignedDuration::from_hours(days * 24)),
        None => text.parse().map_err(|_| "expected a time such as 30s, 5m, 2h or 3d".to_owned()),
    }
}
