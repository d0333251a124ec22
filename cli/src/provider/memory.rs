//! A target in memory, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::{Provider, ProviderError};
use crate::plan::{Observed, Seen};
use crate::resource::{Resource, ResourceId};

/// Resources that live as long as this value.
#[derive(Debug, Default)]
pub struct MemoryProvider {
    resources: Mutex<BTreeMap<ResourceId, Resource>>,
    failing: BTreeSet<ResourceId>,
}

impl MemoryProvider {
    /// A target that fails at these resources.
    pub fn failing(ids: impl IntoIterator<Item = ResourceId>) -> Self {
        MemoryProvider { failing: ids.into_iter().collect(), ..Self::default() }
    }

    /// What is there.
    pub fn resources(&self) -> BTreeMap<ResourceId, Resource> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ResourceId, Resource>> {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, doing: &'static str, resource: &Resource) -> Result<(), ProviderError> {
        let id = resource.id();
        if self.failing.contains(&id) {
            let source = "told to fail".into();
            return Err(ProviderError { doing, id, source, hint: None });
        }
        Ok(())
    }
}

impl Provider for MemoryProvider {
    async fn observe(&self, ids: &BTreeSet<ResourceId>) -> Result<Observed, ProviderError> {
        let resources = self.lock();
        let found = ids.iter().filter_map(|id| resources.get(id).map(|found| (id, found)));
        Ok(found
            .map(|(id, found)| {
                let resource = Some(found.clone());
                (id.clone(), Seen { resource, made_by_app: true, ..Seen::default() })
            })
            .collect())
    }

    async fn create(&self, resource: &Resource) -> Result<(), ProviderError> {
        self.check("create", resource)?;
        self.lock().insert(resource.id(), resource.clone());
        Ok(())
    }

    async fn update(&self, _: &Resource, after: &Resource) -> Result<(), ProviderError> {
        self.check("update", after)?;
        self.lock().insert(after.id(), after.clone());
        Ok(())
    }

    async fn delete(&self, resource: &Resource) -> Result<(), ProviderError> {
        self.check("delete", resource)?;
        self.lock().remove(&resource.id());
        Ok(())
    }
}
