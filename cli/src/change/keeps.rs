//! Where a state is kept: a database of this machine or an object of a bucket, each with a lock.

use std::path::PathBuf;

use vdeploy_runtime::aws::layout::Keys;
use vdeploy_runtime::aws::objects::Bucket;
use vdeploy_runtime::home::EnvironmentHome;

use super::holder;
use super::store::Store;
use crate::error::Result;
use crate::manifest::StatePlace;
use crate::provider::Session;
use crate::settings::Settings;
use crate::store::{
    Holder, Lock, LockError, S3Lock, S3Store, SqliteStore, break_lock, break_s3_lock, read_holder,
    s3_holder,
};

/// Where the state of an environment is kept.
#[derive(Clone, Debug)]
pub(crate) enum Keeps {
    /// On this machine.
    Here {
        /// The database.
        state: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// In an account's bucket.
    InBucket {
        /// The bucket.
        objects: Bucket,
        /// The environment.
        environment: String,
    },
}

/// The lock of a site while a change is decided and carried out.
#[derive(Debug)]
pub(crate) enum Guard {
    /// Freed when dropped.
    Local(#[expect(dead_code, reason = "held, not looked at")] Lock),
    /// Freed by hand.
    Aws(S3Lock),
    /// There is no bucket to keep a lock in yet.
    NotYet(Holder),
    /// Freed, or gone with its bucket.
    Gone,
}

impl Keeps {
    /// Where the local target keeps it.
    pub(super) fn of_local(home: &EnvironmentHome) -> Self {
        Keeps::Here { state: home.state_db(), lock: home.root().join("state.lock") }
    }

    /// Where target `aws` keeps it. A bucket belongs to one account and region, so its name tells
    /// states of several on this machine apart.
    pub(crate) fn of_aws(place: StatePlace, session: &Session, settings: &Settings) -> Self {
        let environment = settings.environment.clone();
        match place {
            StatePlace::Bucket => Keeps::InBucket { objects: session.objects(), environment },
            StatePlace::Local => {
                let home = settings.home.environment(&environment);
                let file = |suffix| home.root().join(format!("aws-{}.{suffix}", session.bucket));
                Keeps::Here { state: file("db"), lock: file("lock") }
            }
        }
    }

    /// The state.
    pub(crate) fn store(&self) -> Store {
        match self {
            Keeps::Here { state, .. } => Store::Local(SqliteStore::at(state)),
            Keeps::InBucket { objects, environment } => {
                Store::Aws(S3Store::new(objects.clone(), environment))
            }
        }
    }

    /// Takes the lock.
    pub(crate) async fn lock(&self, holder: &Holder) -> Result<Guard> {
        Ok(match self {
            Keeps::Here { lock, .. } => Guard::Local(Lock::take(lock, holder)?),
            Keeps::InBucket { objects, environment } => {
                Guard::Aws(S3Lock::take(objects.clone(), key(environment), holder).await?)
            }
        })
    }

    /// Tries whether the lock could be taken, without making an environment of it.
    pub(crate) async fn try_lock(&self, settings: &Settings) -> Result<Result<(), LockError>> {
        if let Keeps::Here { lock, .. } = self {
            if !lock.exists() {
                return Ok(Ok(()));
            }
            return Ok(Lock::take(lock, &holder(settings, "unlock")).map(drop));
        }
        Ok(match self.holder().await? {
            Some(holder) => Err(LockError::Held { holder: Some(holder) }),
            None => Ok(()),
        })
    }

    /// Who has the lock.
    async fn holder(&self) -> Result<Option<Holder>> {
        match self {
            Keeps::Here { lock, .. } => Ok(read_holder(lock)),
            Keeps::InBucket { objects, environment } => {
                Ok(s3_holder(objects, &key(environment)).await?)
            }
        }
    }

    /// Frees the lock whoever has it.
    pub(crate) async fn break_lock(&self) -> Result<()> {
        match self {
            Keeps::Here { lock, .. } => Ok(break_lock(lock)?),
            Keeps::InBucket { objects, environment } => {
                Ok(break_s3_lock(objects, key(environment)).await?)
            }
        }
    }
}

impl Guard {
    /// Frees the lock.
    pub(crate) async fn release(self) -> Result<()> {
        if let Guard::Aws(lock) = self {
            lock.release().await?;
        }
        Ok(())
    }
}

/// The object that is the lock of an environment.
fn key(environment: &str) -> String {
    Keys::of(environment).lock()
}
