//! A plan in a file: complete, checked, and good for one state only.

use serde::{Deserialize, Serialize};
use vdeploy_runtime::storage::Contents;

use super::{FORMAT, Plan};
use crate::fingerprint::Fingerprint;
use crate::prepare::SourceFiles;
use crate::state::Basis;

/// A plan with what applying it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// The plan.
    pub plan: Plan,
    /// Where the code is that it deploys.
    pub sources: Vec<SourceFiles>,
    /// What deletion does with the files of volumes.
    pub delete_data: bool,
    /// The fingerprint of all of it.
    pub checksum: Fingerprint,
}

/// Why a saved plan isn't applied.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// The file isn't a plan.
    #[error("it isn't a plan that `vdeploy plan --out` wrote")]
    NotAPlan(#[source] serde_json::Error),
    /// The file was changed.
    #[error("it was changed after it was written")]
    Changed,
    /// It was written by another version of this program.
    #[error("it was written by another version of vdeploy (format {0})")]
    Format(u32),
    /// Something was deployed since.
    #[error("the state was changed by another operation after the plan was made")]
    Stale,
}

impl SavedPlan {
    /// A plan to be kept.
    pub fn new(plan: Plan, contents: Contents, sources: Vec<SourceFiles>) -> Self {
        let delete_data = contents == Contents::Delete;
        let checksum = Fingerprint::of(&(&plan, &sources, delete_data));
        SavedPlan { plan, sources, delete_data, checksum }
    }

    /// Reads what a file holds.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        let saved: SavedPlan = serde_json::from_str(text).map_err(SavedPlanError::NotAPlan)?;
        if saved.plan.format != FORMAT {
            return Err(SavedPlanError::Format(saved.plan.format));
        }
        if Fingerprint::of(&(&saved.plan, &saved.sources, saved.delete_data)) != saved.checksum {
            return Err(SavedPlanError::Changed);
        }
        Ok(saved)
    }

    /// What deletion does with the files of volumes.
    pub fn contents(&self) -> Contents {
        if self.delete_data { Contents::Delete } else { Contents::Keep }
    }

    /// Fails unless the plan was made from the state that is at `basis` now.
    pub fn check_basis(&self, basis: &Basis) -> Result<(), SavedPlanError> {
        if self.plan.basis == *basis { Ok(()) } else { Err(SavedPlanError::Stale) }
    }
}
