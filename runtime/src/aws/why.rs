//! Why a job doesn't start, or ended without a word, in one sentence. Pure.

use super::batch::{JobState, short};
use crate::wire::{Failure, FailureKind};

/// What is known of a queue that a job waits in, beside the job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    /// It takes no jobs.
    pub disabled: bool,
    /// Why it or one of its compute environments is broken, if it is.
    pub invalid: Option<String>,
    /// All vCPUs that its compute environments may have; none when unknown.
    pub max_vcpus: Option<u64>,
}

/// Why a job isn't running; none when it is, or is over.
pub fn waiting(job: &JobState, queue: &QueueState) -> Option<String> {
    let name = short(&job.queue);
    let reason = job.reason.as_deref().unwrap_or_default();
    match &*job.status {
        "SUBMITTED" | "PENDING" => Some("AWS Batch is taking it up".into()),
        "STARTING" => Some("its container is starting: the image is pulled".into()),
        "RUNNABLE" => Some(if let Some(known) = known_reason(reason) {
            format!("{known} (queue `{name}`)")
        } else if queue.disabled {
            format!("queue `{name}` takes no jobs: deploy again to enable it")
        } else if let Some(invalid) = &queue.invalid {
            format!("queue `{name}` is broken: {invalid}")
        } else if queue.max_vcpus == Some(0) {
            format!("queue `{name}` may have no vCPUs: raise `max_vcpus`")
        } else {
            format!("queue `{name}` is getting a machine, or others are before it")
        }),
        _ => None,
    }
}

/// What the codes of AWS Batch mean.
fn known_reason(reason: &str) -> Option<&'static str> {
    let known = [
        (
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
            "AWS has none of these machines free now: allow more types, zones or on-demand ones",
        ),
        (
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
            "it needs more vCPUs than its compute environment may have: raise `max_vcpus`",
        ),
        (
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
            "no machine of its queue has what it asks for: lower `cpu`, `memory` or `gpu`",
        ),
        (
            "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS",
            "AWS Batch lacks permissions to start machines: deploy again to mend its role",
        ),
        ("VcpuLimitExceeded", "the account's quota of vCPUs is used up: ask for more"),
        ("MaxSpotInstanceCountExceeded", "the account's quota of spot machines is used up"),
    ];
    known.into_iter().find(|(code, _)| reason.contains(code)).map(|(_, sentence)| sentence)
}

/// Why a job ended and left its call without an outcome.
pub fn died(job: &JobState) -> Failure {
    let said = [job.reason.as_deref(), job.container_reason.as_deref()];
    let all = said.into_iter().flatten().collect::<Vec<_>>().join(": ");
    let failure = |message: &str| Failure::new(FailureKind::WorkerLost, message);
    let failure = if all.contains("CannotPullContainer") {
        failure("its image can't be pulled").hint("push it again: `vdeploy deploy --target aws`")
    } else if all.contains("OutOfMemory") {
        failure("its container was killed for want of memory")
            .hint("raise `memory` of the function")
    } else if all.contains("exceeded timeout") {
        Failure::new(FailureKind::Timeout, "it took longer than its time limit")
            .hint("raise `timeout` of the function")
    } else if all.contains("Host EC2") {
        failure("its machine was taken away more often than it may be tried again")
            .hint("use `spot = false`, or call it again")
    } else if let Some(code) = job.exit_code {
        failure(&format!("its container ended with {code} and without an outcome"))
    } else {
        failure("its job ended without an outcome")
    };
    if all.is_empty() { failure } else { failure.cause(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, reason: &str) -> JobState {
        JobState {
            status: status.into(),
            reason: Some(reason.into()).filter(|reason: &String| !reason.is_empty()),
            queue: "arn:aws:batch:us-east-1:1:job-queue/vdeploy-main-reel-l4".into(),
            ..JobState::default()
        }
    }

    #[test]
    fn a_job_that_waits_says_why_in_one_sentence() {
        let plain = QueueState::default();
        let sentences = [
            waiting(&job("SUBMITTED", ""), &plain),
            waiting(&job("RUNNABLE", ""), &plain),
            waiting(&job("RUNNABLE", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - …"), &plain),
            waiting(&job("RUNNABLE", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - …"), &plain),
            waiting(&job("RUNNABLE", ""), &QueueState { disabled: true, ..plain.clone() }),
            waiting(
                &job("RUNNABLE", ""),
                &QueueState { invalid: Some("CLIENT_ERROR - no role".into()), ..plain.clone() },
            ),
            waiting(&job("STARTING", ""), &plain),
            waiting(&job("RUNNING", ""), &plain),
        ];
        let lines: Vec<_> = sentences.iter().map(|line| line.as_deref().unwrap_or("-")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        AWS Batch is taking it up
        queue `vdeploy-main-reel-l4` is getting a machine, or others are before it
        AWS has none of these machines free now: allow more types, zones or on-demand ones (queue `vdeploy-main-reel-l4`)
        no machine of its queue has what it asks for: lower `cpu`, `memory` or `gpu` (queue `vdeploy-main-reel-l4`)
        queue `vdeploy-main-reel-l4` takes no jobs: deploy again to enable it
        queue `vdeploy-main-reel-l4` is broken: CLIENT_ERROR - no role
        its container is starting: the image is pulled
        -
        ");
    }

    #[test]
    fn a_job_that_died_says_of_what() {
        let died = |reason: &str, exit_code| {
            let job = JobState { exit_code, ..job("FAILED", reason) };
            super::died(&job).message
        };
        assert_eq!(died("CannotPullContainerError: no", None), "its image can't be pulled");
        assert_eq!(
            died("OutOfMemoryError: killed", Some(137)),
            "its container was killed for want of memory"
        );
        assert_eq!(died("", Some(1)), "its container ended with 1 and without an outcome");
        assert_eq!(died("", None), "its job ended without an outcome");
    }
}
