//! What goes wrong in an account.

use vdeploy_runtime::aws::{AwsError, AwsErrorKind};

use crate::provider::ImageFailure;

/// Why something wasn't done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudError {
    /// A service said no.
    #[error("can't {}: {}", .0.doing, .0.cause)]
    Aws(AwsError),
    /// A service took it and never got there.
    #[error("{what} didn't become {wanted}: {reason}")]
    NotReached {
        /// What was waited for.
        what: String,
        /// What it should have become.
        wanted: &'static str,
        /// What the service says about it.
        reason: String,
    },
    /// Something of the name is there and isn't this app's.
    #[error("{0} is there already, and isn't this app's")]
    NotOurs(String),
    /// The bucket is in another region.
    #[error("bucket `{bucket}` is in region `{region}`")]
    ElsewhereBucket {
        /// The bucket.
        bucket: String,
        /// Where it is.
        region: String,
    },
    /// Something that was brought along isn't there.
    #[error("there is no {0}")]
    Missing(String),
    /// The local files of code moved on.
    #[error("its files changed since the plan was made; plan again")]
    SourceChanged,
    /// The local files of code are gone.
    #[error("its files aren't known any more; deploy from the project that has them")]
    SourceGone,
    /// An image isn't built, or doesn't get to its repository.
    #[error(transparent)]
    Image(Box<ImageFailure>),
    /// An image that a function was deployed with isn't in its repository any more.
    #[error("image `{0}` isn't in its repository")]
    NoImage(String),
    /// An image is for machines that AWS doesn't start for it.
    #[error("image `{image}` is for `{architecture}`, and its functions run on `amd64`")]
    Architecture {
        /// The image.
        image: String,
        /// What it is for.
        architecture: String,
    },
    /// A file can't be read.
    #[error("can't read `{0}`")]
    File(String, #[source] std::io::Error),
    /// Secrets aren't deployed.
    #[error("a secret is created with `vdeploy secret create`, not by a deployment")]
    SecretByHand,
    /// A resource of another target.
    #[error("it is a resource of another target")]
    NotHere,
}

impl From<AwsError> for CloudError {
    fn from(error: AwsError) -> Self {
        CloudError::Aws(error)
    }
}

impl CloudError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            CloudError::Aws(error) => match error.permission() {
                Some(action) if error.kind == AwsErrorKind::Denied => {
                    Some(format!("allow `{action}` to the credentials that deploy"))
                }
                _ => error.hint(),
            },
            CloudError::Image(failure) => failure.hint.clone(),
            CloudError::NoImage(_) => {
                Some("push it again: `vdeploy deploy` from the project as it was then".into())
            }
            CloudError::Architecture { .. } => Some(
                "have it built by the engine of such a machine: `export DOCKER_HOST=tcp://HOST:2375`"
                    .into(),
            ),
            CloudError::NotOurs(_) => Some(
                "name the app or environment otherwise, or remove it if nobody needs it".into(),
            ),
            CloudError::Missing(what) => {
                Some(format!("correct `[target.aws]` in the manifest, or create the {what}"))
            }
            CloudError::ElsewhereBucket { region, .. } => {
                Some(format!("write `region = \"{region}\"` in `[target.aws]`"))
            }
            CloudError::NotReached { .. } => {
                Some("run the same command again once it is mended".into())
            }
            _ => None,
        }
    }

    /// The service's answer holds `word`.
    pub(super) fn says(&self, word: &str) -> bool {
        matches!(self, CloudError::Aws(error) if error.cause.contains(word))
    }

    /// It isn't there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, CloudError::Aws(error) if is_missing(error))
    }

    /// It is there already.
    pub(super) fn exists(&self) -> bool {
        let CloudError::Aws(error) = self else { return false };
        let words = ["AlreadyExists", "ResourceExists", "ResourceConflict", "already exists"];
        words.iter().any(|word| error.cause.contains(word))
            || (error.kind == AwsErrorKind::Conflict && error.cause.contains("Conflict"))
    }

    /// What looks as if a role or policy that was made a moment ago isn't known everywhere yet.
    pub(super) fn may_be_propagation(&self) -> bool {
        let CloudError::Aws(error) = self else { return false };
        let words = [
            "cannot be assumed",
            "can't be assumed",
            "unable to assume",
            "must be able to assume",
            "could not find instanceRole",
            "Could not find IAM role",
            "Invalid IamInstanceProfile",
            "Role with name",
            "InvalidParameterValueException: The role defined",
        ];
        words.iter().any(|word| error.cause.contains(word))
    }
}

fn is_missing(error: &AwsError) -> bool {
    error.kind == AwsErrorKind::NotFound
        || ["NotFound", "NoSuchEntity", "does not exist", "NoSuch"]
            .iter()
            .any(|word| error.cause.contains(word))
}

/// The value, or none where there is nothing.
pub(super) fn missing_is_none<T>(result: Result<T, CloudError>) -> Result<Option<T>, CloudError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether something was there to be removed doesn't matter.
pub(super) fn missing_is_fine<T>(result: Result<T, CloudError>) -> Result<(), CloudError> {
    missing_is_none(result).map(drop)
}
