//! The local target: files below the environment's folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use vdeploy_runtime::aws::layout::Engine;
use vdeploy_runtime::catalog::{self, Catalog, CatalogError, FunctionName, Published};
use vdeploy_runtime::home::EnvironmentHome;
use vdeploy_runtime::secret::SecretStore;
use vdeploy_runtime::storage::{Contents, Volumes, VolumesError};

use super::{Builder, ImageFailure, Provider, ProviderError};
use crate::plan::{Observed, Seen};
use crate::prepare::{SourceFiles, copy_tree, hash_tree};
use crate::resource::{Kind, NamedImage, Resource, ResourceId, Secret, Source, Volume};
use vdeploy_runtime::failpoint::Failpoint;

/// How many images are built at the same time.
const BUILDS_AT_ONCE: usize = 4;

/// What a deployment gives its target beside the plan.
#[derive(Debug)]
pub struct Deployment {
    /// The version that changed functions are said to be from.
    pub version: u64,
    /// When that is.
    pub now: Timestamp,
    /// Where the code is that is deployed.
    pub sources: Vec<SourceFiles>,
    /// What deletion does with the files of volumes.
    pub contents: Contents,
    /// What makes images.
    pub builder: Builder,
}

/// One app's part of an environment on this machine.
#[derive(Debug)]
pub struct LocalProvider<'a> {
    app: &'a str,
    home: EnvironmentHome,
    catalog: Catalog,
    volumes: Volumes,
    secrets: SecretStore,
    deployment: Deployment,
    failpoint: &'a Failpoint,
}

/// What goes wrong on this machine.
#[derive(Debug, thiserror::Error)]
enum LocalError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    #[error(transparent)]
    Secret(#[from] vdeploy_runtime::secret::SecretError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("its files changed since the plan was made; plan again")]
    SourceChanged,
    #[error("its files aren't known any more; deploy from the project that has them")]
    SourceGone,
    #[error(transparent)]
    Image(#[from] ImageFailure),
    #[error("a secret is created with `vdeploy secret create`, not by a deployment")]
    SecretByHand,
    #[error("it is a resource of target `aws`")]
    OfTheCloud,
}

type LocalResult<T> = Result<T, LocalError>;

impl<'a> LocalProvider<'a> {
    /// The part of `app` in the environment at `home`.
    pub fn new(
        app: &'a str,
        home: EnvironmentHome,
        deployment: Deployment,
        failpoint: &'a Failpoint,
    ) -> Self {
        let (volumes, secrets) = (Volumes::of(&home), SecretStore::of(&home));
        let catalog = Catalog::new(home.clone());
        LocalProvider { app, home, catalog, volumes, secrets, deployment, failpoint }
    }

    async fn see(&self, id: &ResourceId) -> LocalResult<Option<Seen>> {
        match id.kind {
            Kind::Source => self.see_source(&id.name),
            Kind::Image => self.see_image(&id.name).await,
            Kind::Volume => self.see_volume(&id.name),
            Kind::Secret => self.see_secret(&id.name),
            Kind::Function => self.see_function(&id.name),
            Kind::Bucket
            | Kind::LogGroup
            | Kind::Role
            | Kind::Repository
            | Kind::LaunchTemplate
            | Kind::Compute
            | Kind::Queue
            | Kind::Schedule => Ok(None),
        }
    }

    fn see_function(&self, name: &str) -> LocalResult<Option<Seen>> {
        match self.catalog.read(&FunctionName::new(self.app, name)) {
            Ok(found) => {
                let function = |found: Published| Resource::Function(Box::new(found.function));
                Ok(found.map(|found| seen(Some(function(found)))))
            }
            Err(CatalogError::Damaged { .. }) => Ok(Some(seen(None))),
            Err(error) => Err(error.into()),
        }
    }

    async fn see_image(&self, name: &str) -> LocalResult<Option<Seen>> {
        let Some(bytes) = missing_is_none(fs::read(self.image_path(name)))? else {
            return Ok(None);
        };
        let image: Option<NamedImage> = serde_json::from_slice(&bytes).ok();
        let reference = image.as_ref().and_then(|image| image.reference.as_ref());
        if let Some(reference) = reference
            && !self.deployment.builder.has(reference).await?
        {
            return Ok(None);
        }
        Ok(Some(seen(image.map(|image| Resource::Image(Box::new(image))))))
    }

    fn see_source(&self, hash: &str) -> LocalResult<Option<Seen>> {
        let (path, staged) = (self.source_path(hash), self.staged_source_path(hash));
        if path.is_dir() && !staged.exists() {
            let found = hash_tree(self.app, &path)?.filter(|found| found.hash.as_str() == hash);
            return Ok(Some(seen(found.map(Resource::Source))));
        }
        Ok((path.exists() || staged.exists()).then(|| seen(None)))
    }

    fn see_volume(&self, name: &str) -> LocalResult<Option<Seen>> {
        let Some(record) = self.volumes.get(name)? else { return Ok(None) };
        Ok(Some(Seen {
            resource: Some(Resource::Volume(Volume { name: name.into() })),
            holds_files: !self.volumes.open(name)?.is_empty()?,
            made_by_app: record.created_by.as_deref() == Some(self.app),
            used_by_others: false,
        }))
    }

    fn see_secret(&self, name: &str) -> LocalResult<Option<Seen>> {
        let summary = self.secrets.summary(name)?;
        Ok(summary.map(|found| {
            seen(Some(Resource::Secret(Secret { name: found.name, keys: found.keys })))
        }))
    }

    async fn put(&self, resource: &Resource) -> LocalResult<()> {
        match resource {
            Resource::Source(source) => self.install(source),
            Resource::Image(image) => self.make_image(image).await,
            Resource::Volume(volume) => self.create_volume(&volume.name),
            Resource::Secret(_) => Err(LocalError::SecretByHand),
            Resource::Function(function) => Ok(self.catalog.publish(&Published {
                format: catalog::FORMAT,
                version: self.deployment.version,
                deployed_at: self.deployment.now,
                function: (**function).clone(),
                engine: Engine::Local,
            })?),
            _ => Err(LocalError::OfTheCloud),
        }
    }

    fn create_volume(&self, name: &str) -> LocalResult<()> {
        match self.volumes.create(name, Some(self.app), self.deployment.now) {
            Err(VolumesError::Exists(_)) => Ok(()),
            created => Ok(created.map(drop)?),
        }
    }

    fn install(&self, source: &Source) -> LocalResult<()> {
        let files = self.deployment.sources.iter().find(|files| files.hash == source.hash);
        let files = files.ok_or(LocalError::SourceGone)?;
        let hash = source.hash.as_str();
        let (path, staged) = (self.source_path(hash), self.staged_source_path(hash));
        remove_tree(&staged)?;
        copy_tree(files, &staged)?;
        self.failpoint.hit("source-copied");
        if hash_tree(self.app, &staged)?.is_none_or(|found| found.hash != source.hash) {
            remove_tree(&staged)?;
            return Err(LocalError::SourceChanged);
        }
        remove_tree(&path)?;
        Ok(fs::rename(&staged, &path)?)
    }

    async fn make_image(&self, image: &NamedImage) -> LocalResult<()> {
        if let Some(reference) = &image.reference {
            self.deployment.builder.build(&image.name, reference).await?;
        }
        self.write_image(image)
    }

    fn write_image(&self, image: &NamedImage) -> LocalResult<()> {
        let path = self.image_path(&image.name);
        let staged = staged_image_path(&path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let text = serde_json::to_vec(image).expect("a recipe is plain data");
        fs::write(&staged, text)?;
        self.failpoint.hit("image-written");
        Ok(fs::rename(&staged, &path)?)
    }

    async fn take(&self, resource: &Resource) -> LocalResult<()> {
        match resource {
            Resource::Source(source) => {
                remove_tree(&self.staged_source_path(source.hash.as_str()))?;
                remove_tree(&self.source_path(source.hash.as_str()))?;
                remove_empty(&self.home.sources());
            }
            Resource::Image(image) => {
                if let Some(reference) = &image.reference {
                    self.deployment.builder.remove(reference).await?;
                }
                let path = self.image_path(&image.name);
                missing_is_none(fs::remove_file(staged_image_path(&path)))?;
                missing_is_none(fs::remove_file(&path))?;
                remove_empty(&self.images());
                remove_empty(&self.home.app(self.app));
            }
            Resource::Volume(volume) => {
                match self.volumes.delete(&volume.name, self.deployment.contents) {
                    Err(VolumesError::NotFound { .. }) => {}
                    deleted => deleted?,
                }
            }
            Resource::Secret(_) => return Err(LocalError::SecretByHand),
            Resource::Function(function) => {
                self.catalog.remove(&FunctionName::new(self.app, &function.name))?;
            }
            _ => return Err(LocalError::OfTheCloud),
        }
        Ok(())
    }

    fn images(&self) -> PathBuf {
        self.home.app(self.app).join("images")
    }

    fn image_path(&self, name: &str) -> PathBuf {
        self.images().join(format!("{name}.json"))
    }

    fn source_path(&self, hash: &str) -> PathBuf {
        self.home.sources().join(hash)
    }

    /// Where a copy is made before it takes its place; the same for every try, so that what a killed
    /// one left is found.
    fn staged_source_path(&self, hash: &str) -> PathBuf {
        self.home.sources().join(format!(".{hash}.new"))
    }
}

impl LocalProvider<'_> {
    /// Builds an image without recording it.
    pub async fn build(&self, image: &Resource) -> Result<(), ProviderError> {
        let Resource::Image(named) = image else { return Ok(()) };
        let Some(reference) = &named.reference else { return Ok(()) };
        let built = self.deployment.builder.build(&named.name, reference).await;
        built.map_err(|failure| failed("build", image.id(), failure.into()))
    }
}

impl Provider for LocalProvider<'_> {
    /// Images take minutes and are built side by side; the rest is files, one after the other.
    fn at_once(&self) -> usize {
        if self.deployment.builder.jobs.is_empty() { 1 } else { BUILDS_AT_ONCE }
    }

    async fn observe(&self, ids: &BTreeSet<ResourceId>) -> Result<Observed, ProviderError> {
        let mut observed = Observed::new();
        for id in ids {
            if let Some(seen) =
                self.see(id).await.map_err(|error| failed("read", id.clone(), error))?
            {
                observed.insert(id.clone(), seen);
            }
        }
        Ok(observed)
    }

    async fn create(&self, resource: &Resource) -> Result<(), ProviderError> {
        self.put(resource).await.map_err(|error| failed("create", resource.id(), error))
    }

    async fn update(&self, _before: &Resource, after: &Resource) -> Result<(), ProviderError> {
        self.put(after).await.map_err(|error| failed("update", after.id(), error))
    }

    async fn delete(&self, resource: &Resource) -> Result<(), ProviderError> {
        self.take(resource).await.map_err(|error| failed("delete", resource.id(), error))
    }
}

fn failed(doing: &'static str, id: ResourceId, error: LocalError) -> ProviderError {
    let hint = match &error {
        LocalError::Image(failure) => failure.hint.clone(),
        _ => None,
    };
    match error {
        LocalError::Image(failure) => ProviderError { doing, id, source: Box::new(failure), hint },
        error => ProviderError { doing, id, source: Box::new(error), hint },
    }
}

fn seen(resource: Option<Resource>) -> Seen {
    Seen { resource, ..Seen::default() }
}

fn staged_image_path(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_tree(path: &Path) -> io::Result<()> {
    missing_is_none(fs::remove_dir_all(path)).map(drop)
}

/// Removes a folder unless something is in it.
fn remove_empty(path: &Path) {
    let _ = fs::remove_dir(path);
}
