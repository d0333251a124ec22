//! What an app has in an account of AWS beside its functions' code and data.
//!
//! None of these holds the account's number: where an ARN needs it, there is [`ACCOUNT`] in its place
//! until a request is made, so that plans and state can be shown to anybody.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vdeploy_runtime::function::FunctionSpec;

use crate::engine::Engine;

/// What stands for the account's number.
pub const ACCOUNT: &str = "{account}";

/// The bucket that holds everything of all environments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// Days that calls are kept.
    pub call_retention_days: u32,
}

/// Where a function's jobs log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGroup {
    /// The function.
    pub function: String,
    /// Its name in CloudWatch.
    pub name: String,
    /// Days that logs are kept.
    pub retention_days: u32,
}

/// A role of least privilege.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// What it is for: `function`, `start`, `machine` or `schedule`.
    pub purpose: String,
    /// Its name in IAM; of a machine's, the name of the instance profile too.
    pub name: String,
    /// Services that may take it on.
    pub services: Vec<String>,
    /// What it allows, as a policy document.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub policy: Value,
    /// Policies of AWS that belong to it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed: Vec<String>,
    /// Machines take it on, by an instance profile of the same name.
    #[serde(default)]
    pub for_machines: bool,
}

/// A repository for the images of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The image.
    pub image: String,
    /// Its name in ECR.
    pub name: String,
}

/// What machines are started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// Its name in EC2.
    pub name: String,
    /// GiB of the disk that holds images and what calls write.
    pub disk_gib: u64,
}

/// Machines of one kind that come and go with the jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeEnvironment {
    /// Its id within the app: `l4-spot` and a hash of what can't be changed in place, so that a
    /// replacement stands beside what it replaces.
    pub id: String,
    /// Its name in Batch.
    pub name: String,
    /// The GPU that its machines have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Machines may be taken away.
    pub spot: bool,
    /// Types or families of machines.
    pub instance_types: Vec<String>,
    /// CPUs that run at the same time.
    pub max_vcpus: u32,
    /// The network that subnets and security groups are taken from when none are named; none is the
    /// default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// Subnets; empty for all of the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
    /// Security groups; empty for the network's default one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// The launch template.
    pub launch_template: String,
    /// The role of its machines.
    pub machine_role: String,
}

impl ComputeEnvironment {
    /// Whether this, found in Batch, is what `wanted` asks for: what that leaves to the network was
    /// chosen when it was made.
    pub(super) fn serves(&self, wanted: &ComputeEnvironment) -> bool {
        let mut found = self.clone();
        found.vpc.clone_from(&wanted.vpc);
        if wanted.subnets.is_empty() {
            found.subnets.clear();
        }
        if wanted.security_groups.is_empty() {
            found.security_groups.clear();
        }
        found == *wanted
    }
}

/// Where jobs wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its id within the app, such as `l4-spot`.
    pub id: String,
    /// Its name in Batch.
    pub name: String,
    /// Names of compute environments in order of preference, at most three.
    pub compute_environments: Vec<String>,
}

/// A function, and what runs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloudFunction {
    /// What it needs and runs.
    pub spec: FunctionSpec,
    /// What runs it.
    pub engine: Engine,
    /// Why that.
    pub reason: String,
    /// What it probably runs on, such as `g6.xlarge`.
    pub machine: String,
    /// US dollars that an hour of one call costs at most.
    pub price_per_hour: f64,
    /// The name of its job definition or Lambda function.
    pub name: String,
    /// The image, by URI, with [`ACCOUNT`] in place of the account's number.
    pub image: String,
    /// The image was built for the app: its tag follows from its content, and the function is told
    /// its digest once it is pushed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub built: bool,
    /// CPUs of one call.
    pub vcpus: u32,
    /// MiB of memory of one call.
    pub memory_mib: u64,
    /// MiB of `/tmp`, on Lambda.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u64>,
    /// The queue of its jobs, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The same by its id within the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    /// The role that it runs with, by name.
    pub role: String,
    /// The role that its containers are started with, by name; of jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_role: Option<String>,
    /// Where it logs.
    pub log_group: String,
    /// The bucket that holds its calls and volumes.
    pub bucket: String,
    /// Names of the environment's secrets, and their keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_keys: BTreeMap<String, Vec<String>>,
}

/// A function that is called by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The function.
    pub function: String,
    /// Its name in EventBridge Scheduler.
    pub name: String,
    /// When, as AWS writes it: `cron(0 6 * * ? *)`, in UTC.
    pub expression: String,
    /// What runs the function.
    pub engine: Engine,
    /// The name of its job definition or Lambda function.
    pub target: String,
    /// The queue of its jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The role that calls it, by name.
    pub role: String,
}
