//! How calls end: what follows an attempt is decided, recorded, and then told.

use std::sync::Arc;
use std::time::Duration;

use super::{Claim, Executor, Request, Running, Signal};
use crate::clock;
use crate::dispatch::local::queue::{Queue, QueueError};
use crate::dispatch::local::record::{CallState, Cancelling};
use crate::dispatch::local::recover;
use crate::dispatch::local::reuse::{Key, Mark, Reusable};
use crate::dispatch::local::schedule::{AttemptEnd, Next, after_attempt};
use crate::dispatch::local::writer::{When, Writer};
use crate::dispatch::{CallEvent, What};
use crate::wire::{CallId, Outcome};

impl Executor {
    pub(super) fn ended(&mut self, function: i64, mut running: Running, end: AttemptEnd) {
        let Some(queue) = self.functions.get_mut(&function) else { return };
        if running.claim == Claim::Held {
            queue.running -= 1;
            self.free.give(queue.claim);
        }
        let spec = Arc::clone(&queue.spec);
        let price = self.setup.price_per_second(queue.claim);
        let Running { seq, attempt, cancelled, .. } = running;
        let parent = (!running.children.is_empty()).then(|| running.id.clone());
        let when = self.when_to_record(&running);
        let (reuse, waited) = (running.reuse.take(), running.waited());
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        let next = after_attempt(end, &spec, attempt, cancelled, rand::random());
        self.setup.failpoint.hit("outcome");
        self.in_flight += 1;
        tokio::spawn(async move {
            let look = parent.is_some() || matches!(next, Next::Retry(..));
            let along = Along { when, parent, price, waited, memory: memory(&next, reuse).await };
            let recorded = record(&writer, seq, attempt, next, along).await;
            if look {
                // Before the end is told, so that no executor goes with that and leaves children.
                let _ = signals.send(Signal::Wake);
            }
            let recorded = recorded.map(|(what, first)| (running.event(what), first));
            let _ = signals.send(recorded_signal(recorded));
        });
    }

    /// Nobody waits for one call of a map, while there are others to run.
    fn when_to_record(&self, ended: &Running) -> When {
        let others = self.workers.values().any(|worker| worker.current.is_some());
        match ended.map.is_some() && !ended.is_child && others {
            true => When::Soon,
            false => When::Now,
        }
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
        if self.cancel_check(&call) {
            return;
        }
        for function in self.functions.values_mut() {
            function.ready.retain(|ready| ready.seq != call.seq);
            if function.fetching {
                // The fetch may have seen it before anyone asked for its end.
                function.left_since.insert(call.seq);
            }
        }
        self.in_flight += 1;
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            let next = Next::Finish(CallState::Cancelled, Outcome::Cancelled);
            let along = Along::default();
            let recorded = record(&writer, call.seq, call.attempts, next, along).await;
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

/// What a success is remembered by, where its function is cached and its inputs are still the same.
async fn memory(next: &Next, reuse: Option<(Key, Arc<Reusable>)>) -> Option<(Key, Vec<Mark>)> {
    let (Next::Finish(CallState::Succeeded, outcome), Some((key, reusable))) = (next, reuse) else {
        return None;
    };
    let outcome = outcome.clone();
    tokio::task::spawn_blocking(move || {
        let marks = reusable.marks(&key, &outcome)?;
        Some((key, marks))
    })
    .await
    .ok()?
}

/// What is recorded along with the end of a call.
#[derive(Default)]
pub(super) struct Along {
    /// When it is to be durable.
    when: When,
    /// The call itself, if it made calls: those are to be cancelled.
    parent: Option<CallId>,
    /// What a second of its work costs.
    price: Option<f64>,
    /// How long the attempt claimed nothing, since it waited for calls that it made.
    waited: Duration,
    /// What it is remembered by.
    memory: Option<(Key, Vec<Mark>)>,
}

/// Records what follows an attempt; the flag tells whether this was the attempt that counts.
pub(super) async fn record(
    writer: &Writer,
    seq: i64,
    attempt: u32,
    next: Next,
    along: Along,
) -> Result<(What, bool), QueueError> {
    let now = clock::now();
    match next {
        Next::Finish(mut state, mut outcome) => {
            let write = move |queue: &Queue| {
                end_children(queue, along.parent.as_ref())?;
                // Its worker may have been ended before this executor heard of the wish.
                if state != CallState::Succeeded && queue.is_unwanted(seq)? {
                    (state, outcome) = (CallState::Cancelled, Outcome::Cancelled);
                }
                queue.set_waited(seq, attempt, along.waited)?;
                let first = queue.finish(seq, attempt, state, &outcome, now)?;
                if let Some(price) = along.price {
                    queue.set_cost(seq, price)?;
                }
                if let (true, Some((key, files))) = (first, &along.memory) {
                    queue.remember(key, seq, files)?;
                }
                Ok((What::Ended { outcome }, first))
            };
            Ok(writer.write_when(along.when, write).await?)
        }
        Next::Retry(failure, delay) => {
            let what = What::Retrying {
                attempt,
                failure: failure.clone(),
                delay_seconds: delay.as_secs_f64(),
            };
            let due = now.saturating_add(delay).unwrap_or(now);
            let write = move |queue: &Queue| {
                end_children(queue, along.parent.as_ref())?;
                queue.set_waited(seq, attempt, along.waited)?;
                Ok((what, queue.retry(seq, attempt, &failure, due, now)?))
            };
            Ok(writer.write(write).await?)
        }
    }
}

fn end_children(queue: &Queue, parent: Option<&CallId>) -> rusqlite::Result<()> {
    parent.map_or(Ok(()), |parent| queue.request_cancel_children(parent))
}
