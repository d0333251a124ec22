//! Calls of functions that say `cache = true`: each is looked up among earlier ones before it waits
//! for a worker.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::ends::{Along, record};
use super::{Executor, Mode, Signal};
use crate::dispatch::local::queue::QueueError;
use crate::dispatch::local::record::{CallState, Cancelling, Ready};
use crate::dispatch::local::reuse::{Found, Reusable};
use crate::dispatch::local::schedule::Next;
use crate::dispatch::local::writer::Writer;
use crate::dispatch::{CallEvent, Callee};
use crate::wire::Outcome;

/// What became of a call that was looked up.
#[derive(Debug)]
pub(in crate::dispatch::local) enum Checked {
    /// It ended with an earlier call's outcome; the flag tells whether that was its first end.
    Ended(CallEvent, bool),
    /// It is to run.
    Run(Ready),
    /// Looking was given up.
    Interrupted,
}

/// A call that is being looked up.
#[derive(Debug)]
pub(super) struct Checking {
    /// Makes looking end soon.
    stop: CancellationToken,
    is_child: bool,
    /// Somebody asked for the call's end.
    cancelled: Option<Cancelling>,
}

impl Executor {
    /// Looks `calls` of a function up among earlier ones.
    pub(super) fn check(&mut self, id: i64, calls: Vec<Ready>) {
        let mode = *self.mode.borrow();
        let Some(function) = self.functions.get_mut(&id) else { return };
        for call in calls {
            if !goes_on(mode, call.is_child) {
                continue;
            }
            let environment = &function.callee.environment;
            let reusable = match self.setup.reusable(environment, &function.spec, &call) {
                Ok(reusable) => Arc::new(reusable),
                Err(error) => {
                    tracing::warn!(%error, "can't look for earlier calls");
                    function.ready.push_back(call);
                    continue;
                }
            };
            let seq = call.seq;
            let stop = reusable.cancel.clone();
            let checking = Checking { stop, is_child: call.is_child, cancelled: None };
            function.checking.insert(seq, checking);
            self.in_flight += 1;
            let (writer, signals) = (self.writer.clone(), self.signals.clone());
            let (turns, callee) = (Arc::clone(&self.turns_to_check), Arc::clone(&function.callee));
            tokio::spawn(async move {
                let checked = look_up(&writer, &turns, reusable, call, callee).await;
                // The executor is gone only when nobody needs the answer.
                let _ = signals.send(match checked {
                    Ok(checked) => Signal::Checked(id, seq, Box::new(checked)),
                    Err(error) => Signal::Broken(error),
                });
            });
        }
    }

    pub(super) fn checked(&mut self, id: i64, seq: i64, checked: Checked) {
        self.in_flight -= 1;
        let Some(function) = self.functions.get_mut(&id) else { return };
        let checking = function.checking.remove(&seq);
        if function.fetching && matches!(checked, Checked::Ended(..)) {
            function.left_since.insert(seq);
        }
        let cancelled = checking.and_then(|checking| checking.cancelled);
        match (checked, cancelled) {
            (Checked::Ended(event, true), _) => self.publish(event),
            // What came before the cancellation counts.
            (Checked::Ended(_, false), _) => {}
            (Checked::Run(_) | Checked::Interrupted, Some(call)) => self.cancel(call),
            (Checked::Run(call), None) => function.line_up([call]),
            // The queue still has it, for the next executor.
            (Checked::Interrupted, None) => {}
        }
    }

    /// Asks for the end of a call that is being looked up: whether it is one. What became of it
    /// says whether the wish came in time.
    pub(super) fn cancel_check(&mut self, call: &Cancelling) -> bool {
        let mut functions = self.functions.values_mut();
        let Some(checking) = functions.find_map(|f| f.checking.get_mut(&call.seq)) else {
            return false;
        };
        checking.cancelled = Some(call.clone());
        checking.stop.cancel();
        true
    }

    /// Gives calls back to the queue that are being looked up and that this executor won't run.
    pub(super) fn put_checks_back(&mut self) {
        let mode = *self.mode.borrow();
        for checking in self.functions.values().flat_map(|function| function.checking.values()) {
            if !goes_on(mode, checking.is_child) {
                checking.stop.cancel();
            }
        }
    }
}

/// Whether an executor still begins calls: in the end only those that others wait for.
fn goes_on(mode: Mode, is_child: bool) -> bool {
    match mode {
        Mode::Run | Mode::Serve | Mode::UntilIdle => true,
        Mode::Drain => is_child,
        Mode::Release => false,
    }
}

async fn look_up(
    writer: &Writer,
    turns: &Semaphore,
    reusable: Arc<Reusable>,
    mut call: Ready,
    callee: Arc<Callee>,
) -> Result<Checked, QueueError> {
    let stop = reusable.cancel.clone();
    let _turn = tokio::select! {
        turn = turns.acquire() => turn,
        () = stop.cancelled() => return Ok(Checked::Interrupted),
    };
    let hashed = Arc::clone(&reusable);
    let key = spawn_blocking(move || hashed.key()).await.ok().flatten();
    if stop.is_cancelled() {
        return Ok(Checked::Interrupted);
    }
    let Some(key) = key else { return Ok(Checked::Run(call)) };
    match earlier_outcome(writer, &reusable, &key, call.fresh).await? {
        Found::Interrupted => Ok(Checked::Interrupted),
        Found::Nothing => {
            call.reuse = Some((key, reusable));
            Ok(Checked::Run(call))
        }
        Found::Outcome(outcome) => {
            let along = Along::default();
            let next = Next::Finish(state_of(&outcome), outcome);
            let (what, first) = record(writer, call.seq, call.attempts, next, along).await?;
            let event = CallEvent { call: call.id, map: call.map, callee, what };
            Ok(Checked::Ended(event, first))
        }
    }
}

fn state_of(outcome: &Outcome) -> CallState {
    match outcome {
        Outcome::Succeeded { .. } => CallState::Succeeded,
        Outcome::Failed { .. } => CallState::Failed,
        Outcome::Cancelled => CallState::Cancelled,
    }
}

async fn earlier_outcome(
    writer: &Writer,
    reusable: &Arc<Reusable>,
    key: &str,
    fresh: bool,
) -> Result<Found, QueueError> {
    if fresh {
        return Ok(Found::Nothing);
    }
    let key = key.to_owned();
    let Some(earlier) = writer.write(move |queue| queue.remembered(&key)).await? else {
        return Ok(Found::Nothing);
    };
    let reusable = Arc::clone(reusable);
    Ok(spawn_blocking(move || reusable.reuse(earlier)).await.unwrap_or(Found::Nothing))
}
