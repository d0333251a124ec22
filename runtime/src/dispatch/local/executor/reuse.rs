//! Calls of functions that say `cache = true`: each is looked up among earlier ones before it waits
//! for a worker.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::ends::{Along, record};
use super::{Executor, Signal};
use crate::dispatch::local::queue::QueueError;
use crate::dispatch::local::record::{CallState, Ready};
use crate::dispatch::local::reuse::Reusable;
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
}

impl Executor {
    /// Looks `calls` of a function up among earlier ones.
    pub(super) fn check(&mut self, id: i64, calls: Vec<Ready>) {
        let Some(function) = self.functions.get_mut(&id) else { return };
        for call in calls {
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
            function.checking.insert(seq, reusable.cancel.clone());
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
        let wanted = function.checking.remove(&seq).is_some();
        if function.fetching && matches!(checked, Checked::Ended(..)) {
            function.left_since.insert(seq);
        }
        match checked {
            Checked::Ended(event, true) => self.publish(event),
            Checked::Run(call) if wanted => function.line_up([call]),
            // It was cancelled meanwhile.
            Checked::Ended(_, false) | Checked::Run(_) => {}
        }
    }
}

async fn look_up(
    writer: &Writer,
    turns: &Semaphore,
    reusable: Arc<Reusable>,
    mut call: Ready,
    callee: Arc<Callee>,
) -> Result<Checked, QueueError> {
    let _turn = turns.acquire().await;
    let hashed = Arc::clone(&reusable);
    let key = spawn_blocking(move || hashed.key()).await.ok().flatten();
    let Some(key) = key else { return Ok(Checked::Run(call)) };
    if let Some(outcome) = earlier_outcome(writer, &reusable, &key, call.fresh).await? {
        let state = match outcome {
            Outcome::Succeeded { .. } => CallState::Succeeded,
            Outcome::Failed { .. } => CallState::Failed,
            Outcome::Cancelled => CallState::Cancelled,
        };
        let next = Next::Finish(state, outcome);
        let (what, first) = record(writer, call.seq, call.attempts, next, Along::default()).await?;
        let event = CallEvent { call: call.id, map: call.map, callee, what };
        return Ok(Checked::Ended(event, first));
    }
    call.reuse = Some((key, reusable));
    Ok(Checked::Run(call))
}

async fn earlier_outcome(
    writer: &Writer,
    reusable: &Arc<Reusable>,
    key: &str,
    fresh: bool,
) -> Result<Option<Outcome>, QueueError> {
    if fresh {
        return Ok(None);
    }
    let key = key.to_owned();
    let Some(earlier) = writer.write(move |queue| queue.remembered(&key)).await? else {
        return Ok(None);
    };
    let reusable = Arc::clone(reusable);
    Ok(spawn_blocking(move || reusable.reuse(earlier)).await.ok().flatten())
}
