//! An app and what was read from its files → the resources it wants. Pure.

mod cloud;
mod policy;
mod roles;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use vdeploy_runtime::function::Container;

use crate::manifest::{App, Function};
use crate::resource::{NamedImage, Resource, ResourceId, Secret, Source, Volume};

pub use cloud::{CloudProblem, Place, desired_in_cloud};

/// Resources by id.
pub type ResourceSet = BTreeMap<ResourceId, Resource>;

/// What an app's files say about its functions; by function name.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The code of functions that have code of their own.
    pub sources: BTreeMap<String, Source>,
    /// The JSON Schemas of functions' arguments.
    pub schemas: BTreeMap<String, Value>,
    /// The arguments that calls needn't give, with whole paths.
    pub with: BTreeMap<String, Map<String, Value>>,
    /// What images are called that are built; by image name.
    pub images: BTreeMap<String, String>,
}

/// The resources that `app` wants.
pub fn desired(app: &App, inputs: Inputs) -> ResourceSet {
    let mut set = ResourceSet::new();
    let mut add = |resource: Resource| {
        set.insert(resource.id(), resource);
    };
    let Inputs { mut sources, mut schemas, mut with, images } = inputs;
    for (name, recipe) in &app.images {
        let reference = images.get(name).cloned();
        let (name, recipe) = (name.clone(), recipe.clone());
        let image = NamedImage { name, recipe, reference, pushed: None };
        add(Resource::Image(Box::new(image)));
    }
    for name in &app.volumes {
        add(Resource::Volume(Volume { name: name.clone() }));
    }
    for (name, secret) in &app.secrets {
        add(Resource::Secret(secret_of(name, &secret.keys)));
    }
    for (name, function) in &app.functions {
        let mut spec = function.spec.clone();
        let source = sources.remove(name);
        spec.source = source.as_ref().map(|source| source.hash.to_string());
        spec.schema = schemas.remove(name);
        spec.with = with.remove(name).unwrap_or(spec.with);
        spec.container = container(function, &images);
        if let Some(source) = source {
            add(Resource::Source(source));
        }
        add(Resource::Function(Box::new(spec)));
    }
    set
}

/// The container that a function runs in, if it runs in one.
fn container(function: &Function, images: &BTreeMap<String, String>) -> Option<Container> {
    let image = function.spec.image.as_ref().filter(|_| function.contained)?;
    Some(Container { image: images.get(image)?.clone(), network: function.network })
}

fn secret_of(name: &str, keys: &[String]) -> Secret {
    let mut keys = keys.to_vec();
    keys.sort();
    keys.dedup();
    Secret { name: name.into(), keys }
}
