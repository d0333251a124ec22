//! The only place that decides. [`plan`] compares what is wanted, what is remembered and what is
//! there, and returns a [`Plan`] so specific that applying it compares nothing. Synchronous, without
//! clock or randomness.

mod decide;
mod notes;
mod saved;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use decide::{Goal, MissingSecret, Observed, PlanError, Question, Seen, plan};
pub use notes::{Note, notes, notes_in_cloud};
pub use saved::{SavedPlan, SavedPlanError};

use crate::fingerprint::Fingerprint;
use crate::resource::{Resource, ResourceId, attributes};
use crate::state::Basis;

/// The version of [`Plan`]'s shape.
pub const FORMAT: u32 = 1;

/// Everything that will be done, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The app.
    pub app: String,
    /// Its environment.
    pub environment: String,
    /// The target.
    pub target: String,
    /// The state that this plan was made from; it holds for no other.
    pub basis: Basis,
    /// The app is to be gone afterwards.
    pub destroy: bool,
    /// What will be done, in order.
    pub steps: Vec<Step>,
    /// How many resources stay as they are.
    pub unchanged: usize,
    /// How many resources each kind of step concerns.
    pub summary: Summary,
    /// The version that the app will have, when one is to be recorded.
    pub release: Option<Release>,
    /// What else should be known.
    pub notes: Vec<Note>,
}

/// A version to be recorded once all steps are done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub version: u64,
    /// The version it goes back to, if it does.
    pub rollback_to: Option<u64>,
    /// Everything the app will consist of.
    pub resources: BTreeMap<ResourceId, Fingerprint>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What it concerns.
    pub id: ResourceId,
    /// What is done.
    pub action: Action,
    /// Steps of a wave don't depend on each other; a wave begins when the one before has ended.
    pub wave: u32,
    /// Why, where it isn't obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What differs, in the manifest's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<AttributeChange>,
    /// How many settings stay as they are.
    #[serde(default)]
    pub unchanged: usize,
    /// The resource as it is.
    pub before: Option<Resource>,
    /// The resource as it will be.
    pub after: Option<Resource>,
}

/// What is done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is removed and made anew.
    Replace,
    /// It is removed.
    Delete,
    /// It is there already and is recorded.
    Adopt,
    /// It stays, or is gone already, and is no longer recorded.
    Forget,
}

/// Why something is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It differs from what was deployed.
    ChangedOutside,
    /// It was deployed and isn't there.
    RemovedOutside,
    /// An earlier deployment was interrupted.
    Interrupted,
    /// It is there, though no deployment is remembered.
    FoundThere,
    /// It belongs to the environment and was there before.
    BelongsToEnvironment,
    /// Other apps of the environment use it.
    UsedByOthers,
    /// It is a volume with files in it, which nobody asked to delete.
    HoldsFiles,
    /// No version that is kept uses it.
    NoVersionUsesIt,
    /// This change can't be made in place.
    ForcesReplacement(String),
}

/// A setting before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Its name, such as `cpu` or `env.LANG`.
    pub name: String,
    /// Its value now; none when it is a default or there is no resource.
    pub before: Option<Value>,
    /// Its value afterwards.
    pub after: Option<Value>,
}

/// How many resources each kind of step concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Created, or replaced.
    pub add: usize,
    /// Updated.
    pub change: usize,
    /// Deleted, or replaced.
    pub destroy: usize,
    /// Adopted.
    pub adopt: usize,
    /// Forgotten.
    pub forget: usize,
}

impl Plan {
    /// Nothing would be done or recorded.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.release.is_none()
    }
}

impl Summary {
    /// Counts one step.
    pub fn count(&mut self, action: Action) {
        match action {
            Action::Create => self.add += 1,
            Action::Update => self.change += 1,
            Action::Replace => {
                self.add += 1;
                self.destroy += 1;
            }
            Action::Delete => self.destroy += 1,
            Action::Adopt => self.adopt += 1,
            Action::Forget => self.forget += 1,
        }
    }

    /// What `steps` concern.
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Self {
        let mut summary = Summary::default();
        steps.into_iter().for_each(|step| summary.count(step.action));
        summary
    }
}

/// The settings that differ between two resources, and how many don't.
fn compare(before: Option<&Resource>, after: Option<&Resource>) -> (Vec<AttributeChange>, usize) {
    let old = before.map(attributes).unwrap_or_default();
    let new = after.map(attributes).unwrap_or_default();
    let mut changes = Vec::new();
    let mut unchanged = 0;
    for attribute in &new {
        let before = old.iter().find(|a| a.name == attribute.name).map(|a| a.value.clone());
        if before.as_ref() == Some(&attribute.value) {
            unchanged += 1;
        } else {
            let (name, after) = (attribute.name.clone(), Some(attribute.value.clone()));
            changes.push(AttributeChange { name, before, after });
        }
    }
    let gone = old.into_iter().filter(|a| new.iter().all(|b| b.name != a.name));
    changes.extend(gone.map(|attribute| AttributeChange {
        name: attribute.name,
        before: Some(attribute.value),
        after: None,
    }));
    (changes, unchanged)
}
