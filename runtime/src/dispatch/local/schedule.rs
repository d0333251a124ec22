//! What fits on this machine and what happens after an attempt: pure decisions of the executor.

use std::fmt;
use std::time::Duration;

use super::record::CallState;
use crate::function::{FunctionSpec, Hardware, Resources, Retries};
use crate::wire::{Failure, FailureKind, Outcome};

/// Restarts that a call survives beyond its own retries when workers are lost through no fault of
/// its own; after that it is more likely the cause than the victim.
const LOST_WORKERS: u32 = 3;

/// What a machine has, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Thousandths of a core.
    pub millicpu: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// GPUs.
    pub gpus: u64,
}

impl Capacity {
    /// What a function may claim of this machine: what it asks for, or all there is.
    pub fn clamp(&self, resources: &Resources, hardware: Hardware) -> Capacity {
        let wants_gpu = !resources.gpu.is_empty() && hardware != Hardware::Off;
        Capacity {
            millicpu: ((resources.cpu * 1000.0).round() as u64).min(self.millicpu),
            memory: resources.memory_bytes.unwrap_or(0).min(self.memory),
            gpus: u64::from(wants_gpu).min(self.gpus),
        }
    }

    /// What a function asks for that this machine doesn't have.
    pub fn shortfalls(&self, resources: &Resources, hardware: Hardware) -> Vec<Shortfall> {
        let mut missing = Vec::new();
        let has = self.millicpu as f64 / 1000.0;
        if resources.cpu > has {
            missing.push(Shortfall::Cpu { asked: resources.cpu, has });
        }
        if let Some(asked) = resources.memory_bytes.filter(|asked| *asked > self.memory) {
            missing.push(Shortfall::Memory { asked, has: self.memory });
        }
        if !resources.gpu.is_empty() && hardware != Hardware::Off && self.gpus == 0 {
            missing.push(Shortfall::Gpu);
        }
        missing
    }

    /// The largest of this claim's shares of what `machine` has, 0 to 1.
    pub(super) fn largest_share_of(self, machine: Capacity) -> f64 {
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        share(self.millicpu, machine.millicpu)
            .max(share(self.memory, machine.memory))
            .max(share(self.gpus, machine.gpus))
    }

    /// Takes `claim` away if it fits.
    pub fn take(&mut self, claim: Capacity) -> bool {
        let fits = claim.millicpu <= self.millicpu
            && claim.memory <= self.memory
            && claim.gpus <= self.gpus;
        if fits {
            self.millicpu -= claim.millicpu;
            self.memory -= claim.memory;
            self.gpus -= claim.gpus;
        }
        fits
    }

    /// Gives `claim` back.
    pub fn give(&mut self, claim: Capacity) {
        self.millicpu += claim.millicpu;
        self.memory += claim.memory;
        self.gpus += claim.gpus;
    }
}

/// Something that a function asks for and gets less of: as much as there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shortfall {
    /// CPU cores.
    Cpu {
        /// Wanted.
        asked: f64,
        /// There.
        has: f64,
    },
    /// Bytes of memory.
    Memory {
        /// Wanted.
        asked: u64,
        /// There.
        has: u64,
    },
    /// A GPU, where there is none.
    Gpu,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| format!("{}MiB", bytes >> 20);
        match *self {
            Shortfall::Cpu { asked, has } => {
                write!(f, "asks for {asked} cpus; this machine has {has}")
            }
            Shortfall::Memory { asked, has } if asked % (1 << 30) == 0 => {
                let asked = asked >> 30;
                write!(f, "asks for {asked}GiB of memory; this machine has {}", mib(has))
            }
            Shortfall::Memory { asked, has } => {
                write!(f, "asks for {} of memory; this machine has {}", mib(asked), mib(has))
            }
            Shortfall::Gpu => f.write_str("asks for a GPU; this machine has none"),
        }
    }
}

/// How an attempt ended, as seen from outside the worker.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::dispatch) enum AttemptEnd {
    /// The worker said so.
    Outcome(Outcome),
    /// It took longer than it may.
    TimedOut,
    /// The worker died; how, in words.
    WorkerLost(String),
    /// The worker died before it had the call; how, in words.
    Undelivered(String),
    /// The executor gives the call back without judging it.
    Released,
}

/// What follows an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::dispatch) enum Next {
    /// The call is over.
    Finish(CallState, Outcome),
    /// Another attempt, after a while.
    Retry(Failure, Duration),
}

/// Decides what follows attempt number `attempt` of a call. `jitter` is between 0 and 1.
pub(in crate::dispatch) fn after_attempt(
    end: AttemptEnd,
    spec: &FunctionSpec,
    attempt: u32,
    cancelled: bool,
    jitter: f64,
) -> Next {
    let lost = matches!(end, AttemptEnd::WorkerLost(_));
    let failure = match end {
        AttemptEnd::Outcome(outcome @ Outcome::Succeeded { .. }) => {
            return Next::Finish(CallState::Succeeded, outcome);
        }
        _ if cancelled => return Next::Finish(CallState::Cancelled, Outcome::Cancelled),
        AttemptEnd::Outcome(Outcome::Cancelled) => {
            return Next::Finish(CallState::Cancelled, Outcome::Cancelled);
        }
        AttemptEnd::Released => return Next::Retry(released(), Duration::ZERO),
        // The call can't be to blame.
        AttemptEnd::Undelivered(how) => {
            return Next::Retry(worker_lost(spec, &how), Duration::ZERO);
        }
        AttemptEnd::Outcome(Outcome::Failed { failure }) => failure,
        AttemptEnd::TimedOut => timed_out(spec),
        AttemptEnd::WorkerLost(how) => worker_lost(spec, &how),
    };
    let retries = &spec.retries;
    if attempt <= retries.max && failure.retryable {
        return Next::Retry(failure, delay(retries, attempt, jitter));
    }
    let state = if lost && retries.max > 0 && attempt > retries.max + LOST_WORKERS {
        CallState::Lost
    } else {
        CallState::Failed
    };
    Next::Finish(state, Outcome::Failed { failure })
}

/// Whether a call whose executor died at attempt number `attempt` gets another.
pub(super) fn survives_executor(retries: &Retries, attempt: u32) -> bool {
    attempt <= retries.max + LOST_WORKERS
}

/// Exponential backoff with up to a quarter of jitter, so that calls that failed together don't
/// come back together.
fn delay(retries: &Retries, attempt: u32, jitter: f64) -> Duration {
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = retries.initial_delay_seconds * retries.backoff.powi(exponent);
    let seconds = seconds.min(retries.max_delay_seconds) * (1.0 - 0.25 * jitter);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn timed_out(spec: &FunctionSpec) -> Failure {
    Failure::new(
        FailureKind::Timeout,
        format!("`{}` took longer than its timeout of {} s", spec.name, spec.timeout_seconds),
    )
    .hint("raise `timeout` in the manifest and deploy again")
}

fn worker_lost(spec: &FunctionSpec, how: &str) -> Failure {
    Failure::new(FailureKind::WorkerLost, format!("the worker of `{}` {how}", spec.name))
}

/// Why a call goes back to the queue when its executor ends before it.
pub(super) fn released() -> Failure {
    Failure::new(FailureKind::WorkerLost, "the command that ran the queue ended")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::function::{Entry, Scaling, default_timeout};

    fn spec(max: u32) -> FunctionSpec {
        FunctionSpec {
            app: "a".into(),
            name: "f".into(),
            entry: Entry::Builtin { handler: "echo".into() },
            image: None,
            container: None,
            resources: Resources::default(),
            hardware: Hardware::Auto,
            timeout_seconds: default_timeout(),
            retries: Retries { max, ..Retries::default() },
            env: Default::default(),
            volumes: Default::default(),
            secrets: Vec::new(),
            source: None,
            buckets: Default::default(),
            downloads: Default::default(),
            scaling: Scaling::default(),
            cache: false,
            with: Default::default(),
            schema: None,
        }
    }

    fn failed(kind: FailureKind) -> AttemptEnd {
        AttemptEnd::Outcome(Outcome::Failed { failure: Failure::new(kind, "x") })
    }

    #[test]
    fn a_corrupt_input_is_not_retried_and_a_lost_worker_is() {
        let corrupt = after_attempt(failed(FailureKind::InvalidInput), &spec(3), 1, false, 0.0);
        assert!(matches!(corrupt, Next::Finish(CallState::Failed, _)));
        let lost = AttemptEnd::WorkerLost("was killed".into());
        assert!(matches!(after_attempt(lost, &spec(3), 1, false, 0.0), Next::Retry(..)));
    }

    #[test]
    fn a_call_that_its_worker_never_had_starts_again_at_once_unless_it_is_cancelled() {
        let end = AttemptEnd::Undelivered("was killed by signal 15".into());
        let next = after_attempt(end.clone(), &spec(0), 1, false, 0.0);
        assert!(matches!(next, Next::Retry(_, Duration::ZERO)), "{next:?}");
        let next = after_attempt(end, &spec(0), 1, true, 0.0);
        assert_eq!(next, Next::Finish(CallState::Cancelled, Outcome::Cancelled));
    }

    #[test]
    fn delays_double_up_to_the_largest_and_attempts_end() {
        let retries = Retries { max: 9, max_delay_seconds: 5.0, ..Retries::default() };
        let seconds = |attempt| delay(&retries, attempt, 0.0).as_secs_f64();
        assert_eq!([seconds(1), seconds(2), seconds(3), seconds(4)], [1.0, 2.0, 4.0, 5.0]);
        assert!(delay(&retries, 1, 1.0).as_secs_f64() >= 0.75);
        let last = after_attempt(failed(FailureKind::Machine), &spec(2), 3, false, 0.0);
        assert!(matches!(last, Next::Finish(CallState::Failed, _)));
    }

    #[test]
    fn a_result_that_came_before_the_cancellation_counts() {
        let done = Outcome::from_result(Ok((Value::Null, Vec::new())));
        let next = after_attempt(AttemptEnd::Outcome(done), &spec(0), 1, true, 0.0);
        assert!(matches!(next, Next::Finish(CallState::Succeeded, _)));
        let next = after_attempt(AttemptEnd::TimedOut, &spec(9), 1, true, 0.0);
        assert_eq!(next, Next::Finish(CallState::Cancelled, Outcome::Cancelled));
    }

    #[test]
    fn a_claim_is_clamped_to_the_machine_and_returned_whole() {
        let machine = Capacity { millicpu: 2000, memory: 1 << 30, gpus: 0 };
        let resources = Resources {
            cpu: 16.0,
            memory_bytes: Some(8 << 30),
            gpu: vec!["L4".into()],
            ephemeral_disk_bytes: None,
        };
        let claim = machine.clamp(&resources, Hardware::Auto);
        assert_eq!(claim, machine);
        let mut free = machine;
        assert!(free.take(claim) && !free.take(claim));
        free.give(claim);
        assert_eq!(free, machine);
    }
}
