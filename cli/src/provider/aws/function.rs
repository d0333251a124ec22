//! Functions: what runs them, and their record in the catalog, which is written last, and removed
//! when nothing runs them any more.

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use vdeploy_runtime::aws::layout::{BatchEngine, Engine as Runs, LambdaEngine};
use vdeploy_runtime::aws::objects::Condition;
use vdeploy_runtime::catalog::{self, Published};

use super::definition::{content, has_content};
use super::error::missing_is_none;
use super::lambda::ALIAS;
use super::session::Doing;
use super::{AwsProvider, CloudError, CloudResult, LOOKING, ProviderError, failed, seen};
use crate::engine::Engine;
use crate::plan::{Observed, Seen};
use crate::resource::{CloudFunction, Resource, ResourceId};

/// Job definitions that one request describes.
const DESCRIBED_AT_ONCE: usize = 100;

/// A function's record, with what it was made from beside what callers read.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    published: Published,
    deployed: CloudFunction,
}

/// A function as its record tells of it.
struct Known {
    id: ResourceId,
    /// None when the record makes no sense.
    record: Option<Record>,
}

impl AwsProvider<'_> {
    /// All of these functions; those of Batch a hundred at a time.
    pub(super) async fn see_functions(
        &self,
        ids: Vec<ResourceId>,
    ) -> Result<Observed, ProviderError> {
        let read = |id: ResourceId| async move {
            let record = self.read_record(&id).await;
            record.map_err(|error| failed("read", id, error))
        };
        let known: Vec<_> =
            stream::iter(ids).map(read).buffer_unordered(LOOKING).try_collect().await?;
        let known: Vec<Known> = known.into_iter().flatten().collect();
        let mut observed = Observed::new();
        let (jobs, others): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|known| known.definition().is_some());
        for group in jobs.chunks(DESCRIBED_AT_ONCE) {
            let first =
                || group.first().map(|known| known.id.clone()).expect("groups aren't empty");
            let found = self.see_jobs(group).await;
            observed.extend(found.map_err(|error| failed("read", first(), error))?);
        }
        for known in others {
            let found = self.see_other(&known).await;
            let found = found.map_err(|error| failed("read", known.id.clone(), error))?;
            observed.insert(known.id, found);
        }
        Ok(observed)
    }

    async fn read_record(&self, id: &ResourceId) -> CloudResult<Option<Known>> {
        let key = self.keys.function(self.app, &id.name);
        let found = self.session.objects().get(&key).await.map_err(CloudError::from);
        let Some((_, bytes)) = missing_is_none(found)?.flatten() else { return Ok(None) };
        let record = serde_json::from_slice(&bytes).ok();
        Ok(Some(Known { id: id.clone(), record }))
    }

    /// A function as its record says it was deployed.
    pub(super) async fn recorded_function(&self, id: &ResourceId) -> CloudResult<Option<Resource>> {
        let record = self.read_record(id).await?.and_then(|known| known.record);
        Ok(record.map(|record| Resource::CloudFunction(Box::new(record.deployed))))
    }

    async fn see_jobs(&self, group: &[Known]) -> CloudResult<Vec<(ResourceId, Seen)>> {
        let names: Vec<_> = group.iter().filter_map(Known::definition).map(str::to_owned).collect();
        let request = self.session.batch().describe_job_definitions();
        let found = request.set_job_definitions(Some(names)).send().await;
        let found = found.doing(|| "look at job definitions".into())?;
        let found = found.job_definitions.unwrap_or_default();
        let is_there = |known: &Known| {
            let (Some(name), Some(record)) = (known.definition(), &known.record) else {
                return false;
            };
            found.iter().any(|found| {
                let named = format!(
                    "{}:{}",
                    found.job_definition_name().unwrap_or_default(),
                    found.revision().unwrap_or_default()
                );
                named == name
                    && found.status() == Some("ACTIVE")
                    && has_content(found, &content(&record.deployed))
            })
        };
        Ok(group.iter().map(|known| (known.id.clone(), known.seen(is_there(known)))).collect())
    }

    async fn see_other(&self, known: &Known) -> CloudResult<Seen> {
        let as_deployed = match &known.record {
            Some(record) => self.lambda_is(&record.deployed).await?,
            None => false,
        };
        Ok(known.seen(as_deployed))
    }

    pub(super) async fn put_function(&self, function: &CloudFunction) -> CloudResult<()> {
        let engine = match function.engine {
            Engine::Batch => Runs::Batch(BatchEngine {
                queue: function.queue.clone().unwrap_or_default(),
                job_definition: self.put_definition(function).await?,
                log_group: function.log_group.clone(),
                price_per_hour: Some(function.price_per_hour),
            }),
            Engine::Lambda => {
                self.put_lambda(function).await?;
                Runs::Lambda(LambdaEngine {
                    function: function.name.clone(),
                    alias: ALIAS.to_owned(),
                    concurrency: function.spec.scaling.max_containers,
                    price_per_hour: Some(function.price_per_hour),
                })
            }
        };
        self.failpoint.hit("function-made");
        let before = self.definition_in_catalog(function).await?;
        let record = Record {
            published: Published {
                format: catalog::FORMAT,
                version: self.deployment.version,
                deployed_at: self.deployment.now,
                function: function.spec.clone(),
                engine,
            },
            deployed: function.clone(),
        };
        let key = self.keys.function(self.app, &function.spec.name);
        self.session.objects().put_json(&key, &record, Condition::Always).await?;
        let Runs::Batch(now) = record.published.engine else { return Ok(()) };
        // The one before stays for jobs that are tried again, and to go back to.
        let keep: Vec<_> = before.into_iter().chain([now.job_definition]).collect();
        self.forget_definitions(&function.name, &keep).await
    }

    async fn definition_in_catalog(&self, function: &CloudFunction) -> CloudResult<Option<String>> {
        let id = Resource::CloudFunction(Box::new(function.clone())).id();
        let known = self.read_record(&id).await?;
        Ok(known.as_ref().and_then(Known::definition).map(str::to_owned))
    }

    /// After another engine took a function over: ends what the one before had.
    pub(super) async fn leave_engine(&self, before: &CloudFunction) -> CloudResult<()> {
        match before.engine {
            Engine::Batch => self.forget_definitions(&before.name, &[]).await,
            Engine::Lambda => self.take_lambda(&before.name).await,
        }
    }

    pub(super) async fn take_function(&self, function: &CloudFunction) -> CloudResult<()> {
        // By its record the next one knows what a killed one left.
        self.leave_engine(function).await?;
        self.failpoint.hit("function-ended");
        let key = self.keys.function(self.app, &function.spec.name);
        Ok(self.session.objects().delete(&[key]).await?)
    }
}

impl Known {
    /// Its job definition, `name:revision`; none when Batch doesn't run it.
    fn definition(&self) -> Option<&str> {
        match &self.record.as_ref()?.published.engine {
            Runs::Batch(engine) => Some(&engine.job_definition),
            _ => None,
        }
    }

    fn seen(&self, as_deployed: bool) -> Seen {
        let deployed = self.record.as_ref().filter(|_| as_deployed).map(|record| &record.deployed);
        seen(deployed.map(|deployed| Resource::CloudFunction(Box::new(deployed.clone()))))
    }
}
