//! The door of AWS Lambda: one call after another, each named by its request.

use std::process::ExitCode;
use std::time::Duration;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::batch::scheduled;
use super::{Door, Served, Terms};
use crate::aws::calls::Ended;
use crate::aws::lambda::{Answer, LARGEST_ANSWER, Request};
use crate::aws::layout::CallPlace;
use crate::clock;

/// What a call leaves of its container's time, to say how it ended.
const MARGIN: Duration = Duration::from_secs(2);

/// Serves calls until Lambda ends this process.
pub(crate) async fn serve() -> ExitCode {
    let door = OnceCell::new();
    let served = lambda_runtime::run(service_fn(|event| answer(&door, event))).await;
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What Lambda is told. An error is for what has no outcome: Lambda may try again.
async fn answer(
    door: &OnceCell<Door>,
    event: LambdaEvent<Value>,
) -> Result<Answer, lambda_runtime::Error> {
    let LambdaEvent { payload, context } = event;
    let request: Request = serde_json::from_value(payload)?;
    let door = door.get_or_try_init(async || Door::open().await).await?;
    let place = match request {
        Request::Call { group, index: None } => CallPlace::single(group),
        Request::Call { group, index: Some(index) } => CallPlace::of_many(group, index),
        Request::Function { function, args } => {
            let args = args.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            scheduled(&door.ledger, &function, args, &context.request_id).await?
        }
    };
    let left = remaining(context.deadline);
    let terms = Terms { limit: Some(left), look_for_cancel: true, ..Terms::default() };
    match door.serve(&place, &terms).await? {
        Served::Ended(ended) => Ok(shortened(*ended)),
        Served::Reclaimed => Err("the container is being stopped".into()),
    }
}

/// What is left until `deadline`, in milliseconds since 1970.
fn remaining(deadline: u64) -> Duration {
    let now = u64::try_from(clock::now().as_millisecond()).unwrap_or_default();
    Duration::from_millis(deadline.saturating_sub(now)).saturating_sub(MARGIN).max(MARGIN / 2)
}

/// An outcome too large for an answer stays in the bucket, where it is anyway.
fn shortened(ended: Ended) -> Answer {
    let size = serde_json::to_vec(&ended).map_or(usize::MAX, |bytes| bytes.len());
    if size > LARGEST_ANSWER { Answer::Stored } else { Answer::Ended(Box::new(ended)) }
}
