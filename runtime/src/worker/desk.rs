//! Where the calls that a handler makes leave its worker, and where what happens to them comes in.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use super::frame::{Accepted, FromWorker, ToWorker};
use crate::children::{Ask, Calls};
use crate::dispatch::What;
use crate::wire::{CallId, Failure};

/// The open requests of one attempt.
#[derive(Debug)]
pub(super) struct Desk {
    calls: Calls,
    maps: HashMap<u32, Map>,
}

#[derive(Debug)]
struct Map {
    events: mpsc::UnboundedSender<(CallId, What)>,
    accepted: Option<oneshot::Sender<Result<Vec<Accepted>, Failure>>>,
}

impl Desk {
    pub(super) fn new(calls: Calls) -> Self {
        Desk { calls, maps: HashMap::new() }
    }

    /// What a handler asks for, as a message for the executor.
    pub(super) fn ask(&mut self, ask: Ask) -> FromWorker {
        match ask {
            Ask::Submit { batch, accepted, events } => {
                if let Some(events) = events {
                    self.maps.insert(batch.map, Map { events, accepted: None });
                }
                if let Some(map) = self.maps.get_mut(&batch.map) {
                    map.accepted = Some(accepted);
                }
                FromWorker::Submit(*batch)
            }
            Ask::CancelMap(map) => FromWorker::CancelMap { map },
            Ask::CloseMap(map) => {
                self.maps.remove(&map);
                FromWorker::CloseMap { map }
            }
            Ask::Waiting => FromWorker::Waiting,
            Ask::Resume(turn) => FromWorker::Resume { turn },
        }
    }

    /// Passes on what the executor says about calls. Whoever asked may have lost interest.
    pub(super) fn take(&mut self, message: ToWorker) {
        match message {
            ToWorker::Accepted { map, accepted } => {
                let asked = self.maps.get_mut(&map).and_then(|map| map.accepted.take());
                if let Some(asked) = asked {
                    let _ = asked.send(accepted);
                }
            }
            ToWorker::Child { map, call, what } => {
                if let Some(map) = self.maps.get(&map) {
                    let _ = map.events.send((call, what));
                }
            }
            ToWorker::Resumed { turn } => self.calls.resumed(turn),
            ToWorker::Serve(_) | ToWorker::Invoke(_) | ToWorker::Cancel { .. } => {}
        }
    }
}
