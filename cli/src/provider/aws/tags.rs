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

    /// Whether what has `found` says that it is another app's. Names alone don't tell app `a-b` from
    /// app `b` of environment `main-a`, so this is asked before anything is removed.
    pub(super) fn deny<K: AsRef<str>, V: AsRef<str>>(
        &self,
        found: impl IntoIterator<Item = (K, V)>,
    ) -> bool {
        let is_other = |(key, value): (K, V)| {
            let ours = self.0.iter().find(|(own, _)| own == key.as_ref());
            ours.is_some_and(|(key, own)| {
                (key == APP || key == ENVIRONMENT) && own != value.as_ref()
            })
        };
        found.into_iter().any(is_other)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_neither_ours_nor_anothers() {
        let id = ResourceId::new(crate::resource::Kind::Queue, "cpu");
        let tags = Tags::of("main", "reel", &id);
        let found = |app: &'static str, environment: &'static str| {
            [(APP, app), (ENVIRONMENT, environment), (RESOURCE, "queue.other"), ("team", "x")]
        };
        assert!(tags.own(found("reel", "main")) && !tags.deny(found("reel", "main")));
        for other in [found("reel-studio", "main"), found("reel", "main-a")] {
            assert!(!tags.own(other) && tags.deny(other), "{other:?}");
        }
        assert!(!tags.own([("team", "x")]) && !tags.deny([("team", "x")]));
    }
}
