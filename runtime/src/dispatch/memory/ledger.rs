//! What is known of the calls of this process, and who wants to hear of them. Pure but for the
//! channels of those.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::catalog::FunctionName;
use crate::dispatch::local::{
    AttemptRecord, CallFilter, CallRecord, CallState, Difference, Interest, NewCall, Placement,
};
use crate::dispatch::{CallEvent, Callee, Told, What};
use crate::wire::{CallId, Outcome};

/// All calls, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    places: HashMap<CallId, usize>,
    watchers: Vec<(Interest, mpsc::UnboundedSender<Told>)>,
}

#[derive(Debug)]
struct Entry {
    record: CallRecord,
    callee: Arc<Callee>,
    /// Its place in its map.
    index: u64,
    cancel: CancellationToken,
    checkpoint: Option<Value>,
}

impl Ledger {
    /// Adds a call; what it gets back says when the call is to stop.
    pub(super) fn record(
        &mut self,
        id: &CallId,
        call: &NewCall,
        now: Timestamp,
    ) -> CancellationToken {
        let cancel = CancellationToken::new();
        let callee = Callee {
            environment: call.environment.clone(),
            app: call.function.app.clone(),
            function: call.function.name.clone(),
        };
        let (map, index) = call.map.clone().unzip();
        self.places.insert(id.clone(), self.entries.len());
        self.entries.push(Entry {
            record: record(id, call, map, now),
            callee: Arc::new(callee),
            index: index.unwrap_or(0),
            cancel: cancel.clone(),
            checkpoint: None,
        });
        self.tell(id, What::Queued);
        cancel
    }

    /// Who has the place of `call` in its map.
    pub(super) fn occupant(&self, call: &NewCall) -> Option<Placement> {
        let (map, index) = call.map.as_ref()?;
        let at = |entry: &&Entry| entry.record.map.as_ref() == Some(map) && entry.index == *index;
        let Entry { record, .. } = self.entries.iter().rev().find(at)?;
        let name = FunctionName::new(&record.app, &record.function);
        let theirs = FunctionName::new(&call.function.app, &call.function.name);
        if (&record.environment, &name) != (&call.environment, &theirs) {
            let environment = record.environment.clone();
            return Some(Placement::Different(Difference::Function { environment, name }));
        }
        if record.args != call.args {
            return Some(Placement::Different(Difference::Input(*index)));
        }
        match &record.outcome {
            None => Some(Placement::Open(record.id.clone())),
            Some(outcome @ Outcome::Succeeded { .. }) => Some(Placement::Done {
                call: record.id.clone(),
                outcome: outcome.clone(),
                version: record.version,
            }),
            // What failed is tried again.
            Some(_) => None,
        }
    }

    /// Asks calls to stop that have not ended, and says how many.
    pub(super) fn cancel(&self, which: impl Fn(&CallRecord) -> bool) -> usize {
        let open = |entry: &&Entry| !entry.record.state.has_ended() && which(&entry.record);
        self.entries.iter().filter(open).map(|entry| entry.cancel.cancel()).count()
    }

    pub(super) fn call(&self, id: &CallId) -> Option<&CallRecord> {
        Some(&self.entries[*self.places.get(id)?].record)
    }

    /// Calls that pass the filter, newest first unless it says otherwise; those of a map by the
    /// places of their inputs.
    pub(super) fn calls(&self, filter: &CallFilter) -> Vec<CallRecord> {
        let mut found: Vec<_> = self.entries.iter().filter(|entry| passes(entry, filter)).collect();
        match (&filter.map, filter.oldest_first) {
            (Some(_), _) => found.sort_by_key(|entry| entry.index),
            (None, true) => {}
            (None, false) => found.reverse(),
        }
        found.truncate(filter.limit.unwrap_or(usize::MAX));
        found.into_iter().map(|entry| entry.record.clone()).collect()
    }

    /// Forgets calls that ended before `before`.
    pub(super) fn prune(&mut self, before: Timestamp) -> Vec<CallId> {
        let old = |entry: &mut Entry| entry.record.ended.is_some_and(|ended| ended < before);
        let gone = self.entries.extract_if(.., old).map(|entry| entry.record.id).collect();
        let places = self.entries.iter().enumerate();
        self.places = places.map(|(place, entry)| (entry.record.id.clone(), place)).collect();
        gone
    }

    pub(super) fn watch(&mut self, interest: Interest) -> mpsc::UnboundedReceiver<Told> {
        let (events, told) = mpsc::unbounded_channel();
        // The other end is in hand.
        let _ = events.send(Told::Attached);
        self.watchers.push((interest, events));
        told
    }

    /// What an earlier attempt stored.
    pub(super) fn kept(&self, id: &CallId) -> Option<Value> {
        self.entries[*self.places.get(id)?].checkpoint.clone()
    }

    /// Stores what the next attempt gets back.
    pub(super) fn keep(&mut self, id: &CallId, value: Value) {
        if let Some(entry) = self.entry(id) {
            entry.checkpoint = Some(value);
        }
    }

    /// Notes that a call's attempt started, got further, or failed and is followed by another.
    pub(super) fn happened(&mut self, id: &CallId, what: What, now: Timestamp) {
        let Some(Entry { record, .. }) = self.entry(id) else { return };
        if record.outcome.is_some() {
            // It was given up, and goes on all the same.
            return;
        }
        match &what {
            What::Started { attempt } => {
                record.state = CallState::Running;
                record.started.get_or_insert(now);
                record.attempts.push(started(*attempt, now));
            }
            What::Progress { progress } => {
                if let Some(attempt) = record.attempts.last_mut() {
                    attempt.progress = Some(progress.clone());
                }
            }
            What::Retrying { failure, .. } => {
                record.state = CallState::Queued;
                if let Some(attempt) = record.attempts.last_mut() {
                    (attempt.failure, attempt.ended) = (Some(failure.clone()), Some(now));
                }
            }
            What::Queued | What::Logged | What::Ended { .. } => {}
        }
        self.tell(id, what);
    }

    /// Notes how a call ended. What ended stays so.
    pub(super) fn end(&mut self, id: &CallId, state: CallState, outcome: Outcome, now: Timestamp) {
        let Some(Entry { record, .. }) = self.entry(id) else { return };
        if record.outcome.is_some() {
            return;
        }
        if let Some(attempt) = record.attempts.last_mut().filter(|it| it.ended.is_none()) {
            attempt.ended = Some(now);
            attempt.failure = match &outcome {
                Outcome::Failed { failure } => Some(failure.clone()),
                _ => None,
            };
        }
        record.seconds = record.attempts.iter().filter_map(AttemptRecord::seconds).sum();
        (record.state, record.ended) = (state, Some(now));
        record.outcome = Some(outcome.clone());
        self.tell(id, What::Ended { outcome });
    }

    fn entry(&mut self, id: &CallId) -> Option<&mut Entry> {
        self.entries.get_mut(*self.places.get(id)?)
    }

    fn tell(&mut self, id: &CallId, what: What) {
        let Some(place) = self.places.get(id) else { return };
        let Entry { record, callee, .. } = &self.entries[*place];
        let (map, callee) = (record.map.clone(), Arc::clone(callee));
        let event = CallEvent { call: id.clone(), map, callee, what };
        self.watchers.retain(|(interest, events)| {
            let wanted = interest.covers(&event);
            !events.is_closed() && (!wanted || events.send(Told::Call(event.clone())).is_ok())
        });
    }
}

fn passes(entry: &Entry, filter: &CallFilter) -> bool {
    let Entry { record, callee, .. } = entry;
    filter.covers(callee)
        && (filter.states.is_empty() || filter.states.contains(&record.state))
        && filter.map.as_ref().is_none_or(|map| record.map.as_ref() == Some(map))
        && filter.since.is_none_or(|since| record.created >= since)
}

fn record(id: &CallId, call: &NewCall, map: Option<String>, now: Timestamp) -> CallRecord {
    CallRecord {
        id: id.clone(),
        environment: call.environment.clone(),
        app: call.function.app.clone(),
        function: call.function.name.clone(),
        version: call.version,
        state: CallState::Queued,
        args: call.args.clone(),
        map,
        parent: call.parent.clone(),
        created: now,
        started: None,
        ended: None,
        seconds: 0.0,
        cost: None,
        attempts: Vec::new(),
        outcome: None,
    }
}

fn started(attempt: u32, now: Timestamp) -> AttemptRecord {
    let worker = Some(std::process::id());
    AttemptRecord { attempt, worker, started: now, ended: None, progress: None, failure: None }
}
