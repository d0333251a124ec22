//! Jobs of AWS Batch, as far as calls need them.

use std::collections::BTreeMap;

use aws_sdk_batch::Client;
use aws_sdk_batch::types::{
    ArrayProperties, CeStatus, ContainerOverrides, JobDetail, JobStatus, JqState, JqStatus,
    KeyValuePair,
};

use super::error::AwsError;
use super::layout::{APP_TAG, BatchEngine, variables};
use super::why::QueueState;

/// The most jobs that one request describes.
const DESCRIBED_AT_ONCE: usize = 100;

type Result<T> = std::result::Result<T, AwsError>;

/// What AWS Batch says of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobState {
    /// Its id.
    pub id: String,
    /// Its status, such as `RUNNABLE`.
    pub status: String,
    /// Why it is in that status.
    pub reason: Option<String>,
    /// What its container said when it ended.
    pub container_reason: Option<String>,
    /// What its container ended with.
    pub exit_code: Option<i32>,
    /// Its queue.
    pub queue: String,
    /// How many jobs of an array are in which status.
    pub children: BTreeMap<String, u64>,
    /// Its place in an array.
    pub index: Option<u64>,
}

impl JobState {
    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        matches!(&*self.status, "SUCCEEDED" | "FAILED")
    }

    /// How many jobs of an array are over.
    pub fn children_over(&self) -> u64 {
        ["SUCCEEDED", "FAILED"].iter().filter_map(|status| self.children.get(*status)).sum()
    }
}

/// Starts a job for a group of `size` calls, an array where they are many, and returns its id.
pub async fn submit(
    client: &Client,
    engine: &BatchEngine,
    group: &str,
    (environment, app): (&str, &str),
    size: u64,
) -> Result<String> {
    let variable =
        |name: &str, value: &str| KeyValuePair::builder().name(name).value(value).build();
    let overrides = ContainerOverrides::builder()
        .environment(variable(variables::GROUP, group))
        .environment(variable(variables::ENVIRONMENT, environment))
        .build();
    let array = (size > 1).then(|| ArrayProperties::builder().size(size as i32).build());
    let sent = client
        .submit_job()
        .job_name(group)
        .job_queue(&engine.queue)
        .job_definition(&engine.job_definition)
        .container_overrides(overrides)
        .set_array_properties(array)
        // By which calls may end the calls that they made.
        .tags(APP_TAG, app)
        .send()
        .await;
    let doing = || format!("submit a job to queue `{}`", short(&engine.queue));
    let submitted = sent.map_err(|error| AwsError::of(doing(), &error))?;
    Ok(submitted.job_id.unwrap_or_default())
}

/// Ends jobs, whatever their status; those that are over are fine.
pub async fn terminate(client: &Client, job: &str, reason: &str) -> Result<()> {
    let sent = client.terminate_job().job_id(job).reason(reason).send().await;
    sent.map(drop).map_err(|error| AwsError::of(format!("end job `{job}`"), &error))
}

/// What is known of jobs; those that are forgotten are left out.
pub async fn describe(client: &Client, jobs: &[String]) -> Result<Vec<JobState>> {
    let mut states = Vec::new();
    for jobs in jobs.chunks(DESCRIBED_AT_ONCE) {
        let sent = client.describe_jobs().set_jobs(Some(jobs.to_vec())).send().await;
        let described = sent.map_err(|error| AwsError::of("look at jobs", &error))?;
        states.extend(described.jobs.unwrap_or_default().into_iter().map(state));
    }
    Ok(states)
}

/// The failed jobs of an array.
pub async fn failed_children(client: &Client, array: &str) -> Result<Vec<JobState>> {
    let mut states = Vec::new();
    let mut next = None;
    loop {
        let request = client.list_jobs().array_job_id(array).job_status(JobStatus::Failed);
        let sent = request.set_next_token(next).send().await;
        let listed =
            sent.map_err(|error| AwsError::of(format!("list jobs of `{array}`"), &error))?;
        for job in listed.job_summary_list.unwrap_or_default() {
            let container = job.container.as_ref();
            states.push(JobState {
                status: "FAILED".into(),
                reason: job.status_reason.clone(),
                container_reason: container.and_then(|container| container.reason.clone()),
                exit_code: container.and_then(|container| container.exit_code),
                index: job
                    .array_properties
                    .as_ref()
                    .and_then(|array| array.index)
                    .and_then(|index| index.try_into().ok())
                    .or_else(|| index_of(job.job_id.as_deref()?)),
                id: job.job_id.unwrap_or_default(),
                ..JobState::default()
            });
        }
        next = listed.next_token;
        if next.is_none() {
            return Ok(states);
        }
    }
}

/// What is known of a queue and the compute environments that it feeds.
pub async fn queue(client: &Client, queue: &str) -> Result<QueueState> {
    let doing = || format!("look at queue `{}`", short(queue));
    let sent = client.describe_job_queues().job_queues(queue).send().await;
    let described = sent.map_err(|error| AwsError::of(doing(), &error))?;
    let Some(found) = described.job_queues().first() else { return Ok(QueueState::default()) };
    let mut state = QueueState {
        disabled: found.state() == Some(&JqState::Disabled),
        invalid: found
            .status_reason()
            .map(Into::into)
            .filter(|_| found.status() == Some(&JqStatus::Invalid)),
        max_vcpus: None,
    };
    let orders = found.compute_environment_order().iter();
    let names: Vec<_> =
        orders.filter_map(|order| order.compute_environment().map(Into::into)).collect();
    let request = client.describe_compute_environments();
    let sent = request.set_compute_environments(Some(names)).send().await;
    let described = sent.map_err(|error| AwsError::of(doing(), &error))?;
    for environment in described.compute_environments() {
        if environment.status() == Some(&CeStatus::Invalid) {
            state.invalid = state.invalid.or_else(|| environment.status_reason().map(Into::into));
        }
        let vcpus = environment.compute_resources().and_then(|resources| resources.maxv_cpus());
        if let Some(vcpus) = vcpus.and_then(|vcpus| u64::try_from(vcpus).ok()) {
            state.max_vcpus = Some(state.max_vcpus.unwrap_or_default() + vcpus);
        }
    }
    Ok(state)
}

/// The id of a job of an array.
pub fn child(array: &str, index: u64) -> String {
    format!("{array}:{index}")
}

fn index_of(id: &str) -> Option<u64> {
    id.rsplit_once(':')?.1.parse().ok()
}

fn state(job: JobDetail) -> JobState {
    let container = job.container.as_ref();
    let array = job.array_properties.as_ref();
    let children = array.and_then(|array| array.status_summary.clone()).unwrap_or_default();
    JobState {
        status: job.status.as_ref().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: job.status_reason.clone(),
        container_reason: container.and_then(|container| container.reason.clone()),
        exit_code: container.and_then(|container| container.exit_code),
        queue: job.job_queue.clone().unwrap_or_default(),
        children: children
            .into_iter()
            .filter_map(|(status, count)| Some((status, u64::try_from(count).ok()?)))
            .collect(),
        index: array.and_then(|array| array.index).and_then(|index| index.try_into().ok()),
        id: job.job_id.unwrap_or_default(),
    }
}

/// The last part of an ARN, or the name itself.
pub(crate) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
