//! Building an image: nothing has its name before it is whole and was checked from inside.

mod buildkit;
mod classic;
mod error;
mod said;
mod session;
mod trace;

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::TagImageOptionsBuilder;
use tokio_util::sync::CancellationToken;
use vdeploy_runtime::engine::EngineAddress;
use vdeploy_runtime::redact::Redactor;
use vdeploy_runtime::secret::SecretValue;

pub use error::BuildError;
pub(crate) use error::causes;
pub use said::Said;
pub(crate) use said::shorten;

use super::check::check;
use super::{Job, glibc, references, remove};

/// The version of the engine's interface since which it has BuildKit.
const BUILDKIT_SINCE: (usize, usize) = (1, 39);
/// What Podman says it is; it has the interface without BuildKit.
const PODMAN: &str = "Podman Engine";

/// What a build needs beside its job.
#[derive(Debug)]
pub struct Tools<'a> {
    /// The engine.
    pub docker: &'a Docker,
    /// Where it listens.
    pub engine: &'a EngineAddress,
    /// Which of its builders builds.
    pub builder: Backend,
    /// Values that the recipe's commands may see, by variable.
    pub secrets: BTreeMap<String, SecretValue>,
    /// Breaks the build off.
    pub stop: &'a CancellationToken,
}

impl Tools<'_> {
    /// Hides the secrets in what the build prints.
    fn redactor(&self) -> Redactor {
        Redactor::new(self.secrets.values().map(|value| value.expose().to_owned()).collect())
    }
}

/// A builder of an engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// BuildKit.
    BuildKit,
    /// The builder that came first.
    Classic,
}

impl Backend {
    /// The best that the engine has.
    pub async fn of(docker: &Docker) -> Result<Self, BollardError> {
        let agreed = docker.client_version();
        let is_new = (agreed.major_version, agreed.minor_version) >= BUILDKIT_SINCE;
        let version = docker.version().await?;
        let parts = version.components.unwrap_or_default();
        let is_podman = parts.iter().any(|part| part.name == PODMAN);
        let is_linux = version.os.as_deref() == Some("linux");
        let has_buildkit = is_new && is_linux && !is_podman;
        Ok(if has_buildkit { Self::BuildKit } else { Self::Classic })
    }
}

/// Builds `job` unless the engine has it already; `true` when it was built. `say` hears what goes
/// on.
pub async fn build(
    tools: &Tools<'_>,
    job: &Job,
    say: impl FnMut(Said),
) -> Result<bool, BuildError> {
    let docker = tools.docker;
    if references(docker).await.map_err(BuildError::engine)?.contains(&job.reference) {
        return Ok(false);
    }
    fits(job)?;
    let id = tokio::select! {
        built = run(tools, job, say) => built?,
        // The engine ends a build whose caller is gone, and removes what it was in.
        () = tools.stop.cancelled() => return Err(BuildError::Interrupted),
    };
    if let Err(error) = check(docker, &id, job.cuda).await {
        // It has no name by which anybody would look for it; an engine that keeps it may.
        let _ = remove(docker, &id).await;
        return Err(error.into());
    }
    let (repository, tag) = job.reference.rsplit_once(':').expect("a reference has a tag");
    let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    docker.tag_image(&id, Some(options)).await.map_err(BuildError::engine)?;
    Ok(true)
}

/// Runs the build; the id of its image.
async fn run(tools: &Tools<'_>, job: &Job, say: impl FnMut(Said)) -> Result<String, BuildError> {
    match tools.builder {
        Backend::BuildKit => buildkit::run(tools, job, say).await,
        Backend::Classic if !job.secrets.is_empty() => Err(BuildError::NoSecrets),
        Backend::Classic => classic::run(tools, job, say).await,
    }
}

/// Whether the worker program runs with the base's C library, as far as that is known.
fn fits(job: &Job) -> Result<(), BuildError> {
    let Some((base, has)) = &job.glibc else { return Ok(()) };
    match glibc::needed(&job.worker) {
        Ok(Some(needs)) if needs > *has => Err(BuildError::Glibc {
            worker: job.worker.display().to_string(),
            needs,
            base: base.clone(),
            has: *has,
        }),
        // A program that can't be read fails in the build, which says so.
        _ => Ok(()),
    }
}
