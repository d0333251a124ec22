//! What happens to calls on AWS, told to whoever waits.
//!
//! Neither a bucket nor AWS Batch wakes anybody, so they are asked once a second: for one call the
//! two objects that say how far it is and how it ended, for an array how many of its jobs are over,
//! and for more only when that has changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::{AT_ONCE, AwsDispatcher, Part, Result, place_in};
use crate::aws::batch::{self, JobState};
use crate::aws::calls::{Ended, Job, Status};
use crate::aws::layout::{CallPlace, GroupKeys};
use crate::aws::objects::Fetched;
use crate::dispatch::local::Interest;
use crate::dispatch::{CallEvent, Callee, Told, What};
use crate::wire::{Phase, Progress};

/// How often to ask.
const EVERY: Duration = Duration::from_secs(1);
/// How often to ask AWS Batch about calls that have not begun, in rounds.
const ROUNDS: u64 = 3;
/// The most calls of a group whose progress is told.
const FOLLOWED: u64 = 1_000;

pub(super) fn start(dispatcher: AwsDispatcher, interest: Interest) -> UnboundedReceiver<Told> {
    let (told, events) = mpsc::unbounded_channel();
    let watch = Watch { dispatcher, interest, told, groups: HashMap::new(), round: 0 };
    tokio::spawn(watch.run());
    events
}

struct Watch {
    dispatcher: AwsDispatcher,
    interest: Interest,
    told: UnboundedSender<Told>,
    groups: HashMap<String, Followed>,
    round: u64,
}

/// What is known of a group.
struct Followed {
    part: Part,
    map: Option<String>,
    callee: Arc<Callee>,
    /// Only this one is of interest.
    only: Option<u64>,
    ended: HashSet<u64>,
    /// What was last heard of calls, by the ETag of their status.
    heard: HashMap<u64, (String, Status)>,
    /// How many were over when the bucket was last asked.
    over: u64,
    why: Option<String>,
}

impl Watch {
    async fn run(mut self) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let inner = Arc::clone(&self.dispatcher.inner);
            tokio::select! {
                _ = tick.tick() => {}
                () = inner.news.notified() => {}
                () = self.told.closed() => return,
            }
            if let Err(error) = self.look().await {
                tracing::warn!("{error}: {}", error.cause);
            }
            self.round += 1;
        }
    }

    async fn look(&mut self) -> Result<()> {
        self.find_groups().await?;
        let mut jobs = Vec::new();
        for followed in self.groups.values() {
            let done = followed.ended.len() as u64 >= followed.wanted();
            let ask = followed.part.size > 1 || self.round.is_multiple_of(ROUNDS);
            jobs.extend(followed.part.job.clone().filter(|_| ask && !done));
        }
        let states: HashMap<_, _> = batch::describe(&self.dispatcher.inner.batch, &jobs)
            .await?
            .into_iter()
            .map(|state| (state.id.clone(), state))
            .collect();
        for followed in self.groups.values_mut() {
            let state = followed.part.job.as_ref().and_then(|job| states.get(job));
            followed.look(&self.dispatcher, &self.told, state).await?;
        }
        Ok(())
    }

    async fn find_groups(&mut self) -> Result<()> {
        match self.interest.clone() {
            Interest::Call(call) if self.groups.is_empty() => {
                let Some(place) = CallPlace::of(&call) else { return Ok(()) };
                let ledger = self.dispatcher.ledger();
                let Some(group) = ledger.group(&place.group).await? else { return Ok(()) };
                let job = ledger.job(&place.group).await?;
                let part = Part {
                    group: place.group,
                    size: group.size,
                    job: job.and_then(|Job { batch }| batch),
                };
                let map = group.map.map(|map| map.id);
                let callee = callee(&group.environment, &group.function);
                self.follow(part, map, callee, Some(place.index));
            }
            Interest::Map(map) => {
                let parts = self.dispatcher.maps().get(&map).cloned().unwrap_or_default();
                for part in parts {
                    if !self.groups.contains_key(&part.group) {
                        self.follow(part, Some(map.clone()), Arc::default(), None);
                    }
                }
            }
            // Of a whole environment it is said only that it is time to look.
            Interest::Environment(_) if self.round.is_multiple_of(ROUNDS) => {
                let _ = self.told.send(Told::Attached);
            }
            Interest::Call(_) | Interest::Environment(_) => {}
        }
        Ok(())
    }

    fn follow(&mut self, part: Part, map: Option<String>, callee: Arc<Callee>, only: Option<u64>) {
        let followed = Followed {
            map,
            callee,
            only,
            ended: HashSet::new(),
            heard: HashMap::new(),
            over: 0,
            why: None,
            part,
        };
        self.groups.insert(followed.part.group.clone(), followed);
    }
}

impl Followed {
    /// How many ends there will be.
    fn wanted(&self) -> u64 {
        if self.only.is_some() { 1 } else { self.part.size }
    }

    fn place(&self, index: u64) -> CallPlace {
        place_in(&self.part.group, self.part.size, index)
    }

    fn tell(&self, told: &UnboundedSender<Told>, index: u64, what: What) {
        let call = self.place(index).id();
        let (map, callee) = (self.map.clone(), Arc::clone(&self.callee));
        // Whoever listened may have gone.
        let _ = told.send(Told::Call(CallEvent { call, map, callee, what }));
    }

    async fn look(
        &mut self,
        dispatcher: &AwsDispatcher,
        told: &UnboundedSender<Told>,
        job: Option<&JobState>,
    ) -> Result<()> {
        if self.ended.len() as u64 >= self.wanted() {
            return Ok(());
        }
        match self.only.or((self.part.size == 1).then_some(0)) {
            Some(index) => self.look_at_one(dispatcher, told, job, index).await,
            None => self.look_at_many(dispatcher, told, job).await,
        }
    }

    async fn look_at_one(
        &mut self,
        dispatcher: &AwsDispatcher,
        told: &UnboundedSender<Told>,
        job: Option<&JobState>,
        index: u64,
    ) -> Result<()> {
        self.hear(dispatcher, told, vec![index]).await?;
        let place = self.place(index);
        if let Some(ended) = dispatcher.ledger().ended(&place).await? {
            self.end(told, index, ended);
            return Ok(());
        }
        let Some(job) = job else { return Ok(()) };
        let job = match self.part.size {
            1 => Some(job.clone()),
            _ => {
                let id = batch::child(&job.id, index);
                batch::describe(&dispatcher.inner.batch, &[id]).await?.pop()
            }
        };
        let Some(job) = job else { return Ok(()) };
        if job.is_over() {
            let ended = dispatcher.end_unheard(&place, &job).await?;
            self.end(told, index, ended);
        } else if self.heard.is_empty() {
            self.tell_why(dispatcher, told, &job, index).await?;
        }
        Ok(())
    }

    /// Says why nothing happens, once per reason.
    async fn tell_why(
        &mut self,
        dispatcher: &AwsDispatcher,
        told: &UnboundedSender<Told>,
        job: &JobState,
        index: u64,
    ) -> Result<()> {
        let why = dispatcher.why_waiting(job).await?;
        if why != self.why {
            let message = why.clone();
            let progress = Progress { phase: Phase::Queued, message, ..Progress::default() };
            self.tell(told, index, What::Progress { progress });
            self.why = why;
        }
        Ok(())
    }

    async fn look_at_many(
        &mut self,
        dispatcher: &AwsDispatcher,
        told: &UnboundedSender<Told>,
        job: Option<&JobState>,
    ) -> Result<()> {
        let keys = dispatcher.ledger().group_keys(&self.part.group);
        if self.part.size <= FOLLOWED {
            self.hear_changed(dispatcher, told, &keys).await?;
        }
        // Without a job nothing says how many are over.
        let changed = job.is_none_or(|job| job.children_over() != self.over || job.is_over());
        if !changed {
            return Ok(());
        }
        self.take_ends(dispatcher, told, &keys).await?;
        let Some(job) = job else { return Ok(()) };
        let over = job.children_over();
        if (self.ended.len() as u64) < over {
            self.end_unheard(dispatcher, told, &job.id).await?;
        }
        self.over = over.min(self.ended.len() as u64);
        Ok(())
    }

    /// Takes the outcomes that were not taken.
    async fn take_ends(
        &mut self,
        dispatcher: &AwsDispatcher,
        told: &UnboundedSender<Told>,
        keys: &GroupKeys,
    ) -> Result<()> {
        let prefix = keys.outcomes();
        let objects = dispatcher.ledger().bucket().list(&prefix).await?;
        let indices = objects.iter().filter_map(|object| GroupKeys::index_of(&object.key, &prefix));
        let new: Vec<_> = indices.filter(|index| !self.ended.contains(index)).collect();
        let places: Vec<_> = new.into_iter().map(|index| self.place(index)).collect();
        let mut ends = futures::stream::iter(places)
            .map(|place| async move {
                let ended = dispatcher.ledger().ended(&place).await?;
                Ok::<_, crate::aws::AwsError>((place.index, ended))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((index, ended)) = ends.try_next().await? {
            if let Some(ended) = ended {
                self.end(told, index, ended);
            }
        }
        Ok(())
    }

    /// Ends calls whose jobs failed and said nothing.
    async fn end_unheard(
        &mut self,
        dispatcher: &AwsDispatcher,
        told: &UnboundedSender<Told>,
        job: &str,
    ) -> Result<()> {
        let failed = batch::failed_children(&dispatcher.inner.batch, job).await?;
        for job in failed {
            let Some(index) = job.index.filter(|index| !self.ended.contains(index)) else {
                continue;
            };
            let ended = dispatcher.end_unheard(&self.place(index), &job).await?;
            self.end(told, index, ended);
        }
        Ok(())
    }

    fn end(&mut self, told: &UnboundedSender<Told>, index: u64, ended: Ended) {
        if self.ended.insert(index) {
            self.heard.remove(&index);
            self.tell(told, index, What::Ended { outcome: ended.outcome });
        }
    }

    /// Hears of those whose status has changed.
    async fn hear_changed(
        &mut self,
        dispatcher: &AwsDispatcher,
        told: &UnboundedSender<Told>,
        keys: &GroupKeys,
    ) -> Result<()> {
        let prefix = keys.statuses();
        let objects = dispatcher.ledger().bucket().list(&prefix).await?;
        let changed = objects.iter().filter_map(|object| {
            let index = GroupKeys::index_of(&object.key, &prefix)?;
            let known = self.heard.get(&index).is_some_and(|(etag, _)| *etag == object.etag);
            (!known && !self.ended.contains(&index)).then_some(index)
        });
        let changed = changed.collect();
        self.hear(dispatcher, told, changed).await
    }

    async fn hear(
        &mut self,
        dispatcher: &AwsDispatcher,
        told: &UnboundedSender<Told>,
        indices: Vec<u64>,
    ) -> Result<()> {
        let keys = dispatcher.ledger().group_keys(&self.part.group);
        let known = |index: &u64| self.heard.get(index).map(|(etag, _)| etag.clone());
        let wanted: Vec<_> =
            indices.iter().map(|index| (*index, keys.status(*index), known(index))).collect();
        let heard: Vec<_> = futures::stream::iter(wanted)
            .map(|(index, key, known)| async move {
                let bucket = dispatcher.ledger().bucket();
                bucket.get_unless(&key, known.as_deref()).await.map(|fetched| (index, fetched))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for (index, fetched) in heard {
            let Fetched::New(head, bytes) = fetched else { continue };
            let Ok(status) = serde_json::from_slice::<Status>(&bytes) else { continue };
            let before = self.heard.insert(index, (head.etag, status.clone()));
            let before = before.map(|(_, status)| status).unwrap_or_default();
            for what in news(&before, &status) {
                self.tell(told, index, what);
            }
        }
        Ok(())
    }
}

/// What a status says that an earlier one did not.
fn news(before: &Status, now: &Status) -> Vec<What> {
    let mut news = Vec::new();
    let known = before.attempts.len();
    for (place, attempt) in now.attempts.iter().enumerate() {
        let earlier = before.attempts.get(place);
        if place >= known {
            news.push(What::Started { attempt: attempt.attempt });
        }
        let progress = attempt.progress.as_ref().filter(|_| attempt.ended.is_none());
        if let Some(progress) = progress
            && earlier.and_then(|earlier| earlier.progress.as_ref()) != Some(progress)
        {
            news.push(What::Progress { progress: progress.clone() });
        }
        let failed = earlier.is_none_or(|earlier| earlier.failure.is_none());
        let follows = place + 1 < now.attempts.len();
        if let (Some(failure), true, true) = (&attempt.failure, failed, follows) {
            let next = now.attempts[place + 1].started;
            let ended = attempt.ended.unwrap_or(next);
            news.push(What::Retrying {
                attempt: attempt.attempt,
                failure: failure.clone(),
                delay_seconds: next.duration_since(ended).as_secs_f64().max(0.0),
            });
        }
    }
    if now.log_bytes > before.log_bytes {
        news.push(What::Logged);
    }
    news
}

fn callee(environment: &str, function: &crate::function::FunctionSpec) -> Arc<Callee> {
    Arc::new(Callee {
        environment: environment.to_owned(),
        app: function.app.clone(),
        function: function.name.clone(),
    })
}
