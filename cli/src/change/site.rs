//! Where an environment is kept and changed: this machine, or an account of AWS. Everything else in
//! `change` is the same for both.

use tokio_util::sync::CancellationToken;
use vdeploy_runtime::clock;
use vdeploy_runtime::home::EnvironmentHome;
use vdeploy_runtime::storage::Contents;

use super::keeps::{Guard, Keeps};
use super::store::Store;
use super::target::SiteProvider;
use super::{Images, builder, holder};
use crate::desired::Place;
use crate::error::{CliError, Result};
use crate::manifest::{self, Target};
use crate::plan::{Action, Plan};
use crate::provider::{AwsProvider, BucketUse, Deployment, LocalProvider, Session};
use crate::resource::{Kind, Resource, Store as BucketOfApps};
use crate::settings::Settings;
use crate::store::Holder;

/// Where an environment is.
#[derive(Debug)]
pub(crate) enum Site {
    /// A folder of this machine.
    Local(EnvironmentHome),
    /// An account.
    Aws(Box<AwsSite>),
}

/// An environment in an account.
#[derive(Debug)]
pub(crate) struct AwsSite {
    /// The way there.
    pub(crate) session: Session,
    /// The environment.
    pub(crate) environment: String,
    target: Target,
    /// Where its state is.
    keeps: Keeps,
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
                let keeps = Keeps::of_aws(target.state, &session, settings);
                Ok(Site::Aws(Box::new(AwsSite { session, environment, target, keeps })))
            }
            other => Err(CliError::usage(format!("there is no target `{other}`"))
                .hint("use `--target local` or `--target aws`")),
        }
    }

    /// Where its state is kept.
    pub(crate) fn keeps(&self) -> Keeps {
        match self {
            Site::Local(home) => Keeps::of_local(home),
            Site::Aws(site) => site.keeps.clone(),
        }
    }

    /// The state of its apps.
    pub(crate) fn store(&self) -> Store {
        self.keeps().store()
    }

    /// Where an app goes, when that is to AWS.
    pub(super) fn place(&self) -> Option<Place> {
        let Site::Aws(site) = self else { return None };
        let AwsSite { session, environment, .. } = &**site;
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
            Site::Aws(site) => {
                let AwsSite { session, environment, .. } = &**site;
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
        guard.release().await?;
        done
    }

    async fn lock(&self, holder: Holder) -> Result<Guard> {
        if let (Site::Aws(site), Keeps::InBucket { .. }) = (self, self.keeps())
            && site.session.look_for_bucket().await? == BucketUse::Missing
        {
            return Ok(Guard::NotYet(holder));
        }
        self.keeps().lock(&holder).await
    }

    /// After a plan was agreed to: makes the bucket that state and lock are kept in, if there is
    /// none, and takes the lock.
    pub(super) async fn secure(&self, guard: &mut Guard, plan: &Plan) -> Result<()> {
        let (Site::Aws(site), Guard::NotYet(holder)) = (self, &*guard) else {
            return Ok(());
        };
        let AwsSite { session, target, .. } = &**site;
        let wanted = plan.steps.iter().find_map(|step| match &step.after {
            Some(Resource::Bucket(bucket)) => Some(bucket.clone()),
            _ => None,
        });
        let bucket = wanted.unwrap_or_else(|| BucketOfApps {
            name: session.bucket.clone(),
            call_retention_days: target.call_retention_days,
        });
        session.put_bucket(&bucket).await?;
        *guard = self.keeps().lock(holder).await?;
        Ok(())
    }

    /// After a plan was carried out: removes the bucket that nothing is kept in any more.
    pub(super) async fn close(&self, guard: &mut Guard, plan: &Plan) -> Result<()> {
        let Site::Aws(site) = self else { return Ok(()) };
        let goes = |step: &crate::plan::Step| {
            step.id.kind == Kind::Bucket && step.action == Action::Delete
        };
        if plan.steps.iter().any(goes) {
            site.session.remove_bucket().await?;
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
        let Site::Aws(site) = self else { return Ok(()) };
        let SiteProvider::Aws(provider) = self.provider(app, looking(settings), settings) else {
            return Ok(());
        };
        if provider.bucket_is_unused().await? {
            site.session.remove_bucket().await?;
            *guard = Guard::Gone;
        }
        Ok(())
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
