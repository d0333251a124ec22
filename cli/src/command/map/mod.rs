//! `vdeploy map`: one function, many inputs.

mod files;
mod following;
mod glob;
mod inputs;

use vdeploy_runtime::client::{CallOptions, MapOptions};

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;
use following::{Following, Stop};

/// Run a function for each of many inputs
///
/// Inputs are JSON lines, or files by --glob. Results are printed as JSON lines as they come, each
/// with the place of its input. All inputs are checked before the first call. What was done stays
/// done: run again with --map-id, a map does only what is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vdeploy map transcode --glob 'clips/*.mov' --args quality=720p output=out/{stem}.mp4
  vdeploy map probe --inputs clips.jsonl --ordered > results.jsonl
  vdeploy map probe --inputs clips.jsonl --map-id m-01kabc… > results.jsonl
  vdeploy map transcode --starmap --inputs pairs.jsonl --for-each

In --args, {stem}, {name} and {index} stand for the input's file name without and with its ending,
and for its place, where --glob is used.")]
pub(crate) struct Args {
    /// The function: its name, or APP/NAME where several apps have one
    #[arg(value_name = "[APP/]FN")]
    function: String,
    /// A file of JSON objects, one a line (arrays with --starmap); - for stdin
    #[arg(long, value_name = "FILE", required_unless_present = "glob", conflicts_with = "glob")]
    inputs: Option<String>,
    /// Files to run it for
    #[arg(long, value_name = "PATTERN")]
    glob: Option<String>,
    /// The argument that gets each file of --glob
    #[arg(long, value_name = "KEY", default_value = "input")]
    each: String,
    /// Arguments of every call, as KEY=VALUE
    #[arg(long = "args", value_name = "KEY=VALUE", num_args = 1..)]
    common: Vec<String>,
    /// Inputs are JSON arrays: the values of the function's arguments, in their order
    #[arg(long, requires = "inputs")]
    starmap: bool,
    /// Print no results: the function is run for what it does
    #[arg(long, conflicts_with = "ordered")]
    for_each: bool,
    /// Print results in the order of inputs
    #[arg(long)]
    ordered: bool,
    /// Go on when a call fails, and past inputs that are wrong
    #[arg(short, long)]
    keep_going: bool,
    /// Replace outputs that exist
    #[arg(short, long)]
    force: bool,
    /// Run all, even if the function is cached and earlier calls were alike
    #[arg(long)]
    no_cache: bool,
    /// Go on with an earlier map: do only what is missing
    #[arg(long, value_name = "ID")]
    map_id: Option<String>,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let client = super::call::connect(settings).await?;
    let function = client.function(&args.function, None).await?;
    let prepared = inputs::prepare(&args, &function, settings)?;
    let id = args.map_id.clone().unwrap_or_else(|| client.dispatcher().new_map_id());
    let sender = client.sender(&function, args.force, args.map_id.is_some())?;
    let (prepared, sent) = match sender {
        Some(sender) => files::send(prepared, &sender, &id).await?,
        None => (prepared, files::Sent::new()),
    };
    let options = MapOptions {
        id: Some(id),
        ordered: args.ordered,
        call: CallOptions { overwrite: args.force, fresh: args.no_cache, ..CallOptions::default() },
    };
    let total = prepared.count;
    super::call::warn_of_shortfalls(&client, &function, settings);
    let refused = prepared.refused;
    let map = client.map(function, prepared.inputs()?, options);
    let ended = Following::new(&client, map, (total, sent), &args, settings)?.follow().await;
    super::call::close(client, settings).await?;
    let ended = ended?;
    match (ended.stopped, ended.failed + refused) {
        (Some(Stop::Interrupted), _) => Ok(Exit::Interrupted),
        (Some(Stop::Unread), _) => {
            Err(CliError::failed("the map was stopped: nobody reads its results any more"))
        }
        (_, 0) => Ok(Exit::Ok),
        _ => Ok(Exit::FunctionFailed),
    }
}
