//! Tags that say whose a resource is.

use std::collections::HashMap;

use crate::resource::ResourceId;

const APP: &str = "vdeploy:app";
const ENVIRONMENT: &str = "vdeploy:environment";
const RESOURCE: &str = "vdeploy:resource";
/// The fingerprint of what can't be changed, such as a job definition.
pub(super) const CONTENT: &str = "vdeploy:content";
/// On what belongs to no app.
pub(super) const STORE: (&str, &str) = ("vdeploy:store", "yes");

/// The tags of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tags(Vec<(String, String)>);

impl Tags {
    pub(super) fn of(environment: &str, app: &str, id: &ResourceId) -> Self {
        let pairs = [(APP, app), (ENVIRONMENT, environment), (RESOURCE, &id.to_string())];
        Tags(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    }

    /// The same with one more.
    pub(super) fn and(mut self, key: &str, value: &str) -> Self {
        self.0.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The tags, each by key and value.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// As most services take them.
    pub(super) fn map(&self) -> HashMap<String, String> {
        self.0.iter().cloned().collect()
    }

    /// Whether what has `found` is the same app's.
    pub(super) fn own<K: AsRef<str>, V: AsRef<str>>(
        &self,
        found: impl IntoIterator<Item = (K, V)>,
    ) -> bool {
        let found: Vec<_> = found.into_iter().collect();
        self.0
            .iter()
            .filter(|(key, _)| key == APP || key == ENVIRONMENT)
            .all(|(key, value)| found.iter().any(|(k, v)| k.as_ref() == key && v.as_ref() == value))
    }
}

/// Whether tags are those of an app of an environment.
pub(super) fn belong<'t>(
    found: impl IntoIterator<Item = (&'t str, &'t str)>,
    environment: &str,
    app: &str,
) -> bool {
    let id = ResourceId::new(crate::resource::Kind::Bucket, "");
    Tags::of(environment, app, &id).own(found)
}
