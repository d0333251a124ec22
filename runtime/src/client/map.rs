//! Many calls of one function: inputs are taken as there is room for them and results given as they
//! come, so that a map of any size fits in memory. What was done stays done: the same map run again
//! does only what is missing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{CallOptions, Client, ClientError};
use crate::catalog::Published;
use crate::dispatch::dispatcher::Window;
use crate::dispatch::local::{DispatchError, Interest, Placement};
use crate::dispatch::{CallEvent, Told, What};
use crate::function::FunctionSpec;
use crate::wire::{CallId, Outcome};

/// How a map is made.
#[derive(Clone, Debug, Default)]
pub struct MapOptions {
    /// Of an earlier run, to do what it did not; none for a new map.
    pub id: Option<String>,
    /// Results come in the order of inputs.
    pub ordered: bool,
    /// How each call is made.
    pub call: CallOptions,
}

/// What a map tells.
#[derive(Clone, Debug, PartialEq)]
pub enum MapEvent {
    /// Something happened to a call that has not ended.
    Call(u64, CallEvent),
    /// A call has ended.
    Item(MapItem),
}

/// A call that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct MapItem {
    /// The place of its input, from 0.
    pub index: u64,
    /// The call.
    pub call: CallId,
    /// How it ended.
    pub outcome: Outcome,
    /// It ended in an earlier run of the map.
    pub earlier: bool,
}

/// Calls that are being recorded: the place of the first, and what becomes of them.
struct Pending {
    first: u64,
    placed: BoxFuture<'static, Result<Vec<Placement>, DispatchError>>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("first", &self.first).finish_non_exhaustive()
    }
}

/// A running map. Dropped, its calls go on as long as the client does.
#[derive(Debug)]
pub struct Map<I> {
    client: Client,
    id: String,
    function: Published,
    inputs: I,
    options: MapOptions,
    next_index: u64,
    exhausted: bool,
    /// Being recorded; kept here so that a wait for it can be dropped.
    pending: Option<Pending>,
    open: HashMap<CallId, u64>,
    /// Ends may have been missed.
    catch_up_due: bool,
    noted_version: bool,
    events: mpsc::UnboundedReceiver<Told>,
    ended: VecDeque<MapItem>,
    /// Ended out of turn, where results are ordered.
    held: BTreeMap<u64, MapItem>,
    next_result: u64,
}

impl<I: Iterator<Item = Value>> Map<I> {
    pub(super) fn new(client: Client, function: Published, inputs: I, options: MapOptions) -> Self {
        let id = options.id.clone().unwrap_or_else(|| client.dispatcher().new_map_id());
        let events = client.watch(Interest::Map(id.clone()));
        Map {
            client,
            id,
            function,
            inputs,
            options,
            next_index: 0,
            exhausted: false,
            pending: None,
            open: HashMap::new(),
            catch_up_due: false,
            noted_version: false,
            events,
            ended: VecDeque::new(),
            held: BTreeMap::new(),
            next_result: 0,
        }
    }

    /// Its id, by which it can be run again.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How many inputs were taken so far.
    pub fn taken(&self) -> u64 {
        self.next_index
    }

    /// Takes no more inputs and asks for the calls that have not ended to be cancelled; their ends
    /// still come.
    pub async fn cancel(&mut self) -> Result<(), ClientError> {
        self.exhausted = true;
        self.client.dispatcher().cancel_map(&self.id).await?;
        self.client.wake();
        Ok(())
    }

    /// What happens next; none when all inputs were taken and all their calls have ended. Safe to
    /// cancel.
    pub async fn next(&mut self) -> Option<Result<MapEvent, ClientError>> {
        loop {
            if let Some(item) = self.ended.pop_front() {
                return Some(Ok(MapEvent::Item(item)));
            }
            if self.pending.is_some() {
                if let Err(error) = self.recorded().await {
                    self.exhausted = true;
                    return Some(Err(error));
                }
                continue;
            }
            if self.catch_up_due {
                if let Err(error) = self.catch_up().await {
                    return Some(Err(error));
                }
                continue;
            }
            let Window { open, chunk } = self.client.dispatcher().window();
            if !self.exhausted && self.open.len() + self.held.len() <= open - chunk {
                self.take_inputs();
                continue;
            }
            if self.open.is_empty() {
                // Nothing is left to wait for, so what was held back has no predecessor.
                return self.held.pop_first().map(|(_, item)| Ok(MapEvent::Item(item)));
            }
            match self.events.recv().await {
                Some(Told::Call(event)) => {
                    if let Some(event) = self.take_event(event) {
                        return Some(Ok(event));
                    }
                }
                Some(Told::Attached) => self.catch_up_due = true,
                // Told to those who look on.
                Some(Told::Detached | Told::Grown) => {}
                None => return Some(Err(self.client.why_ended())),
            }
        }
    }

    fn take_inputs(&mut self) {
        let chunk = self.client.dispatcher().window().chunk;
        let first = self.next_index;
        let calls: Vec<_> = (first..)
            .zip(self.inputs.by_ref().take(chunk))
            .map(|(index, args)| {
                let place = Some((self.id.clone(), index));
                self.client.new_call(&self.function, args, &self.options.call, place)
            })
            .collect();
        self.exhausted = calls.len() < chunk;
        self.next_index += calls.len() as u64;
        if !calls.is_empty() {
            let client = self.client.clone();
            let placed = Box::pin(async move { client.dispatcher().place(calls).await });
            self.pending = Some(Pending { first, placed });
        }
    }

    /// Waits until the calls of the inputs that were taken are recorded. Safe to cancel.
    async fn recorded(&mut self) -> Result<(), ClientError> {
        let Some(Pending { first, placed }) = &mut self.pending else { return Ok(()) };
        let (first, placed) = (*first, placed.await);
        self.pending = None;
        let placed = placed?;
        for (index, placement) in (first..).zip(placed) {
            match placement {
                Placement::New(call) | Placement::Open(call) => drop(self.open.insert(call, index)),
                Placement::Done { call, outcome, version } => {
                    self.note_version(version);
                    self.end(MapItem { index, call, outcome, earlier: true });
                }
                Placement::Different(difference) => {
                    return Err(ClientError::DifferentMap { map: self.id.clone(), difference });
                }
            }
        }
        self.client.wake();
        Ok(())
    }

    /// Says once that results of an earlier run are those of another version of the function.
    fn note_version(&mut self, version: u64) {
        if version != self.function.version && !std::mem::replace(&mut self.noted_version, true) {
            let FunctionSpec { app, name, .. } = &self.function.function;
            tracing::warn!(
                "results of an earlier run of map `{}` are of version {version} of `{app}/{name}`; \
                 version {} is deployed now",
                self.id,
                self.function.version,
            );
        }
    }

    /// Takes the ends that were not told. Safe to cancel.
    async fn catch_up(&mut self) -> Result<(), ClientError> {
        let open = self.open.keys().cloned().collect();
        for (call, outcome) in self.client.dispatcher().outcomes(open).await? {
            if let Some(index) = self.open.remove(&call) {
                self.end(MapItem { index, call, outcome, earlier: false });
            }
        }
        self.catch_up_due = false;
        Ok(())
    }

    fn take_event(&mut self, event: CallEvent) -> Option<MapEvent> {
        let index = *self.open.get(&event.call)?;
        let What::Ended { outcome } = event.what else {
            return Some(MapEvent::Call(index, event));
        };
        self.open.remove(&event.call);
        self.end(MapItem { index, call: event.call, outcome, earlier: false });
        None
    }

    fn end(&mut self, item: MapItem) {
        if !self.options.ordered {
            self.ended.push_back(item);
            return;
        }
        self.held.insert(item.index, item);
        while let Some(item) = self.held.remove(&self.next_result) {
            self.next_result += 1;
            self.ended.push_back(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::super::CallEvents;
    use super::*;
    use crate::home::Home;
    use crate::settings::Settings;

    /// A client whose workers can't start: calls only wait, are cancelled or fail.
    fn client(folder: &std::path::Path) -> Client {
        let mut settings = Settings::from_env().unwrap();
        settings.home = Home::new(folder);
        let worker = folder.join("worker");
        std::fs::write(&worker, "").unwrap();
        settings.worker = Some(worker);
        Client::connect(settings.setup().unwrap(), "main").unwrap()
    }

    fn echo() -> Published {
        let published = json!({ "format": 1, "version": 1, "deployed_at": "2026-01-01T00:00:00Z",
            "function": { "app": "a", "name": "f",
                          "entry": { "kind": "builtin", "handler": "echo" } } });
        serde_json::from_value(published).unwrap()
    }

    #[tokio::test]
    async fn no_call_is_lost_when_a_wait_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let client = client(folder.path());
        let inputs = (0..3).map(|index| json!({ "index": index }));
        let mut map = client.map(echo(), inputs, MapOptions::default());
        assert!(map.next().now_or_never().is_none(), "it is being recorded");
        map.cancel().await.unwrap();
        let mut ended = Vec::new();
        while let Some(event) = map.next().await {
            if let MapEvent::Item(item) = event.unwrap() {
                ended.push(item.call);
            }
        }
        assert_eq!(ended.len(), 3);

        // An end that was only told by "look again" survives a wait that is dropped while it looks.
        let (tell, told) = mpsc::unbounded_channel();
        tell.send(Told::Attached).unwrap();
        drop(tell);
        let call = ended.remove(0);
        let mut events = CallEvents { client: client.clone(), call, told, catch_up_due: false };
        let end = match events.next().now_or_never() {
            // It had found it by then.
            Some(end) => end,
            None => events.next().await,
        };
        assert!(matches!(end, Ok(What::Ended { .. })));
    }
}
