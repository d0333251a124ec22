//! The door of a job of AWS Batch: one attempt of one call, which variables name.

use std::process::ExitCode;

use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};

use super::{Door, DoorError, Served, Terms};
use crate::aws::calls::{Group, Ledger};
use crate::aws::catalog::AwsCatalog;
use crate::aws::layout::{CallPlace, exit, variables};
use crate::clock;
use crate::environment::variable;
use crate::wire::{Outcome, VERSION};

/// Serves the call of this job, and says to AWS Batch whether another attempt should follow.
pub(crate) async fn serve() -> ExitCode {
    match run().await {
        Ok(Served::Ended(ended)) => ExitCode::from(match &ended.outcome {
            Outcome::Succeeded { .. } => exit::DONE,
            Outcome::Failed { failure } => {
                tracing::error!("{failure}");
                exit::FAILED
            }
            Outcome::Cancelled => exit::FAILED,
        }),
        Ok(Served::Reclaimed) => ExitCode::from(exit::AGAIN),
        Err(error) => {
            tracing::error!("{error}");
            // Nothing that another attempt of the same image would find mended, but the services.
            ExitCode::from(match error {
                DoorError::Aws(_) | DoorError::Io(_) => exit::AGAIN,
                _ => exit::FAILED,
            })
        }
    }
}

async fn run() -> Result<Served, DoorError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let terms = Terms::default();
    let stop = terms.stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stop.cancel();
    });
    let bucket = variable(variables::BUCKET).ok_or(DoorError::Unset(variables::BUCKET))?;
    let environment = variable(variables::ENVIRONMENT);
    let environment = environment.ok_or(DoorError::Unset(variables::ENVIRONMENT))?;
    let ledger = Ledger::new(crate::aws::Aws::load(None).await.bucket(bucket), environment);
    let place = place(&ledger).await?;
    let door = Door::open().await?;
    let served = door.serve(&place, &terms).await?;
    // A worker that is being ended by force needs no farewell.
    if matches!(served, Served::Ended(_)) {
        door.close().await?;
    }
    Ok(served)
}

/// The call of this job; one that a schedule makes is recorded first.
async fn place(ledger: &Ledger) -> Result<CallPlace, DoorError> {
    if let Some(group) = variable(variables::GROUP) {
        return Ok(match variable("AWS_BATCH_JOB_ARRAY_INDEX") {
            None => CallPlace::single(group),
            Some(index) => {
                let index = index.parse();
                let index = index.map_err(|_| DoorError::Garbled("AWS_BATCH_JOB_ARRAY_INDEX"))?;
                CallPlace::of_many(group, index)
            }
        });
    }
    let function = variable(variables::FUNCTION).ok_or(DoorError::Unset(variables::GROUP))?;
    let job = variable("AWS_BATCH_JOB_ID").ok_or(DoorError::Unset("AWS_BATCH_JOB_ID"))?;
    let args = variable(variables::ARGS).unwrap_or_else(|| "{}".into());
    let args = serde_json::from_str(&args).map_err(|_| DoorError::Garbled(variables::ARGS))?;
    scheduled(ledger, &function, args, &job).await
}

/// Records the call that a job or a request makes of a function by itself. It follows from `cause`
/// where there was an earlier attempt, which recorded it.
pub(super) async fn scheduled(
    ledger: &Ledger,
    function: &str,
    args: serde_json::Value,
    cause: &str,
) -> Result<CallPlace, DoorError> {
    let published = AwsCatalog::new(ledger.bucket().clone(), ledger.keys().environment());
    let published = published.resolve(function, None).await;
    let published = published.map_err(crate::client::ClientError::from)?;
    let key = format!("{}{cause}", ledger.keys().calls());
    let hash: [u8; 32] = Sha256::digest(&key).into();
    let random = u128::from_le_bytes(hash[..16].try_into().unwrap_or_default());
    let marker = format!("{}.cause", ledger.keys().map(&format!("scheduled-{random:x}")));
    let id = crate::dispatch::ordered_id("c", clock::now(), random);
    let id = match ledger.bucket().put_json_once(&marker, &id).await? {
        true => id,
        false => ledger.bucket().get_json(&marker).await?.map_or(id, |(known, _)| known),
    };
    if ledger.group(&id).await?.is_none() {
        let group = Group {
            v: VERSION,
            environment: ledger.keys().environment().to_owned(),
            version: published.version,
            function: published.function,
            engine: published.engine,
            size: 1,
            overwrite: false,
            map: None,
            created: clock::now(),
            parent: None,
            args: Some(args),
        };
        ledger.record(&id, &group, &[]).await?;
    }
    Ok(CallPlace::single(id))
}
