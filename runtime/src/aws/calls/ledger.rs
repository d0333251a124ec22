//! The objects of calls in the bucket: written and read.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::inputs::{OFFSET, decode, encode, offset};
use super::{Ended, Group, Job, Status, call_record};
use crate::aws::error::{AwsError, AwsErrorKind};
use crate::aws::layout::{CallPlace, GroupKeys, Keys};
use crate::aws::objects::{Bucket, Condition, Metadata};
use crate::dispatch::local::CallRecord;
use crate::wire::CallId;

/// What the bucket keeps of the calls of an environment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    bucket: Bucket,
    keys: Keys,
}

type Result<T> = std::result::Result<T, AwsError>;

impl Ledger {
    /// The calls of `environment` in `bucket`.
    pub fn new(bucket: Bucket, environment: impl Into<String>) -> Self {
        Ledger { bucket, keys: Keys::of(environment) }
    }

    /// The bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Where in it everything is.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The keys of a group.
    pub fn group_keys(&self, group: &str) -> GroupKeys {
        self.keys.group(group)
    }

    /// Records calls that are about to be made: two objects for many, one for one.
    pub async fn record(&self, id: &str, group: &Group, inputs: &[Value]) -> Result<()> {
        let keys = self.group_keys(id);
        if group.args.is_none() {
            let inputs = encode(inputs);
            self.bucket.put(&keys.inputs(), inputs, Metadata::new(), Condition::Always).await?;
        }
        self.bucket.put_json(&keys.record(), group, Condition::Always).await.map(drop)
    }

    /// What is called, and how; none when there is no such group.
    pub async fn group(&self, id: &str) -> Result<Option<Group>> {
        let found: Option<(Group, _)> = self.bucket.get_json(&self.group_keys(id).record()).await?;
        Ok(found.map(|(group, _)| group))
    }

    /// The arguments of a call. Of many, only these are read.
    pub async fn args(&self, place: &CallPlace, group: &Group) -> Result<Value> {
        if let Some(args) = &group.args {
            return Ok(args.clone());
        }
        let key = self.group_keys(&place.group).inputs();
        let at = place.index * OFFSET;
        let ends = self.bucket.range(&key, at, at + 2 * OFFSET, None).await?;
        let (start, end) = (offset(&ends, 0), offset(&ends, OFFSET as usize));
        let args = self.bucket.range(&key, start, end, None).await?;
        serde_json::from_slice(&args).map_err(|error| self.garbled(&key, &error))
    }

    /// The arguments of all calls of a group.
    pub async fn all_args(&self, id: &str, group: &Group) -> Result<Vec<Value>> {
        if let Some(args) = &group.args {
            return Ok(vec![args.clone()]);
        }
        let key = self.group_keys(id).inputs();
        let Some((_, bytes)) = self.bucket.get(&key).await? else { return Ok(Vec::new()) };
        let decoded: serde_json::Result<_> = decode(&bytes, group.size);
        decoded.map_err(|error| self.garbled(&key, &error))
    }

    fn garbled(&self, key: &str, error: &serde_json::Error) -> AwsError {
        let cause = format!("it isn't what was written: {error}");
        let doing = format!("read `s3://{}/{key}`", self.bucket.name());
        AwsError::new(doing, AwsErrorKind::Other, cause)
    }

    /// Notes what runs a group.
    pub async fn note_job(&self, group: &str, job: &Job) -> Result<()> {
        let key = self.group_keys(group).job();
        self.bucket.put_json(&key, job, Condition::Always).await.map(drop)
    }

    /// What runs a group; none when that was not noted.
    pub async fn job(&self, group: &str) -> Result<Option<Job>> {
        let found: Option<(Job, _)> = self.bucket.get_json(&self.group_keys(group).job()).await?;
        Ok(found.map(|(job, _)| job))
    }

    /// How far a call is; none before its first attempt.
    pub async fn status(&self, place: &CallPlace) -> Result<Option<Status>> {
        let key = self.group_keys(&place.group).status(place.index);
        Ok(self.bucket.get_json(&key).await?.map(|(status, _)| status))
    }

    /// Says how far a call is.
    pub async fn say(&self, place: &CallPlace, status: &Status) -> Result<()> {
        let key = self.group_keys(&place.group).status(place.index);
        self.bucket.put_json(&key, status, Condition::Always).await.map(drop)
    }

    /// How a call ended; none while it has not.
    pub async fn ended(&self, place: &CallPlace) -> Result<Option<Ended>> {
        let key = self.group_keys(&place.group).outcome(place.index);
        Ok(self.bucket.get_json(&key).await?.map(|(ended, _)| ended))
    }

    /// Records how a call ended, unless that is recorded: `false`.
    pub async fn end(&self, place: &CallPlace, ended: &Ended) -> Result<bool> {
        let key = self.group_keys(&place.group).outcome(place.index);
        self.bucket.put_json_once(&key, ended).await
    }

    /// What the last attempt of a call stored.
    pub async fn checkpoint(&self, place: &CallPlace) -> Result<Option<Value>> {
        let key = self.group_keys(&place.group).checkpoint(place.index);
        Ok(self.bucket.get_json(&key).await?.map(|(value, _)| value))
    }

    /// Stores what the next attempt should know.
    pub async fn store_checkpoint(&self, place: &CallPlace, value: &Value) -> Result<()> {
        let key = self.group_keys(&place.group).checkpoint(place.index);
        self.bucket.put_json(&key, value, Condition::Always).await.map(drop)
    }

    /// Asks for a call to be cancelled.
    pub async fn ask_cancel(&self, place: &CallPlace) -> Result<()> {
        let key = self.group_keys(&place.group).cancel(place.index);
        self.bucket.put(&key, Bytes::new(), Metadata::new(), Condition::Always).await.map(drop)
    }

    /// Asks for all calls of a group to be cancelled.
    pub async fn ask_cancel_all(&self, group: &str) -> Result<()> {
        let key = self.group_keys(group).cancel_all();
        self.bucket.put(&key, Bytes::new(), Metadata::new(), Condition::Always).await.map(drop)
    }

    /// Whether somebody asked for a call to be cancelled.
    pub async fn is_cancel_asked(&self, place: &CallPlace) -> Result<bool> {
        let keys = self.group_keys(&place.group);
        if self.bucket.head(&keys.cancel(place.index)).await?.is_some() {
            return Ok(true);
        }
        Ok(self.bucket.head(&keys.cancel_all()).await?.is_some())
    }

    /// What a call wrote to its log, from byte `from` on.
    pub async fn log(&self, place: &CallPlace, from: u64) -> Result<Bytes> {
        let mut log = Vec::new();
        let mut at = 0;
        for part in self.bucket.list(&self.group_keys(&place.group).log(place.index)).await? {
            let end = at + part.size;
            if end > from {
                let skipped = from.saturating_sub(at);
                log.extend(self.bucket.range(&part.key, skipped, part.size, None).await?);
            }
            at = end;
        }
        Ok(log.into())
    }

    /// All that is recorded of a call; none when there is none.
    pub async fn call(&self, id: &CallId) -> Result<Option<CallRecord>> {
        let Some(place) = CallPlace::of(id) else { return Ok(None) };
        let Some(group) = self.group(&place.group).await? else { return Ok(None) };
        if place.index >= group.size || place.single != (group.size == 1) {
            return Ok(None);
        }
        self.record_of(&place, &group).await.map(Some)
    }

    /// All that is recorded of a call of `group`.
    pub async fn record_of(&self, place: &CallPlace, group: &Group) -> Result<CallRecord> {
        let (args, ended) = futures::try_join!(self.args(place, group), self.ended(place))?;
        let status = match &ended {
            Some(_) => None,
            None => self.status(place).await?,
        };
        Ok(call_record(place, group, args, status, ended))
    }

    /// The groups of the environment, oldest first, from that of `since` on.
    pub async fn groups(&self, since: Option<Timestamp>) -> Result<Vec<String>> {
        let prefix = self.keys.calls();
        // Ids begin with their time, so what comes later sorts later.
        let start = since.map(|since| crate::dispatch::ordered_id("c", since, 0));
        let mut after = start.map(|id| format!("{prefix}{id}"));
        let mut groups = Vec::new();
        loop {
            let page = self.bucket.page(&prefix, after.as_deref(), true).await?;
            let ids = page
                .prefixes
                .iter()
                .map(|folder| folder[prefix.len()..].trim_end_matches('/').to_owned());
            groups.extend(ids);
            after = page.next;
            if after.is_none() {
                return Ok(groups);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aws::layout::Engine;
    use crate::dispatch::local::CallState;
    use crate::wire::{Failure, FailureKind, Outcome, VERSION};

    fn ledger() -> Ledger {
        Ledger::new(Bucket::in_memory(), "main")
    }

    fn group(size: u64, args: Option<Value>) -> Group {
        let function =
            json!({ "app": "a", "name": "f", "entry": { "kind": "builtin", "handler": "echo" } });
        Group {
            v: VERSION,
            environment: "main".into(),
            version: 3,
            function: serde_json::from_value(function).unwrap(),
            engine: Engine::Local,
            size,
            overwrite: false,
            map: None,
            created: Timestamp::UNIX_EPOCH,
            parent: None,
            args,
        }
    }

    const GROUP: &str = "c-01k0000000000000000000000a";

    #[tokio::test]
    async fn each_call_of_many_finds_its_own_arguments() {
        let ledger = ledger();
        let inputs: Vec<_> = (0..50).map(|n| json!({ "n": n, "text": "x".repeat(n) })).collect();
        let group = group(50, None);
        ledger.record(GROUP, &group, &inputs).await.unwrap();
        for index in [0, 7, 49] {
            let args = ledger.args(&CallPlace::of_many(GROUP, index), &group).await.unwrap();
            assert_eq!(args, inputs[index as usize]);
        }
        assert_eq!(ledger.all_args(GROUP, &group).await.unwrap(), inputs);
    }

    #[tokio::test]
    async fn an_outcome_is_written_once_and_by_whoever_came_first() {
        let ledger = ledger();
        let place = CallPlace::single(GROUP);
        ledger.record(GROUP, &group(1, Some(json!({}))), &[]).await.unwrap();
        let done = Outcome::from_result(Ok((json!(1), Vec::new())));
        let first = Ended::unheard(done, false, None, Timestamp::UNIX_EPOCH);
        let failure = Failure::new(FailureKind::WorkerLost, "late");
        let late = Ended::unheard(Outcome::Failed { failure }, true, None, Timestamp::UNIX_EPOCH);
        assert!(ledger.end(&place, &first).await.unwrap());
        assert!(!ledger.end(&place, &late).await.unwrap());
        assert_eq!(ledger.ended(&place).await.unwrap(), Some(first));
        let record = ledger.call(&place.id()).await.unwrap().unwrap();
        assert_eq!(record.state, CallState::Succeeded);
    }

    #[tokio::test]
    async fn ids_that_no_call_has_are_no_calls() {
        let ledger = ledger();
        ledger.record(GROUP, &group(2, None), &[json!(1), json!(2)]).await.unwrap();
        let call = async |id: &str| ledger.call(&CallId(id.into())).await.unwrap();
        assert!(call(&format!("{GROUP}-1")).await.is_some());
        for id in [GROUP.to_owned(), format!("{GROUP}-2"), "c-x".into(), GROUP.replace('a', "b")] {
            assert!(call(&id).await.is_none(), "{id}");
        }
    }

    #[tokio::test]
    async fn a_log_goes_on_where_it_was_read_to() {
        let ledger = ledger();
        let place = CallPlace::of_many(GROUP, 4);
        let keys = ledger.group_keys(GROUP);
        for (part, text) in [(0, "one\n"), (1, "two\n")] {
            let key = keys.log_part(4, 1, part);
            let put = ledger.bucket().put(&key, text, Metadata::new(), Condition::Always);
            put.await.unwrap();
        }
        assert_eq!(&ledger.log(&place, 0).await.unwrap()[..], b"one\ntwo\n");
        assert_eq!(&ledger.log(&place, 6).await.unwrap()[..], b"o\n");
        assert_eq!(&ledger.log(&place, 8).await.unwrap()[..], b"");
    }
}
