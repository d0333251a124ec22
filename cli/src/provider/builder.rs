//! Images in the engine of this machine: where functions of the local target run in them, and from
//! where they are pushed for those in the cloud.

use std::collections::{BTreeMap, BTreeSet};

use bollard::Docker;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use vdeploy_runtime::engine::{EngineAddress, EngineError};
use vdeploy_runtime::secret::{SecretError, SecretStore};

use crate::image::{self, Backend, BuildError, Job, Login, Origin, PushError, Said, Tools};
use crate::manifest::ImagePlace;
use crate::ui::{self, Printer};

/// Where images are built, and who hears of it.
#[derive(Debug)]
pub struct Workshop {
    /// The engine.
    pub engine: EngineAddress,
    /// Build as engines without BuildKit do.
    pub classic: bool,
    /// Where the values of secrets are.
    pub secrets: SecretStore,
    /// Breaks builds off.
    pub stop: CancellationToken,
    /// Who hears of them.
    pub printer: Printer,
}

/// What makes the images of an app.
#[derive(Debug)]
pub struct Builder {
    workshop: Workshop,
    /// The images that can be built from the project at hand.
    pub jobs: Vec<Job>,
    /// Where the manifest describes them.
    places: BTreeMap<String, ImagePlace>,
    docker: OnceCell<Docker>,
    backend: OnceCell<Backend>,
    references: OnceCell<BTreeSet<String>>,
}

/// Why an image isn't there: one line, what lies behind it, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ImageFailure {
    /// What failed.
    pub message: String,
    /// What lies behind it.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Builder {
    /// A builder that has not asked the engine anything yet.
    pub fn new(workshop: Workshop, jobs: Vec<Job>, places: BTreeMap<String, ImagePlace>) -> Self {
        let (docker, backend, references) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Builder { workshop, jobs, places, docker, backend, references }
    }

    async fn docker(&self) -> Result<&Docker, ImageFailure> {
        self.docker.get_or_try_init(|| self.workshop.engine.connect()).await.map_err(no_engine)
    }

    /// Whether the engine has an image; it is asked once for all.
    pub(super) async fn has(&self, reference: &str) -> Result<bool, ImageFailure> {
        let docker = self.docker().await?;
        let all = self.references.get_or_try_init(|| image::references(docker)).await;
        Ok(all.map_err(|error| plain(&error))?.contains(reference))
    }

    /// Builds an image unless the engine has it.
    pub(crate) async fn build(&self, name: &str, reference: &str) -> Result<(), ImageFailure> {
        let docker = self.docker().await?;
        let Some(job) = self.jobs.iter().find(|job| job.reference == reference) else {
            let there = image::references(docker).await.map_err(|error| plain(&error))?;
            return if there.contains(reference) { Ok(()) } else { Err(gone(reference)) };
        };
        let tools = Tools {
            docker,
            engine: &self.workshop.engine,
            builder: self.backend(docker).await?,
            secrets: self.workshop.secrets.get_all(&job.secrets).map_err(no_secret)?,
            stop: &self.workshop.stop,
        };
        let say = |said| ui::build::tell(&self.workshop.printer, name, &said);
        let built = image::build(&tools, job, say).await;
        built.map(drop).map_err(|error| self.explain(name, &error))
    }

    async fn backend(&self, docker: &Docker) -> Result<Backend, ImageFailure> {
        if self.workshop.classic {
            return Ok(Backend::Classic);
        }
        let found = self.backend.get_or_try_init(|| Backend::of(docker)).await;
        found.copied().map_err(|error| plain(&error))
    }

    /// Pushes an image that was built to `repository:tag`; its digest there.
    pub(super) async fn push(
        &self,
        name: &str,
        reference: &str,
        (repository, tag): (&str, &str),
        login: &Login,
    ) -> Result<String, ImageFailure> {
        let docker = self.docker().await?;
        let say = |_: &str, status: &str| {
            if !status.is_empty() {
                ui::build::tell(&self.workshop.printer, name, &Said::Line(status.to_owned()));
            }
        };
        let pushed = tokio::select! {
            pushed = image::push(docker, reference, repository, tag, Some(login), say) => pushed,
            () = self.workshop.stop.cancelled() => return Err(broken_off()),
        };
        let pushed = pushed.map_err(|error| not_pushed(&error))?;
        let digest = pushed.by_digest.rsplit('@').next().unwrap_or_default();
        Ok(digest.to_owned())
    }

    /// The kind of processor that an image is for, such as `amd64`.
    pub(super) async fn architecture(&self, reference: &str) -> Result<String, ImageFailure> {
        let found = self.docker().await?.inspect_image(reference).await;
        Ok(found.map_err(|error| plain(&error))?.architecture.unwrap_or_default())
    }

    /// Removes an image.
    pub(super) async fn remove(&self, reference: &str) -> Result<(), ImageFailure> {
        let docker = self.docker().await?;
        image::remove(docker, reference).await.map_err(|error| plain(&error))
    }

    fn explain(&self, name: &str, error: &BuildError) -> ImageFailure {
        let line = match error {
            BuildError::Step { origin: Some(origin), .. } => self.line(name, *origin),
            _ => None,
        };
        let line = line.map(|line| format!("line {line} of the manifest: ")).unwrap_or_default();
        ImageFailure {
            message: format!("{line}{error}"),
            causes: image::causes(error),
            hint: error.hint(),
        }
    }

    fn line(&self, name: &str, origin: Origin) -> Option<usize> {
        let place = self.places.get(name)?;
        match origin {
            Origin::Apt => place.apt,
            Origin::Pip => place.pip,
            Origin::Copy => place.copy,
            Origin::Run(index) => place.run.get(index).copied(),
        }
    }
}

fn no_engine(error: EngineError) -> ImageFailure {
    let source = std::error::Error::source(&error);
    ImageFailure {
        message: error.to_string(),
        causes: source.into_iter().map(ToString::to_string).collect(),
        hint: Some(error.hint()),
    }
}

fn no_secret(error: SecretError) -> ImageFailure {
    let hint = error.hint();
    ImageFailure { message: error.to_string(), causes: Vec::new(), hint }
}

fn plain(error: &bollard::errors::Error) -> ImageFailure {
    ImageFailure { message: error.to_string(), causes: Vec::new(), hint: None }
}

fn broken_off() -> ImageFailure {
    ImageFailure {
        message: "the push was broken off".into(),
        causes: Vec::new(),
        hint: Some("it goes on where it ended when the command is run again".into()),
    }
}

fn not_pushed(error: &PushError) -> ImageFailure {
    let hint = match error {
        PushError::Refused { .. } => {
            "allow the credentials that deploy to push: `ecr:BatchCheckLayerAvailability`, \
             `ecr:InitiateLayerUpload`, `ecr:UploadLayerPart`, `ecr:CompleteLayerUpload` and \
             `ecr:PutImage`"
        }
        _ => "run the command again: layers that arrived aren't sent again",
    };
    ImageFailure { message: error.to_string(), causes: Vec::new(), hint: Some(hint.into()) }
}

fn gone(reference: &str) -> ImageFailure {
    ImageFailure {
        message: format!("image `{reference}` is gone, and this project makes another one"),
        causes: Vec::new(),
        hint: Some(
            "deploy from the project as it was then, or as it is now: `vdeploy deploy`".into(),
        ),
    }
}
