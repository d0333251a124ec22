//! What a call names beyond this machine: brought in before the worker has the call, and taken out
//! after it, by the executor.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::{InHand, News, Request, Worker};
use crate::dispatch::local::body::Body;
use crate::dispatch::local::schedule::AttemptEnd;
use crate::storage::remote::{Brought, Errand};
use crate::wire::{Failure, Outcome, Progress};
use crate::worker::frame::Invoke;

/// The folder within a call's that holds what was brought in.
const BROUGHT: &str = "brought";

impl Worker {
    /// Brings in what the call names beyond this machine; or says how it ended.
    pub(super) async fn bring_in(
        &mut self,
        invoke: &mut Invoke,
        call: &mut InHand,
        tell: &(impl Fn(News) + Sync),
    ) -> Result<(), (AttemptEnd, bool)> {
        let (progress, heard) = mpsc::unbounded_channel();
        let report = Arc::new(move |it| {
            // Nobody hears it when the call was stopped.
            let _ = progress.send(it);
        });
        let remote = Arc::clone(&self.remote);
        let folder = invoke.folder.join(BROUGHT);
        // What runs in a container can't reach this machine's addresses.
        let ranged = matches!(self.body, Body::Process { .. });
        let errand = Errand { folder, overwrite: invoke.overwrite, ranged, tell: report };
        let bring_in = remote.bring_in(&mut invoke.args, errand);
        call.brought = self.attend(bring_in, heard, call, tell).await?;
        invoke.ranged = call.brought.as_ref().map(Brought::ranged).unwrap_or_default();
        Ok(())
    }

    /// Takes the outputs of a call that has ended where they belong beyond this machine.
    pub(super) async fn take_out(
        &mut self,
        outcome: Outcome,
        call: &mut InHand,
        tell: &(impl Fn(News) + Sync),
    ) -> (AttemptEnd, bool) {
        let Some(mut brought) = call.brought.take() else {
            return (call.ends_as(AttemptEnd::Outcome(outcome)), true);
        };
        let (progress, heard) = mpsc::unbounded_channel();
        brought.report_to(Arc::new(move |it| {
            let _ = progress.send(it);
        }));
        match self.attend(brought.take_out(outcome), heard, call, tell).await {
            Ok(outcome) => (call.ends_as(AttemptEnd::Outcome(outcome)), true),
            Err(ended) => ended,
        }
    }

    /// Waits for work that is done for the call on this side, which ends when the call has to.
    async fn attend<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
        mut heard: mpsc::UnboundedReceiver<Progress>,
        call: &InHand,
        tell: &(impl Fn(News) + Sync),
    ) -> Result<T, (AttemptEnd, bool)> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(|failure| {
                    (call.ends_as(AttemptEnd::Outcome(Outcome::Failed { failure })), true)
                }),
                Some(progress) = heard.recv() => tell(News::Progress(progress)),
                request = self.next.recv() => match request {
                    Some(Request::Cancel(which)) if which == call.id => {
                        return Err((AttemptEnd::Outcome(Outcome::Cancelled), true));
                    }
                    Some(Request::Kill) | None => return Err((AttemptEnd::Released, false)),
                    Some(_) => {}
                },
                () = sleep_until(call.deadline) => return Err((AttemptEnd::TimedOut, true)),
            }
        }
    }
}
