//! What a new executor does about an old one's remains, and about calls nobody waits for any more.

use super::queue::{OpenCall, Queue, QueueError};
use super::record::CallState;
use super::schedule::{released, survives_executor};
use super::writer::Writer;
use crate::clock;
use crate::function::FunctionSpec;
use crate::process;
use crate::wire::{Failure, FailureKind, Outcome};

/// Ends the workers that a dead executor left behind, then gives their calls back to the queue, or
/// records them as lost where nobody waits for them any more or they were lost too often. Calls
/// that were made by other calls belong to attempts that are gone, and are cancelled.
pub(super) async fn from_dead_executor(writer: &Writer) -> Result<(), QueueError> {
    let workers = writer.write(|queue| queue.workers()).await?;
    for worker in &workers {
        process::kill_leftovers(*worker);
    }
    let now = clock::now();
    writer
        .write(move |queue| {
            for worker in workers {
                queue.remove_worker(worker)?;
            }
            for call in queue.open_owners()? {
                if call.is_child {
                    let outcome = Outcome::Cancelled;
                    queue.finish(call.seq, call.attempt, CallState::Cancelled, &outcome, now)?;
                } else if is_abandoned(&call) {
                    finish_lost(queue, &call, &abandoned(), now)?;
                } else if call.running {
                    give_back(queue, &call, now)?;
                }
            }
            Ok(())
        })
        .await
}

/// Asks for the cancellation of calls whose command is gone while this executor runs them.
pub(super) async fn cancel_abandoned(writer: &Writer) -> Result<(), QueueError> {
    writer
        .write(|queue| {
            let open = queue.open_owners()?;
            open.iter()
                .filter(|call| is_abandoned(call))
                .try_for_each(|call| queue.request_cancel_row(call.seq))
        })
        .await
}

fn is_abandoned(call: &OpenCall) -> bool {
    call.owner.is_some_and(|owner| !owner.is_alive())
}

fn give_back(queue: &Queue, call: &OpenCall, now: jiff::Timestamp) -> rusqlite::Result<()> {
    let spec: FunctionSpec = queue.spec_of(call.seq)?;
    if survives_executor(&spec.retries, call.attempt) {
        queue.retry(call.seq, call.attempt, &released(), now, now)?;
        return Ok(());
    }
    let failure = Failure::new(
        FailureKind::WorkerLost,
        format!("`{}` was lost {} times with the command that ran it", spec.name, call.attempt),
    );
    finish_lost(queue, call, &failure, now)
}

fn finish_lost(
    queue: &Queue,
    call: &OpenCall,
    failure: &Failure,
    now: jiff::Timestamp,
) -> rusqlite::Result<()> {
    let outcome = Outcome::Failed { failure: failure.clone() };
    queue.finish(call.seq, call.attempt, CallState::Lost, &outcome, now)?;
    Ok(())
}

fn abandoned() -> Failure {
    Failure::new(FailureKind::WorkerLost, "the command that waited for the call was killed").hint(
        "run it again with `vdeploy calls retry`, or use `--detach` for calls that should go on",
    )
}
