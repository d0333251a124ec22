//! The functions that are deployed in an environment on AWS, by name: one small object each.

use super::layout::Keys;
use super::objects::{Bucket, Condition};
use crate::catalog::{CatalogError, FORMAT, FunctionName, Published, not_found, the_only};

/// The deployed functions of one environment, in its bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AwsCatalog {
    bucket: Bucket,
    keys: Keys,
}

type Result<T> = std::result::Result<T, CatalogError>;

impl AwsCatalog {
    /// The catalog of `environment` in `bucket`.
    pub fn new(bucket: Bucket, environment: impl Into<String>) -> Self {
        AwsCatalog { bucket, keys: Keys::of(environment) }
    }

    /// Writes a function's record, in place of an earlier one.
    pub async fn publish(&self, published: &Published) -> Result<()> {
        let key = self.keys.function(&published.function.app, &published.function.name);
        Ok(self.bucket.put_json(&key, published, Condition::Always).await.map(drop)?)
    }

    /// Removes a function's record. A missing record is fine.
    pub async fn remove(&self, name: &FunctionName) -> Result<()> {
        Ok(self.bucket.delete(&[self.keys.function(&name.app, &name.function)]).await?)
    }

    /// The record of one function, if there is one.
    pub async fn read(&self, name: &FunctionName) -> Result<Option<Published>> {
        let key = self.keys.function(&name.app, &name.function);
        let Some((_, bytes)) = self.bucket.get(&key).await? else { return Ok(None) };
        let path = format!("s3://{}/{key}", self.bucket.name()).into();
        match serde_json::from_slice::<Published>(&bytes) {
            Ok(published) if published.format > FORMAT => {
                Err(CatalogError::Later { path, format: published.format })
            }
            Ok(published) => Ok(Some(published)),
            Err(source) => Err(CatalogError::Damaged { path, source }),
        }
    }

    /// The names of all deployed functions, sorted.
    pub async fn list(&self) -> Result<Vec<FunctionName>> {
        let objects = self.bucket.list(&self.keys.apps()).await?;
        let names = objects.iter().filter_map(|object| {
            let (app, function) = self.keys.function_of(&object.key)?;
            Some(FunctionName::new(app, function))
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    /// The deployed function that `name` means: `app/function`, or `function` alone when `app` has
    /// it or when no two apps do.
    pub async fn resolve(&self, name: &str, app: Option<&str>) -> Result<Published> {
        let named = match (name.split_once('/'), app) {
            (Some((app, function)), _) => Some(FunctionName::new(app, function)),
            (None, Some(app)) => Some(FunctionName::new(app, name)),
            (None, None) => None,
        };
        if let Some(named) = &named
            && let Some(published) = self.read(named).await?
        {
            return Ok(published);
        }
        let deployed = self.list().await?;
        let only = the_only(name, deployed.clone())?;
        self.read(&only).await?.ok_or_else(|| not_found(name, deployed))
    }
}
