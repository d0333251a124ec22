//! Where state is kept: locked, and appended to step by step.
//!
//! One contract, checked by one suite against every store.

#[cfg(test)]
mod contract;
mod lock;
mod memory;
mod s3;
mod s3_lock;
mod sqlite;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use vdeploy_runtime::database::DatabaseError;

pub use lock::{Holder, Lock, LockError, break_lock, read_holder};
pub use memory::MemoryStore;
pub(crate) use s3::S3Store;
pub(crate) use s3_lock::{S3Lock, break_s3_lock, s3_holder};
pub use sqlite::SqliteStore;

use crate::fingerprint::Fingerprint;
use crate::resource::{Resource, ResourceId};
use crate::state::{Basis, Change, State};

/// The state of all apps of one environment.
///
/// - `append` is all or nothing, and refused when the state isn't at the given basis any more.
/// - What `append` returned is there after a crash of the process or the machine.
/// - An app that was never appended to has the default state.
pub trait StateStore {
    /// How many completed steps are recorded together at most. What that may cost after a crash is
    /// looking at so many resources again.
    fn batch(&self) -> usize {
        32
    }

    /// What is remembered of an app.
    fn load(&mut self, app: &str) -> impl Future<Output = Result<State, StoreError>>;

    /// Records steps, and says where the state is then.
    fn append(
        &mut self,
        app: &str,
        basis: &Basis,
        changes: &[Change],
    ) -> impl Future<Output = Result<Basis, StoreError>>;

    /// The resources of a version of an app; none when it isn't kept.
    fn version(
        &mut self,
        app: &str,
        number: u64,
    ) -> impl Future<Output = Result<Option<Vec<Resource>>, StoreError>>;

    /// The apps there are records of, by name.
    fn apps(&mut self) -> impl Future<Output = Result<Vec<AppSummary>, StoreError>>;

    /// All apps that were ever recorded, also those that are gone.
    fn names(&mut self) -> impl Future<Output = Result<Vec<String>, StoreError>>;

    /// Everything about an app, to be kept elsewhere; none when it was never recorded.
    fn export(&mut self, app: &str) -> impl Future<Output = Result<Option<Archive>, StoreError>> {
        async move {
            let state = self.load(app).await?;
            if state.basis.lineage.is_none() {
                return Ok(None);
            }
            let mut resources = BTreeMap::new();
            for version in &state.versions {
                let of_version = self.version(app, version.number).await?.unwrap_or_default();
                resources.extend(of_version.into_iter().map(|found| (found.fingerprint(), found)));
            }
            Ok(Some(Archive { state, resources }))
        }
    }

    /// Puts an app that was kept elsewhere in place of what is here, which must be the same app's
    /// earlier state or nothing.
    fn import(
        &mut self,
        app: &str,
        archive: &Archive,
    ) -> impl Future<Output = Result<(), StoreError>>;

    /// Forgets an app altogether, after it was brought elsewhere.
    fn forget(&mut self, app: &str) -> impl Future<Output = Result<(), StoreError>>;

    /// The apps that use a resource of the environment.
    fn users(&mut self, id: &ResourceId) -> impl Future<Output = Result<Vec<String>, StoreError>>;
}

/// Everything that is remembered of an app.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    /// Its state.
    pub state: State,
    /// What its versions consisted of, by fingerprint.
    pub resources: BTreeMap<Fingerprint, Resource>,
}

impl Archive {
    /// The resources that records and versions name, by fingerprint.
    fn all_resources(&self) -> BTreeMap<Fingerprint, Resource> {
        let records = self.state.records.values();
        let records = records.map(|record| (record.fingerprint.clone(), record.resource.clone()));
        self.resources.clone().into_iter().chain(records).collect()
    }

    /// Refuses to take the place of a state that isn't an earlier one of the same history.
    fn may_replace(&self, app: &str, there: &Basis) -> Result<(), StoreError> {
        let comes = &self.state.basis;
        match &there.lineage {
            None => Ok(()),
            Some(_) if there.lineage != comes.lineage => Err(StoreError::OtherHistory(app.into())),
            Some(_) if there.serial > comes.serial => {
                Err(StoreError::Newer { app: app.into(), there: there.serial, comes: comes.serial })
            }
            Some(_) => Ok(()),
        }
    }
}

/// An app in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppSummary {
    /// Its name.
    pub app: String,
    /// The number of its last version.
    pub version: u64,
    /// When that was deployed.
    pub deployed_at: Option<jiff::Timestamp>,
    /// How many functions it has.
    pub functions: usize,
    /// How many resources it has, functions included.
    pub resources: usize,
}

/// Why state can't be read or recorded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else recorded steps in between.
    #[error("the state of app `{0}` was changed by another operation meanwhile")]
    Moved(String),
    /// What is there is newer than what comes.
    #[error("the state of app `{app}` that is there is newer: step {there}, and this is {comes}")]
    Newer {
        /// The app.
        app: String,
        /// The serial of what is there.
        there: u64,
        /// The serial of what comes.
        comes: u64,
    },
    /// What is there belongs to another deployment of an app of the same name.
    #[error("the state of app `{0}` that is there is of another deployment")]
    OtherHistory(String),
    /// The file was written by a later version of this program.
    #[error("the state in `{}` was written by a later version of vdeploy", .0.display())]
    Later(PathBuf),
    /// What is recorded makes no sense.
    #[error("the state of app `{app}` is damaged")]
    Damaged {
        /// The app.
        app: String,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bucket said no.
    #[error("can't access the state: can't {}", .0.doing)]
    Cloud(vdeploy_runtime::aws::AwsError),
    /// The database said no.
    #[error("can't access the state in `{}`", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: DatabaseError,
    },
    /// The disk said no.
    #[error("can't create the state in `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
