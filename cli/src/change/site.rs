//! Where an environment is kept and changed: this machine, or an account of AWS. Everything else in
//! `change` is the same for both.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;
use vdeploy_runtime::aws::layout::Keys;
use vdeploy_runtime::clock;
use vdeploy_runtime::home::EnvironmentHome;
use vdeploy_runtime::storage::Contents;

use super::holder;
use super::{Images, builder};
use crate::desired::Place;
use crate::error::{CliError, Result};
use crate::manifest::{self, Target};
use crate::plan::{Action, Observed, Plan};
use crate::provider::{
    AwsProvider, BucketUse, Deployment, LocalProvider, Provider, ProviderError, Session,
};
use crate::resource::{Kind, Resource, ResourceId, Store as BucketOfApps};
use crate::settings::Settings;
use crate::state::{Basis, Change, State};
use crate::store::{
    AppSummary, Holder, Lock, LockError, S3Lock, S3Store, SqliteStore, StateStore, StoreError,
    break_lock, break_s3_lock, read_holder, s3_holder,
};

/// Where an environment is.
#[derive(Debug)]
pub(crate) enum Site {
    /// A folder of this machine.
    Local(EnvironmentHome),
    /// An account.
    Aws(Box<Session>, Box<Target>, String),
}

/// The state of a site's apps.
#[derive(Debug)]
pub(crate) enum Store {
    /// In a database.
    Local(SqliteStore),
    /// In a bucket.
    Aws(S3Store),
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

/// What makes a site's resources real.
#[derive(Debug)]
pub(crate) enum SiteProvider<'a> {
    /// On this machine.
    Local(Box<LocalProvider<'a>>),
    /// In an account.
    Aws(Box<AwsProvider<'a>>),
}

impl Site {
    /// The site that was chosen; for AWS, this finds credentials.
    pub(crate) async fn open(settings: &Settings) -> Result<Site> {
        match settings.target.as_str() {
            "local" => Ok(Site::Local(settings.home.environment(&settings.environment))),
            "aws" => {
                let target = target(settings);
                let (region, bucket) = settings.region_and_bucket();
                let region = target.region.clone().or(region);
                let bucket = target.bucket.clone().or(bucket);
                let session = Session::open(region, bucket).await?;
                let environment = settings.environment.clone();
                Ok(Site::Aws(Box::new(session), Box::new(target), environment))
            }
            other => Err(CliError::usage(format!("there is no target `{other}`"))
                .hint("use `--target local` or `--target aws`")),
        }
    }

    /// The state of its apps.
    pub(crate) fn store(&self) -> Store {
        match self {
            Site::Local(home) => Store::Local(SqliteStore::at(home.state_db())),
            Site::Aws(session, _, environment) => {
                Store::Aws(S3Store::new(session.objects(), environment))
            }
        }
    }

    /// Where an app goes, when that is to AWS.
    pub(super) fn place(&self) -> Option<Place> {
        let Site::Aws(session, _, environment) = self else { return None };
        Some(Place {
            region: session.region.clone(),
            bucket: session.bucket.clone(),
            own_bucket: session.own_bucket,
            environment: environment.clone(),
        })
    }

    /// What makes the resources of `app` real.
    pub(super) fn provider<'a>(
        &'a self,
        app: &'a str,
        deployment: Deployment,
        settings: &'a Settings,
    ) -> SiteProvider<'a> {
        let failpoint = &settings.failpoint;
        match self {
            Site::Local(home) => {
                let provider = LocalProvider::new(app, home.clone(), deployment, failpoint);
                SiteProvider::Local(Box::new(provider))
            }
            Site::Aws(session, _, environment) => {
                let provider = AwsProvider::new(session, app, environment, deployment, failpoint);
                SiteProvider::Aws(Box::new(provider))
            }
        }
    }

    /// Does `work` while nobody else changes the environment.
    pub(crate) async fn locked<T>(
        &self,
        settings: &Settings,
        operation: &str,
        work: impl AsyncFnOnce(&mut Guard) -> Result<T>,
    ) -> Result<T> {
        let mut guard = self.lock(holder(settings, operation)).await?;
        let done = work(&mut guard).await;
        if let Guard::Aws(lock) = guard {
            lock.release().await?;
        }
        done
    }

    async fn lock(&self, holder: Holder) -> Result<Guard> {
        match self {
            Site::Local(home) => {
                Ok(Guard::Local(Lock::take(&home.root().join("state.lock"), &holder)?))
            }
            Site::Aws(session, ..) => match session.look_for_bucket().await? {
                BucketUse::Missing => Ok(Guard::NotYet(holder)),
                BucketUse::Usable => self.lock_bucket(session, &holder).await,
            },
        }
    }

    async fn lock_bucket(&self, session: &Session, holder: &Holder) -> Result<Guard> {
        Ok(Guard::Aws(S3Lock::take(session.objects(), self.lock_key(), holder).await?))
    }

    fn lock_key(&self) -> String {
        match self {
            Site::Aws(_, _, environment) => Keys::of(environment).lock(),
            Site::Local(_) => String::new(),
        }
    }

    /// After a plan was agreed to: makes the bucket that state and lock are kept in, if there is
    /// none, and takes the lock.
    pub(super) async fn secure(&self, guard: &mut Guard, plan: &Plan) -> Result<()> {
        let (Site::Aws(session, target, _), Guard::NotYet(holder)) = (self, &*guard) else {
            return Ok(());
        };
        let wanted = plan.steps.iter().find_map(|step| match &step.after {
            Some(Resource::Bucket(bucket)) => Some(bucket.clone()),
            _ => None,
        });
        let bucket = wanted.unwrap_or_else(|| BucketOfApps {
            name: session.bucket.clone(),
            call_retention_days: target.call_retention_days,
        });
        session.put_bucket(&bucket).await?;
        *guard = self.lock_bucket(session, holder).await?;
        Ok(())
    }

    /// After a plan was carried out: removes the bucket that nothing is kept in any more.
    pub(super) async fn close(&self, guard: &mut Guard, plan: &Plan) -> Result<()> {
        let Site::Aws(session, ..) = self else { return Ok(()) };
        let goes = |step: &crate::plan::Step| {
            step.id.kind == Kind::Bucket && step.action == Action::Delete
        };
        if plan.steps.iter().any(goes) {
            session.remove_bucket().await?;
            *guard = Guard::Gone;
        }
        Ok(())
    }

    /// After an app was found to be gone: removes a bucket that an interrupted end of it left.
    pub(super) async fn close_after(
        &self,
        guard: &mut Guard,
        app: &str,
        settings: &Settings,
    ) -> Result<()> {
        let Site::Aws(session, ..) = self else { return Ok(()) };
        let SiteProvider::Aws(provider) = self.provider(app, looking(settings), settings) else {
            return Ok(());
        };
        if provider.bucket_is_unused().await? {
            session.remove_bucket().await?;
            *guard = Guard::Gone;
        }
        Ok(())
    }

    /// Who has the lock.
    pub(crate) async fn holder(&self) -> Result<Option<Holder>> {
        match self {
            Site::Local(_) => Ok(self.lock_path().as_deref().and_then(read_holder)),
            Site::Aws(session, ..) => Ok(s3_holder(&session.objects(), &self.lock_key()).await?),
        }
    }

    fn lock_path(&self) -> Option<PathBuf> {
        match self {
            Site::Local(home) => Some(home.root().join("state.lock")),
            Site::Aws(..) => None,
        }
    }

    /// Tries whether the lock could be taken, without making an environment of it.
    pub(crate) async fn try_lock(&self, settings: &Settings) -> Result<Result<(), LockError>> {
        match self {
            Site::Local(home) => {
                let path = home.root().join("state.lock");
                if !path.exists() {
                    return Ok(Ok(()));
                }
                Ok(Lock::take(&path, &holder(settings, "unlock")).map(drop))
            }
            Site::Aws(..) => match self.holder().await? {
                Some(holder) => Ok(Err(LockError::Held { holder: Some(holder) })),
                None => Ok(Ok(())),
            },
        }
    }

    /// Frees the lock whoever has it.
    pub(crate) async fn break_lock(&self) -> Result<()> {
        match self {
            Site::Local(home) => Ok(break_lock(&home.root().join("state.lock"))?),
            Site::Aws(session, ..) => Ok(break_s3_lock(&session.objects(), self.lock_key()).await?),
        }
    }

    /// Resources of an app that are found by their tags.
    pub(super) async fn sweep(&self, app: &str, settings: &Settings) -> Result<Vec<Resource>> {
        match self.provider(app, looking(settings), settings) {
            SiteProvider::Local(_) => {
                Err(CliError::usage("`--sweep` looks for tags, which the local target has none of")
                    .hint("use `--target aws`"))
            }
            SiteProvider::Aws(provider) => Ok(provider.sweep().await?),
        }
    }
}

/// A deployment of nothing, to look at what is there.
pub(super) fn looking(settings: &Settings) -> Deployment {
    Deployment {
        version: 0,
        now: clock::now(),
        sources: Vec::new(),
        contents: Contents::Keep,
        builder: builder(settings, &Images::default(), &CancellationToken::new()),
    }
}

/// What the manifest says about AWS, where there is one that can be read.
fn target(settings: &Settings) -> Target {
    let manifest = manifest::load(settings).ok();
    manifest
        .and_then(|mut manifest| manifest.app.targets.remove("aws"))
        .unwrap_or_else(Target::unsaid)
}

impl StateStore for Store {
    fn batch(&self) -> usize {
        match self {
            Store::Local(store) => store.batch(),
            Store::Aws(store) => store.batch(),
        }
    }

    async fn load(&mut self, app: &str) -> Result<State, StoreError> {
        match self {
            Store::Local(store) => store.load(app).await,
            Store::Aws(store) => store.load(app).await,
        }
    }

    async fn append(
        &mut self,
        app: &str,
        basis: &Basis,
        changes: &[Change],
    ) -> Result<Basis, StoreError> {
        match self {
            Store::Local(store) => store.append(app, basis, changes).await,
            Store::Aws(store) => store.append(app, basis, changes).await,
        }
    }

    async fn version(
        &mut self,
        app: &str,
        number: u64,
    ) -> Result<Option<Vec<Resource>>, StoreError> {
        match self {
            Store::Local(store) => store.version(app, number).await,
            Store::Aws(store) => store.version(app, number).await,
        }
    }

    async fn apps(&mut self) -> Result<Vec<AppSummary>, StoreError> {
        match self {
            Store::Local(store) => store.apps().await,
            Store::Aws(store) => store.apps().await,
        }
    }

    async fn users(&mut self, id: &ResourceId) -> Result<Vec<String>, StoreError> {
        match self {
            Store::Local(store) => store.users(id).await,
            Store::Aws(store) => store.users(id).await,
        }
    }
}

impl Provider for SiteProvider<'_> {
    fn at_once(&self) -> usize {
        match self {
            SiteProvider::Local(provider) => provider.at_once(),
            SiteProvider::Aws(provider) => provider.at_once(),
        }
    }

    async fn observe(&self, ids: &BTreeSet<ResourceId>) -> Result<Observed, ProviderError> {
        match self {
            SiteProvider::Local(provider) => provider.observe(ids).await,
            SiteProvider::Aws(provider) => provider.observe(ids).await,
        }
    }

    async fn create(&self, resource: &Resource) -> Result<(), ProviderError> {
        match self {
            SiteProvider::Local(provider) => provider.create(resource).await,
            SiteProvider::Aws(provider) => provider.create(resource).await,
        }
    }

    async fn update(&self, before: &Resource, after: &Resource) -> Result<(), ProviderError> {
        match self {
            SiteProvider::Local(provider) => provider.update(before, after).await,
            SiteProvider::Aws(provider) => provider.update(before, after).await,
        }
    }

    async fn delete(&self, resource: &Resource) -> Result<(), ProviderError> {
        match self {
            SiteProvider::Local(provider) => provider.delete(resource).await,
            SiteProvider::Aws(provider) => provider.delete(resource).await,
        }
    }
}
