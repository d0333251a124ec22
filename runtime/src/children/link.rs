//! How a handler reaches whoever runs its calls: requests over a channel, which the door behind
//! which the handler runs takes to the executor.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::claim::Claim;
use crate::dispatch::What;
use crate::wire::{CallId, Failure, FailureKind};
use crate::worker::frame::{Accepted, Batch};

/// What a handler asks its door for.
#[derive(Debug)]
pub enum Ask {
    /// Record these calls.
    Submit {
        /// What and how.
        batch: Box<Batch>,
        /// Gets what became of them.
        accepted: oneshot::Sender<Result<Vec<Accepted>, Failure>>,
        /// Gets what happens to the calls of the map; only with its first batch.
        events: Option<mpsc::UnboundedSender<(CallId, What)>>,
    },
    /// Cancel the calls of a [`Batch::map`].
    CancelMap(u32),
    /// Forget a map whose calls have all ended.
    CloseMap(u32),
    /// Give the claim of the call back.
    Waiting,
    /// Take it again; answered by [`Calls::resumed`].
    Resume(u64),
}

/// One attempt's way to other functions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Calls {
    asks: Option<mpsc::UnboundedSender<Ask>>,
    maps: Arc<AtomicU32>,
    claim: Arc<Mutex<Claim>>,
}

impl Calls {
    /// No way: every call fails and says so.
    pub fn none() -> Self {
        Calls { asks: None, maps: Arc::default(), claim: Arc::default() }
    }

    /// A way, and the requests that come over it.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Ask>) {
        let (asks, asked) = mpsc::unbounded_channel();
        (Calls { asks: Some(asks), ..Calls::none() }, asked)
    }

    /// The answer to [`Ask::Resume`].
    pub fn resumed(&self, turn: u64) {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).resumed(turn);
    }

    pub(super) fn next_map(&self) -> u32 {
        self.maps.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks for calls to be recorded; the answer says what became of them.
    pub(super) fn submit(
        &self,
        batch: Batch,
        events: Option<mpsc::UnboundedSender<(CallId, What)>>,
    ) -> Result<oneshot::Receiver<Result<Vec<Accepted>, Failure>>, Failure> {
        let (accepted, answer) = oneshot::channel();
        let asks = self.asks.as_ref().ok_or_else(nowhere)?;
        asks.send(Ask::Submit { batch: Box::new(batch), accepted, events }).map_err(|_| gone())?;
        Ok(answer)
    }

    pub(super) fn cancel_map(&self, map: u32) {
        self.ask(Ask::CancelMap(map));
    }

    pub(super) fn close_map(&self, map: u32) {
        self.ask(Ask::CloseMap(map));
    }

    /// One more wait has begun.
    pub(super) fn begin_wait(&self) {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if claim.begin_wait() {
            self.ask(Ask::Waiting);
        }
    }

    /// A wait is over; the receiver, if there is one, says when the claim is held again.
    pub(super) fn end_wait(&self) -> Option<oneshot::Receiver<()>> {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        let (turn, granted) = claim.end_wait()?;
        self.ask(Ask::Resume(turn));
        Some(granted)
    }

    fn ask(&self, ask: Ask) {
        if let Some(asks) = &self.asks {
            // Without a door the call is over, and with it what was asked for.
            let _ = asks.send(ask);
        }
    }
}

fn nowhere() -> Failure {
    Failure::new(FailureKind::Handler, "this worker has no way to call other functions")
}

/// There is nobody left to tell what happens.
pub(super) fn gone() -> Failure {
    Failure::new(FailureKind::WorkerLost, "the executor is gone")
}
