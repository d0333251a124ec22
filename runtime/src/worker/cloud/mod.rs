//! The doors of a worker that runs far from whoever called: in a job of AWS Batch, or in Lambda.
//!
//! Behind them is what runs calls on any machine: the queue, the executor and a warm worker, in
//! the container. A door brings the call in from the bucket, and everything about it back: files,
//! log, progress, checkpoints and the outcome. So a function behaves as it does locally, and what
//! it says survives its container.

mod batch;
mod lambda;
mod publish;
mod stage;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub(super) use batch::serve as serve_batch;
pub(super) use lambda::serve as serve_lambda;

use crate::aws::calls::{Ended, Group, Ledger, Status};
use crate::aws::catalog::AwsCatalog;
use crate::aws::layout::{CallPlace, Engine, variables};
use crate::aws::{Aws, AwsError};
use crate::client::{Client, ClientError, rename};
use crate::clock;
use crate::dispatch::What;
use crate::dispatch::aws::AwsDispatcher;
use crate::dispatch::local::{AttemptRecord, Elsewhere, LocalDispatcher, NewCall, Setup};
use crate::environment::variable;
use crate::home::Home;
use crate::secret::{SecretStore, SecretValue};
use crate::settings::{Settings, SettingsError};
use crate::wire::{CallId, Failure, FailureKind, Outcome, VERSION};
use publish::Publisher;
use stage::Stage;

/// Where a container keeps what it needs while it serves calls: a folder by the number of this
/// process.
const HOMES: &str = "/tmp/vdeploy";
/// How often what happens to a call goes to the bucket, which nobody can wait at.
const EVERY: Duration = Duration::from_secs(1);

/// A container that serves calls of one function.
struct Door {
    ledger: Ledger,
    settings: Settings,
    client: Client,
    /// What its calls call by name.
    elsewhere: Elsewhere,
}

/// How an attempt is served.
#[derive(Clone, Debug, Default)]
struct Terms {
    /// What is left of the time that the container has.
    limit: Option<Duration>,
    /// Cancelled when the machine is about to be taken away, or the job is ended.
    stop: CancellationToken,
    /// Nothing but the bucket says that the call was cancelled.
    look_for_cancel: bool,
}

/// What became of an attempt.
enum Served {
    /// The call has an outcome, this one.
    Ended(Box<Ended>),
    /// The machine is taken away; another attempt goes on elsewhere.
    Reclaimed,
}

/// Why a call can't be served here.
#[derive(Debug, thiserror::Error)]
enum DoorError {
    #[error("`{0}` isn't set")]
    Unset(&'static str),
    #[error("`{0}` isn't what a deploy sets")]
    Garbled(&'static str),
    #[error("there is no call `{0}`")]
    NoCall(CallId),
    #[error("call `{0}` is newer than this worker: build its image again")]
    Later(CallId),
    #[error("can't {}: {}", .0.doing, .0.cause)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Dispatch(#[from] crate::dispatch::local::DispatchError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("can't use `{HOMES}`: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Secret(#[from] crate::secret::SecretError),
}

impl Door {
    async fn open() -> Result<Self, DoorError> {
        let bucket = variable(variables::BUCKET).ok_or(DoorError::Unset(variables::BUCKET))?;
        // What an earlier process of this container left is of calls that were counted as lost.
        let home = Home::new(Path::new(HOMES).join(std::process::id().to_string()));
        match std::fs::remove_dir_all(home.root()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let settings = Settings::in_home(home)?;
        std::fs::create_dir_all(settings.home.environment(&settings.environment).volumes())?;
        let aws = Aws::load(None).await;
        write_secrets(&settings, &aws).await?;
        let (name, environment) = (bucket, &settings.environment);
        let bucket = aws.bucket(&name);
        let elsewhere = Elsewhere::new(
            AwsCatalog::new(bucket.clone(), environment),
            AwsDispatcher::new(&aws, &name, environment),
        );
        let setup = Setup { elsewhere: Some(elsewhere.clone()), ..settings.setup()? };
        let client = Client::connect(setup, environment)?;
        let ledger = Ledger::new(bucket, environment);
        Ok(Door { ledger, settings, client, elsewhere })
    }

    /// Ends the worker, and leaves nothing behind.
    async fn close(self) -> Result<(), DoorError> {
        self.client.close().await?;
        drop(self.client);
        // It goes with the container otherwise.
        let _ = std::fs::remove_dir_all(self.settings.home.root());
        Ok(())
    }

    /// The queue in this container.
    fn queue(&self) -> &LocalDispatcher {
        self.client.dispatcher().local().expect("the client of a container is of one machine")
    }

    /// Serves a call until it has an outcome or the container is stopped.
    async fn serve(&self, place: &CallPlace, terms: &Terms) -> Result<Served, DoorError> {
        let id = place.id();
        let group = self.ledger.group(&place.group).await?;
        let group = group.ok_or_else(|| DoorError::NoCall(id.clone()))?;
        if group.v > VERSION {
            return Err(DoorError::Later(id));
        }
        if let Some(ended) = self.ledger.ended(place).await? {
            return Ok(Served::Ended(Box::new(ended)));
        }
        let mut status = self.ledger.status(place).await?.unwrap_or_default();
        end_open_attempt(&mut status, clock::now());
        if self.ledger.is_cancel_asked(place).await? {
            return self.end(place, &group, Outcome::Cancelled, &status).await;
        }
        if let Some(failure) = last_failure_of_too_many(&status, group.function.retries.max) {
            return self.end(place, &group, Outcome::Failed { failure }, &status).await;
        }
        if !status.attempts.is_empty() {
            self.elsewhere.end(&id, false).await?;
        }
        let call = Call { door: self, place, group, terms };
        let served = call.run(status).await?;
        if self.elsewhere.take_used() {
            self.elsewhere.end(&id, matches!(served, Served::Ended(_))).await?;
        }
        Ok(served)
    }

    /// Records an outcome, unless there is one: then that is the outcome.
    async fn end(
        &self,
        place: &CallPlace,
        group: &Group,
        outcome: Outcome,
        status: &Status,
    ) -> Result<Served, DoorError> {
        let seconds: f64 = status.attempts.iter().filter_map(AttemptRecord::seconds).sum();
        let ended = Ended {
            outcome,
            lost: false,
            attempts: status.attempts.clone(),
            ended: clock::now(),
            cost: price(&group.engine).map(|hour| hour / 3600.0 * seconds),
        };
        let earlier = match self.ledger.end(place, &ended).await? {
            true => None,
            false => self.ledger.ended(place).await?,
        };
        Ok(Served::Ended(Box::new(earlier.unwrap_or(ended))))
    }
}

/// A call that is being served.
struct Call<'d> {
    door: &'d Door,
    place: &'d CallPlace,
    group: Group,
    terms: &'d Terms,
}

impl Call<'_> {
    async fn run(self, status: Status) -> Result<Served, DoorError> {
        let Door { ledger, client, .. } = self.door;
        let id = self.place.id();
        let args = ledger.args(self.place, &self.group).await?;
        let checkpoint = ledger.checkpoint(self.place).await?;
        let queue = self.door.queue();
        let log = queue.log(&id);
        let mut publisher = Publisher::new(ledger, self.place, log, status.clone());
        publisher.start_attempt(clock::now());
        let staging = Stage::bring_in(self.door, &self.group, &args, publisher.progress());
        let staged = publisher.while_flushing(staging).await;
        let stage = match staged {
            Ok(stage) => stage,
            Err(failure) => return self.failed(failure, publisher).await,
        };
        let attempts = status.attempts.clone();
        let call = self.new_call(args, status.reclaimed);
        queue.submit_begun(&id, call, attempts, checkpoint).await?;
        // The executor of a warm container may be idle.
        client.wake();
        let Some(outcome) = self.follow(&id, &mut publisher).await? else {
            return Ok(Served::Reclaimed);
        };
        let record = client.record(&id).await?;
        let outcome = match outcome {
            Outcome::Succeeded { mut result, artifacts, cached_from } => {
                let before: Vec<_> = artifacts.iter().map(|it| it.location.clone()).collect();
                let keys = ledger.group_keys(&self.place.group).artifacts(self.place.index);
                let sent = stage.bring_back(self.door, &keys, artifacts, publisher.progress());
                match publisher.while_flushing(sent).await {
                    Ok(artifacts) => {
                        for (was, is) in before.iter().zip(&artifacts) {
                            rename(&mut result, was, &is.location);
                        }
                        Outcome::Succeeded { result, artifacts, cached_from }
                    }
                    Err(failure) => Outcome::Failed { failure },
                }
            }
            other => other,
        };
        publisher.finish(&record).await;
        self.door.end(self.place, &self.group, outcome, publisher.status()).await
    }

    /// What the executor in this container is told. Attempts that ended with their machine don't
    /// count as retries.
    fn new_call(&self, args: Value, reclaimed: u32) -> NewCall {
        let mut function = self.group.function.clone();
        function.retries.max = function.retries.max.saturating_add(reclaimed);
        // This container is the image.
        function.image = None;
        function.cache = false;
        if let Some(limit) = self.terms.limit {
            function.timeout_seconds = function.timeout_seconds.min(limit.as_secs_f64());
        }
        NewCall {
            environment: self.group.environment.clone(),
            version: self.group.version,
            function,
            engine: Engine::Local,
            args,
            overwrite: self.group.overwrite,
            fresh: true,
            priority: 0,
            owner: None,
            map: None,
            parent: None,
        }
    }

    /// Tells the bucket what happens until the call has ended; none when the machine is taken away
    /// before.
    async fn follow(
        &self,
        id: &CallId,
        publisher: &mut Publisher,
    ) -> Result<Option<Outcome>, DoorError> {
        let client = &self.door.client;
        let mut events = client.events(id);
        let mut tick = tokio::time::interval(EVERY);
        let mut stopped = false;
        loop {
            tokio::select! {
                what = events.next() => match what? {
                    What::Ended { outcome } => return Ok(Some(outcome)),
                    What::Progress { progress } => publisher.heard(progress),
                    What::Started { .. } | What::Retrying { .. } => publisher.forget_progress(),
                    What::Queued | What::Logged => {}
                },
                _ = tick.tick() => {
                    publisher.publish(client, id).await;
                    let look = self.terms.look_for_cancel && !stopped;
                    if look && self.door.ledger.is_cancel_asked(self.place).await.unwrap_or(false) {
                        stopped = true;
                        client.cancel(id).await?;
                    }
                }
                () = self.terms.stop.cancelled(), if !stopped => {
                    stopped = true;
                    publisher.publish(client, id).await;
                    if !self.door.ledger.is_cancel_asked(self.place).await? {
                        let record = client.record(id).await?;
                        publisher.reclaimed(&record, clock::now()).await;
                        return Ok(None);
                    }
                    client.cancel(id).await?;
                }
            }
        }
    }

    async fn failed(self, failure: Failure, mut publisher: Publisher) -> Result<Served, DoorError> {
        publisher.end_attempt(&failure, clock::now());
        publisher.flush().await;
        let status = publisher.status().clone();
        self.door.end(self.place, &self.group, Outcome::Failed { failure }, &status).await
    }
}

/// What a killed container could not say: that its attempt is over.
fn end_open_attempt(status: &mut Status, now: Timestamp) {
    if let Some(last) = status.attempts.last_mut()
        && last.ended.is_none()
    {
        let message = "the container was killed";
        last.ended = Some(now);
        last.failure = Some(
            Failure::new(FailureKind::WorkerLost, message)
                .hint("it may need more memory: raise `memory` of the function"),
        );
    }
}

/// Why the last attempt failed, when there may not be another.
fn last_failure_of_too_many(status: &Status, retries: u32) -> Option<Failure> {
    let counted = (status.attempts.len() as u32).saturating_sub(status.reclaimed);
    let over = counted > retries;
    status.attempts.last().filter(|_| over).and_then(|last| last.failure.clone())
}

/// Brings the secrets that a deploy names: Batch puts their values into variables, and elsewhere, such
/// as on Lambda, whose settings many may read, they are asked for.
async fn write_secrets(settings: &Settings, aws: &Aws) -> Result<(), DoorError> {
    let Some(text) = variable(variables::SECRETS) else { return Ok(()) };
    let secrets: BTreeMap<String, Vec<String>> =
        serde_json::from_str(&text).map_err(|_| DoorError::Garbled(variables::SECRETS))?;
    let store = SecretStore::of(&settings.home.environment(&settings.environment));
    for (name, keys) in secrets {
        let given: Option<BTreeMap<_, _>> =
            keys.iter().map(|key| Some((key.clone(), SecretValue::new(variable(key)?)))).collect();
        let values = match given.filter(|given| !given.is_empty()) {
            Some(given) => given,
            None => aws.secret(&settings.environment, &name).await?,
        };
        store.create(&name, values, true, clock::now())?;
    }
    Ok(())
}

/// What an hour of this container costs, as its engine says.
fn price(engine: &Engine) -> Option<f64> {
    match engine {
        Engine::Local => None,
        Engine::Batch(batch) => batch.price_per_hour,
        Engine::Lambda(lambda) => lambda.price_per_hour,
    }
}

/// An attempt that has begun and of which nothing is known yet.
fn new_attempt(attempt: u32, started: Timestamp) -> AttemptRecord {
    AttemptRecord { attempt, worker: None, started, ended: None, progress: None, failure: None }
}

/// The folder of the volume `name` in this container.
fn volume_folder(settings: &Settings, name: &str) -> std::path::PathBuf {
    settings.home.environment(&settings.environment).volume(name)
}

/// Makes a mount's path lead to its volume, where nothing else is there and it can be made.
fn link_mount(mount: &str, folder: &Path) {
    let mount = Path::new(mount);
    if let Some(parent) = mount.parent()
        && std::fs::create_dir_all(parent).is_ok()
    {
        // Programs that may not make it find the folder in a variable.
        let _ = std::os::unix::fs::symlink(folder, mount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_attempt_counts_and_a_reclaimed_one_does_not() {
        let mut status = Status::default();
        status.attempts.push(new_attempt(1, Timestamp::UNIX_EPOCH));
        end_open_attempt(&mut status, Timestamp::UNIX_EPOCH);
        assert_eq!(last_failure_of_too_many(&status, 1), None);
        let failure = last_failure_of_too_many(&status, 0).unwrap();
        assert_eq!(failure.kind, FailureKind::WorkerLost);
        status.reclaimed = 1;
        assert_eq!(last_failure_of_too_many(&status, 0), None);
    }
}
