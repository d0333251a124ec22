//! State in memory, for tests.

use std::collections::BTreeMap;

use super::{AppSummary, Archive, StateStore, StoreError};
use crate::fingerprint::Fingerprint;
use crate::resource::{Kind, Resource, ResourceId};
use crate::state::{Basis, Change, State};

/// State that lives as long as this value.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    apps: BTreeMap<String, State>,
    resources: BTreeMap<Fingerprint, Resource>,
}

impl StateStore for MemoryStore {
    async fn load(&mut self, app: &str) -> Result<State, StoreError> {
        Ok(self.apps.get(app).cloned().unwrap_or_default())
    }

    async fn append(
        &mut self,
        app: &str,
        basis: &Basis,
        changes: &[Change],
    ) -> Result<Basis, StoreError> {
        let mut state = self.load(app).await?;
        if state.basis != *basis {
            return Err(StoreError::Moved(app.into()));
        }
        for change in changes {
            state.record(change);
            if let Change::Have(resource) | Change::Intend(resource) = change {
                self.resources.insert(resource.fingerprint(), resource.clone());
            }
        }
        state.basis.lineage.get_or_insert_with(|| format!("lineage-{}", self.apps.len()));
        state.basis.serial += 1;
        let basis = state.basis.clone();
        self.apps.insert(app.into(), state);
        Ok(basis)
    }

    async fn version(
        &mut self,
        app: &str,
        number: u64,
    ) -> Result<Option<Vec<Resource>>, StoreError> {
        let state = self.load(app).await?;
        let version = state.versions.iter().find(|version| version.number == number);
        Ok(version.map(|version| {
            let fingerprints = version.resources.values();
            fingerprints.filter_map(|print| self.resources.get(print).cloned()).collect()
        }))
    }

    async fn apps(&mut self) -> Result<Vec<AppSummary>, StoreError> {
        let live = self.apps.iter().filter(|(_, state)| !state.records.is_empty());
        Ok(live
            .map(|(app, state)| AppSummary {
                app: app.clone(),
                version: state.version,
                deployed_at: state.current().map(|version| version.deployed_at),
                functions: state.records.keys().filter(|id| id.kind == Kind::Function).count(),
                resources: state.records.len(),
            })
            .collect())
    }

    async fn names(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(self.apps.keys().cloned().collect())
    }

    async fn import(&mut self, app: &str, archive: &Archive) -> Result<(), StoreError> {
        archive.may_replace(app, &self.load(app).await?.basis)?;
        self.apps.insert(app.into(), archive.state.clone());
        self.resources.extend(archive.all_resources());
        Ok(())
    }

    async fn forget(&mut self, app: &str) -> Result<(), StoreError> {
        self.apps.remove(app);
        Ok(())
    }

    async fn users(&mut self, id: &ResourceId) -> Result<Vec<String>, StoreError> {
        let users = self.apps.iter().filter(|(_, state)| state.records.contains_key(id));
        Ok(users.map(|(app, _)| app.clone()).collect())
    }
}
