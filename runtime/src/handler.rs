//! What a function is to a worker: typed arguments in, a typed result out.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::children::{Call, Calls};
use crate::ffmpeg::Tools;
use crate::storage::Files;
use crate::wire::{Artifact, Failure, FailureKind, Invocation, Progress};
use crate::worker::frame::Routine;

/// One kind of work. Implementations are values without state of a call; everything about a call
/// comes with the [`Context`].
pub trait Handler: Send + Sync + 'static {
    /// What it takes. Doc comments become the help of the function's arguments.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it returns.
    type Output: Serialize + JsonSchema + Send + 'static;

    /// The name a manifest gives as `handler`.
    const NAME: &'static str;
    /// One line for listings.
    const ABOUT: &'static str;

    /// Does the work. It must stop soon after [`Context::cancellation`] says so, and leave no file
    /// behind unless it succeeds.
    fn run(
        &self,
        cx: Context,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// What a handler may know and do during one attempt of a call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    inner: Arc<Inner>,
    calls: Calls,
}

struct Inner {
    invocation: Invocation,
    tools: Tools,
    files: Files,
    cancel: CancellationToken,
    report: Box<dyn Fn(Report) + Send + Sync>,
    artifacts: Mutex<Vec<Artifact>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("call", &self.invocation.call).finish_non_exhaustive()
    }
}

/// What a handler tells while it works.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// How far it is.
    Progress(Progress),
    /// What the next attempt gets back.
    Checkpoint(Value),
}

impl Context {
    /// The context of one attempt, which can't call other functions. `report` is called from any
    /// thread and must not block.
    pub fn new(
        invocation: Invocation,
        tools: Tools,
        files: Files,
        cancel: CancellationToken,
        report: impl Fn(Report) + Send + Sync + 'static,
    ) -> Self {
        let artifacts = Mutex::new(Vec::new());
        let report = Box::new(report);
        let inner = Inner { invocation, tools, files, cancel, report, artifacts };
        Context { inner: Arc::new(inner), calls: Calls::none() }
    }

    /// The same context, with a way to other functions.
    #[must_use]
    pub fn with_calls(mut self, calls: Calls) -> Self {
        self.calls = calls;
        self
    }

    /// The attempt being served.
    pub fn invocation(&self) -> &Invocation {
        &self.inner.invocation
    }

    /// Where ffmpeg and ffprobe are, and what this machine was proven to do.
    pub fn tools(&self) -> &Tools {
        &self.inner.tools
    }

    /// Inputs and outputs.
    pub fn files(&self) -> &Files {
        &self.inner.files
    }

    /// Tells how far the work is.
    pub fn progress(&self, progress: Progress) {
        (self.inner.report)(Report::Progress(progress));
    }

    /// Stores what the next attempt should know, should this one be lost.
    pub fn checkpoint(&self, value: Value) {
        (self.inner.report)(Report::Checkpoint(value));
    }

    /// The token that is cancelled when the call should stop.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.inner.cancel
    }

    /// A deployed function to call: `app/function`, or `function` of this app. See
    /// [`crate::children`].
    pub fn function(&self, name: impl Into<String>) -> Call {
        self.routine(Routine::Function { name: name.into() })
    }

    /// Another handler of this worker program to call, with the resources, the policies, the
    /// volumes and the secrets of this function: what a function does in parts needs no function
    /// of its own for each kind of part. See [`crate::children`].
    pub fn handler(&self, name: impl Into<String>) -> Call {
        self.routine(Routine::Handler { name: name.into() })
    }

    /// Calls a deployed function and waits for its result: [`Context::function`] in short.
    pub fn call<R: DeserializeOwned + Send>(
        &self,
        function: &str,
        args: impl Serialize,
    ) -> impl Future<Output = Result<R, Failure>> + Send {
        self.function(function).call(args)
    }

    fn routine(&self, routine: Routine) -> Call {
        Call::new(self.calls.clone(), self.inner.cancel.clone(), routine)
    }

    /// Records a file that was committed to its place.
    pub fn add_artifact(&self, artifact: Artifact) {
        self.inner.artifacts.lock().unwrap_or_else(PoisonError::into_inner).push(artifact);
    }

    /// The files recorded so far.
    pub fn artifacts(&self) -> Vec<Artifact> {
        self.inner.artifacts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is known of a handler without running it; deploy records it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// One line about it.
    pub about: String,
    /// The JSON Schema of its arguments.
    pub args: Value,
    /// The JSON Schema of its result.
    pub output: Value,
}

/// Handlers by name.
#[derive(Default)]
pub struct Registry {
    handlers: BTreeMap<&'static str, Box<dyn Erased>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

impl Registry {
    /// No handlers.
    pub fn new() -> Self {
        Registry::default()
    }

    /// Adds a handler; a later one of the same name takes the earlier one's place.
    #[must_use]
    pub fn with<H: Handler>(mut self, handler: H) -> Self {
        self.handlers.insert(H::NAME, Box::new(handler));
        self
    }

    /// The names of all handlers, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.handlers.keys().copied()
    }

    /// What is known of one handler.
    pub fn describe(&self, name: &str) -> Option<Description> {
        self.handlers.get(name).map(|handler| handler.describe())
    }

    /// What is known of all handlers.
    pub fn descriptions(&self) -> Vec<Description> {
        self.handlers.values().map(|handler| handler.describe()).collect()
    }

    /// Runs handler `name` with untyped arguments.
    pub async fn run(&self, name: &str, cx: Context, args: Value) -> Result<Value, Failure> {
        match self.handlers.get(name) {
            Some(handler) => handler.run(cx, args).await,
            None => Err(Failure::new(
                FailureKind::Handler,
                format!("this worker has no handler `{name}`"),
            )
            .hint("deploy again so that the worker and the manifest agree: `vdeploy deploy`")),
        }
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A handler behind its types.
trait Erased: Send + Sync {
    fn describe(&self) -> Description;
    fn run(&self, cx: Context, args: Value) -> BoxFuture<'_, Result<Value, Failure>>;
}

impl<H: Handler> Erased for H {
    fn describe(&self) -> Description {
        Description {
            name: H::NAME.into(),
            about: H::ABOUT.into(),
            args: schema_value(schema_for!(H::Args)),
            output: schema_value(schema_for!(H::Output)),
        }
    }

    fn run(&self, cx: Context, args: Value) -> BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move {
            let args = serde_path_to_error::deserialize(args).map_err(|error| misfit(&error))?;
            let output = Handler::run(self, cx, args).await?;
            serde_json::to_value(output).map_err(|error| {
                Failure::new(FailureKind::Handler, "the handler's result isn't JSON").cause(error)
            })
        })
    }
}

/// What doesn't fit although the schema says nothing against it, by the argument's name.
fn misfit(error: &serde_path_to_error::Error<serde_json::Error>) -> Failure {
    use serde_path_to_error::Segment;
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    let place: Vec<_> = error.path().iter().filter_map(step).collect();
    let message = match place.as_slice() {
        [] => "the arguments don't fit the handler".into(),
        steps => format!("argument `{}` is wrong", steps.join(".")),
    };
    Failure::new(FailureKind::InvalidArgs, message).cause(error.inner())
}

fn schema_value(schema: Schema) -> Value {
    schema.to_value()
}
