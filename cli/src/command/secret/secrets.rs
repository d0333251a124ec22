//! The secrets of an environment, wherever they are kept.

use std::collections::BTreeMap;

use vdeploy_runtime::clock;
use vdeploy_runtime::secret::{SecretError, SecretStore, SecretSummary, SecretValue};

use crate::error::Result;
use crate::provider::CloudSecrets;

/// Where they are.
#[derive(Debug)]
pub(super) enum Secrets {
    /// In files of this machine.
    Local(SecretStore),
    /// In Secrets Manager.
    Aws(CloudSecrets),
}

impl Secrets {
    pub(super) async fn create(
        &self,
        name: &str,
        values: BTreeMap<String, SecretValue>,
        overwrite: bool,
    ) -> Result<()> {
        match self {
            Secrets::Local(store) => Ok(store.create(name, values, overwrite, clock::now())?),
            Secrets::Aws(store) => store.create(name, values, overwrite).await,
        }
    }

    pub(super) async fn get(&self, name: &str) -> Result<BTreeMap<String, SecretValue>> {
        match self {
            Secrets::Local(store) => Ok(store.get(name)?),
            Secrets::Aws(store) => store.get(name).await,
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<SecretSummary>> {
        match self {
            Secrets::Local(store) => Ok(store.list()?),
            Secrets::Aws(store) => store.list().await,
        }
    }

    /// Whether there is one of this name, be it damaged.
    pub(super) async fn exists(&self, name: &str) -> Result<bool> {
        match self {
            Secrets::Local(store) => match store.summary(name) {
                Err(SecretError::Damaged(_)) => Ok(true),
                found => Ok(found?.is_some()),
            },
            Secrets::Aws(store) => Ok(store.summary(name).await?.is_some()),
        }
    }

    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        match self {
            Secrets::Local(store) => Ok(store.delete(name)?),
            Secrets::Aws(store) => store.delete(name).await,
        }
    }
}
