//! Pushing an image to a registry. The engine skips layers that are there, so that a push that was
//! broken off goes on where it ended.

use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::{
    PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures::StreamExt;

/// Pushes after a first that was broken off.
const RETRIES: u32 = 4;

/// Who may push.
#[derive(Clone)]
pub struct Login {
    /// The user; `AWS` for ECR.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// What anybody can pull it by: `registry/repository@sha256:…`.
    pub by_digest: String,
}

/// Why it wasn't.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The registry doesn't let this user in.
    #[error("`{registry}` refuses the login: {message}")]
    Refused {
        /// The registry.
        registry: String,
        /// What it said.
        message: String,
    },
    /// There is no such image.
    #[error("there is no image `{0}`")]
    NoImage(String),
    /// It failed, also after trying again.
    #[error("can't push to `{target}`: {message}")]
    Failed {
        /// Where to.
        target: String,
        /// What the engine said last.
        message: String,
    },
}

/// Pushes image `reference` as `repository:tag`, such as
/// `123456789012.dkr.ecr.us-east-1.amazonaws.com/reel:cpu-1`; `say` hears each layer's status.
pub async fn push(
    docker: &Docker,
    reference: &str,
    repository: &str,
    tag: &str,
    login: Option<&Login>,
    mut say: impl FnMut(&str, &str),
) -> Result<Pushed, PushError> {
    let target = format!("{repository}:{tag}");
    let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    docker.tag_image(reference, Some(options)).await.map_err(|error| match error {
        BollardError::DockerResponseServerError { status_code: 404, .. } => {
            PushError::NoImage(reference.to_owned())
        }
        error => failed(&target, &error),
    })?;
    let pushed = try_again(docker, repository, tag, login, &mut say).await;
    // The name was for the push; what was pushed is known by its digest.
    let options = RemoveImageOptionsBuilder::default().build();
    let by_digest = match pushed {
        Ok(()) => digest(docker, &target, repository).await,
        Err(error) => Err(error),
    };
    let _ = docker.remove_image(&target, Some(options), None).await;
    by_digest.map(|by_digest| Pushed { by_digest })
}

async fn try_again(
    docker: &Docker,
    repository: &str,
    tag: &str,
    login: Option<&Login>,
    say: &mut impl FnMut(&str, &str),
) -> Result<(), PushError> {
    let mut attempt = 0;
    loop {
        let error = match once(docker, repository, tag, login, say).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let message = text(&error);
        let registry = repository.split('/').next().unwrap_or_default().to_owned();
        if is_refusal(&message) {
            return Err(PushError::Refused { registry, message });
        }
        if attempt == RETRIES || is_lasting(&message) {
            return Err(failed(&format!("{repository}:{tag}"), &error));
        }
        say("", &format!("trying again: {message}"));
        tokio::time::sleep(Duration::from_millis(500 << attempt)).await;
        attempt += 1;
    }
}

async fn once(
    docker: &Docker,
    repository: &str,
    tag: &str,
    login: Option<&Login>,
    say: &mut impl FnMut(&str, &str),
) -> Result<(), BollardError> {
    let credentials = login.map(|login| DockerCredentials {
        username: Some(login.username.clone()),
        password: Some(login.password.clone()),
        serveraddress: repository.split('/').next().map(str::to_owned),
        ..Default::default()
    });
    let options = PushImageOptionsBuilder::default().tag(tag).build();
    let mut stream = Box::pin(docker.push_image(repository, Some(options), credentials));
    while let Some(message) = stream.next().await {
        let message = message?;
        if let Some(error) = message.error_detail.and_then(|detail| detail.message) {
            return Err(BollardError::DockerStreamError { error });
        }
        say("", message.status.as_deref().unwrap_or_default());
    }
    Ok(())
}

async fn digest(docker: &Docker, target: &str, repository: &str) -> Result<String, PushError> {
    let found = docker.inspect_image(target).await.map_err(|error| failed(target, &error))?;
    let digests = found.repo_digests.unwrap_or_default();
    let ours = digests.into_iter().find(|digest| digest.starts_with(&format!("{repository}@")));
    ours.ok_or_else(|| PushError::Failed {
        target: target.to_owned(),
        message: "the registry gave it no digest".into(),
    })
}

fn failed(target: &str, error: &BollardError) -> PushError {
    PushError::Failed { target: target.to_owned(), message: text(error) }
}

fn text(error: &BollardError) -> String {
    match error {
        BollardError::DockerStreamError { error } => error.trim().to_owned(),
        BollardError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        error => error.to_string(),
    }
}

fn is_refusal(message: &str) -> bool {
    ["unauthorized", "no basic auth credentials", "denied"]
        .iter()
        .any(|text| message.to_ascii_lowercase().contains(text))
}

/// Whether the same push would fail again.
fn is_lasting(message: &str) -> bool {
    ["no such host", "invalid reference", "name invalid", "name unknown"]
        .iter()
        .any(|text| message.to_ascii_lowercase().contains(text))
}
