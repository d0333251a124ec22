//! Calls as the queue keeps them.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reuse::{Key, Reusable};
use crate::aws::layout::Engine;
use crate::dispatch::Callee;
use crate::function::FunctionSpec;
use crate::process::ProcessId;
use crate::wire::{CallId, Failure, Outcome, Progress};

/// Where a call is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// Recorded; a worker will take it.
    Queued,
    /// A worker has it.
    Running,
    /// Ended with a result.
    Succeeded,
    /// Ended without one.
    Failed,
    /// Ended because somebody asked.
    Cancelled,
    /// Ended because nobody was left to wait for it, or its worker was lost too often.
    Lost,
}

impl CallState {
    /// All states, in the order of a call's life.
    pub const ALL: [CallState; 6] = [
        CallState::Queued,
        CallState::Running,
        CallState::Succeeded,
        CallState::Failed,
        CallState::Cancelled,
        CallState::Lost,
    ];

    /// Its name, as stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            CallState::Queued => "queued",
            CallState::Running => "running",
            CallState::Succeeded => "succeeded",
            CallState::Failed => "failed",
            CallState::Cancelled => "cancelled",
            CallState::Lost => "lost",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether it has an outcome.
    pub fn has_ended(self) -> bool {
        !matches!(self, CallState::Queued | CallState::Running)
    }
}

/// A call to be recorded.
#[derive(Clone, Debug)]
pub struct NewCall {
    /// The environment of its function.
    pub environment: String,
    /// The version of the app it was looked up in.
    pub version: u64,
    /// The function as deployed.
    pub function: FunctionSpec,
    /// What runs it; the queue of one machine has only that machine.
    pub engine: Engine,
    /// Checked arguments.
    pub args: Value,
    /// Outputs that exist may be replaced.
    pub overwrite: bool,
    /// It runs, even if an earlier call was alike.
    pub fresh: bool,
    /// Higher runs first within its function.
    pub priority: i32,
    /// The process that waits for it; none for a detached call.
    pub owner: Option<ProcessId>,
    /// The map it belongs to, and its place in it.
    pub map: Option<(String, u64)>,
    /// The call that made it, whose end is its own end at the latest.
    pub parent: Option<CallId>,
}

/// A call as recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Its id.
    pub id: CallId,
    /// The environment of its function.
    pub environment: String,
    /// The app of its function.
    pub app: String,
    /// Its function.
    pub function: String,
    /// The app's version that was called.
    pub version: u64,
    /// Where it is in its life.
    pub state: CallState,
    /// Its arguments.
    pub args: Value,
    /// The map it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// The call that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<CallId>,
    /// When it was accepted.
    pub created: Timestamp,
    /// When its first attempt started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Seconds that its ended attempts took together.
    pub seconds: f64,
    /// What they cost, where the machine has a price; in the currency of that price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptRecord>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// One try of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// From 1.
    pub attempt: u32,
    /// The process that served it.
    pub worker: Option<u32>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The last that was heard of it.
    pub progress: Option<Progress>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

impl AttemptRecord {
    /// How long it took, once it has ended.
    pub fn seconds(&self) -> Option<f64> {
        Some(self.ended?.duration_since(self.started).as_secs_f64())
    }
}

/// A call that waits for a worker, with what the worker needs to know.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    /// Order of acceptance.
    pub seq: i64,
    /// Its id.
    pub id: CallId,
    /// Its arguments.
    pub args: Value,
    /// Outputs that exist may be replaced.
    pub overwrite: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// What the last attempt stored.
    pub checkpoint: Option<Value>,
    /// The map it belongs to.
    pub map: Option<String>,
    /// Another call waits for it, and gave its claim back.
    pub is_child: bool,
    /// Higher runs first.
    pub priority: i32,
    /// An earlier outcome isn't good enough.
    pub fresh: bool,
    /// How to remember its outcome for calls that are alike.
    pub reuse: Option<(Key, Arc<Reusable>)>,
}

/// A call whose cancellation was asked for and that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Cancelling {
    /// Its row.
    pub seq: i64,
    /// Attempts so far.
    pub attempts: u32,
    /// Its id.
    pub id: CallId,
    /// The map it belongs to.
    pub map: Option<String>,
    /// Its function.
    pub callee: Callee,
}

/// A function that calls were recorded for.
#[derive(Clone, Debug)]
pub(super) struct KnownFunction {
    /// Its row.
    pub id: i64,
    /// Its environment.
    pub environment: String,
    /// The app's version.
    pub version: u64,
    /// The function.
    pub spec: FunctionSpec,
    /// Some of the calls that wait were made by other calls.
    pub has_children: bool,
    /// The highest priority of the other calls that wait.
    pub priority: Option<i32>,
}
