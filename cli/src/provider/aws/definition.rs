//! Batch: job definitions. Registering one always makes another revision, so the fingerprint of what
//! is in it is kept as a tag, and a revision that has it is used again.

use aws_sdk_batch::types::{
    ContainerProperties, EvaluateOnExit, JobDefinition, JobDefinitionType, JobTimeout,
    KeyValuePair, LinuxParameters, LogConfiguration, LogDriver, PlatformCapability,
    ResourceRequirement, ResourceType, RetryAction, RetryStrategy, Secret,
};
use vdeploy_runtime::aws::layout::{exit, variables};

use super::error::missing_is_fine;
use super::session::Doing;
use super::tags::CONTENT;
use super::wait::propagated;
use super::{AwsProvider, CloudError, CloudResult};
use crate::fingerprint::Fingerprint;
use crate::resource::{CloudFunction, Resource};

/// The most attempts that Batch allows; the worker counts those of a call itself.
const ATTEMPTS: i32 = 10;
/// Seconds beyond a call's own limit before Batch ends its job, which it then doesn't try again.
const GRACE_SECONDS: f64 = 120.0;
/// Seconds that a limit must have at least.
const LEAST_SECONDS: f64 = 60.0;
/// What is run in a job's container.
const COMMAND: [&str; 2] = ["vdeploy-runtime", "batch"];

impl AwsProvider<'_> {
    /// The definitions of a name that jobs can be made from, the newest first.
    pub(super) async fn definitions(&self, name: &str) -> CloudResult<Vec<JobDefinition>> {
        let request = self.session.batch().describe_job_definitions().job_definition_name(name);
        let mut pages = request.status("ACTIVE").into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.doing(|| format!("look at job definition `{name}`"))?;
            found.extend(page.job_definitions.unwrap_or_default());
        }
        found.retain(|definition| definition.status() == Some("ACTIVE"));
        found.sort_by_key(|definition| std::cmp::Reverse(definition.revision()));
        Ok(found)
    }

    /// Registers a function's job definition unless the newest has the same content, and says its
    /// `name:revision`. An older one won't do: a schedule names no revision, and so gets the newest.
    pub(super) async fn put_definition(&self, function: &CloudFunction) -> CloudResult<String> {
        let name = &function.name;
        let content = content(function);
        let found = self.definitions(name).await?;
        let id = Resource::CloudFunction(Box::new(function.clone())).id();
        let tags = self.tags(&id).and(CONTENT, &content);
        if found.iter().any(|found| !tags.own(found.tags().into_iter().flatten())) {
            return Err(CloudError::NotOurs(format!("job definition `{name}`")));
        }
        let same = found.first().filter(|found| has_content(found, &content));
        let revision = match same.and_then(|found| found.revision()) {
            Some(revision) => revision,
            None => self.register(function, &tags).await?,
        };
        Ok(format!("{name}:{revision}"))
    }

    async fn register(
        &self,
        function: &CloudFunction,
        tags: &super::tags::Tags,
    ) -> CloudResult<i32> {
        let name = &function.name;
        let properties = self.properties(function).await?;
        let seconds = (function.spec.timeout_seconds + GRACE_SECONDS).max(LEAST_SECONDS).ceil();
        let timeout = JobTimeout::builder().attempt_duration_seconds(seconds as i32).build();
        let batch = self.session.batch();
        propagated(|| async {
            let request = batch
                .register_job_definition()
                .job_definition_name(name)
                .r#type(JobDefinitionType::Container)
                .platform_capabilities(PlatformCapability::Ec2)
                .container_properties(properties.clone())
                .retry_strategy(retries())
                .timeout(timeout.clone())
                .propagate_tags(true)
                .set_tags(Some(tags.map()));
            let made =
                request.send().await.doing(|| format!("register job definition `{name}`"))?;
            Ok(made.revision().unwrap_or(1))
        })
        .await
    }

    async fn properties(&self, function: &CloudFunction) -> CloudResult<ContainerProperties> {
        let role = |name: &str| self.session.iam_arn(&format!("role/{name}"));
        let needs = |kind: ResourceType, amount: String| {
            ResourceRequirement::builder().r#type(kind).value(amount).build()
        };
        let mut requirements = vec![
            needs(ResourceType::Vcpu, function.vcpus.to_string()),
            needs(ResourceType::Memory, function.memory_mib.to_string()),
        ];
        if !function.spec.resources.gpu.is_empty() {
            requirements.push(needs(ResourceType::Gpu, "1".into()));
        }
        // An init of its own passes signals on and reaps what ffmpeg's parents leave.
        let linux = LinuxParameters::builder().init_process_enabled(true).build();
        let logs = LogConfiguration::builder()
            .log_driver(LogDriver::Awslogs)
            .options("awslogs-group", &function.log_group)
            .options("awslogs-region", &self.session.region)
            .build();
        let environment = self.environment_of(function).into_iter();
        let pair = |(name, value): (String, String)| {
            KeyValuePair::builder().name(name).value(value).build()
        };
        Ok(ContainerProperties::builder()
            .image(self.image_of(function).await?)
            .set_command(Some(COMMAND.map(str::to_owned).into()))
            .set_resource_requirements(Some(requirements))
            .job_role_arn(role(&function.role))
            .set_execution_role_arn(function.start_role.as_deref().map(role))
            .set_environment(Some(environment.map(pair).collect()))
            .set_secrets(Some(self.secrets_of(function).await?))
            .linux_parameters(linux)
            .log_configuration(logs)
            .build())
    }

    /// The variables of a function's containers, beside what secrets add.
    pub(super) fn environment_of(&self, function: &CloudFunction) -> Vec<(String, String)> {
        let name = format!("{}/{}", self.app, function.spec.name);
        let mut pairs = vec![
            (variables::BUCKET.to_owned(), function.bucket.clone()),
            (variables::ENVIRONMENT.to_owned(), self.environment().to_owned()),
            (variables::FUNCTION.to_owned(), name),
        ];
        if !function.secret_keys.is_empty() {
            let keys = serde_json::to_string(&function.secret_keys);
            let keys = keys.expect("names of keys are plain data");
            pairs.push((variables::SECRETS.to_owned(), keys));
        }
        if !function.spec.resources.gpu.is_empty() {
            // Without `video` the driver's encoder and decoder aren't in the container.
            let all = "compute,utility,video".to_owned();
            pairs.push(("NVIDIA_DRIVER_CAPABILITIES".to_owned(), all));
        }
        pairs.extend(function.spec.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        pairs
    }

    /// The keys of a function's secrets, by reference.
    async fn secrets_of(&self, function: &CloudFunction) -> CloudResult<Vec<Secret>> {
        let mut secrets = Vec::new();
        for (name, keys) in &function.secret_keys {
            let found = self.find_secret(name).await?;
            let found = found.ok_or_else(|| CloudError::Missing(format!("secret `{name}`")))?;
            let keys = if keys.is_empty() { &found.keys } else { keys };
            for key in keys {
                let reference = format!("{}:{key}::", found.arn);
                secrets.push(Secret::builder().name(key).value_from(reference).build());
            }
        }
        Ok(secrets)
    }

    /// Forgets the revisions of a definition but `keep`. What was submitted from them still runs.
    pub(super) async fn forget_definitions(&self, name: &str, keep: &[String]) -> CloudResult<()> {
        let batch = self.session.batch();
        for found in self.definitions(name).await? {
            let revision = format!("{name}:{}", found.revision().unwrap_or_default());
            let is_anothers = self.is_anothers(found.tags().into_iter().flatten());
            if !is_anothers && !keep.contains(&revision) {
                let request = batch.deregister_job_definition().job_definition(&revision);
                let sent = request.send().await;
                missing_is_fine(sent.doing(|| format!("forget job definition `{revision}`")))?;
            }
        }
        Ok(())
    }
}

/// The fingerprint of what a definition holds; prices and reasons aren't part of it.
pub(super) fn content(function: &CloudFunction) -> String {
    let mut function = function.clone();
    function.reason.clear();
    function.machine.clear();
    function.price_per_hour = 0.0;
    Fingerprint::of(&(COMMAND, function)).to_string()
}

/// Whether a definition was made from this content.
pub(super) fn has_content(found: &JobDefinition, content: &str) -> bool {
    found.tags().and_then(|tags| tags.get(CONTENT)).is_some_and(|found| found == content)
}

fn retries() -> RetryStrategy {
    let rule = |(field, pattern, again): (exit::Field, &str, bool)| {
        let action = if again { RetryAction::Retry } else { RetryAction::Exit };
        let rule = EvaluateOnExit::builder().action(action);
        let rule = match field {
            exit::Field::StatusReason => rule.on_status_reason(pattern),
            exit::Field::Reason => rule.on_reason(pattern),
            exit::Field::ExitCode => rule.on_exit_code(pattern),
        };
        rule.build()
    };
    let rules = exit::RULES.into_iter().map(rule).collect();
    RetryStrategy::builder().attempts(ATTEMPTS).set_evaluate_on_exit(Some(rules)).build()
}
