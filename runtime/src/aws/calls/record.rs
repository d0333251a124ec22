//! What is said of calls: data only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::layout::{CallPlace, Engine};
use crate::dispatch::local::{AttemptRecord, CallRecord, CallState};
use crate::function::FunctionSpec;
use crate::wire::{CallId, Outcome};

/// Calls that were made together: all of one function, each with arguments of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// [`VERSION`](crate::wire::VERSION) of the writer.
    pub v: u32,
    /// The environment of the function.
    pub environment: String,
    /// The version of the app it was looked up in.
    pub version: u64,
    /// The function as deployed.
    pub function: FunctionSpec,
    /// What runs it.
    pub engine: Engine,
    /// How many calls there are.
    pub size: u64,
    /// Outputs that exist may be replaced.
    pub overwrite: bool,
    /// The map they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<MapPlace>,
    /// When they were accepted.
    pub created: Timestamp,
    /// The call that made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CallId>,
    /// The arguments, where there is one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
}

/// Which inputs of a map a group holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapPlace {
    /// The map.
    pub id: String,
    /// The place of the group's first input.
    pub first: u64,
}

/// What a map's part says: the group that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapPart {
    /// The group.
    pub group: String,
    /// How many inputs it holds.
    pub size: u64,
}

/// What runs a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id in AWS Batch; none where Lambda runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
}

/// How far a call is, as its worker says every second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Attempts so far, oldest first.
    pub attempts: Vec<AttemptRecord>,
    /// How many of them ended because their machine was taken away, which is nobody's fault.
    #[serde(default)]
    pub reclaimed: u32,
    /// Bytes of the log so far.
    #[serde(default)]
    pub log_bytes: u64,
}

/// How a call ended, and what it took. Written once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// Nobody was left to say how it ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// All attempts.
    pub attempts: Vec<AttemptRecord>,
    /// When it ended.
    pub ended: Timestamp,
    /// What it cost in US dollars, as estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

impl Ended {
    /// The end of a call that no worker has anything to say of.
    pub fn unheard(outcome: Outcome, lost: bool, status: Option<Status>, now: Timestamp) -> Self {
        let mut attempts = status.unwrap_or_default().attempts;
        if let (Some(last), Outcome::Failed { failure }) = (attempts.last_mut(), &outcome)
            && last.ended.is_none()
        {
            last.ended = Some(now);
            last.failure = Some(failure.clone());
        }
        Ended { outcome, lost, attempts, ended: now, cost: None }
    }

    /// The state that it leaves its call in.
    pub fn state(&self) -> CallState {
        match &self.outcome {
            _ if self.lost => CallState::Lost,
            Outcome::Succeeded { .. } => CallState::Succeeded,
            Outcome::Failed { .. } => CallState::Failed,
            Outcome::Cancelled => CallState::Cancelled,
        }
    }
}

/// What is recorded of a call, in one value.
pub fn call_record(
    place: &CallPlace,
    group: &Group,
    args: Value,
    status: Option<Status>,
    ended: Option<Ended>,
) -> CallRecord {
    let state = match (&ended, &status) {
        (Some(ended), _) => ended.state(),
        (None, Some(status)) if status.attempts.iter().any(|last| last.ended.is_none()) => {
            CallState::Running
        }
        (None, _) => CallState::Queued,
    };
    let (ended_at, cost, outcome, attempts) = match ended {
        Some(Ended { outcome, attempts, ended, cost, .. }) => {
            (Some(ended), cost, Some(outcome), attempts)
        }
        None => (None, None, None, status.unwrap_or_default().attempts),
    };
    CallRecord {
        id: place.id(),
        environment: group.environment.clone(),
        app: group.function.app.clone(),
        function: group.function.name.clone(),
        version: group.version,
        state,
        args,
        map: group.map.as_ref().map(|map| map.id.clone()),
        parent: group.parent.clone(),
        created: group.created,
        started: attempts.first().map(|attempt| attempt.started),
        ended: ended_at,
        seconds: attempts.iter().filter_map(AttemptRecord::seconds).sum(),
        cost,
        attempts,
        outcome,
    }
}
