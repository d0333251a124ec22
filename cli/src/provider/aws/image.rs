//! Images: built by the engine of this machine, pushed to ECR, and given to functions by digest.
//!
//! A tag is an image's content, so what has its tag in the repository is neither built nor pushed
//! again. A record in the bucket says which of a repository's images the app has.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_ecr::types::ImageIdentifier;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::sync::{Mutex, OnceCell, Semaphore};
use vdeploy_runtime::aws::objects::Condition;
use vdeploy_runtime::aws::{AwsError, AwsErrorKind};

use super::error::missing_is_none;
use super::session::Doing;
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::image::Login;
use crate::plan::Seen;
use crate::provider::ImageFailure;
use crate::resource::{CloudFunction, NamedImage, Resource};

/// Images that are built and pushed at the same time.
const AT_ONCE: usize = 4;
/// What machines of AWS are that functions run on.
const ARCHITECTURE: &str = "amd64";

/// What is known of images in repositories, asked once for all functions that run in them.
pub(super) struct Digests {
    /// By URI with a tag.
    known: Mutex<BTreeMap<String, String>>,
    login: OnceCell<Login>,
    turns: Semaphore,
}

impl Default for Digests {
    fn default() -> Self {
        let (known, login) = (Mutex::default(), OnceCell::new());
        Digests { known, login, turns: Semaphore::new(AT_ONCE) }
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").field("known", &self.known).finish_non_exhaustive()
    }
}

impl AwsProvider<'_> {
    /// What a function's image is called to AWS: one that was built for it by its digest.
    pub(super) async fn image_of(&self, function: &CloudFunction) -> CloudResult<String> {
        let uri = self.session.with_account(&function.image);
        if !function.built {
            return Ok(uri);
        }
        let digest = self.digest(&function.image).await?;
        let digest = digest.ok_or_else(|| CloudError::NoImage(place(&function.image).into()))?;
        Ok(format!("{}@{digest}", repository_of(&uri).0))
    }

    pub(super) async fn see_image(&self, name: &str) -> CloudResult<Option<Seen>> {
        let key = self.keys.image(self.app, name);
        let found = self.session.objects().get(&key).await.map_err(CloudError::from);
        let Some((_, bytes)) = missing_is_none(found)?.flatten() else { return Ok(None) };
        let Ok(image) = serde_json::from_slice::<NamedImage>(&bytes) else {
            return Ok(Some(seen(None)));
        };
        let is_there = match &image.pushed {
            Some(pushed) => self.digest(pushed).await?.is_some(),
            None => true,
        };
        Ok(is_there.then(|| seen(Some(Resource::Image(Box::new(image))))))
    }

    /// An image as its record tells of it, wherever it is.
    pub(super) async fn recorded_image(&self, name: &str) -> CloudResult<Option<Box<NamedImage>>> {
        let key = self.keys.image(self.app, name);
        let found = self.session.objects().get_json::<NamedImage>(&key).await?;
        Ok(found.map(|(image, _)| Box::new(image)))
    }

    pub(super) async fn put_image(&self, image: &NamedImage) -> CloudResult<()> {
        if let (Some(reference), Some(pushed)) = (&image.reference, &image.pushed)
            && self.digest(pushed).await?.is_none()
        {
            let turn = self.digests.turns.acquire().await;
            let _turn = turn.expect("nobody closes it");
            let digest = self.build_and_push(&image.name, reference, pushed).await?;
            self.digests.known.lock().await.insert(pushed.clone(), digest);
        }
        self.failpoint.hit("image-pushed");
        let key = self.keys.image(self.app, &image.name);
        self.session.objects().put_json(&key, image, Condition::Always).await?;
        Ok(())
    }

    /// Builds an image unless the engine has it, and pushes it; its digest in the repository.
    async fn build_and_push(
        &self,
        name: &str,
        reference: &str,
        pushed: &str,
    ) -> CloudResult<String> {
        let builder = &self.deployment.builder;
        let failed = |failure| CloudError::Image(Box::new(self.disguised(failure)));
        builder.build(name, reference).await.map_err(failed)?;
        let architecture = builder.architecture(reference).await.map_err(failed)?;
        if architecture != ARCHITECTURE {
            return Err(CloudError::Architecture { image: name.to_owned(), architecture });
        }
        self.failpoint.hit("image-built");
        let (repository, tag) = repository_of(pushed);
        let repository = self.find_repository(place(repository)).await?;
        let login = self.digests.login.get_or_try_init(|| self.log_in()).await?;
        let to = (repository.as_str(), tag);
        builder.push(name, reference, to, login).await.map_err(failed)
    }

    /// What went wrong, without the account's number: the engine and the registry say it.
    fn disguised(&self, failure: ImageFailure) -> ImageFailure {
        let without = |text: &String| self.session.without_account(text);
        ImageFailure {
            message: without(&failure.message),
            causes: failure.causes.iter().map(without).collect(),
            hint: failure.hint,
        }
    }

    /// What the registry calls a repository.
    async fn find_repository(&self, name: &str) -> CloudResult<String> {
        let request = self.session.ecr().describe_repositories().repository_names(name);
        let sent = request.send().await.doing(|| format!("look at repository `{name}`"));
        let found = missing_is_none(sent)?.and_then(|found| found.repositories?.pop());
        let uri = found.and_then(|found| found.repository_uri);
        uri.ok_or_else(|| CloudError::Missing(format!("repository `{name}`")))
    }

    /// Asks for a password for the registry; it holds for hours.
    async fn log_in(&self) -> CloudResult<Login> {
        let doing = || "log in to the registry of images".to_owned();
        let found = self.session.ecr().get_authorization_token().send().await.doing(doing)?;
        let data = found.authorization_data().first();
        let token = data.and_then(|data| BASE64.decode(data.authorization_token()?).ok());
        let token = token.and_then(|token| String::from_utf8(token).ok());
        let login = token.as_deref().and_then(|token| token.split_once(':'));
        let (username, password) = login.ok_or_else(|| {
            AwsError::new(doing(), AwsErrorKind::Other, "the answer holds no user and password")
        })?;
        Ok(Login { username: username.to_owned(), password: password.to_owned() })
    }

    /// The digest of an image in its repository; none when it isn't there.
    async fn digest(&self, pushed: &str) -> CloudResult<Option<String>> {
        let mut known = self.digests.known.lock().await;
        if let Some(digest) = known.get(pushed) {
            return Ok(Some(digest.clone()));
        }
        let (repository, tag) = repository_of(pushed);
        let request = self.session.ecr().describe_images().repository_name(place(repository));
        let request = request.image_ids(ImageIdentifier::builder().image_tag(tag).build());
        let sent = request.send().await.doing(|| format!("look for image `{}`", place(pushed)));
        let found = missing_is_none(sent)?.and_then(|found| found.image_details?.pop());
        let digest = found.and_then(|found| found.image_digest);
        known.extend(digest.iter().map(|digest| (pushed.to_owned(), digest.clone())));
        Ok(digest)
    }

    /// Forgets an image. It goes with its repository, and stays in one that was brought along.
    pub(super) async fn take_image(&self, name: &str) -> CloudResult<()> {
        let key = self.keys.image(self.app, name);
        Ok(self.session.objects().delete(&[key]).await?)
    }
}

/// The repository and the tag of an image that is pushed.
fn repository_of(pushed: &str) -> (&str, &str) {
    pushed.rsplit_once(':').unwrap_or((pushed, ""))
}

/// What comes after the registry.
fn place(uri: &str) -> &str {
    uri.split_once('/').map_or(uri, |(_, place)| place)
}
