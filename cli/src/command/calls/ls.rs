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
    let of = calls_of(args.function.as_deref(), args.app.clone(), client, settings).await?;
    let filter = CallFilter {
        states: args.state,
        map: args.map,
        since: args.since.and_then(|since| now.checked_sub(since).ok()),
        limit: (args.limit > 0).then_some(args.limit),
        ..of
    };
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

/// The calls of a function, `[APP/]FN`, and of an app, where one is named. Fails for a function that
/// was never called and isn't deployed, since that is a typing error.
pub(in crate::command) async fn calls_of(
    function: Option<&str>,
    app: Option<String>,
    client: &Client,
    settings: &Settings,
) -> Result<CallFilter> {
    let environment = Some(settings.environment.clone());
    let Some(name) = function else {
        return Ok(CallFilter { environment, app, ..CallFilter::default() });
    };
    let (app, function) = match name.split_once('/') {
        Some((app, function)) => (Some(app.to_owned()), function),
        None => (app, name),
    };
    let filter = CallFilter {
        environment,
        app: app.clone(),
        function: Some(function.to_owned()),
        ..CallFilter::default()
    };
    if client.dispatcher().count(filter.clone()).await? == 0 {
        let known = app.map(|app| format!("{app}/{function}"));
        client.function(known.as_deref().unwrap_or(function), None).await?;
    }
    Ok(filter)
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
    // `sum` of nothing is -0.0.
    let seconds = calls.iter().fold(0.0, |sum, call| sum + call.seconds);
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
