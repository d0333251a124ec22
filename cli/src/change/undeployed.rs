//! A function of the manifest that is called without being deployed.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;
use vdeploy_runtime::aws::layout::Engine;
use vdeploy_runtime::catalog::{self, Published};
use vdeploy_runtime::clock;
use vdeploy_runtime::storage::Contents;
use vdeploy_runtime::suggestion::did_you_mean;

use super::{Images, Request, Site, builder, environment, from_manifest};
use crate::error::{CliError, Result};
use crate::prepare::SourceFiles;
use crate::provider::{Deployment, LocalProvider, Provider};
use crate::resource::{Kind, Resource, ResourceId};
use crate::settings::Settings;

/// A function of the manifest as a deploy would publish it, and the copy of its code that it
/// needs.
pub(crate) fn undeployed_function(
    settings: &Settings,
    name: &str,
) -> Result<(Published, Option<Undeployed>)> {
    let request = from_manifest(settings, &Site::Local(environment(settings)?))?;
    let id = ResourceId::new(Kind::Function, name);
    let Some(Resource::Function(function)) = request.wanted.get(&id) else {
        return Err(no_such_function(name, &request));
    };
    let source = function.source.as_ref().map(|hash| ResourceId::new(Kind::Source, hash));
    let source = source.and_then(|id| request.wanted.get(&id).cloned());
    let image = function.image.as_ref().filter(|_| function.container.is_some());
    let image = image.map(|name| ResourceId::new(Kind::Image, name));
    let image = image.and_then(|id| request.wanted.get(&id).cloned());
    let published = Published {
        format: catalog::FORMAT,
        version: 0,
        deployed_at: clock::now(),
        function: function.as_ref().clone(),
        engine: Engine::Local,
    };
    let Request { app, sources: files, images, .. } = request;
    let needs_something = source.is_some() || image.is_some();
    let undeployed = Undeployed { app, source, image, images, files };
    Ok((published, needs_something.then_some(undeployed)))
}

/// Code that is put in its place for one call.
#[derive(Debug)]
pub(crate) struct Undeployed {
    app: String,
    source: Option<Resource>,
    image: Option<Resource>,
    images: Images,
    files: Vec<SourceFiles>,
}

impl Undeployed {
    /// Puts the code in its place; `false` when a deployed copy is there already.
    pub(crate) async fn install(&self, settings: &Settings) -> Result<bool> {
        let provider = self.provider(settings)?;
        if let Some(image) = &self.image {
            // It stays in the engine: building it again would take longer than all calls.
            provider.build(image).await?;
        }
        let Some(source) = &self.source else { return Ok(false) };
        let id = source.id();
        let there = provider.observe(&BTreeSet::from([id.clone()])).await?.contains_key(&id);
        if !there {
            provider.create(source).await?;
        }
        Ok(!there)
    }

    /// Removes the code that [`Undeployed::install`] has put in its place.
    pub(crate) async fn remove(&self, settings: &Settings) -> Result<()> {
        match &self.source {
            Some(source) => Ok(self.provider(settings)?.delete(source).await?),
            None => Ok(()),
        }
    }

    fn provider<'a>(&'a self, settings: &'a Settings) -> Result<LocalProvider<'a>> {
        let deployment = Deployment {
            version: 0,
            now: clock::now(),
            sources: self.files.clone(),
            contents: Contents::Keep,
            builder: builder(settings, &self.images, &CancellationToken::new()),
        };
        let home = environment(settings)?;
        Ok(LocalProvider::new(&self.app, home, deployment, &settings.failpoint))
    }
}

fn no_such_function(name: &str, request: &Request) -> CliError {
    let names: Vec<&str> = request
        .wanted
        .keys()
        .filter(|id| id.kind == Kind::Function)
        .map(|id| id.name.as_str())
        .collect();
    let error =
        CliError::usage(format!("the manifest of `{}` has no function `{name}`", request.app));
    match did_you_mean(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("it has: {}", names.join(", "))),
    }
}
