//! Calls that Lambda runs: asked for one by one, many at the same time.

use std::time::Duration;

use futures::StreamExt;

use super::{AwsDispatcher, Result, place_in};
use crate::aws::AwsErrorKind;
use crate::aws::calls::{Ended, Group};
use crate::aws::lambda::{Invoked, Request, invoke};
use crate::aws::layout::{CallPlace, LambdaEngine};
use crate::clock;
use crate::wire::{Failure, FailureKind, Outcome};

/// Calls at the same time where neither the function nor the account says less.
const CONCURRENCY: usize = 100;
/// How long to wait after the first refusal for want of room, and after later ones at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(20));

impl AwsDispatcher {
    /// Has Lambda run all calls of a group. Of a detached one it returns when Lambda has taken
    /// them; else it returns at once, and this process waits for the answers.
    pub(super) async fn invoke_all(
        &self,
        id: &str,
        group: &Group,
        engine: &LambdaEngine,
        detached: bool,
    ) -> Result<()> {
        let limit = engine.concurrency.map_or(CONCURRENCY, |limit| limit.max(1) as usize);
        let (this, id, group, engine) =
            (self.clone(), id.to_owned(), group.clone(), engine.clone());
        let all = async move {
            let results = futures::stream::iter(0..group.size)
                .map(|index| {
                    this.invoke_one(place_in(&id, group.size, index), &group, &engine, detached)
                })
                .buffer_unordered(limit)
                .collect::<Vec<_>>();
            results.await.into_iter().collect::<Result<Vec<()>>>().map(drop)
        };
        if detached {
            return all.await;
        }
        tokio::spawn(async move { super::log(all.await) });
        Ok(())
    }

    async fn invoke_one(
        &self,
        place: CallPlace,
        group: &Group,
        engine: &LambdaEngine,
        detached: bool,
    ) -> Result<()> {
        let index = (!place.single).then_some(place.index);
        let request = Request::Call { group: place.group.clone(), index };
        // Each death is an attempt, which the next one counts; one more says how it ended.
        let mut why = String::new();
        for _ in 0..group.function.retries.max.saturating_add(2) {
            if !detached && self.ledger().is_cancel_asked(&place).await? {
                return self.end_invoked(&place, Outcome::Cancelled).await;
            }
            match self.invoke_when_free(engine, &request, detached).await {
                Ok(Invoked::Accepted | Invoked::Answered(_)) => {
                    self.inner.news.notify_waiters();
                    return Ok(());
                }
                Ok(Invoked::Died(reason)) => why = reason,
                Err(error) => {
                    let failure = error.clone().into_failure(FailureKind::Machine);
                    self.end_invoked(&place, Outcome::Failed { failure }).await?;
                    return Err(error);
                }
            }
        }
        let failure = Failure::new(FailureKind::WorkerLost, "its function died without an answer");
        self.end_invoked(&place, Outcome::Failed { failure: failure.cause(why) }).await
    }

    /// Invokes it as soon as Lambda has room.
    async fn invoke_when_free(
        &self,
        engine: &LambdaEngine,
        request: &Request,
        detached: bool,
    ) -> Result<Invoked> {
        let (mut wait, longest) = WAITS;
        loop {
            match invoke(&self.inner.lambda, engine, request, detached).await {
                Err(error) if error.kind == AwsErrorKind::Throttled => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(longest);
                }
                invoked => return invoked,
            }
        }
    }

    async fn end_invoked(&self, place: &CallPlace, outcome: Outcome) -> Result<()> {
        let status = self.ledger().status(place).await?;
        let ended = Ended::unheard(outcome, false, status, clock::now());
        self.ledger().end(place, &ended).await?;
        self.inner.news.notify_waiters();
        Ok(())
    }
}
