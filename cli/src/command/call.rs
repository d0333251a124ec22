//! `vdeploy call`: run a deployed function and wait for its result.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vdeploy_runtime::args::ArgsSchema;
use vdeploy_runtime::catalog::Published;
use vdeploy_runtime::client::{CallOptions, Client};
use vdeploy_runtime::dispatch::What;
use vdeploy_runtime::dispatch::local::{CallRecord, Mode};
use vdeploy_runtime::process::ProcessId;
use vdeploy_runtime::storage::check_remote;
use vdeploy_runtime::wire::{CallId, Failure, Outcome};

use crate::error::{CliError, Exit, Result};
use crate::interrupt::Interrupts;
use crate::settings::Settings;
use crate::ui::call::CallView;

/// Run a deployed function and wait for its result
///
/// The function is found by name; no manifest is needed. The result is printed on stdout as JSON,
/// everything else on stderr. Ctrl-C cancels the call.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vdeploy call transcode --args input=match.mov output=match.mp4 quality=720p
  vdeploy call reel-studio/transcode --args '{\"input\": \"vol://footage/a.mov\"}' --output a.mp4
  vdeploy call probe --args @args.json
  vdeploy call transcode --args input=match.mov --detach")]
pub(crate) struct Args {
    /// The function: its name, or APP/NAME where several apps have one
    #[arg(value_name = "[APP/]FN")]
    function: String,
    #[command(flatten)]
    input: ArgsInput,
    #[command(flatten)]
    output: OutputArgs,
    /// Print the call's id at once and leave it running
    #[arg(short, long, conflicts_with = "output")]
    detach: bool,
    /// Calls of a higher priority start first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "N")]
    priority: i32,
}

/// Where results go.
#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Copy the file that the call makes to this path
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace outputs that exist
    #[arg(short, long)]
    force: bool,
    /// Run it, even if the function is cached and an earlier call was alike
    #[arg(long)]
    no_cache: bool,
}

/// How arguments are given.
#[derive(Debug, clap::Args)]
pub(crate) struct ArgsInput {
    /// Arguments: a JSON object, @FILE, - for stdin, or KEY=VALUE pairs
    #[arg(long = "args", value_name = "ARGS", num_args = 1.., allow_hyphen_values = false)]
    args: Vec<String>,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let client = connect(settings).await?;
    let function = client.function(&args.function, None).await?;
    if args.detach {
        let mut values = args.input.read(&function, settings)?;
        client.send_files(&function, &mut values, args.output.force).await?;
        let options = CallOptions { detached: true, ..args.output.options(args.priority) };
        warn_of_shortfalls(&client, &function, settings);
        let call = client.spawn(&function, values, &options).await?;
        return detach(&call, settings);
    }
    wait_for(client, &function, &args.input, &args.output, args.priority, settings).await
}

/// Calls `function`, shows what happens, and reports how it ended.
pub(crate) async fn wait_for(
    client: Client,
    function: &Published,
    input: &ArgsInput,
    output: &OutputArgs,
    priority: i32,
    settings: &Settings,
) -> Result<Exit> {
    let mut values = input.read(function, settings)?;
    let force = output.force;
    let target = output.output.as_deref().map(|path| free_target(path, force)).transpose()?;
    let target = target.filter(|target| !written_by_handler(function, &mut values, target));
    let sent = client.send_files(function, &mut values, force).await?;
    let call = client.spawn(function, values, &output.options(priority)).await?;
    settings.printer.detail(format!("call {call}"));
    warn_of_shortfalls(&client, function, settings);
    let mut outcome = follow(&client, &call, settings).await?;
    client.fetch_files(sent, &mut outcome).await?;
    let reported = report(outcome, target.as_deref(), force, settings).await;
    close(client, settings).await?;
    reported
}

impl OutputArgs {
    fn options(&self, priority: i32) -> CallOptions {
        CallOptions { overwrite: self.force, fresh: self.no_cache, detached: false, priority }
    }
}

/// Says what the function asks for and doesn't get on this machine.
pub(crate) fn warn_of_shortfalls(client: &Client, function: &Published, settings: &Settings) {
    for shortfall in client.shortfalls(function) {
        let name = &function.function.name;
        settings.printer.warning(format!("`{name}` {shortfall}, and gets what there is"));
    }
}

/// Ends this command's part in running the queue. Calls of other commands that it runs are finished
/// first, unless Ctrl-C hands them over.
pub(crate) async fn close(client: Client, settings: &Settings) -> Result<()> {
    let running = client.running();
    let mode = client.mode();
    // Before anyone is told that Ctrl-C does something.
    let mut interrupts = Interrupts::listen()?;
    if running > 0 {
        let calls = if running == 1 { "1 call".to_owned() } else { format!("{running} calls") };
        let text = "of other commands; Ctrl-C hands them over";
        settings.printer.note(format!("finishing {calls} {text}"));
    }
    let mut closed = std::pin::pin!(client.close());
    loop {
        tokio::select! {
            closed = &mut closed => return Ok(closed?),
            () = interrupts.pressed() => {
                // The task that listens is the one that `close` waits for.
                if let Some(mode) = &mode {
                    let _ = mode.send(Mode::Release);
                }
            }
        }
    }
}

/// Lets the handler itself write to `target` where it takes an output and none was named: so it
/// knows the file's ending, and nothing is copied.
fn written_by_handler(function: &Published, values: &mut Value, target: &Path) -> bool {
    let schema = function.function.schema.as_ref();
    let takes_output = schema
        .and_then(|schema| ArgsSchema::compile(schema).ok())
        .is_some_and(|schema| schema.takes_output());
    match (values.as_object_mut(), target.to_str()) {
        (Some(values), Some(target)) if takes_output && !values.contains_key("output") => {
            values.insert("output".into(), target.into());
            true
        }
        _ => false,
    }
}

/// The client of this command's environment.
pub(crate) async fn connect(settings: &Settings) -> Result<Client> {
    Ok(Client::open(&settings.base).await?)
}

/// Leaves the call to an executor in the background, then says the call's id.
fn detach(call: &CallId, settings: &Settings) -> Result<Exit> {
    super::executor::spawn_background(settings)?;
    settings.printer.note(format!("follow it with `vdeploy calls get {call} --wait`"));
    settings.printer.call_id(call)?;
    Ok(Exit::Ok)
}

/// Shows what happens until the call has ended. The first Ctrl-C asks it to stop; by the second
/// its worker is ended.
pub(crate) async fn follow(client: &Client, call: &CallId, settings: &Settings) -> Result<Outcome> {
    let mut interrupts = Interrupts::listen()?;
    let mut view = CallView::new(settings.printer);
    let mut events = client.events(call);
    let mut presses = 0;
    loop {
        tokio::select! {
            what = events.next() => {
                let what = what?;
                view.show(&what);
                if let What::Ended { outcome } = what {
                    view.finish();
                    return Ok(outcome);
                }
            }
            () = interrupts.pressed() => {
                presses += 1;
                match presses {
                    1 => {
                        view.note("cancelling; press Ctrl-C again to end it at once");
                        client.cancel(call).await?;
                    }
                    2 => end_workers(&[client.record(call).await?]),
                    _ => return Ok(Outcome::Cancelled),
                }
            }
        }
    }
}

/// Ends the worker processes of calls that run, with everything in their groups. Whoever runs the
/// calls sees them gone and records how the calls ended.
pub(crate) fn end_workers(calls: &[CallRecord]) {
    let attempts = calls.iter().filter_map(|call| call.attempts.last());
    for pid in attempts.filter(|last| last.ended.is_none()).filter_map(|last| last.worker) {
        // Recorded as at work, so its executor hasn't waited for it and the id is still its own.
        ProcessId::of(pid).kill_group();
    }
}

async fn report(
    outcome: Outcome,
    target: Option<&Path>,
    force: bool,
    settings: &Settings,
) -> Result<Exit> {
    match outcome {
        Outcome::Succeeded { result, artifacts, cached_from } => {
            if let Some(call) = cached_from {
                settings.printer.note(format!("from the cache: call {call} was alike"));
            }
            if let Some(target) = target {
                let artifact = artifacts.first().ok_or_else(|| {
                    CliError::failed("the call made no file that could be copied")
                        .hint("leave `--output` away for functions that only return data")
                })?;
                super::artifact::copy(artifact, target, force, settings).await?;
                settings.printer.note(format!("wrote {}", target.display()));
            }
            settings.printer.data_json(&result)?;
            Ok(Exit::Ok)
        }
        Outcome::Failed { failure } => Err(failure.into()),
        Outcome::Cancelled => Err(CliError::new(Exit::Interrupted, "the call was cancelled")),
    }
}

/// Refuses an output that exists before anything is started for it.
fn free_target(path: &Path, force: bool) -> Result<PathBuf> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(CliError::failed(format!("output `{}` already exists", path.display()))
            .hint("pass `--force` to replace it, or name another output"));
    }
    Ok(std::path::absolute(path)?)
}

impl ArgsInput {
    /// The arguments as JSON, checked, with relative paths made absolute.
    pub(crate) fn read(&self, function: &Published, settings: &Settings) -> Result<Value> {
        let anything = Value::Bool(true);
        let schema = function.function.schema.as_ref().unwrap_or(&anything);
        let schema = ArgsSchema::compile(schema)?;
        let mut values = self.values(&schema)?;
        schema.check(&values).map_err(usage)?;
        check_remote(&function.function, &schema, &values).map_err(usage)?;
        schema.resolve_paths(&mut values, &settings.folder);
        Ok(values)
    }

    fn values(&self, schema: &ArgsSchema<'_>) -> Result<Value> {
        let [only] = self.args.as_slice() else {
            return pairs(schema, &self.args);
        };
        match only.strip_prefix('@') {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    CliError::usage(format!("can't read arguments from `{path}`")).cause(error)
                })?;
                object(&text, &format!("`{path}`"))
            }
            None if only == "-" => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).map_err(|error| {
                    CliError::usage("can't read arguments from stdin").cause(error)
                })?;
                object(&text, "stdin")
            }
            None if only.trim_start().starts_with(['{', '[']) => object(only, "`--args`"),
            None => pairs(schema, &self.args),
        }
    }
}

fn pairs(schema: &ArgsSchema<'_>, pairs: &[String]) -> Result<Value> {
    schema.from_pairs(pairs.iter().map(String::as_str)).map_err(usage)
}

/// What is wrong with how a function is called.
fn usage(failure: Failure) -> CliError {
    let mut error = CliError::from(failure);
    error.exit = Exit::Usage;
    error
}

fn object(text: &str, place: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        CliError::usage(format!("the arguments in {place} aren't JSON"))
            .cause(error)
            .hint("pass an object such as '{\"input\": \"a.mov\"}', or pairs such as input=a.mov")
    })?;
    if value.is_object() {
        return Ok(value);
    }
    Err(CliError::usage(format!("the arguments in {place} aren't a JSON object")))
}
