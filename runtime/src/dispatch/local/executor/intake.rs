//! What waits in the queue: looking for it, and fetching a window of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::function_queue::WINDOW;
use super::{Executor, FunctionQueue, Mode, Signal};
use crate::clock;
use crate::dispatch::local::record::{Cancelling, KnownFunction, Ready};
use crate::dispatch::{CallEvent, What};

impl Executor {
    /// Looks at the queue, once at a time; a wish that comes meanwhile is granted after.
    pub(super) fn look(&mut self) {
        if self.looking {
            self.look_again = true;
            return;
        }
        self.looking = true;
        self.in_flight += 1;
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            let now = clock::now();
            let found = writer
                .write(move |queue| {
                    Ok((queue.functions_with_queued()?, queue.cancelling()?, queue.next_due(now)?))
                })
                .await;
            // The executor is gone only when nobody needs the answer.
            let _ = signals.send(match found {
                Ok((functions, cancelling, due)) => Signal::Looked(functions, cancelling, due),
                Err(error) => Signal::Broken(error),
            });
        });
    }

    pub(super) fn looked(
        &mut self,
        functions: Vec<KnownFunction>,
        cancelling: Vec<Cancelling>,
        due: Option<jiff::Timestamp>,
    ) {
        self.in_flight -= 1;
        self.looking = false;
        if std::mem::take(&mut self.look_again) {
            self.look();
        }
        self.due = due.map(|due| Instant::now() + until(due));
        for call in cancelling {
            self.cancel(call);
        }
        for known in functions {
            let (id, children_wait) = (known.id, known.has_children);
            let waiting_priority = known.priority;
            if !self.functions.contains_key(&id) {
                self.functions.insert(id, FunctionQueue::new(known, &self.setup.capacity));
                self.turns.push_back(id);
            }
            if let Some(function) = self.functions.get_mut(&id) {
                function.more = true;
                function.children_wait = children_wait;
                function.waiting_priority = waiting_priority;
                // What is on its way may have been read before the queue changed.
                function.fetch_again = function.fetching;
            }
            self.fetch(id);
        }
        self.publish_growth();
    }

    /// Gets more calls of a function when few are left in memory.
    pub(super) fn fetch(&mut self, id: i64) {
        let wanted = match *self.mode.borrow() {
            Mode::Run | Mode::Serve | Mode::UntilIdle => true,
            Mode::Drain => self.has_parents(),
            Mode::Release => false,
        };
        let Some(function) = self.functions.get_mut(&id) else { return };
        if !wanted || function.fetching || !function.wants_more() {
            return;
        }
        function.fetching = true;
        let limit = WINDOW + function.in_hand();
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            let now = clock::now();
            let calls = writer.write(move |queue| queue.ready(id, limit, now)).await;
            let _ = signals.send(match calls {
                Ok(calls) => Signal::Fetched(id, calls),
                Err(error) => Signal::Broken(error),
            });
        });
    }

    pub(super) fn fetched(&mut self, id: i64, calls: Vec<Ready>) {
        let Some(function) = self.functions.get_mut(&id) else { return };
        function.fetching = false;
        let again = std::mem::take(&mut function.fetch_again);
        function.more = again || calls.len() >= WINDOW;
        let mut held = std::mem::take(&mut function.left_since);
        held.extend(function.ready.iter().map(|call| call.seq));
        held.extend(function.checking.keys());
        held.extend(self.workers.values().filter_map(|w| w.current.as_ref().map(|c| c.seq)));
        let new: Vec<_> = calls.into_iter().filter(|call| !held.contains(&call.seq)).collect();
        let callee = Arc::clone(&function.callee);
        let queued: Vec<_> = new
            .iter()
            .map(|call| CallEvent {
                call: call.id.clone(),
                map: call.map.clone(),
                callee: Arc::clone(&callee),
                what: What::Queued,
            })
            .collect();
        function.children_wait = false;
        function.waiting_priority = None;
        if function.spec.cache {
            self.check(id, new);
        } else {
            function.line_up(new);
            function.bound();
        }
        if self.has_lookers_on() {
            queued.into_iter().for_each(|event| self.publish(event));
        }
        if again {
            self.fetch(id);
        }
    }
}

fn until(due: jiff::Timestamp) -> Duration {
    Duration::try_from(due.duration_since(clock::now())).unwrap_or_default()
}
