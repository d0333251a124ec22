//! `vdeploy image`: one file per subcommand; here what they share.

mod build;
mod check;
mod ls;
mod prune;
mod push;
mod sbom;
mod shell;

use bollard::Docker;
use clap::Subcommand;

use crate::change::{self, Images};
use crate::error::{CliError, Exit, Result};
use crate::image::{self, Job};
use crate::manifest;
use crate::provider::ImageFailure;
use crate::settings::Settings;
use vdeploy_runtime::engine::EngineError;
use vdeploy_runtime::suggestion::did_you_mean;

/// Build the images that functions run in, look into them, and push them
///
/// `vdeploy deploy` builds what it needs by itself. Images are built by the Docker Engine (or
/// Podman's socket) of this machine.
#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    Build(build::Args),
    Ls(ls::Args),
    Check(check::Args),
    Shell(shell::Args),
    Push(push::Args),
    Sbom(sbom::Args),
    Prune(prune::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args {
        Args::Build(args) => build::run(&args, settings).await,
        Args::Ls(args) => ls::run(&args, settings).await,
        Args::Check(args) => check::run(&args, settings).await,
        Args::Shell(args) => shell::run(&args, settings).await,
        Args::Push(args) => push::run(&args, settings).await,
        Args::Sbom(args) => sbom::run(&args, settings).await,
        Args::Prune(args) => prune::run(&args, settings).await,
    }
}

async fn docker(settings: &Settings) -> Result<Docker> {
    settings.engine().connect().await.map_err(no_engine)
}

fn no_engine(error: EngineError) -> CliError {
    CliError::chain(&error).hint(error.hint())
}

fn engine_failed(error: bollard::errors::Error) -> CliError {
    CliError::failed("the container engine refused").cause(error)
}

/// All images of the manifest as they could be built now, whether functions run in them or not.
fn images(settings: &Settings) -> Result<Images> {
    let manifest = manifest::load(settings)?;
    change::all_images(settings, &manifest.app, &manifest.root, &manifest.path)
}

/// The image of the manifest that is called `name`.
fn find(settings: &Settings, name: &str) -> Result<(Job, Images)> {
    let images = images(settings)?;
    if let Some(job) = images.jobs.iter().find(|job| job.name == name) {
        return Ok((job.clone(), images));
    }
    let known: Vec<&str> = images.jobs.iter().map(|job| job.name.as_str()).collect();
    let error = CliError::usage(format!("the manifest has no image `{name}`"));
    Err(match did_you_mean(name, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => error.hint("add `[image.NAME]`"),
        None => error.hint(format!("it has: {}", known.join(", "))),
    })
}

/// What the image of the manifest that is called `name` is called in the engine, where it has been
/// built.
async fn built(settings: &Settings, docker: &Docker, name: &str) -> Result<Job> {
    let (job, _) = find(settings, name)?;
    let there = image::references(docker).await.map_err(engine_failed)?;
    if there.contains(&job.reference) {
        return Ok(job);
    }
    Err(CliError::failed(format!("image `{name}` isn't built"))
        .hint(format!("build it: `vdeploy image build {name}`")))
}

/// Why image `name` wasn't built.
fn not_built(name: &str, failure: ImageFailure) -> CliError {
    let message = format!("can't build image `{name}`");
    let hints = failure.hint.into_iter().collect();
    let error = CliError { hints, ..CliError::failed(message).cause(failure.message) };
    failure.causes.into_iter().fold(error, CliError::cause)
}
