//! The roles of an app in the cloud: what its functions may do while they run, what starts them, what
//! machines may do, and what calls functions at their times. Pure.

use std::collections::BTreeSet;

use vdeploy_runtime::aws::layout;

use super::cloud::{Cloud, Place};
use super::policy::{self, Policy};
use crate::engine::Engine;
use crate::resource::{CloudFunction, Resource, Role};

impl Cloud<'_> {
    /// Adds the roles of an app's functions.
    pub(super) fn roles(&mut self, functions: &[CloudFunction]) {
        let names = self.policy_names(functions);
        if self.target.role.is_none() && !functions.is_empty() {
            let services = ["ecs-tasks.amazonaws.com", "lambda.amazonaws.com"];
            self.role("function", &services, Some(Policy::Function.render(&names)));
        }
        if functions.iter().any(|function| function.engine == Engine::Batch) {
            let policy = Policy::Start.render(&names);
            self.role("start", &["ecs-tasks.amazonaws.com"], Some(policy));
        }
        if self.set.values().any(|resource| matches!(resource, Resource::Compute(_))) {
            self.role("machine", &["ec2.amazonaws.com"], None);
        }
        let scheduled: Vec<CloudFunction> = functions
            .iter()
            .filter(|function| self.schedule_of(function).is_some())
            .cloned()
            .collect();
        if !scheduled.is_empty() {
            let policy = Policy::Schedule.render(&self.policy_names(&scheduled));
            self.role("schedule", &["scheduler.amazonaws.com"], Some(policy));
        }
    }

    fn role(&mut self, purpose: &str, services: &[&str], policy: Option<serde_json::Value>) {
        let for_machines = purpose == "machine";
        let managed = "service-role/AmazonEC2ContainerServiceforEC2Role";
        self.add(Resource::Role(Box::new(Role {
            purpose: purpose.to_owned(),
            name: self.names.role(purpose),
            services: services.iter().map(ToString::to_string).collect(),
            policy: policy.unwrap_or_default(),
            managed: for_machines.then(|| managed.to_owned()).into_iter().collect(),
            for_machines,
        })));
    }

    fn policy_names(&self, functions: &[CloudFunction]) -> policy::Names {
        let Place { region, bucket, environment, .. } = self.place;
        let arn = |service: &str| policy::arn(service, region);
        let secret = |name: String| {
            format!(
                "{}:secret:{}-??????",
                arn("secretsmanager"),
                layout::secret(environment, &name)
            )
        };
        let of = |engine: Engine| functions.iter().filter(move |f| f.engine == engine);
        let definitions =
            of(Engine::Batch).map(|f| format!("{}:job-definition/{}:*", arn("batch"), f.name));
        let queues: BTreeSet<_> = of(Engine::Batch).filter_map(|f| f.queue.as_ref()).collect();
        let queues = queues.into_iter().map(|queue| format!("{}:job-queue/{queue}", arn("batch")));
        let secrets: BTreeSet<_> = functions.iter().flat_map(|f| f.spec.needed_secrets()).collect();
        let volumes: BTreeSet<_> = functions.iter().flat_map(|f| f.spec.volumes.values()).collect();
        policy::Names {
            app: self.app.name.clone(),
            environment: environment.clone(),
            bucket: format!("arn:{}:s3:::{bucket}", policy::partition(region)),
            calls: layout::EXPIRING.iter().map(|p| format!("{p}{environment}/")).collect(),
            arn_batch: arn("batch"),
            arn_logs: arn("logs"),
            volumes: volumes.into_iter().cloned().collect(),
            secrets: secrets.into_iter().map(secret).collect(),
            mounts: self.mounts(functions),
            jobs: definitions.chain(queues).collect(),
            lambdas: of(Engine::Lambda)
                .map(|f| format!("{}:function:{}:*", arn("lambda"), f.name))
                .collect(),
            repositories: self.repositories(functions),
        }
    }

    /// Existing buckets of Amazon's that functions reach as who they are.
    fn mounts(&self, functions: &[CloudFunction]) -> Vec<policy::Mount> {
        let partition = policy::partition(&self.place.region);
        let all = functions.iter().flat_map(|function| function.spec.buckets.values());
        let own = all.filter(|mount| mount.secret.is_none() && mount.endpoint.is_none());
        let mounts: BTreeSet<_> = own
            .map(|mount| policy::Mount {
                bucket: format!("arn:{partition}:s3:::{}", mount.bucket),
                prefix: mount.prefix.clone(),
                read_only: mount.read_only,
            })
            .collect();
        mounts.into_iter().collect()
    }

    /// ARNs of the repositories that images come from.
    fn repositories(&self, functions: &[CloudFunction]) -> Vec<String> {
        let names: BTreeSet<String> =
            functions.iter().filter_map(|function| ecr_repository(&function.image)).collect();
        let arn = policy::arn("ecr", &self.place.region);
        names.into_iter().map(|name| format!("{arn}:repository/{name}")).collect()
    }
}

/// The repository of an image of ECR's.
fn ecr_repository(uri: &str) -> Option<String> {
    let (host, rest) = uri.split_once('/')?;
    let name = rest.split(['@', ':']).next()?;
    host.contains(".dkr.ecr.").then(|| name.to_owned())
}
