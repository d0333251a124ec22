//! `vdeploy map`: one function, many inputs.

mod files;
mod glob;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map as Object, Value, json};
use vdeploy_runtime::args::ArgsSchema;
use vdeploy_runtime::catalog::Published;
use vdeploy_runtime::client::{CallOptions, Client, Map, MapEvent, MapItem, MapOptions};
use vdeploy_runtime::dispatch::local::{CallFilter, CallState};
use vdeploy_runtime::storage::check_remote;
use vdeploy_runtime::wire::{Failure, Outcome};

use crate::error::{CliError, Exit, Result};
use crate::interrupt::Interrupts;
use crate::settings::Settings;
use crate::ui::map::MapView;

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
    let prepared = prepare(&args, &function, settings)?;
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

/// Why a map does not do all that it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A call failed.
    Failed,
    /// Ctrl-C.
    Interrupted,
    /// Who read the results is gone.
    Unread,
}

/// How a map ended.
struct Ended {
    failed: u64,
    stopped: Option<Stop>,
}

/// Shows and prints what happens to a map.
struct Following<'c, I> {
    client: &'c Client,
    map: Map<I>,
    sent: files::Sent,
    view: MapView,
    args: &'c Args,
    settings: &'c Settings,
    failed: u64,
    stopped: Option<Stop>,
    interrupts: Interrupts,
    presses: u32,
}

impl<'c, I: Iterator<Item = Value>> Following<'c, I> {
    fn new(
        client: &'c Client,
        map: Map<I>,
        (total, sent): (u64, files::Sent),
        args: &'c Args,
        settings: &'c Settings,
    ) -> Result<Self> {
        let interrupts = Interrupts::listen()?;
        let view = MapView::new(settings.printer, total);
        let (failed, stopped, presses) = (0, None, 0);
        Ok(Following {
            client,
            map,
            sent,
            view,
            args,
            settings,
            failed,
            stopped,
            interrupts,
            presses,
        })
    }

    /// Goes on until all calls have ended.
    async fn follow(mut self) -> Result<Ended> {
        self.view.note(&format!("map {}", self.map.id()));
        while self.presses < 3 {
            tokio::select! {
                event = self.map.next() => match event {
                    None => break,
                    Some(Ok(MapEvent::Call(index, event))) => self.view.call(index, &event),
                    Some(Ok(MapEvent::Item(mut item))) => {
                        if let Some(sent) = self.sent.remove(&item.index) {
                            self.client.fetch_files(sent, &mut item.outcome).await?;
                        }
                        self.item(&item).await?;
                    }
                    Some(Err(error)) => return Err(error.into()),
                },
                () = self.interrupts.pressed() => self.interrupted().await?,
            }
        }
        self.view.finish();
        if self.stopped.is_some() {
            self.settings.printer.note(format!("to go on: add `--map-id {}`", self.map.id()));
        }
        Ok(Ended { failed: self.failed, stopped: self.stopped })
    }

    async fn item(&mut self, item: &MapItem) -> Result<()> {
        self.view.ended(item);
        if self.stopped.is_some() && item.outcome == Outcome::Cancelled {
            return Ok(());
        }
        if !matches!(item.outcome, Outcome::Succeeded { .. }) {
            self.failed += 1;
            if !self.args.keep_going {
                self.stop(Stop::Failed).await?;
            }
        }
        let is_read = self.args.for_each || print(self.map.id(), item, self.settings)?;
        if is_read { Ok(()) } else { self.stop(Stop::Unread).await }
    }

    /// The first Ctrl-C asks what runs to stop; by the second its workers are ended.
    async fn interrupted(&mut self) -> Result<()> {
        self.presses += 1;
        if self.presses == 1 {
            self.view.note("cancelling; press Ctrl-C again to end it at once");
            return self.stop(Stop::Interrupted).await;
        }
        let (map, states) = (Some(self.map.id().to_owned()), vec![CallState::Running]);
        let running = CallFilter { map, states, ..CallFilter::default() };
        super::call::end_workers(&self.client.dispatcher().calls(running).await?);
        Ok(())
    }

    /// Cancels what hasn't ended. Ctrl-C is the one reason that takes the place of another.
    async fn stop(&mut self, why: Stop) -> Result<()> {
        let first = self.stopped.is_none();
        if first || why == Stop::Interrupted {
            self.stopped = Some(why);
        }
        if first {
            self.map.cancel().await?;
        }
        Ok(())
    }
}

/// Prints a result as a line; `false` when nobody reads it any more.
fn print(map: &str, item: &MapItem, settings: &Settings) -> Result<bool> {
    let mut line = json!({ "map": map, "index": item.index, "call": item.call });
    match &item.outcome {
        Outcome::Succeeded { result, cached_from, .. } => {
            line["status"] = json!("succeeded");
            line["result"] = result.clone();
            if let Some(call) = cached_from {
                line["cached_from"] = json!(call);
            }
        }
        Outcome::Failed { failure } => {
            line["status"] = json!("failed");
            line["error"] = json!(failure);
        }
        Outcome::Cancelled => line["status"] = json!("cancelled"),
    }
    Ok(settings.printer.line(line.to_string())?)
}

/// Inputs that were checked, in a file of their own so that any number of them can be.
struct Prepared {
    file: File,
    count: u64,
    refused: u64,
}

impl Prepared {
    fn inputs(mut self) -> Result<impl Iterator<Item = Value>> {
        self.file.rewind()?;
        let lines = BufReader::new(self.file).lines();
        Ok(lines.map_while(io::Result::ok).filter_map(|line| serde_json::from_str(&line).ok()))
    }
}

/// Checks every input before the first call; a wrong one ends it, or with `--keep-going` is said
/// and left out.
fn prepare(args: &Args, function: &Published, settings: &Settings) -> Result<Prepared> {
    let anything = Value::Bool(true);
    let schema = ArgsSchema::compile(function.function.schema.as_ref().unwrap_or(&anything))?;
    let mut prepared = Prepared { file: tempfile::tempfile()?, count: 0, refused: 0 };
    let mut writer = io::BufWriter::new(prepared.file.try_clone()?);
    let names = if args.starmap { Some(argument_names(&schema, function)?) } else { None };
    for input in inputs(args, names, &settings.folder)? {
        let checked = input.and_then(|input| check(input, args, (function, &schema), settings));
        match checked {
            Ok(values) => {
                writeln!(writer, "{values}")?;
                prepared.count += 1;
            }
            Err(error) if args.keep_going => {
                settings.printer.error(&error);
                prepared.refused += 1;
            }
            Err(error) => {
                return Err(error.hint("nothing was started; `--keep-going` leaves it out"));
            }
        }
    }
    writer.flush()?;
    Ok(prepared)
}

/// One input as it was given, and how to name it in an error.
struct Input {
    name: String,
    values: Object<String, Value>,
    /// What placeholders in common arguments stand for.
    file: Option<(PathBuf, usize)>,
}

/// The names that the values of --starmap are given.
fn argument_names(schema: &ArgsSchema<'_>, function: &Published) -> Result<Vec<String>> {
    let names: Vec<_> = schema.names().map(str::to_owned).collect();
    if names.is_empty() {
        let message = format!("`{}` doesn't say which arguments it takes", function.function.name);
        return Err(CliError::usage(message)
            .hint("give it a schema (`args` in the manifest), or pass JSON objects"));
    }
    Ok(names)
}

fn inputs(
    args: &Args,
    names: Option<Vec<String>>,
    folder: &Path,
) -> Result<Box<dyn Iterator<Item = Result<Input>>>> {
    if let Some(pattern) = &args.glob {
        return glob(pattern, &args.each, folder);
    }
    let name = args.inputs.clone().unwrap_or_default();
    let reader: Box<dyn BufRead> = if name == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(&name).map_err(|error| {
            CliError::usage(format!("can't read inputs from `{name}`")).cause(error)
        })?;
        Box::new(BufReader::new(file))
    };
    let shown = if name == "-" { "stdin".to_owned() } else { name };
    let lines = reader
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
    Ok(Box::new(
        lines.map(move |(number, line)| parse_line(&shown, number + 1, line, names.as_deref())),
    ))
}

fn parse_line(
    file: &str,
    number: usize,
    line: io::Result<String>,
    names: Option<&[String]>,
) -> Result<Input> {
    let name = format!("line {number} of {file}");
    let kind = if names.is_some() { "array" } else { "object" };
    let wrong = |cause: String| CliError::usage(format!("{name} isn't a JSON {kind}")).cause(cause);
    let line = line.map_err(|error| wrong(error.to_string()))?;
    let Some(names) = names else {
        let values = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        return Ok(Input { name, values, file: None });
    };
    let given: Vec<Value> =
        serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
    if given.len() > names.len() {
        let (given, taken) = (given.len(), names.len());
        let message = format!("{name} has {given} values and the function takes {taken}");
        return Err(CliError::usage(message).hint(format!("they are {}", names.join(", "))));
    }
    Ok(Input { name, values: names.iter().cloned().zip(given).collect(), file: None })
}

fn glob(
    pattern: &str,
    each: &str,
    folder: &Path,
) -> Result<Box<dyn Iterator<Item = Result<Input>>>> {
    let paths = glob::files(pattern, folder)?;
    if paths.is_empty() {
        return Err(CliError::usage(format!("no file matches `{pattern}`"))
            .hint("quote the pattern, so that the shell leaves it alone"));
    }
    let each = each.to_owned();
    Ok(Box::new(paths.into_iter().enumerate().map(move |(index, path)| {
        let path = path?;
        let name = format!("`{}`", path.display());
        let text = path.to_str().ok_or_else(|| {
            CliError::usage(format!("{name} can't be an argument: its name isn't UTF-8"))
        })?;
        let values = Object::from_iter([(each.clone(), Value::String(text.to_owned()))]);
        Ok(Input { name, values, file: Some((path, index)) })
    })))
}

fn check(
    input: Input,
    args: &Args,
    (function, schema): (&Published, &ArgsSchema<'_>),
    settings: &Settings,
) -> Result<Value> {
    let named = |failure: Failure| {
        let mut error = CliError::from(failure);
        error.exit = Exit::Usage;
        error.message = format!("{}: {}", input.name, error.message);
        error
    };
    let common = args.common.iter().map(|pair| fill(pair, input.file.as_ref()));
    let common: Vec<String> = common.collect();
    let mut values = schema.from_pairs(common.iter().map(String::as_str)).map_err(named)?;
    if let Value::Object(object) = &mut values {
        object.extend(input.values.clone());
    }
    schema.check(&values).map_err(named)?;
    check_remote(&function.function, schema, &values).map_err(named)?;
    schema.resolve_paths(&mut values, &settings.folder);
    Ok(values)
}

fn fill(text: &str, file: Option<&(PathBuf, usize)>) -> String {
    let Some((path, index)) = file else { return text.to_owned() };
    let part =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    text.replace("{stem}", &part(path.file_stem()))
        .replace("{name}", &part(path.file_name()))
        .replace("{index}", &index.to_string())
}
