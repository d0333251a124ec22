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

mod call;
mod claim;
mod link;

use std::collections::{HashMap, VecDeque};
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

pub use call::{Call, Child};
pub use link::{Ask, Calls};

use crate::dispatch::What;
use crate::dispatch::overall::{self, Overall};
use crate::wire::{CallId, Failure, FailureKind, Outcome, Progress};
use crate::worker::frame::{Accepted, Batch, Routine};
use claim::Waiting;

/// Calls recorded and not ended, of one map.
const OPEN: usize = 256;
/// Calls recorded in one go, and the bytes of arguments at which there are no more of them.
const CHUNK: usize = 64;
const CHUNK_BYTES: usize = 1 << 20;

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

/// Calls that were submitted: the place of the first, and where the answer comes.
struct Pending {
    first: u64,
    answer: oneshot::Receiver<Result<Vec<Accepted>, Failure>>,
}

/// The calls of a map. Dropped, those that have not ended are cancelled.
pub struct Children {
    call: Call,
    map: u32,
    inputs: Box<dyn Iterator<Item = serde_json::Result<Value>> + Send>,
    exhausted: bool,
    taken: u64,
    /// Submitted and not answered; kept here so that a wait for it can be dropped.
    pending: Option<Pending>,
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
    fn new<I>(call: Call, inputs: I) -> Self
    where
        I: Iterator<Item = serde_json::Result<Value>> + Send + 'static,
    {
        let (events_in, events) = mpsc::unbounded_channel();
        Children {
            map: call.calls.next_map(),
            overall: Overall::new(overall::total(&inputs)),
            inputs: Box::new(inputs),
            waiting: Waiting::new(call.calls.clone()),
            call,
            exhausted: false,
            taken: 0,
            pending: None,
            open: HashMap::new(),
            events,
            events_in: Some(events_in),
            ready: VecDeque::new(),
            keep: false,
        }
    }

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
        if self.pending.is_some() || !self.open.is_empty() {
            self.call.calls.cancel_map(self.map);
        }
    }

    /// Waits until there is something to give; `false` when there will be nothing more.
    async fn fill(&mut self) -> Result<bool, Failure> {
        while self.ready.is_empty() {
            if self.pending.is_some() {
                self.accepted().await?;
                continue;
            }
            if !self.exhausted && self.open.len() <= OPEN - CHUNK {
                self.submit()?;
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

    /// Submits as many inputs as are recorded in one go, if there are any.
    fn submit(&mut self) -> Result<(), Failure> {
        let first = self.taken;
        let inputs = self.take_inputs()?;
        if inputs.is_empty() {
            return Ok(());
        }
        self.taken += inputs.len() as u64;
        let batch = Batch {
            map: self.map,
            routine: self.call.routine.clone(),
            settings: self.call.settings.clone(),
            first,
            inputs,
        };
        let answer = self.call.calls.submit(batch, self.events_in.take())?;
        self.pending = Some(Pending { first, answer });
        Ok(())
    }

    /// Waits until what was submitted is recorded. Safe to cancel.
    async fn accepted(&mut self) -> Result<(), Failure> {
        let Some(Pending { first, answer }) = &mut self.pending else { return Ok(()) };
        let first = *first;
        let answer = tokio::select! {
            answer = answer => answer,
            () = self.call.cancel.cancelled() => return Err(cancelled()),
        };
        self.pending = None;
        let accepted = answer.map_err(|_| link::gone())?;
        // Some of a batch that is refused may have been recorded.
        let accepted = accepted.inspect_err(|_| self.call.calls.cancel_map(self.map))?;
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
        if self.pending.is_none() && self.open.is_empty() {
            if self.taken > 0 {
                self.call.calls.close_map(self.map);
            }
        } else if !self.keep {
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn three() -> (Children, mpsc::UnboundedReceiver<Ask>) {
        let (calls, asks) = Calls::channel();
        let routine = Routine::Handler { name: "echo".into() };
        let call = Call::new(calls, CancellationToken::new(), routine);
        (call.map([1, 2, 3]), asks)
    }

    fn accept(ask: Ask) -> mpsc::UnboundedSender<(CallId, What)> {
        let Ask::Submit { batch, accepted, events } = ask else { panic!("{ask:?}") };
        let ids = (0..batch.inputs.len()).map(|index| CallId(format!("c-{index}")));
        let calls = ids.map(|call| Accepted { call, outcome: None }).collect();
        accepted.send(Ok(calls)).unwrap();
        events.unwrap()
    }

    #[tokio::test]
    async fn no_call_is_lost_when_a_wait_is_dropped_before_it_is_recorded() {
        let (mut children, mut asks) = three();
        assert!(children.next().now_or_never().is_none());
        let events = accept(asks.recv().await.unwrap());
        for index in 0..3 {
            let outcome = Outcome::Cancelled;
            events.send((CallId(format!("c-{index}")), What::Ended { outcome })).unwrap();
        }
        for index in 0..3 {
            assert_eq!(children.next().await.unwrap().map(|event| event.index), Some(index));
        }
        assert_eq!(children.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_map_is_closed_when_all_its_calls_have_ended() {
        let (mut children, mut asks) = three();
        assert!(children.next().now_or_never().is_none());
        let events = accept(asks.recv().await.unwrap());
        for index in 0..3 {
            let outcome = Outcome::Cancelled;
            events.send((CallId(format!("c-{index}")), What::Ended { outcome })).unwrap();
            children.next().await.unwrap();
        }
        drop(children);
        assert!(matches!(asks.recv().await, Some(Ask::CloseMap(0))));
        assert!(asks.recv().now_or_never().flatten().is_none());
    }

    #[tokio::test]
    async fn what_is_dropped_while_it_is_submitted_is_cancelled() {
        let (mut children, mut asks) = three();
        assert!(children.next().now_or_never().is_none());
        drop(children);
        assert!(matches!(asks.recv().await, Some(Ask::Submit { .. })));
        assert!(matches!(asks.recv().await, Some(Ask::CancelMap(0))));
    }
}
