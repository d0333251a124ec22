//! The state of a site's apps, wherever it is kept.

use crate::resource::{Resource, ResourceId};
use crate::state::{Basis, Change, State};
use crate::store::{AppSummary, Archive, S3Store, SqliteStore, StateStore, StoreError};

/// The state of a site's apps.
#[derive(Debug)]
pub(crate) enum Store {
    /// In a database.
    Local(SqliteStore),
    /// In a bucket.
    Aws(S3Store),
}

impl StateStore for Store {
    fn batch(&self) -> usize {
        match self {
            Store::Local(store) => store.batch(),
            Store::Aws(store) => store.batch(),
        }
    }

    async fn load(&mut self, app: &str) -> Result<State, StoreError> {
        match self {
            Store::Local(store) => store.load(app).await,
            Store::Aws(store) => store.load(app).await,
        }
    }

    async fn append(
        &mut self,
        app: &str,
        basis: &Basis,
        changes: &[Change],
    ) -> Result<Basis, StoreError> {
        match self {
            Store::Local(store) => store.append(app, basis, changes).await,
            Store::Aws(store) => store.append(app, basis, changes).await,
        }
    }

    async fn version(
        &mut self,
        app: &str,
        number: u64,
    ) -> Result<Option<Vec<Resource>>, StoreError> {
        match self {
            Store::Local(store) => store.version(app, number).await,
            Store::Aws(store) => store.version(app, number).await,
        }
    }

    async fn apps(&mut self) -> Result<Vec<AppSummary>, StoreError> {
        match self {
            Store::Local(store) => store.apps().await,
            Store::Aws(store) => store.apps().await,
        }
    }

    async fn names(&mut self) -> Result<Vec<String>, StoreError> {
        match self {
            Store::Local(store) => store.names().await,
            Store::Aws(store) => store.names().await,
        }
    }

    async fn import(&mut self, app: &str, archive: &Archive) -> Result<(), StoreError> {
        match self {
            Store::Local(store) => store.import(app, archive).await,
            Store::Aws(store) => store.import(app, archive).await,
        }
    }

    async fn forget(&mut self, app: &str) -> Result<(), StoreError> {
        match self {
            Store::Local(store) => store.forget(app).await,
            Store::Aws(store) => store.forget(app).await,
        }
    }

    async fn users(&mut self, id: &ResourceId) -> Result<Vec<String>, StoreError> {
        match self {
            Store::Local(store) => store.users(id).await,
            Store::Aws(store) => store.users(id).await,
        }
    }
}
