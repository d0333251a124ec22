//! How calls get to workers, and how what happens to them gets back.

pub mod local;

use serde::{Deserialize, Serialize};

use crate::wire::{CallId, Failure, Outcome, Progress};

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Something happened to a call.
    Call(CallEvent),
    /// From here on nothing is missed. What happened before may have been: look at the queue.
    Attached,
}

/// Something that happened to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEvent {
    /// The call.
    pub call: CallId,
    /// The map it belongs to.
    #[serde(default)]
    pub map: Option<String>,
    /// What happened.
    pub what: What,
}

/// What can happen to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// A worker has it.
    Started {
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// It got further.
    Progress {
        /// How far.
        progress: Progress,
    },
    /// An attempt failed and another follows.
    Retrying {
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// Seconds until the next.
        delay_seconds: f64,
    },
    /// It has ended, and that is recorded.
    Ended {
        /// How.
        outcome: Outcome,
    },
}
