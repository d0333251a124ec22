//! What a plan creates: a closed set of kinds, their names, what they depend on and how they
//! compare. Pure.

mod attributes;
mod aws;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use vdeploy_runtime::function::FunctionSpec;

pub use attributes::{Attribute, attributes, bytes_text};
pub use aws::{
    ACCOUNT, CloudFunction, ComputeEnvironment, LaunchTemplate, LogGroup, Queue, Repository, Role,
    Schedule, Store,
};

use crate::fingerprint::Fingerprint;
use crate::manifest::Image;

/// The kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The bucket of an account.
    Bucket,
    /// Where functions log in the cloud.
    LogGroup,
    /// What parts of an app may do in the cloud.
    Role,
    /// Where images of an app are kept.
    Repository,
    /// What machines are started with.
    LaunchTemplate,
    /// The deployed copy of a function's own code.
    Source,
    /// An image recipe.
    Image,
    /// A volume of the environment.
    Volume,
    /// A secret of the environment.
    Secret,
    /// Machines that come and go with jobs.
    Compute,
    /// Where jobs wait.
    Queue,
    /// A function that can be called.
    Function,
    /// A function that is called by itself.
    Schedule,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind::Bucket,
        Kind::LogGroup,
        Kind::Role,
        Kind::Repository,
        Kind::LaunchTemplate,
        Kind::Source,
        Kind::Image,
        Kind::Volume,
        Kind::Secret,
        Kind::Compute,
        Kind::Queue,
        Kind::Function,
        Kind::Schedule,
    ];
    /// The last wave of creation.
    pub(crate) const LAST_WAVE: u32 = 4;

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Bucket => "bucket",
            Kind::LogGroup => "log_group",
            Kind::Role => "role",
            Kind::Repository => "repository",
            Kind::LaunchTemplate => "launch_template",
            Kind::Source => "source",
            Kind::Image => "image",
            Kind::Volume => "volume",
            Kind::Secret => "secret",
            Kind::Compute => "compute",
            Kind::Queue => "queue",
            Kind::Function => "function",
            Kind::Schedule => "schedule",
        }
    }

    /// When it is made: resources depend on those of earlier waves only.
    pub(crate) fn wave(self) -> u32 {
        match self {
            Kind::Bucket
            | Kind::LogGroup
            | Kind::Role
            | Kind::Repository
            | Kind::LaunchTemplate => 0,
            Kind::Source | Kind::Image | Kind::Volume | Kind::Secret | Kind::Compute => 1,
            Kind::Queue => 2,
            Kind::Function => 3,
            Kind::Schedule => Kind::LAST_WAVE,
        }
    }

    /// Resources that belong to the environment and are only used by an app.
    pub fn is_shared(self) -> bool {
        matches!(self, Kind::Volume | Kind::Secret)
    }
}

/// A resource's name within its app, written `kind.name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId {
    /// What it is.
    pub kind: Kind,
    /// Its name; of a source, its content hash.
    pub name: String,
}

impl ResourceId {
    /// The id of `name` among those of `kind`.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        ResourceId { kind, name: name.into() }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind.as_str(), self.name)
    }
}

/// A text that isn't `kind.name`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` isn't the id of a resource, such as `function.transcode`")]
pub struct ResourceIdError(String);

impl FromStr for ResourceId {
    type Err = ResourceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ResourceIdError(text.to_owned());
        let (kind, name) = text.split_once('.').ok_or_else(error)?;
        let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(error)?;
        Ok(ResourceId::new(kind, name))
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One thing that an app wants to exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Resource {
    /// The deployed copy of a function's own code.
    Source(Source),
    /// An image; the local target builds those that functions run in and records the others, and
    /// in the cloud they are pushed too.
    Image(Box<NamedImage>),
    /// A volume of the environment.
    Volume(Volume),
    /// A secret of the environment: what it must hold, never a value.
    Secret(Secret),
    /// A function that can be called.
    Function(Box<FunctionSpec>),
    /// The bucket of an account.
    Bucket(Store),
    /// Where a function logs.
    LogGroup(LogGroup),
    /// What a part of the app may do.
    Role(Box<Role>),
    /// Where an image is kept.
    Repository(Repository),
    /// What machines are started with.
    LaunchTemplate(LaunchTemplate),
    /// Machines that come and go with jobs.
    Compute(Box<ComputeEnvironment>),
    /// Where jobs wait.
    Queue(Queue),
    /// A function that can be called, in the cloud.
    CloudFunction(Box<CloudFunction>),
    /// A function that is called by itself.
    Schedule(Schedule),
}

/// The deployed copy of a function's own code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Hash of the app's name and of the path, mode and content of every file. The app is part of
    /// it so that no two apps share a copy, and destroying one can't take the other's.
    pub hash: Fingerprint,
    /// How many files there are.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
}

/// An image recipe and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedImage {
    /// Its name in the app.
    pub name: String,
    /// What it is made of.
    pub recipe: Image,
    /// What it is called where it is built, by its content; none where it is only recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Where it is pushed to, `REGISTRY/REPOSITORY:TAG`, with [`ACCOUNT`] in place of an account's
    /// number; none where it stays with the engine that built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<String>,
}

/// A volume of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name in the environment.
    pub name: String,
}

/// A secret of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name in the environment.
    pub name: String,
    /// Keys it must have; of an existing one, keys it has. Sorted.
    pub keys: Vec<String>,
}

impl Resource {
    /// Its id.
    pub fn id(&self) -> ResourceId {
        match self {
            Resource::Source(source) => ResourceId::new(Kind::Source, source.hash.as_str()),
            Resource::Image(image) => ResourceId::new(Kind::Image, &image.name),
            Resource::Volume(volume) => ResourceId::new(Kind::Volume, &volume.name),
            Resource::Secret(secret) => ResourceId::new(Kind::Secret, &secret.name),
            Resource::Function(function) => ResourceId::new(Kind::Function, &function.name),
            Resource::Bucket(bucket) => ResourceId::new(Kind::Bucket, &bucket.name),
            Resource::LogGroup(group) => ResourceId::new(Kind::LogGroup, &group.function),
            Resource::Role(role) => ResourceId::new(Kind::Role, &role.purpose),
            Resource::Repository(repository) => {
                ResourceId::new(Kind::Repository, &repository.image)
            }
            Resource::LaunchTemplate(template) => {
                ResourceId::new(Kind::LaunchTemplate, format!("{}gib", template.disk_gib))
            }
            Resource::Compute(environment) => ResourceId::new(Kind::Compute, &environment.id),
            Resource::Queue(queue) => ResourceId::new(Kind::Queue, &queue.id),
            Resource::CloudFunction(function) => {
                ResourceId::new(Kind::Function, &function.spec.name)
            }
            Resource::Schedule(schedule) => ResourceId::new(Kind::Schedule, &schedule.function),
        }
    }

    /// The function that it is, whatever runs it.
    pub fn function(&self) -> Option<&FunctionSpec> {
        match self {
            Resource::Function(spec) => Some(spec),
            Resource::CloudFunction(function) => Some(&function.spec),
            _ => None,
        }
    }

    /// What must exist before it does.
    pub fn deps(&self) -> Vec<ResourceId> {
        match self {
            Resource::Schedule(schedule) => {
                let function = ResourceId::new(Kind::Function, &schedule.function);
                return vec![function, ResourceId::new(Kind::Role, "schedule")];
            }
            Resource::Compute(_) => return vec![ResourceId::new(Kind::Role, "machine")],
            Resource::Image(image) if image.pushed.is_some() => {
                return vec![ResourceId::new(Kind::Repository, &image.name)];
            }
            _ => {}
        }
        let Some(function) = self.function() else { return Vec::new() };
        let source = function.source.iter().map(|hash| ResourceId::new(Kind::Source, hash));
        let image = function.image.iter().map(|name| ResourceId::new(Kind::Image, name));
        let volumes = function.volumes.values().map(|name| ResourceId::new(Kind::Volume, name));
        let secrets = function.secrets.iter().map(|name| ResourceId::new(Kind::Secret, name));
        let of_function = source.chain(image).chain(volumes).chain(secrets);
        of_function.chain(self.deps_in_cloud()).collect()
    }

    /// What a function in the cloud needs beside what it names.
    fn deps_in_cloud(&self) -> Vec<ResourceId> {
        let Resource::CloudFunction(function) = self else { return Vec::new() };
        let queue = function.queue_id.iter().map(|id| ResourceId::new(Kind::Queue, id));
        let roles = ["function", "start"].map(|purpose| ResourceId::new(Kind::Role, purpose));
        let log = ResourceId::new(Kind::LogGroup, &function.spec.name);
        queue.chain(roles).chain([log]).collect()
    }

    /// The hash of everything it is.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }

    /// Whether this, found on the target, is what `wanted` asks for.
    pub fn satisfies(&self, wanted: &Resource) -> bool {
        match (self, wanted) {
            (Resource::Secret(found), Resource::Secret(wanted)) => {
                wanted.keys.iter().all(|key| found.keys.contains(key))
            }
            (Resource::Compute(found), Resource::Compute(wanted)) => found.serves(wanted),
            _ => self == wanted,
        }
    }

    /// Why going from `self` to `next` takes a new resource in place of the old, if it does.
    pub fn replaced_by(&self, next: &Resource) -> Option<&'static str> {
        match (self, next) {
            // Which of the engine's images a name means can change in place.
            (Resource::Image(old), Resource::Image(new))
                if base(old) != base(new) && new.reference.is_none() =>
            {
                Some("another base makes another image")
            }
            (Resource::Source(_), Resource::Source(_)) => Some("a copy is never written to"),
            _ => None,
        }
    }
}

/// What an image starts from.
fn base(image: &NamedImage) -> [Option<&str>; 3] {
    let recipe = &image.recipe;
    [recipe.kind.as_deref(), recipe.base.as_deref(), recipe.dockerfile.as_deref()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = ResourceId::new(Kind::Function, "a.b");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("lambda.x".parse::<ResourceId>().is_err());
        assert!("function".parse::<ResourceId>().is_err());
    }

    #[test]
    fn a_secret_with_more_keys_than_asked_for_will_do() {
        let secret = |keys: &[&str]| {
            let keys = keys.iter().map(ToString::to_string).collect();
            Resource::Secret(Secret { name: "r2".into(), keys })
        };
        assert!(secret(&["A", "B"]).satisfies(&secret(&["A"])));
        assert!(!secret(&["A"]).satisfies(&secret(&["A", "B"])));
    }
}
