//! How resources become real.

mod aws;
mod builder;
#[cfg(test)]
mod contract;
mod local;
mod memory;

use std::collections::BTreeSet;
use std::error::Error;
use std::future::Future;

pub(crate) use aws::{AwsProvider, BucketUse, CloudSecrets, Session};
pub use builder::{Builder, ImageFailure, Workshop};
pub use local::{Deployment, LocalProvider};
pub use memory::MemoryProvider;

use crate::plan::Observed;
use crate::resource::{Resource, ResourceId};

/// One target's way of making resources real.
///
/// - `create` adopts what an interrupted creation of the same resource left.
/// - `delete` of a missing resource is fine, and also takes what an interrupted creation left.
/// - Nothing is retried here, and nothing is decided.
pub trait Provider {
    /// How many steps of a wave are done at the same time.
    fn at_once(&self) -> usize {
        1
    }

    /// What is there of `ids`; what isn't there has no entry.
    fn observe(
        &self,
        ids: &BTreeSet<ResourceId>,
    ) -> impl Future<Output = Result<Observed, ProviderError>>;

    /// Makes a resource.
    fn create(&self, resource: &Resource) -> impl Future<Output = Result<(), ProviderError>>;

    /// Changes a resource in place.
    fn update(
        &self,
        before: &Resource,
        after: &Resource,
    ) -> impl Future<Output = Result<(), ProviderError>>;

    /// Removes a resource.
    fn delete(&self, resource: &Resource) -> impl Future<Output = Result<(), ProviderError>>;
}

/// Why a target didn't do what a step asks.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing} `{id}`")]
pub struct ProviderError {
    /// What was being done, as a verb.
    pub doing: &'static str,
    /// The resource.
    pub id: ResourceId,
    /// What the target said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ProviderError {
    /// The causes, outermost first, without the first line.
    pub fn chain(&self) -> Vec<String> {
        let mut next: Option<&dyn Error> = Some(&*self.source);
        let chain = std::iter::from_fn(|| {
            let error = next?;
            next = error.source();
            Some(error.to_string())
        });
        let image = self.source.downcast_ref::<ImageFailure>().into_iter();
        chain.chain(image.flat_map(|failure| failure.causes.clone())).collect()
    }
}
