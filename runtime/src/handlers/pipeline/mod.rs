//! Several handlers as one call: each step gets what the ones before it made.

pub mod reference;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::reference::{Known, fill};
use crate::args::ArgsSchema;
use crate::children::ChildEvent;
use crate::dispatch::What;
use crate::handler::{Context, Handler};
use crate::storage::{InputFile, OutputFile};
use crate::webhook::Webhook;
use crate::wire::{Failure, FailureKind, Outcome, Phase, Progress};

/// The `pipeline` handler.
#[derive(Debug)]
pub struct Pipeline;

/// What `pipeline` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The file that steps name as `${input}`.
    #[serde(default)]
    pub input: Option<InputFile>,
    /// The place that steps name as `${output}`.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// What is done, one after the other.
    #[schemars(length(min = 1, max = 64))]
    pub steps: Vec<Step>,
    /// Who is told when it is over, whether it succeeded or failed.
    #[serde(default)]
    pub webhook: Option<Webhook>,
}

/// One step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What later steps call it; by default the name of its handler or function.
    #[serde(default)]
    pub name: Option<String>,
    /// The handler that does it, with the resources of this function.
    #[serde(default)]
    pub handler: Option<String>,
    /// Or the deployed function that does it: `function` or `app/function`.
    #[serde(default)]
    pub function: Option<String>,
    /// Its arguments. `${input}`, `${output}`, `${STEP}` (what that step put out) and
    /// `${STEP.field}` (of its result) are filled in. Relative paths are of a folder that is
    /// removed when the call has ended.
    #[serde(default)]
    pub args: Map<String, Value>,
}

/// What `pipeline` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// What the last step put out, if it says so.
    pub output: Option<Value>,
    /// What each step returned.
    pub steps: Vec<Done>,
    /// What became of the webhook; null without one.
    pub webhook: Option<Told>,
}

/// A step that is done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Done {
    /// Its name.
    pub name: String,
    /// What it returned.
    pub result: Value,
}

/// What became of the webhook.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Told {
    /// The receiver took it.
    pub delivered: bool,
    /// Why it didn't.
    pub error: Option<String>,
}

impl Step {
    fn callee(&self) -> &str {
        self.handler.as_deref().or(self.function.as_deref()).unwrap_or_default()
    }

    fn name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| self.callee().rsplit('/').next().unwrap_or_default().to_owned())
    }
}

impl Handler for Pipeline {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "pipeline";
    const ABOUT: &'static str = "Does several things one after the other, as one call.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let ran = match check(&args) {
            Ok(()) => steps(&cx, &args).await,
            Err(failure) => Err(failure),
        };
        let webhook = match &args.webhook {
            // Who cancels a call knows that it is over.
            Some(hook) if !cx.cancellation().is_cancelled() => Some(tell(&cx, hook, &ran).await),
            _ => None,
        };
        let steps = ran?;
        let output = steps.last().and_then(|last| last.result.get("output")).cloned();
        Ok(Output { output, steps, webhook })
    }
}

/// Refuses steps that can't work, before the first of them does.
fn check(args: &Args) -> Result<(), Failure> {
    let wrong = |message: String| Err(Failure::new(FailureKind::InvalidArgs, message));
    if args.steps.is_empty() {
        return wrong("a pipeline needs at least one step".into());
    }
    let mut names: Vec<String> = vec!["input".into(), "output".into()];
    for (index, step) in args.steps.iter().enumerate() {
        if step.handler.is_some() == step.function.is_some() {
            return wrong(format!("step {} needs a `handler` or a `function`", index + 1));
        }
        let name = step.name();
        if names.contains(&name) {
            return wrong(format!("step {} is the second that is named `{name}`", index + 1));
        }
        names.push(name);
    }
    Ok(())
}

async fn steps(cx: &Context, args: &Args) -> Result<Vec<Done>, Failure> {
    let mut known = Known::new();
    known.extend(args.input.iter().map(|file| ("input".into(), file.as_str().into())));
    known.extend(args.output.iter().map(|file| ("output".into(), file.as_str().into())));
    let mut done = Vec::new();
    for (index, step) in args.steps.iter().enumerate() {
        let place = (index, args.steps.len());
        let result = one(cx, step, place, &known).await.map_err(|failure| named(step, failure))?;
        known.insert(step.name(), result.clone());
        done.push(Done { name: step.name(), result });
    }
    Ok(done)
}

/// Runs one step, as a call of its own.
async fn one(
    cx: &Context,
    step: &Step,
    place: (usize, usize),
    known: &Known,
) -> Result<Value, Failure> {
    let mut args = fill(&Value::Object(step.args.clone()), known)?;
    settle(cx, step, &mut args)?;
    let call = match (&step.handler, &step.function) {
        (Some(handler), _) => cx.handler(handler),
        (None, function) => cx.function(function.as_deref().unwrap_or_default()),
    };
    let mut children = call.overwrite(cx.invocation().overwrite).map(std::iter::once(args));
    cx.progress(overall(step, place, Progress::default()));
    while let Some(ChildEvent { what, .. }) = children.next().await? {
        match what {
            What::Progress { progress } => cx.progress(overall(step, place, progress)),
            What::Ended { outcome: Outcome::Succeeded { result, .. } } => return Ok(result),
            What::Ended { outcome: Outcome::Failed { failure } } => return Err(failure),
            What::Ended { outcome: Outcome::Cancelled } => {
                return Err(Failure::new(FailureKind::Cancelled, "the step was cancelled"));
            }
            _ => {}
        }
    }
    Err(Failure::new(FailureKind::Handler, "the step had no outcome"))
}

/// Relative paths are of the call's own folder. Of functions nothing but the usual names of files
/// is known.
fn settle(cx: &Context, step: &Step, args: &mut Value) -> Result<(), Failure> {
    let usual = || {
        json!({ "properties": {
            "input": { "type": "string", "format": "input-file" },
            "output": { "type": "string", "format": "output-file" },
        } })
    };
    let described = step.handler.as_deref().and_then(|name| super::builtin().describe(name));
    let schema = described.map_or_else(usual, |handler| handler.args);
    let scratch = cx.files().scratch();
    std::fs::create_dir_all(scratch).map_err(|error| {
        Failure::new(FailureKind::Machine, "can't make the call's folder").cause(error)
    })?;
    ArgsSchema::compile(&schema)?.resolve_paths(args, scratch);
    Ok(())
}

/// Each step is an equal share of the whole.
fn overall(step: &Step, (index, count): (usize, usize), progress: Progress) -> Progress {
    let within = progress.fraction.unwrap_or(0.0);
    Progress {
        phase: Phase::Processing,
        fraction: Some((index as f64 + within) / count as f64),
        eta_seconds: None,
        message: Some(format!("step {} of {count}: {}", index + 1, step.name())),
        ..progress
    }
}

fn named(step: &Step, failure: Failure) -> Failure {
    let Failure { message, mut causes, .. } = failure.clone();
    causes.insert(0, message);
    Failure { message: format!("step `{}` failed", step.name()), causes, ..failure }
}

async fn tell(cx: &Context, hook: &Webhook, ran: &Result<Vec<Done>, Failure>) -> Told {
    let invocation = cx.invocation();
    let call = &invocation.call.0;
    let mut body = json!({
        "call": call,
        "app": invocation.function.app,
        "function": invocation.function.name,
        "status": if ran.is_ok() { "succeeded" } else { "failed" },
    });
    match ran {
        Ok(steps) => body["steps"] = json!(steps),
        Err(failure) => body["error"] = json!(failure),
    }
    match hook.deliver(call, body.to_string(), cx.cancellation()).await {
        Ok(_) => Told { delivered: true, error: None },
        Err(failure) => {
            tracing::warn!(%failure, "the webhook was not delivered");
            let causes = failure.causes.iter().map(String::as_str);
            let all: Vec<_> = std::iter::once(failure.message.as_str()).chain(causes).collect();
            Told { delivered: false, error: Some(all.join(": ")) }
        }
    }
}
