//! What an app created, as it is remembered: versioned records, a lineage and a serial. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::plan::Summary;
use crate::resource::{Resource, ResourceId};

/// Where a state is: its lineage says whose history it is, its serial how far that has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Drawn once, when an app is first deployed; none before.
    pub lineage: Option<String>,
    /// Increases with every recorded step.
    pub serial: u64,
}

/// What one app created in one environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Where it is.
    pub basis: Basis,
    /// What exists, or is about to.
    pub records: BTreeMap<ResourceId, Record>,
    /// The number of the last version, which survives destruction so that no number comes twice.
    pub version: u64,
    /// The versions that can be gone back to, oldest first.
    pub versions: Vec<Version>,
}

/// What is remembered of one resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The resource as it was last applied.
    pub resource: Resource,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whether it is known to exist.
    pub status: Status,
}

/// Whether a resource is known to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its creation was begun; whether it ended is for the target to say.
    Creating,
    /// It was created or found.
    Ready,
}

/// One deployed version of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its number, from 1.
    pub number: u64,
    /// When its deployment ended.
    pub deployed_at: Timestamp,
    /// What its deployment did.
    pub summary: Summary,
    /// The version it went back to, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<u64>,
    /// Everything the app consisted of.
    #[serde(skip)]
    pub resources: BTreeMap<ResourceId, Fingerprint>,
}

/// How many versions of an app are kept.
pub const VERSIONS_KEPT: usize = 20;

/// One recorded step. A state is what its steps add up to.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// This is about to be created.
    Intend(Resource),
    /// This exists now.
    Have(Resource),
    /// This exists no more, or is no longer the app's.
    Drop(ResourceId),
    /// The app is complete at this version; versions that are too old are forgotten.
    Release(Version),
    /// The app is destroyed: no version can be gone back to.
    End,
}

impl State {
    /// Records one step. The serial is the store's to raise.
    pub fn record(&mut self, change: &Change) {
        match change {
            Change::Intend(resource) => self.put(resource, Status::Creating),
            Change::Have(resource) => self.put(resource, Status::Ready),
            Change::Drop(id) => {
                self.records.remove(id);
            }
            Change::Release(version) => {
                self.version = version.number;
                self.versions.push(version.clone());
                let expired = self.versions.len().saturating_sub(VERSIONS_KEPT);
                self.versions.drain(..expired);
            }
            Change::End => self.versions.clear(),
        }
    }

    fn put(&mut self, resource: &Resource, status: Status) {
        let fingerprint = resource.fingerprint();
        let record = Record { resource: resource.clone(), fingerprint, status };
        self.records.insert(resource.id(), record);
    }

    /// Takes something for the app's that nobody remembers.
    pub fn find(&mut self, resource: Resource) {
        if !self.records.contains_key(&resource.id()) {
            self.put(&resource, Status::Ready);
        }
    }

    /// The version that is deployed, if the app is complete at one.
    pub fn current(&self) -> Option<&Version> {
        self.versions.last()
    }
}
