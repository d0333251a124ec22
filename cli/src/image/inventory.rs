//! What the engine has of ours.

use std::collections::{BTreeSet, HashMap};

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use serde::Serialize;

use super::{LABEL_HOME, LABEL_IMAGE};

/// An image that vdeploy has built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuiltImage {
    /// Its name in the engine.
    pub reference: String,
    /// The engine's id of it.
    pub id: String,
    /// Its environment, app and name: `main/reel/cpu`.
    pub image: String,
    /// The root of the local target it was built for.
    #[serde(skip)]
    pub home: String,
    /// Its size in bytes, with what it shares with others.
    pub bytes: u64,
    /// When it was built, in seconds since 1970.
    pub created: i64,
}

/// All of them.
pub async fn list(docker: &Docker) -> Result<Vec<BuiltImage>, BollardError> {
    let filters = HashMap::from([("label".to_owned(), vec![LABEL_IMAGE.to_owned()])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let found = docker.list_images(Some(options)).await?;
    let mut images: Vec<_> = found
        .into_iter()
        .flat_map(|image| {
            let label = |key: &str| image.labels.get(key).cloned().unwrap_or_default();
            let (name, home) = (label(LABEL_IMAGE), label(LABEL_HOME));
            let ours = image.repo_tags.iter().filter_map(|tag| own_name(tag));
            let built = ours.map(|reference| BuiltImage {
                reference: reference.to_owned(),
                id: image.id.clone(),
                image: name.clone(),
                home: home.clone(),
                bytes: u64::try_from(image.size).unwrap_or(0),
                created: image.created,
            });
            built.collect::<Vec<_>>()
        })
        .collect();
    images.sort_by(|a, b| (&a.image, b.created).cmp(&(&b.image, a.created)));
    Ok(images)
}

/// The name that an image of ours was given. Podman puts a registry before names that have none.
fn own_name(tag: &str) -> Option<&str> {
    let bare = ["docker.io/", "localhost/"].iter().find_map(|registry| tag.strip_prefix(registry));
    let name = bare.unwrap_or(tag);
    name.starts_with("vdeploy/").then_some(name)
}

/// The names of all of them.
pub async fn references(docker: &Docker) -> Result<BTreeSet<String>, BollardError> {
    Ok(list(docker).await?.into_iter().map(|image| image.reference).collect())
}

/// Takes the name `reference` from its image, which goes when it has no other; one that isn't there
/// is fine.
pub async fn remove(docker: &Docker, reference: &str) -> Result<(), BollardError> {
    // A container that runs keeps its image until it ends; the name goes now.
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    match docker.remove_image(reference, Some(options), None).await {
        Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        removed => removed.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again_in_every_engine() {
        assert_eq!(own_name("vdeploy/a-b:1"), Some("vdeploy/a-b:1"));
        assert_eq!(own_name("docker.io/vdeploy/a-b:1"), Some("vdeploy/a-b:1"));
        assert_eq!(own_name("localhost/vdeploy/a-b:1"), Some("vdeploy/a-b:1"));
        assert_eq!(own_name("registry.example/vdeploy/a-b:1"), None);
    }
}
