//! Images of the local target: in the engine, where functions run in them.

use std::collections::{BTreeMap, BTreeSet};

use bollard::Docker;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use vdeploy_runtime::engine::{EngineAddress, EngineError};

use crate::image::{self, BuildError, Job, Origin};
use crate::manifest::ImagePlace;
use crate::ui::{self, Printer};

/// What building images takes.
#[derive(Debug)]
pub struct Builder {
    /// The engine.
    pub engine: EngineAddress,
    /// The images that can be built from the project at hand.
    pub jobs: Vec<Job>,
    /// Where the manifest describes them.
    pub places: BTreeMap<String, ImagePlace>,
    /// Breaks builds off.
    pub stop: CancellationToken,
    /// Who hears of them.
    pub printer: Printer,
    docker: OnceCell<Docker>,
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
    pub fn new(
        engine: EngineAddress,
        jobs: Vec<Job>,
        places: BTreeMap<String, ImagePlace>,
        stop: CancellationToken,
        printer: Printer,
    ) -> Self {
        let (docker, references) = (OnceCell::new(), OnceCell::new());
        Builder { engine, jobs, places, stop, printer, docker, references }
    }

    async fn docker(&self) -> Result<&Docker, ImageFailure> {
        self.docker.get_or_try_init(|| self.engine.connect()).await.map_err(no_engine)
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
        let say = |said| ui::build::tell(&self.printer, name, &said);
        let built = image::build(docker, job, &self.stop, say).await;
        built.map(drop).map_err(|error| self.explain(name, &error))
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

fn plain(error: &bollard::errors::Error) -> ImageFailure {
    ImageFailure { message: error.to_string(), causes: Vec::new(), hint: None }
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
