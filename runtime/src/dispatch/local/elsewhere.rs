//! Functions that are deployed somewhere else than where their caller runs: a container of AWS Batch
//! or Lambda has a queue and an executor of its own, and knows handlers of its own program, but
//! functions by name are those of the account, and calls of them jobs of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedReceiver;

use super::executor::Interest;
use super::record::NewCall;
use super::routine::{self, Caller};
use crate::aws::AwsError;
use crate::aws::again::again;
use crate::aws::catalog::AwsCatalog;
use crate::aws::layout::{CALL_FILES, Keys};
use crate::client::{self, call_files};
use crate::dispatch::Told;
use crate::dispatch::aws::AwsDispatcher;
use crate::process::ProcessId;
use crate::storage::{BucketFolder, Stat, VolumePath, stat_path};
use crate::wire::{CallId, Failure, FailureKind, Outcome};
use crate::worker::frame::{Accepted, Batch};

/// The functions of an account, as callers in its containers reach them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    catalog: AwsCatalog,
    dispatcher: AwsDispatcher,
    /// Whether any were called.
    used: Arc<AtomicBool>,
    /// Files of volumes as they were brought into this container.
    brought: Arc<Mutex<BTreeMap<PathBuf, Stat>>>,
}

impl Elsewhere {
    /// The functions that `catalog` finds, called by `dispatcher`.
    pub fn new(catalog: AwsCatalog, dispatcher: AwsDispatcher) -> Self {
        Elsewhere { catalog, dispatcher, used: Arc::default(), brought: Arc::default() }
    }

    /// What happens to the calls of a map from now on.
    pub(super) fn watch(&self, map: &str) -> UnboundedReceiver<Told> {
        self.dispatcher.watch(Interest::Map(name_of(map)))
    }

    /// Asks for the calls of a map to be cancelled.
    pub(super) fn cancel(&self, map: &str) {
        self.dispatcher.cancel_map_soon(name_of(map));
    }

    /// Records the calls of `batch` at their places in `map`, and has them run; the failure is the
    /// caller's.
    pub(super) async fn place(
        &self,
        caller: Caller,
        batch: Batch,
        name: &str,
        map: &str,
    ) -> Result<Vec<Accepted>, Failure> {
        self.used.store(true, Ordering::Release);
        let found = self.catalog.resolve(name, Some(&caller.function.app)).await;
        let found = found.map_err(|error| routine::not_found(&error))?;
        let Batch { settings, first, inputs, .. } = batch;
        routine::check(&inputs, &found.function, first)?;
        routine::stays_in_volumes(&inputs, &found.function)?;
        let (overwrite, mut function) = (settings.overwrite, found.function);
        routine::apply(settings, &mut function);
        let call = |(index, args)| NewCall {
            environment: caller.environment.clone(),
            version: found.version,
            engine: found.engine.clone(),
            args: function.complete(args),
            function: function.clone(),
            overwrite,
            fresh: false,
            priority: 0,
            owner: Some(ProcessId::current()),
            map: Some((name_of(map), index)),
            parent: Some(caller.call.clone()),
        };
        let calls: Vec<_> = (first..).zip(inputs).map(call).collect();
        let placed = self.dispatcher.place(calls).await.map_err(unreachable)?;
        if caller.cancelled.load(Ordering::Acquire) {
            self.cancel(map);
        }
        placed.into_iter().map(routine::accepted).collect()
    }

    /// Asks for everything to be cancelled that earlier attempts of `call` called, or this one when
    /// it has ended; waits until that is recorded. Maps that have a name are kept for the next
    /// attempt while there may be one.
    pub(crate) async fn end(&self, call: &CallId, last: bool) -> Result<(), AwsError> {
        for map in self.maps_of(call).await? {
            if last || map.contains(NUMBERED) {
                self.dispatcher.cancel_map(&map).await?;
            }
        }
        Ok(())
    }

    /// The files of a volume, which are those of the account's.
    pub(crate) fn volume(&self, name: &str) -> BucketFolder {
        let ledger = self.dispatcher.ledger();
        let (bucket, keys) = (ledger.bucket(), ledger.keys());
        match name {
            CALL_FILES => call_files(bucket, keys),
            _ => BucketFolder::new(bucket.clone(), keys.volume(name)),
        }
    }

    /// What a call ended with, once its files are in `folder` and named there. What is in volumes stays.
    pub(super) async fn bring(&self, mut outcome: Outcome, folder: &Path) -> Outcome {
        let Outcome::Succeeded { result, artifacts, .. } = &mut outcome else { return outcome };
        let bucket = self.dispatcher.ledger().bucket();
        let calls = self.dispatcher.ledger().keys().calls();
        let own = format!("s3://{}/{calls}", bucket.name());
        let all = BucketFolder::new(bucket.clone(), calls);
        for artifact in artifacts {
            let Some(key) = artifact.location.strip_prefix(&own) else { continue };
            let Ok(path) = VolumePath::parse(key) else { continue };
            let here = folder.join(path.name().unwrap_or_default());
            let get = again(|_| true, || client::get(&all, &path, &here, true));
            if let Err(error) = get.await {
                let message = format!("can't bring `{}`", artifact.location);
                let failure = Failure::new(FailureKind::Machine, message).cause(error);
                return Outcome::Failed { failure };
            }
            let is = here.display().to_string();
            client::rename(result, &artifact.location, &is);
            artifact.location = is;
        }
        outcome
    }

    /// Says which files of volumes were brought for the call that is served, and how they are.
    pub(crate) fn set_brought(&self, files: BTreeMap<PathBuf, Stat>) {
        *self.brought.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Whether the file of a volume at `path` was made here, and goes before what the bucket has.
    pub(crate) fn is_made_here(&self, path: &Path) -> bool {
        let brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        let here = stat_path(path).ok().flatten();
        here.is_some_and(|stat| brought.get(path) != Some(&stat))
    }

    /// Whether any function was called since this was last asked.
    pub(crate) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::AcqRel)
    }

    /// The maps that attempts of `call` have made.
    async fn maps_of(&self, call: &CallId) -> Result<Vec<String>, AwsError> {
        let ledger = self.dispatcher.ledger();
        let keys: &Keys = ledger.keys();
        let all = keys.map("");
        let all = all.trim_end_matches('/');
        let prefix = format!("{all}/{}", name_of(&call.0));
        let mut maps = BTreeSet::new();
        for object in ledger.bucket().list(&prefix).await? {
            let name = object.key[all.len() + 1..].split('/').next().unwrap_or_default();
            maps.insert(name.to_owned());
        }
        Ok(maps.into_iter().collect())
    }
}

/// What tells maps by their number from those that have a name.
const NUMBERED: &str = "-of-attempt-";

/// The name of a map as a key can hold it: a local one has the call, its attempt and a number
/// between slashes, or the call and a name.
fn name_of(map: &str) -> String {
    match map.split('/').collect::<Vec<_>>()[..] {
        [call, attempt, number] => format!("{call}{NUMBERED}{attempt}-{number}"),
        _ => map.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "."),
    }
}

fn unreachable(error: AwsError) -> Failure {
    error.into_failure(FailureKind::Machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_called_by_what_a_key_can_hold() {
        assert_eq!(name_of("c-1/2/0"), "c-1-of-attempt-2-0");
        assert_eq!(name_of("c-1:chunks of a/b"), "c-1.chunks.of.a.b");
    }
}
