//! The images of an app, as they could be built now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tokio_util::sync::CancellationToken;
use vdeploy_runtime::secret::SecretStore;

use super::Site;
use crate::error::{CliError, Result};
use crate::image::{Job, Owner};
use crate::manifest::{App, ImagePlace};
use crate::prepare::image_jobs;
use crate::provider::{Builder, Workshop};
use crate::settings::Settings;

/// Images as they could be built now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Images {
    pub jobs: Vec<Job>,
    pub places: BTreeMap<String, ImagePlace>,
}

/// The images that functions of `app` run in, as they could be built now. In the cloud, those with
/// a `uri` are used as they are.
pub(crate) fn images(
    settings: &Settings,
    site: &Site,
    app: &App,
    root: &Path,
    manifest: &Path,
) -> Result<Images> {
    let place = site.place();
    let functions = app.functions.values().filter(|f| f.contained || place.is_some());
    let names = functions.filter_map(|function| function.spec.image.clone());
    let is_built =
        |name: &String| place.is_none() || app.images.get(name).is_some_and(|i| i.uri.is_none());
    let names: BTreeSet<_> = names.filter(is_built).collect();
    if names.is_empty() {
        return Ok(Images::default());
    }
    let home = place.map_or_else(|| local_home(settings), |place| place.bucket);
    buildable(settings, home, app, &names, root, manifest)
}

/// Where the state of this machine is, as images say it that are built for it.
fn local_home(settings: &Settings) -> String {
    settings.home.root().display().to_string()
}

/// All images of `app`, as they could be built now.
pub(crate) fn all_images(
    settings: &Settings,
    app: &App,
    root: &Path,
    manifest: &Path,
) -> Result<Images> {
    let names = app.images.keys().cloned().collect();
    buildable(settings, local_home(settings), app, &names, root, manifest)
}

fn buildable(
    settings: &Settings,
    home: String,
    app: &App,
    names: &BTreeSet<String>,
    root: &Path,
    manifest: &Path,
) -> Result<Images> {
    let owner = Owner { home, environment: settings.environment.clone(), app: app.name.clone() };
    let worker = settings.worker()?;
    let jobs = image_jobs(app, names, &owner, root, &worker, &settings.home.cache());
    let jobs = jobs.map_err(|(name, error)| {
        let line = app.image_places.get(&name).map_or(1, |place| place.section);
        let at = format!("(in `{}`, line {line})", manifest.display());
        CliError::usage(format!("image `{name}` can't be built {at}")).caused_by(&error)
    })?;
    Ok(Images { jobs, places: app.image_places.clone() })
}

/// What makes images, and stops when `stop` says so.
pub(crate) fn builder(settings: &Settings, images: &Images, stop: &CancellationToken) -> Builder {
    let Images { jobs, places } = images.clone();
    let workshop = Workshop {
        engine: settings.engine(),
        classic: settings.classic_builder,
        // Images are built here, whatever target they are for.
        secrets: SecretStore::of(&settings.home.environment(&settings.environment)),
        stop: stop.clone(),
        printer: settings.printer,
    };
    Builder::new(workshop, jobs, places)
}
