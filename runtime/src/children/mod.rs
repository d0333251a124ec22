//! Calls that handlers make of other functions, or of other handlers of their own worker program.
//!
//! A call that was made by another one, its parent, is a call like any other: recorded before it
//! runs, retried as its function declares, with one outcome. It belongs to one attempt of its
//! parent: when that ends, however it does, what it called and has not ended is cancelled.
//!
//! A parent that waits gives back what it claims of the machine (cpu, memory, GPU, its place among
//! `max_containers`) and takes it again before it goes on, so that a machine with room for one
//! call can't be brought to a halt by calls that wait for calls. Its time limit goes on.
//!
//! ```no_run
//! use serde_json::json;
//! use vdeploy_runtime::children::ChildEvent;
//! use vdeploy_runtime::dispatch::What;
//! use vdeploy_runtime::wire::Outcome;
//! use vdeploy_runtime::{Context, Failure};
//!
//! async fn run(cx: Context) -> Result<(), Failure> {
//!     // One call of a function of the same app.
//!     let length: f64 = cx.call("measure", json!({ "input": "/clips/a.mov" })).await?;
//!
//!     // Another handler of the same worker, once for each input; all results, or the first
//!     // failure. The progress of this call is that of its calls.
//!     let inputs = (0..8).map(move |part| json!({ "part": part, "of": length }));
//!     let parts: Vec<String> =
//!         cx.handler("cut").map(inputs).collect(|all| cx.progress(all.progress())).await?;
//!
//!     // The same, looking at each end as it comes.
//!     let mut probes = cx.function("probe").map(parts.into_iter().map(|part| json!({ "input": part })));
//!     while let Some(ChildEvent { index, what, .. }) = probes.next().await? {
//!         if let What::Ended { outcome: Outcome::Failed { failure } } = what {
//!             tracing::warn!(index, %failure, "left out");
//!         }
//!     }
//!     Ok(())
//! }
//! ```

mod claim;
mod link;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use link::{Ask, Calls};

use crate::dispatch::What;
use crate::dispatch::overall::Overall;
use crate::function::{Resources, Retries};
use crate::wire::{CallId, Failure, FailureKind, Outcome, Progress};
use crate::worker::frame::{Batch, ChildSettings, Routine};
use claim::Waiting;

/// Calls recorded and not ended, of one map.
const OPEN: usize = 256;
/// Calls recorded in one go, and the bytes of arguments at which there are no more of them.
const CHUNK: usize = 64;
const CHUNK_BYTES: usize = 1 << 20;

/// What is to be called, and how; made by [`crate::Context::function`] and
/// [`crate::Context::handler`].
#[derive(Clone, Debug)]
pub struct Call {
    calls: Calls,
    cancel: CancellationToken,
    routine: Routine,
    settings: ChildSettings,
}

impl Call {
    pub(crate) fn new(calls: Calls, cancel: CancellationToken, routine: Routine) -> Self {
        Call { calls, cancel, routine, settings: ChildSettings::default() }
    }

    /// Retries in place of those that the function declares.
    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.settings.retries = Some(retries);
        self
    }

    /// A time limit for each attempt, in place of the function's.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout_seconds = Some(timeout.as_secs_f64());
        self
    }

    /// What each call claims, in place of what the function declares.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.settings.resources = Some(resources);
        self
    }

    /// Outputs that exist may be replaced.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.settings.overwrite = overwrite;
        self
    }

    /// Calls that succeeded in an earlier attempt of this handler, under the same `name` and with
    /// the same arguments at the same place, are not made again: their outcome comes at once.
    ///
    /// Each `name` is for one map of the handler. What such calls made must outlive the attempt:
    /// artifacts and volumes do, the scratch folder of the handler doesn't.
    #[must_use]
    pub fn resume(mut self, name: impl Into<String>) -> Self {
        self.settings.resume = Some(name.into());
        self
    }

    /// Calls it and waits for its result. Dropped before that, the call is cancelled.
    pub fn call<R: DeserializeOwned + Send>(
        self,
        args: impl Serialize,
    ) -> impl Future<Output = Result<R, Failure>> + Send {
        self.one(args).only_result()
    }

    /// Calls it and waits until that is recorded. The call goes on while this handler does other
    /// things, and is cancelled when this handler ends before it.
    pub fn spawn(
        self,
        args: impl Serialize,
    ) -> impl Future<Output = Result<Child, Failure>> + Send {
        let mut children = self.one(args);
        async move {
            children.submit().await?;
            children.keep = true;
            let id = children.open.keys().next().cloned();
            let id = id.or_else(|| children.ready.front().map(|event| event.call.clone()));
            match id {
                Some(id) => Ok(Child { id, children }),
                None => Err(Failure::new(FailureKind::Handler, "the call was not recorded")),
            }
        }
    }

    /// Calls it once for each input. Inputs are taken as there is room for them; nothing is
    /// called before the first [`Children::next`].
    pub fn map<I>(self, inputs: I) -> Children
    where
        I: IntoIterator<Item: Serialize + 'static>,
        I::IntoIter: Send + 'static,
    {
        self.map_values(inputs.into_iter().map(serde_json::to_value))
    }

    fn one(self, args: impl Serialize) -> Children {
        self.map_values(std::iter::once(serde_json::to_value(args)))
    }

    fn map_values<I>(self, inputs: I) -> Children
    where
        I: Iterator<Item = serde_json::Result<Value>> + Send + 'static,
    {
        let total = match inputs.size_hint() {
            (least, Some(most)) if least == most => Some(least as u64),
            _ => None,
        };
        let (events_in, events) = mpsc::unbounded_channel();
        Children {
            map: self.calls.next_map(),
            inputs: Box::new(inputs),
            waiting: Waiting::new(self.calls.clone()),
            call: self,
            exhausted: false,
            taken: 0,
            open: HashMap::new(),
            events,
            events_in: Some(events_in),
            ready: VecDeque::new(),
            overall: Overall::new(total),
            keep: false,
        }
    }
}

/// A call that was made and not waited for yet. Dropped, it goes on until this handler ends.
#[derive(Debug)]
pub struct Child {
    id: CallId,
    children: Children,
}

impl Child {
    /// Its id.
    pub fn id(&self) -> &CallId {
        &self.id
    }

    /// What happens to it next; none after its end. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<What>, Failure> {
        Ok(self.children.next().await?.map(|event| event.what))
    }

    /// Waits for its result.
    pub async fn wait<R: DeserializeOwned + Send>(self) -> Result<R, Failure> {
        self.children.only_result().await
    }

    /// Asks for it to be cancelled.
    pub fn cancel(&mut self) {
        self.children.cancel();
    }
}

/// Something that happened to one of the calls of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildEvent {
    /// The place of its input, from 0.
    pub index: u64,
    /// The call.
    pub call: CallId,
    /// What happened.
    pub what: What,
}

/// The calls of a map. Dropped, those that have not ended are cancelled.
pub struct Children {
    call: Call,
    map: u32,
    inputs: Box<dyn Iterator<Item = serde_json::Result<Value>> + Send>,
    exhausted: bool,
    taken: u64,
    open: HashMap<CallId, u64>,
    events: mpsc::UnboundedReceiver<(CallId, What)>,
    /// The other end, until the first inputs are submitted with it.
    events_in: Option<mpsc::UnboundedSender<(CallId, What)>>,
    /// Taken from `events` and not given yet.
    ready: VecDeque<ChildEvent>,
    waiting: Waiting,
    overall: Overall,
    /// Calls go on when this is dropped.
    keep: bool,
}

impl fmt::Debug for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Children");
        debug.field("routine", &self.call.routine).field("open", &self.open).finish_non_exhaustive()
    }
}

impl Children {
    /// What happens next to any of the calls, each up to its [`What::Ended`]; none when all have
    /// ended. Safe to cancel.
    ///
    /// While this waits, this handler's claim is given back. It is taken again before an end is
    /// given, but not before progress is: that would have to wait for the very call that reports
    /// it, where there is room for one.
    pub async fn next(&mut self) -> Result<Option<ChildEvent>, Failure> {
        let more = self.fill().await?;
        let ended = |event: &ChildEvent| matches!(event.what, What::Ended { .. });
        if !more || self.ready.front().is_some_and(ended) {
            self.resume().await?;
        }
        Ok(self.ready.pop_front())
    }

    /// Waits for all results, in the order of inputs. At the first failure the other calls are
    /// cancelled and it is returned. `watch` is called after each event; the claim is not taken
    /// again before the last of them.
    pub async fn collect<R: DeserializeOwned>(
        mut self,
        mut watch: impl FnMut(&Self),
    ) -> Result<Vec<R>, Failure> {
        let mut results = Vec::new();
        while self.fill().await? {
            let event = self.ready.pop_front().map(|event| (event.index, event.what));
            if let Some((index, What::Ended { outcome })) = event {
                results.push((index, self.result(index, outcome)?));
            }
            watch(&self);
        }
        self.resume().await?;
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    async fn only_result<R: DeserializeOwned>(self) -> Result<R, Failure> {
        let result = self.collect(|_| {}).await?.pop();
        result.ok_or_else(|| Failure::new(FailureKind::Handler, "the call had no result"))
    }

    /// How far all of them are together: frames added up, and every input an equal share of the
    /// whole where their number is known.
    pub fn progress(&self) -> Progress {
        self.overall.progress()
    }

    /// Asks for those that have not ended to be cancelled, and takes no more inputs. Their ends
    /// still come.
    pub fn cancel(&mut self) {
        self.exhausted = true;
        if !self.open.is_empty() {
            self.call.calls.cancel_map(self.map);
        }
    }

    /// Waits until there is something to give; `false` when there will be nothing more.
    async fn fill(&mut self) -> Result<bool, Failure> {
        while self.ready.is_empty() {
            if !self.exhausted && self.open.len() <= OPEN - CHUNK {
                self.submit().await?;
                continue;
            }
            if self.open.is_empty() {
                return Ok(false);
            }
            let told = match self.events.try_recv() {
                Ok(told) => Some(told),
                Err(_) => self.wait().await?,
            };
            let (call, what) = told.ok_or_else(link::gone)?;
            self.take(call, what);
        }
        Ok(true)
    }

    async fn submit(&mut self) -> Result<(), Failure> {
        let first = self.taken;
        let inputs = self.take_inputs()?;
        if inputs.is_empty() {
            return Ok(());
        }
        let count = inputs.len();
        let batch = Batch {
            map: self.map,
            routine: self.call.routine.clone(),
            settings: self.call.settings.clone(),
            first,
            inputs,
        };
        // From here on calls may be made that nobody knows if this is dropped: they count as
        // taken, and end with the handler.
        self.taken += count as u64;
        let accepted = self.call.calls.submit(batch, self.events_in.take());
        let accepted = tokio::select! {
            accepted = accepted => accepted?,
            () = self.call.cancel.cancelled() => return Err(cancelled()),
        };
        for (index, accepted) in (first..).zip(accepted) {
            self.open.insert(accepted.call.clone(), index);
            if let Some(outcome) = accepted.outcome {
                self.take(accepted.call, What::Ended { outcome });
            }
        }
        Ok(())
    }

    fn take_inputs(&mut self) -> Result<Vec<Value>, Failure> {
        let (mut inputs, mut bytes) = (Vec::new(), 0);
        while inputs.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some(input) = self.inputs.next() else {
                self.exhausted = true;
                self.overall.set_total(self.taken + inputs.len() as u64);
                break;
            };
            let input = input.map_err(|error| {
                let place = self.taken + inputs.len() as u64;
                Failure::new(FailureKind::Handler, format!("input {place} isn't JSON")).cause(error)
            })?;
            bytes += input.to_string().len();
            inputs.push(input);
        }
        Ok(inputs)
    }

    /// Gives the claim back and waits for an event; none when there will be none.
    async fn wait(&mut self) -> Result<Option<(CallId, What)>, Failure> {
        self.waiting.begin();
        tokio::select! {
            told = self.events.recv() => Ok(told),
            () = self.call.cancel.cancelled() => Err(cancelled()),
        }
    }

    async fn resume(&mut self) -> Result<(), Failure> {
        tokio::select! {
            () = self.waiting.end() => Ok(()),
            () = self.call.cancel.cancelled() => Err(cancelled()),
        }
    }

    fn take(&mut self, call: CallId, what: What) {
        let Some(index) = self.open.get(&call).copied() else { return };
        self.overall.take(index, &what);
        if matches!(what, What::Ended { .. }) {
            self.open.remove(&call);
        }
        self.ready.push_back(ChildEvent { index, call, what });
    }

    fn result<R: DeserializeOwned>(&self, index: u64, outcome: Outcome) -> Result<R, Failure> {
        let name = match &self.call.routine {
            Routine::Function { name } | Routine::Handler { name } => name,
        };
        match outcome {
            Outcome::Succeeded { result, .. } => serde_json::from_value(result).map_err(|error| {
                let message = format!("the result of `{name}` isn't what was expected");
                Failure::new(FailureKind::Handler, message).cause(error)
            }),
            Outcome::Failed { failure } => Err(of_child(name, index, failure)),
            Outcome::Cancelled => {
                let message = format!("call {index} of `{name}` was cancelled");
                Err(Failure::new(FailureKind::Handler, message))
            }
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        if !self.keep {
            self.cancel();
        }
    }
}

/// The failure of a child as its parent's: the same kind and advice, and which call it was.
fn of_child(name: &str, index: u64, failure: Failure) -> Failure {
    let Failure { kind, message, mut causes, hint, retryable } = failure;
    causes.insert(0, message);
    Failure { kind, message: format!("call {index} of `{name}` failed"), causes, hint, retryable }
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "the call was cancelled")
}
