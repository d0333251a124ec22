//! `vdeploy cost`.

use serde::Serialize;

use crate::engine::choose;
use crate::error::{CliError, Exit, Result};
use crate::hardware::{self, PRICES_AS_OF, Prices};
use crate::manifest::{self, Function, Manifest, Target};
use crate::settings::Settings;
use crate::ui::table::Table;

/// Minutes of 1080p video at 30 frames a second that one CPU encodes to H.264 in a minute, as x264
/// does with its preset `medium`: what an estimate assumes until it is told better.
const CPU_SPEED: f64 = 0.4;
/// The same for one NVENC engine; most of the time goes into decoding and filters.
const ENGINE_SPEED: f64 = 6.0;

/// Estimate what it costs to work through so many minutes of video on AWS
///
/// For each function of the manifest: on the machine that a deployment would give it, and on CPUs
/// only. The speed is an assumption about 1080p at 30 frames a second; measure yours with one call,
/// and give it with `--speed`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Functions; without them, all of the manifest
    #[arg(value_name = "FN")]
    functions: Vec<String>,
    /// Minutes of video
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0)]
    minutes: f64,
    /// Minutes of video that one call works through in a minute, in place of the assumption
    #[arg(long, value_name = "RATIO")]
    speed: Option<f64>,
}

/// What one function costs in one way.
#[derive(Clone, Debug, Serialize)]
struct Estimate {
    function: String,
    machine: String,
    price_per_hour: f64,
    speed: f64,
    speed_is_assumed: bool,
    hours: f64,
    dollars: f64,
}

pub(crate) fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    for (name, value) in [("minutes", Some(args.minutes)), ("speed", args.speed)] {
        if value.is_some_and(|value| !value.is_finite() || value <= 0.0) {
            return Err(CliError::usage(format!("`--{name}` must be more than 0")));
        }
    }
    let Manifest { app, .. } = manifest::load(settings)?;
    let unknown = args.functions.iter().find(|name| !app.functions.contains_key(*name));
    if let Some(name) = unknown {
        return Err(CliError::usage(format!("the manifest has no function `{name}`")));
    }
    let unsaid = Target::unsaid();
    let prices = Prices::with(app.targets.get("aws").unwrap_or(&unsaid).prices.clone());
    let chosen = |name: &String| args.functions.is_empty() || args.functions.contains(name);
    let mut estimates = Vec::new();
    for (name, function) in app.functions.iter().filter(|(name, _)| chosen(name)) {
        estimates.extend(estimate(name, function, &prices, args)?);
    }
    show(&estimates, args, settings)
}

/// A function as it would be deployed; when that is with a GPU, without one too.
fn estimate(
    name: &str,
    function: &Function,
    prices: &Prices,
    args: &Args,
) -> Result<Vec<Estimate>> {
    let choice = |function: &Function| {
        choose(&function.spec, function.spot, function.engine, prices).map_err(|error| {
            CliError::usage(format!("function `{name}` can't run on AWS")).cause(error)
        })
    };
    let mut made = Vec::new();
    let of = |function: &Function| -> Result<Estimate> {
        let choice = choice(function)?;
        let speed = args.speed.unwrap_or_else(|| assumed(function, choice.vcpus));
        let hours = args.minutes / 60.0 / speed;
        Ok(Estimate {
            function: name.to_owned(),
            machine: choice.machine,
            price_per_hour: choice.price_per_hour,
            speed,
            speed_is_assumed: args.speed.is_none(),
            hours,
            dollars: hours * choice.price_per_hour,
        })
    };
    made.push(of(function)?);
    if !function.spec.resources.gpu.is_empty() {
        let mut on_cpus = function.clone();
        on_cpus.spec.resources.gpu.clear();
        let assumed_speed = assumed(&on_cpus, on_cpus.spec.resources.cpu.ceil() as u32);
        let estimate = of(&on_cpus)?;
        let hours = args.minutes / 60.0 / assumed_speed;
        made.push(Estimate {
            speed: assumed_speed,
            speed_is_assumed: true,
            hours,
            dollars: hours * estimate.price_per_hour,
            ..estimate
        });
    }
    Ok(made)
}

/// By the encoders of the preferred model; by CPUs where there are none.
fn assumed(function: &Function, vcpus: u32) -> f64 {
    let model = function.spec.resources.gpu.first().and_then(|name| hardware::find(name));
    match model {
        Some(model) if model.encoders > 0 => f64::from(model.encoders) * ENGINE_SPEED,
        _ => f64::from(vcpus.max(1)) * CPU_SPEED,
    }
}

fn show(estimates: &[Estimate], args: &Args, settings: &Settings) -> Result<Exit> {
    let printer = &settings.printer;
    if printer.json {
        printer.data_json(&estimates)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["function", "on", "$/hour", "speed", "hours", "$"]);
    for estimate in estimates {
        let assumed = if estimate.speed_is_assumed { " (assumed)" } else { "" };
        table.row([
            estimate.function.clone(),
            estimate.machine.clone(),
            format!("{:.4}", estimate.price_per_hour),
            format!("{:.1}x{assumed}", estimate.speed),
            format!("{:.2}", estimate.hours),
            format!("{:.2}", estimate.dollars),
        ]);
    }
    printer.data(table.to_string().trim_end())?;
    printer.note(format!(
        "for {} minutes of video, at on-demand prices of us-east-1 in {PRICES_AS_OF}",
        args.minutes
    ));
    Ok(Exit::Ok)
}
