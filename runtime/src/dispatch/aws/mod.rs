//! Calls on AWS: recorded in the bucket, run by AWS Batch or Lambda.
//!
//! Nothing of a call is only here: whoever looks on with the same bucket sees the same. What one
//! process adds is that it waits, and that it ends calls whose jobs ended without a word.

mod invoke;
mod listing;
mod place;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use crate::aws::batch::{self, JobState};
use crate::aws::calls::{Ended, Group, Job, Ledger, MapPart, MapPlace};
use crate::aws::layout::{CallPlace, Engine};
use crate::aws::why::{self, QueueState};
use crate::aws::{Aws, AwsError, AwsErrorKind};
use crate::clock;
use crate::dispatch::local::{CallFilter, CallRecord, Interest, NewCall, Placement};
use crate::dispatch::{Told, ordered_id};
use crate::wire::{CallId, Outcome, VERSION};

type Result<T> = std::result::Result<T, AwsError>;

/// The calls of one environment on AWS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AwsDispatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    batch: aws_sdk_batch::Client,
    lambda: aws_sdk_lambda::Client,
    /// The groups of maps that this process makes.
    maps: Mutex<HashMap<String, Vec<Part>>>,
    /// Told when an answer came that is worth a look before the next regular one.
    news: Notify,
}

/// A group of a map.
#[derive(Clone, Debug)]
struct Part {
    group: String,
    size: u64,
    /// The job that runs it; none for Lambda.
    job: Option<String>,
}

/// The calls that an AWS array job, or one round of Lambda, takes.
pub(crate) const PLACED_AT_ONCE: usize = 10_000;

impl AwsDispatcher {
    /// The calls of `environment` in `bucket`.
    pub fn new(aws: &Aws, bucket: &str, environment: &str) -> Self {
        let inner = Inner {
            ledger: Ledger::new(aws.bucket(bucket), environment),
            batch: aws.batch(),
            lambda: aws.lambda(),
            maps: Mutex::default(),
            news: Notify::new(),
        };
        AwsDispatcher { inner: Arc::new(inner) }
    }

    /// What the bucket keeps of calls.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// An id for a new call.
    pub fn new_call_id(&self) -> CallId {
        CallId(new_group())
    }

    /// An id for a new map.
    pub fn new_map_id(&self) -> String {
        ordered_id("m", clock::now(), rand::random())
    }

    /// Records a call and has it run.
    pub async fn submit_as(&self, id: &CallId, call: NewCall) -> Result<()> {
        let detached = call.owner.is_none();
        let group = group_of(&call, 1, Some(call.args.clone()));
        self.ledger().record(&id.0, &group, &[]).await?;
        self.start(&id.0, &group, detached).await.map(drop)
    }

    /// Has the calls of a recorded group run, and notes by what. Nothing of it stays when that
    /// can't be asked for.
    async fn start(&self, id: &str, group: &Group, detached: bool) -> Result<Option<String>> {
        match &group.engine {
            Engine::Batch(engine) => {
                let Inner { batch, .. } = &*self.inner;
                let whose = (&*group.environment, &*group.function.app);
                let submitted = batch::submit(batch, engine, id, whose, group.size);
                let job = match submitted.await {
                    Ok(job) => job,
                    Err(error) => {
                        self.forget(id).await;
                        return Err(error);
                    }
                };
                self.ledger().note_job(id, &Job { batch: Some(job.clone()) }).await?;
                Ok(Some(job))
            }
            Engine::Lambda(engine) => {
                self.ledger().note_job(id, &Job { batch: None }).await?;
                self.invoke_all(id, group, engine, detached).await?;
                Ok(None)
            }
            Engine::Local => {
                self.forget(id).await;
                let name = format!("{}/{}", group.function.app, group.function.name);
                let doing = format!("call `{name}`");
                let cause = "its record says that it runs on one machine";
                Err(AwsError::new(doing, AwsErrorKind::Other, cause))
            }
        }
    }

    /// Removes what was recorded of calls that never began.
    async fn forget(&self, group: &str) {
        let keys = self.ledger().group_keys(group);
        let gone = self.ledger().bucket().delete(&[keys.record(), keys.inputs()]).await;
        if let Err(error) = gone {
            tracing::warn!("{error}: {}", error.cause);
        }
    }

    /// Asks for a call to be cancelled; `false` when it has ended or isn't there.
    pub async fn cancel(&self, id: &CallId) -> Result<bool> {
        let Some(place) = CallPlace::of(id) else { return Ok(false) };
        let Some(group) = self.ledger().group(&place.group).await? else { return Ok(false) };
        if self.ledger().ended(&place).await?.is_some() {
            return Ok(false);
        }
        // Before the job is ended, so that its worker knows why.
        self.ledger().ask_cancel(&place).await?;
        let job = self.ledger().job(&place.group).await?;
        if let Some(Job { batch: Some(job) }) = job {
            let job = if group.size > 1 { batch::child(&job, place.index) } else { job };
            batch::terminate(&self.inner.batch, &job, CANCELLED).await?;
        }
        self.inner.news.notify_waiters();
        Ok(true)
    }

    /// Asks for a call to be cancelled without waiting until that is recorded.
    pub(crate) fn cancel_soon(&self, id: CallId) {
        let this = self.clone();
        tokio::spawn(async move { log(this.cancel(&id).await.map(drop)) });
    }

    /// Asks for all calls of a map that have not ended to be cancelled.
    pub async fn cancel_map(&self, map: &str) -> Result<()> {
        for part in self.parts(map).await? {
            self.ledger().ask_cancel_all(&part.group).await?;
            if let Some(job) = &part.job {
                batch::terminate(&self.inner.batch, job, CANCELLED).await?;
            }
        }
        self.inner.news.notify_waiters();
        Ok(())
    }

    /// The same, without waiting.
    pub(crate) fn cancel_map_soon(&self, map: String) {
        let this = self.clone();
        tokio::spawn(async move { log(this.cancel_map(&map).await) });
    }

    /// The groups of a map: those that this process made, else those that are recorded.
    async fn parts(&self, map: &str) -> Result<Vec<Part>> {
        if let Some(parts) = self.maps().get(map) {
            return Ok(parts.clone());
        }
        let mut parts = Vec::new();
        for object in self.ledger().bucket().list(&self.ledger().keys().map(map)).await? {
            let part: Option<(MapPart, _)> = self.ledger().bucket().get_json(&object.key).await?;
            let Some((MapPart { group, size }, _)) = part else { continue };
            let job = self.ledger().job(&group).await?.and_then(|job| job.batch);
            parts.push(Part { group, size, job });
        }
        Ok(parts)
    }

    fn maps(&self) -> MutexGuard<'_, HashMap<String, Vec<Part>>> {
        self.inner.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call of that id.
    pub async fn call(&self, id: &CallId) -> Result<Option<CallRecord>> {
        self.ledger().call(id).await
    }

    /// The outcomes of those of `calls` that have ended.
    pub async fn outcomes(&self, calls: Vec<CallId>) -> Result<Vec<(CallId, Outcome)>> {
        use futures::{StreamExt, TryStreamExt};

        let outcome = async |id: CallId| {
            let ended = match CallPlace::of(&id) {
                Some(place) => self.ledger().ended(&place).await?,
                None => None,
            };
            Ok(ended.map(|ended| (id, ended.outcome)))
        };
        let found = futures::stream::iter(calls).map(outcome).buffer_unordered(AT_ONCE);
        found.try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
    }

    /// What happens from now on to what `interest` names. A call that has ended says so at once.
    pub fn watch(&self, interest: Interest) -> mpsc::UnboundedReceiver<Told> {
        watch::start(self.clone(), interest)
    }

    /// Why a call isn't running, in one sentence; none when it is, or is over.
    pub async fn why(&self, id: &CallId) -> Result<Option<String>> {
        let Some(place) = CallPlace::of(id) else { return Ok(None) };
        if self.ledger().ended(&place).await?.is_some() {
            return Ok(None);
        }
        let job = self.ledger().job(&place.group).await?;
        let Some(Job { batch: Some(job) }) = job else { return Ok(None) };
        let id = if place.single { job } else { batch::child(&job, place.index) };
        let Some(job) = batch::describe(&self.inner.batch, &[id]).await?.pop() else {
            return Ok(None);
        };
        self.why_waiting(&job).await
    }

    async fn why_waiting(&self, job: &JobState) -> Result<Option<String>> {
        let queue = match &*job.status {
            "RUNNABLE" => batch::queue(&self.inner.batch, &job.queue).await?,
            _ => QueueState::default(),
        };
        Ok(why::waiting(job, &queue))
    }

    /// Ends a call whose job ended without an outcome.
    async fn end_unheard(&self, place: &CallPlace, job: &JobState) -> Result<Ended> {
        let (asked, status) =
            futures::try_join!(self.ledger().is_cancel_asked(place), self.ledger().status(place),)?;
        let (outcome, lost) = match asked {
            true => (Outcome::Cancelled, false),
            false => (Outcome::Failed { failure: why::died(job) }, true),
        };
        let ended = Ended::unheard(outcome, lost, status, clock::now());
        if self.ledger().end(place, &ended).await? {
            return Ok(ended);
        }
        // Its worker was there first after all.
        Ok(self.ledger().ended(place).await?.unwrap_or(ended))
    }

    /// Calls that pass the filter, newest first unless it says otherwise.
    pub async fn calls(&self, filter: &CallFilter) -> Result<Vec<CallRecord>> {
        listing::calls(self, filter).await
    }

    /// How many calls pass the filter, whatever its limit.
    pub async fn count(&self, filter: &CallFilter) -> Result<u64> {
        let all = CallFilter { limit: None, ..filter.clone() };
        Ok(listing::calls(self, &all).await?.len() as u64)
    }

    /// Forgets groups all of whose calls ended before `before`, and says how many calls those were.
    pub async fn prune(&self, before: Timestamp) -> Result<usize> {
        listing::prune(self, before).await
    }
}

/// What a job's status says of one that was cancelled.
const CANCELLED: &str = "cancelled by vdeploy";
/// Requests at the same time, where many are to be made.
const AT_ONCE: usize = 64;

fn new_group() -> String {
    ordered_id("c", clock::now(), rand::random())
}

fn group_of(call: &NewCall, size: u64, args: Option<Value>) -> Group {
    Group {
        v: VERSION,
        environment: call.environment.clone(),
        version: call.version,
        function: call.function.clone(),
        engine: call.engine.clone(),
        size,
        overwrite: call.overwrite,
        map: call.map.as_ref().map(|(id, first)| MapPlace { id: id.clone(), first: *first }),
        created: clock::now(),
        parent: call.parent.clone(),
        args,
    }
}

fn log(result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!("{error}: {}", error.cause);
    }
}

/// The call at `index` of a group of `size`.
fn place_in(group: &str, size: u64, index: u64) -> CallPlace {
    if size == 1 { CallPlace::single(group) } else { CallPlace::of_many(group, index) }
}

impl AwsDispatcher {
    /// Records calls of a map where their places are free and has them run, thousands by one
    /// request, and tells in order what became of each.
    pub async fn place(&self, calls: Vec<NewCall>) -> Result<Vec<Placement>> {
        place::place(self, calls).await
    }
}
