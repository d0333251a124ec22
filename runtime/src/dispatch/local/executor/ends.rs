//! How calls end: what follows an attempt is decided, recorded, and then told.

use std::sync::Arc;

use super::{Claim, Executor, Request, Running, Signal};
use crate::clock;
use crate::dispatch::local::queue::{Queue, QueueError};
use crate::dispatch::local::record::{CallState, Cancelling};
use crate::dispatch::local::recover;
use crate::dispatch::local::schedule::{AttemptEnd, Next, after_attempt};
use crate::dispatch::local::writer::Writer;
use crate::dispatch::{CallEvent, What};
use crate::wire::{CallId, Outcome};

impl Executor {
    pub(super) fn ended(&mut self, function: i64, running: Running, end: AttemptEnd) {
        let Some(queue) = self.functions.get_mut(&function) else { return };
        if running.claim == Claim::Held {
            queue.running -= 1;
            self.free.give(queue.claim);
        }
        let spec = Arc::clone(&queue.spec);
        let Running { seq, attempt, cancelled, .. } = running;
        let parent = (!running.children.is_empty()).then(|| running.id.clone());
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        let next = after_attempt(end, &spec, attempt, cancelled, rand::random());
        self.setup.failpoint.hit("outcome");
        self.in_flight += 1;
        tokio::spawn(async move {
            let look = parent.is_some() || matches!(next, Next::Retry(..));
            let recorded = record(&writer, seq, attempt, parent, next).await;
            if look {
                // Before the end is told, so that no executor goes with that and leaves children.
                let _ = signals.send(Signal::Wake);
            }
            let recorded = recorded.map(|(what, first)| (running.event(what), first));
            let _ = signals.send(recorded_signal(recorded));
        });
    }

    pub(super) fn cancel(&mut self, call: Cancelling) {
        let running = self
            .workers
            .values_mut()
            .find(|worker| worker.current.as_ref().is_some_and(|current| current.seq == call.seq));
        if let Some(worker) = running {
            if let Some(current) = &mut worker.current {
                current.cancelled = true;
            }
            let _ = worker.requests.send(Request::Cancel(call.id));
            return;
        }
        for function in self.functions.values_mut() {
            function.ready.retain(|ready| ready.seq != call.seq);
        }
        self.in_flight += 1;
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            let next = Next::Finish(CallState::Cancelled, Outcome::Cancelled);
            let recorded = record(&writer, call.seq, call.attempts, None, next).await;
            let Cancelling { id, map, callee, .. } = call;
            let event = |what| CallEvent { call: id, map, callee: Arc::new(callee), what };
            let _ =
                signals.send(recorded_signal(recorded.map(|(what, first)| (event(what), first))));
        });
    }

    pub(super) fn cancel_abandoned(&mut self) {
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            match recover::cancel_abandoned(&writer).await {
                Ok(()) => drop(signals.send(Signal::Wake)),
                Err(error) => tracing::warn!(%error, "can't look for abandoned calls"),
            }
        });
    }
}

fn recorded_signal(recorded: Result<(CallEvent, bool), QueueError>) -> Signal {
    match recorded {
        Ok((event, first)) => Signal::Recorded(event, first),
        Err(error) => Signal::Broken(error),
    }
}

/// Records what follows an attempt, and that what it called as a `parent` is to be cancelled; the
/// flag tells whether this was the attempt that counts.
async fn record(
    writer: &Writer,
    seq: i64,
    attempt: u32,
    parent: Option<CallId>,
    next: Next,
) -> Result<(What, bool), QueueError> {
    let now = clock::now();
    let (what, written) = match next {
        Next::Finish(state, outcome) => {
            let what = What::Ended { outcome: outcome.clone() };
            let write = move |queue: &Queue| {
                end_children(queue, parent.as_ref())?;
                queue.finish(seq, attempt, state, &outcome, now)
            };
            (what, writer.write(write).await)
        }
        Next::Retry(failure, delay) => {
            let what = What::Retrying {
                attempt,
                failure: failure.clone(),
                delay_seconds: delay.as_secs_f64(),
            };
            let due = now.saturating_add(delay).unwrap_or(now);
            let write = move |queue: &Queue| {
                end_children(queue, parent.as_ref())?;
                queue.retry(seq, attempt, &failure, due, now)
            };
            (what, writer.write(write).await)
        }
    };
    Ok((what, written?))
}

fn end_children(queue: &Queue, parent: Option<&CallId>) -> rusqlite::Result<()> {
    parent.map_or(Ok(()), |parent| queue.request_cancel_children(parent))
}
