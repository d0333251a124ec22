//! The target `aws`: resources of an app in an account, one file per service.
//!
//! Names follow from environment, app and thing, and everything carries tags that say whose it is: so
//! what a killed deployment made is found by the next one, and nothing is touched that isn't ours.
//! `create` puts things as they should be whether they are there or not, `delete` is content when
//! there is nothing, and both wait for what AWS says it has reached.

mod batch;
mod bucket;
mod definition;
mod ec2;
mod ecr;
mod error;
mod function;
mod iam;
mod image;
mod lambda;
mod logs;
mod schedule;
mod secret;
mod session;
mod source;
mod sweep;
mod tags;
mod wait;

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use vdeploy_runtime::aws::layout::{Keys, Names};
use vdeploy_runtime::failpoint::Failpoint;

pub(crate) use bucket::BucketUse;
pub(crate) use error::CloudError;
pub(crate) use secret::CloudSecrets;
pub(crate) use session::Session;

use super::{Deployment, Provider, ProviderError};
use crate::plan::{Observed, Seen};
use crate::resource::{Kind, Resource, ResourceId};
use image::Digests;
use tags::Tags;

type CloudResult<T> = Result<T, CloudError>;

/// Requests that are under way at the same time while looking at what is there.
const LOOKING: usize = 24;
/// Steps that are done at the same time.
const CHANGING: usize = 8;

/// One app's part of an environment in an account.
#[derive(Debug)]
pub(crate) struct AwsProvider<'a> {
    session: &'a Session,
    app: &'a str,
    keys: Keys,
    names: Names,
    deployment: Deployment,
    digests: Digests,
    failpoint: &'a Failpoint,
}

impl<'a> AwsProvider<'a> {
    /// The part of `app` in `environment`.
    pub(crate) fn new(
        session: &'a Session,
        app: &'a str,
        environment: &str,
        deployment: Deployment,
        failpoint: &'a Failpoint,
    ) -> Self {
        let (keys, names) = (Keys::of(environment), Names::of(environment, app));
        let digests = Digests::default();
        AwsProvider { session, app, keys, names, deployment, digests, failpoint }
    }

    fn environment(&self) -> &str {
        self.keys.environment()
    }

    /// What says that `id` belongs to this app.
    fn tags(&self, id: &ResourceId) -> Tags {
        Tags::of(self.environment(), self.app, id)
    }

    /// Whether what has `found` for tags says that it is another app's, and so stays.
    fn is_anothers<K: AsRef<str>, V: AsRef<str>>(
        &self,
        found: impl IntoIterator<Item = (K, V)>,
    ) -> bool {
        self.tags(&ResourceId::new(Kind::Bucket, "")).deny(found)
    }

    async fn see(&self, id: &ResourceId) -> CloudResult<Option<Seen>> {
        let name = id.name.as_str();
        match id.kind {
            Kind::Bucket => self.see_bucket(name).await,
            Kind::LogGroup => self.see_log_group(name).await,
            Kind::Role => self.see_role(name).await,
            Kind::Repository => self.see_repository(name).await,
            Kind::LaunchTemplate => self.see_launch_template(name).await,
            Kind::Source => self.see_source(name).await,
            Kind::Image => self.see_image(name).await,
            Kind::Volume => self.see_volume(name).await,
            Kind::Secret => self.see_secret(name).await,
            Kind::Compute => self.see_compute(name).await,
            Kind::Queue => self.see_queue(name).await,
            Kind::Function => Ok(None),
            Kind::Schedule => self.see_schedule(name).await,
        }
    }

    async fn put(&self, resource: &Resource) -> CloudResult<()> {
        match resource {
            Resource::Bucket(bucket) => self.session.put_bucket(bucket).await,
            Resource::LogGroup(group) => self.put_log_group(group).await,
            Resource::Role(role) => self.put_role(role).await,
            Resource::Repository(repository) => self.put_repository(repository).await,
            Resource::LaunchTemplate(template) => self.put_launch_template(template).await,
            Resource::Source(source) => self.put_source(source).await,
            Resource::Volume(volume) => self.put_volume(&volume.name).await,
            Resource::Secret(_) => Err(CloudError::SecretByHand),
            Resource::Compute(environment) => self.put_compute(environment).await,
            Resource::Queue(queue) => self.put_queue(queue).await,
            Resource::CloudFunction(function) => self.put_function(function).await,
            Resource::Schedule(schedule) => self.put_schedule(schedule).await,
            Resource::Image(image) => self.put_image(image).await,
            Resource::Function(_) => Err(CloudError::NotHere),
        }
    }

    async fn take(&self, resource: &Resource) -> CloudResult<()> {
        match resource {
            Resource::Bucket(_) => self.empty_bucket().await,
            Resource::LogGroup(group) => self.take_log_group(group).await,
            Resource::Role(role) => self.take_role(role).await,
            Resource::Repository(repository) => self.take_repository(repository).await,
            Resource::LaunchTemplate(template) => self.take_launch_template(template).await,
            Resource::Source(source) => self.take_source(source.hash.as_str()).await,
            Resource::Volume(volume) => self.take_volume(&volume.name).await,
            Resource::Secret(_) => Err(CloudError::SecretByHand),
            Resource::Compute(environment) => self.take_compute(&environment.name).await,
            Resource::Queue(queue) => self.take_queue(queue).await,
            Resource::CloudFunction(function) => self.take_function(function).await,
            Resource::Schedule(schedule) => self.take_schedule(schedule).await,
            Resource::Image(image) => self.take_image(&image.name).await,
            Resource::Function(_) => Err(CloudError::NotHere),
        }
    }
}

impl Provider for AwsProvider<'_> {
    fn at_once(&self) -> usize {
        CHANGING
    }

    async fn observe(&self, ids: &BTreeSet<ResourceId>) -> Result<Observed, ProviderError> {
        let (functions, others): (Vec<_>, Vec<_>) =
            ids.iter().cloned().partition(|id| id.kind == Kind::Function);
        let (logs, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|id| id.kind == Kind::LogGroup);
        let look = |id: ResourceId| async move {
            let seen = self.see(&id).await.map_err(|error| failed("read", id.clone(), error))?;
            Ok::<_, ProviderError>(seen.map(|seen| (id, seen)))
        };
        let found: Vec<_> =
            stream::iter(others).map(look).buffer_unordered(LOOKING).try_collect().await?;
        let mut observed: Observed = found.into_iter().flatten().collect();
        if let Some(first) = logs.first() {
            let found = self.see_log_groups(&logs).await;
            observed.extend(found.map_err(|error| failed("read", first.clone(), error))?);
        }
        observed.extend(self.see_functions(functions).await?);
        Ok(observed)
    }

    async fn create(&self, resource: &Resource) -> Result<(), ProviderError> {
        self.put(resource).await.map_err(|error| failed("create", resource.id(), error))
    }

    async fn update(&self, before: &Resource, after: &Resource) -> Result<(), ProviderError> {
        let changed = async {
            self.put(after).await?;
            match (before, after) {
                (Resource::CloudFunction(before), Resource::CloudFunction(after))
                    if before.engine != after.engine =>
                {
                    self.leave_engine(before).await
                }
                _ => Ok(()),
            }
        };
        changed.await.map_err(|error| failed("update", after.id(), error))
    }

    async fn delete(&self, resource: &Resource) -> Result<(), ProviderError> {
        self.take(resource).await.map_err(|error| failed("delete", resource.id(), error))
    }
}

fn failed(doing: &'static str, id: ResourceId, error: CloudError) -> ProviderError {
    let hint = error.hint();
    match error {
        CloudError::Image(failure) => ProviderError { doing, id, source: failure, hint },
        error => ProviderError { doing, id, source: Box::new(error), hint },
    }
}

/// What was found, as it should be compared.
fn seen(resource: Option<Resource>) -> Seen {
    Seen { resource, ..Seen::default() }
}
