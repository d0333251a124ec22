//! What makes a site's resources real: this machine, or an account.

use std::collections::BTreeSet;

use crate::plan::Observed;
use crate::provider::{AwsProvider, LocalProvider, Provider, ProviderError};
use crate::resource::{Resource, ResourceId};

/// What makes a site's resources real.
#[derive(Debug)]
pub(crate) enum SiteProvider<'a> {
    /// On this machine.
    Local(Box<LocalProvider<'a>>),
    /// In an account.
    Aws(Box<AwsProvider<'a>>),
}

impl Provider for SiteProvider<'_> {
    fn at_once(&self) -> usize {
        match self {
            SiteProvider::Local(provider) => provider.at_once(),
            SiteProvider::Aws(provider) => provider.at_once(),
        }
    }

    async fn observe(&self, ids: &BTreeSet<ResourceId>) -> Result<Observed, ProviderError> {
        match self {
            SiteProvider::Local(provider) => provider.observe(ids).await,
            SiteProvider::Aws(provider) => provider.observe(ids).await,
        }
    }

    async fn create(&self, resource: &Resource) -> Result<(), ProviderError> {
        match self {
            SiteProvider::Local(provider) => provider.create(resource).await,
            SiteProvider::Aws(provider) => provider.create(resource).await,
        }
    }

    async fn update(&self, before: &Resource, after: &Resource) -> Result<(), ProviderError> {
        match self {
            SiteProvider::Local(provider) => provider.update(before, after).await,
            SiteProvider::Aws(provider) => provider.update(before, after).await,
        }
    }

    async fn delete(&self, resource: &Resource) -> Result<(), ProviderError> {
        match self {
            SiteProvider::Local(provider) => provider.delete(resource).await,
            SiteProvider::Aws(provider) => provider.delete(resource).await,
        }
    }
}
