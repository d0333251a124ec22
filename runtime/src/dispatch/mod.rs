//! How calls get to workers, and how what happens to them gets back.

pub mod aws;
pub(crate) mod dispatcher;
pub mod local;
pub mod memory;
pub(crate) mod overall;

pub use dispatcher::{CallLog, Dispatcher};
pub(crate) use local::ordered_id;

use std::sync::Arc;

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
    /// Nobody runs the queue: what follows is told after the next [`Told::Attached`]. Only who
    /// looks on without taking part is told.
    Detached,
    /// The queue may hold calls that nothing was told of yet. Only who looks at a whole environment
    /// is told.
    Grown,
}

/// The function of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Callee {
    /// Its environment.
    pub environment: String,
    /// Its app.
    pub app: String,
    /// Its name within the app.
    pub function: String,
}

/// Something that happened to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEvent {
    /// The call.
    pub call: CallId,
    /// The map it belongs to.
    #[serde(default)]
    pub map: Option<String>,
    /// The function that was called.
    #[serde(default, with = "shared")]
    pub callee: Arc<Callee>,
    /// What happened.
    pub what: What,
}

/// What can happen to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// The executor knows of it, and it waits for its turn.
    Queued,
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
    /// Its log has grown.
    Logged,
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

/// Events of a function share its name.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Callee;

    pub(super) fn serialize<S: Serializer>(callee: &Arc<Callee>, to: S) -> Result<S::Ok, S::Error> {
        callee.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Callee>, D::Error> {
        Callee::deserialize(from).map(Arc::new)
    }
}
