//! What happens while a plan is applied. Data only.

use serde::Serialize;

use crate::plan::{Action, Summary};
use crate::resource::ResourceId;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A step is done and recorded.
    Done {
        /// What it concerned.
        id: ResourceId,
        /// What was done.
        action: Action,
    },
    /// A step failed; what it left is for the next deployment to mend.
    Failed {
        /// What it concerned.
        id: ResourceId,
        /// What was tried.
        action: Action,
        /// Why, outermost first.
        causes: Vec<String>,
        /// What to do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// A step wasn't tried, because what it needs isn't there.
    Skipped {
        /// What it concerns.
        id: ResourceId,
        /// What it needs.
        needs: ResourceId,
    },
}

/// How applying a plan ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Applied {
    /// What was done.
    pub summary: Summary,
    /// How many steps failed.
    pub failed: usize,
    /// How many steps were not tried.
    pub skipped: usize,
    /// Somebody asked to stop.
    pub interrupted: bool,
    /// The version that the app has now, if all was done.
    pub version: Option<u64>,
}
