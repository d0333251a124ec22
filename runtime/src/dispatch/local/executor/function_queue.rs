//! What an executor holds of one function.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::WorkerKey;
use super::reuse::Checking;
use crate::dispatch::Callee;
use crate::dispatch::local::record::{KnownFunction, Ready};
use crate::dispatch::local::schedule::Capacity;
use crate::function::FunctionSpec;

/// Calls of one function that are held in memory while they wait.
pub(super) const WINDOW: usize = 64;
/// Calls in line that are kept although those that came in before them are more urgent.
const LONGEST: usize = 4 * WINDOW;

/// A function of one version, the calls of it that are in memory, and its free workers.
#[derive(Debug)]
pub(super) struct FunctionQueue {
    pub(super) spec: Arc<FunctionSpec>,
    pub(super) callee: Arc<Callee>,
    pub(super) version: u64,
    pub(super) claim: Capacity,
    pub(super) ready: VecDeque<Ready>,
    /// Calls that are being looked up among earlier ones.
    pub(super) checking: HashMap<i64, Checking>,
    pub(super) running: u32,
    /// Workers that are kept although nothing waits.
    pub(super) hold: u32,
    /// Another version was deployed since, or none is deployed any more: nothing is kept warm.
    pub(super) replaced: bool,
    pub(super) idle: Vec<WorkerKey>,
    pub(super) fetching: bool,
    pub(super) fetch_again: bool,
    /// Rows of calls that were started, cancelled, or ended with an earlier outcome, since the
    /// fetch that is on its way began; it may still have seen them waiting.
    pub(super) left_since: HashSet<i64>,
    /// The queue may hold more than is in memory.
    pub(super) more: bool,
    /// Some of what it holds are calls that others wait for.
    pub(super) children_wait: bool,
    /// The highest priority of the calls in the queue, those in memory included, that no other call
    /// waits for.
    pub(super) waiting_priority: Option<i32>,
}

impl FunctionQueue {
    /// Whether as many calls run as may.
    pub(super) fn is_full(&self) -> bool {
        self.running >= self.spec.scaling.max_containers.unwrap_or(u32::MAX)
    }

    pub(super) fn child_waits(&self) -> bool {
        self.ready.front().is_some_and(|call| call.is_child)
    }

    /// Puts calls in line for a worker, in the order in which the queue gives them.
    pub(super) fn line_up(&mut self, calls: impl IntoIterator<Item = Ready>) {
        self.ready.extend(calls);
        let order = |call: &Ready| (!call.is_child, Reverse(call.priority), call.seq);
        self.ready.make_contiguous().sort_by_key(order);
    }

    /// Whether so few calls are in memory that more are to be fetched, or the queue may have some
    /// that go before them.
    pub(super) fn wants_more(&self) -> bool {
        let urgent_child = self.children_wait && !self.child_waits();
        let last = self.ready.back().filter(|call| !call.is_child);
        let urgent = last.is_some_and(|call| self.waiting_priority > Some(call.priority));
        self.more && (self.in_hand() <= WINDOW / 2 || urgent_child || urgent)
    }

    /// Forgets the last of many calls in line: the queue still has them.
    pub(super) fn bound(&mut self) {
        if self.ready.len() > LONGEST {
            self.ready.truncate(LONGEST);
            self.more = true;
        }
    }

    /// Calls that are in memory and don't run.
    pub(super) fn in_hand(&self) -> usize {
        self.ready.len() + self.checking.len()
    }

    pub(super) fn new(known: KnownFunction, machine: &Capacity) -> Self {
        FunctionQueue {
            claim: machine.clamp(&known.spec.resources, known.spec.hardware),
            callee: Arc::new(Callee {
                environment: known.environment,
                app: known.spec.app.clone(),
                function: known.spec.name.clone(),
            }),
            spec: Arc::new(known.spec),
            version: known.version,
            ready: VecDeque::new(),
            checking: HashMap::new(),
            running: 0,
            hold: 0,
            replaced: false,
            idle: Vec::new(),
            fetching: false,
            fetch_again: false,
            left_since: HashSet::new(),
            more: true,
            children_wait: false,
            waiting_priority: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::CallId;

    fn queue() -> FunctionQueue {
        let spec = json!({
            "app": "a", "name": "f", "entry": { "kind": "builtin", "handler": "echo" },
        });
        let known = KnownFunction {
            id: 1,
            environment: "main".into(),
            version: 1,
            spec: serde_json::from_value(spec).unwrap(),
            has_children: false,
            priority: None,
        };
        FunctionQueue::new(known, &Capacity { millicpu: 1000, memory: 1 << 30, gpus: 0 })
    }

    fn call(seq: i64, priority: i32, is_child: bool) -> Ready {
        Ready {
            seq,
            id: CallId(format!("c-{seq}")),
            args: json!({}),
            overwrite: false,
            attempts: 0,
            checkpoint: None,
            map: None,
            is_child,
            priority,
            fresh: false,
            reuse: None,
        }
    }

    #[test]
    fn children_go_first_then_the_highest_priority_then_the_oldest() {
        let mut queue = queue();
        queue.line_up([call(2, 0, false), call(3, 0, false)]);
        queue.line_up([call(1, 0, false), call(4, 5, false), call(5, -1, false), call(6, 0, true)]);
        let order: Vec<_> = queue.ready.iter().map(|call| call.seq).collect();
        assert_eq!(order, [6, 4, 1, 2, 3, 5]);
    }

    #[test]
    fn a_full_window_is_fetched_again_when_a_higher_priority_waits() {
        let mut queue = queue();
        queue.line_up((0..64).map(|seq| call(seq, 0, false)));
        queue.waiting_priority = Some(0);
        assert!(!queue.wants_more());
        queue.waiting_priority = Some(1);
        assert!(queue.wants_more());
        queue.more = false;
        assert!(!queue.wants_more());
    }

    #[test]
    fn a_line_that_grows_too_long_loses_its_end_to_the_queue() {
        let mut queue = queue();
        queue.more = false;
        queue.line_up((0..1000).map(|seq| call(seq, (seq == 999).into(), false)));
        queue.bound();
        assert!(queue.more && queue.ready.len() < 1000);
        assert_eq!(queue.ready[0].seq, 999);
    }
}
