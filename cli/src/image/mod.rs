//! Images: from a recipe of the manifest to an image of the engine's, and on to a registry.
//!
//! `recipe` renders a Dockerfile and `context` gathers what goes with it, both without a side
//! effect; their content names the image, so that an unchanged one is never built again. `build`,
//! `check`, `sbom` and `push` ask the engine.

mod build;
mod check;
mod context;
mod cuda;
mod glibc;
mod ignore;
mod inside;
mod inventory;
mod push;
mod quote;
mod recipe;
mod sbom;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

pub use build::{Backend, BuildError, Said, Tools, build};
pub(crate) use build::{causes, shorten};
pub use check::{CheckError, check};
pub use context::Context;
pub use cuda::{Defaults, PairError, check_kind, check_pair, defaults};
pub use inventory::{BuiltImage, list, references, remove};
pub use push::{Login, PushError, Pushed, push};
pub use recipe::{Dockerfile, Origin, RecipeError, Step};
pub use sbom::{Contents, contents, document};

use crate::fingerprint::Fingerprint;
use crate::manifest::Image;

/// The label that holds the environment, the app and the name of an image, `env/app/name`.
pub const LABEL_IMAGE: &str = "dev.vdeploy.image";
/// The label that holds the root of the local target an image was built for.
pub const LABEL_HOME: &str = "dev.vdeploy.home";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whose an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Where the state is that remembers it: the root of the local target, or a bucket.
    pub home: String,
    /// The environment.
    pub environment: String,
    /// The app.
    pub app: String,
}

/// An image that could be built: everything that decides what it will be.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name in the app.
    pub name: String,
    /// What it is called in the engine: `vdeploy/APP-NAME:CONTENT`.
    pub reference: String,
    /// Its Dockerfile.
    pub dockerfile: Dockerfile,
    /// What goes with it.
    pub context: Context,
    /// Values of build arguments.
    pub args: BTreeMap<String, String>,
    /// Secrets that its commands may see; their values decide nothing.
    pub secrets: Vec<String>,
    /// It is for GPUs.
    pub cuda: bool,
    /// The base whose C library is known, with its version.
    pub glibc: Option<(String, glibc::Version)>,
    /// The worker program that goes in.
    pub worker: PathBuf,
}

impl Job {
    /// The whole context, with the Dockerfile, as pieces of a tar.
    fn stream(&self) -> mpsc::Receiver<io::Result<Vec<u8>>> {
        self.context.clone().stream(self.dockerfile.text.clone())
    }
}

/// Why an image can't be built as it is described.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A file of it can't be read.
    #[error("can't read `{path}`")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its recipe can't be rendered.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

/// Everything that decides what `image` will be; reads its files and writes none.
pub fn job(
    owner: &Owner,
    name: &str,
    image: &Image,
    folder: &Path,
    worker: &Path,
    worker_hash: &str,
) -> Result<Job, JobError> {
    let own = image.dockerfile.as_ref().map(|path| {
        std::fs::read_to_string(folder.join(path))
            .map_err(|source| JobError::Unreadable { path: path.clone(), source })
    });
    let own = own.transpose()?;
    let draft = recipe::render(image, own.as_deref(), &[])?;
    let context = Context::gather(image, folder, worker)?;
    let mut hasher = Sha256::new();
    let Owner { home, environment, app } = owner;
    for part in [&draft.text, worker_hash, home, environment, app, name, VERSION] {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    for (key, value) in &image.args {
        hasher.update(format!("{key}\0{value}\0"));
    }
    context.feed(&mut hasher)?;
    let digest = Fingerprint::finish(hasher);
    let content = &digest.as_str()[..16];
    let labels = labels(owner, name, content, draft.base());
    let dockerfile = recipe::render(image, own.as_deref(), &labels)?;
    let reference = format!("vdeploy/{}:{content}", repository(app, name));
    Ok(Job {
        name: name.to_owned(),
        reference,
        dockerfile,
        context,
        args: image.args.clone(),
        secrets: image.secrets.clone(),
        cuda: matches!(image.kind.as_deref(), Some("cuda" | "cuda-ffmpeg" | "detect")),
        glibc: glibc::of_base(image),
        worker: worker.to_owned(),
    })
}

/// The labels of an image; the keys of the first are those of the OCI's image specification.
fn labels(owner: &Owner, name: &str, content: &str, base: &str) -> Vec<(String, String)> {
    let Owner { home, environment, app } = owner;
    [
        ("org.opencontainers.image.title", format!("{app}/{name}")),
        ("org.opencontainers.image.version", content.to_owned()),
        ("org.opencontainers.image.base.name", base.to_owned()),
        ("org.opencontainers.image.vendor", "vdeploy".to_owned()),
        ("dev.vdeploy.version", VERSION.to_owned()),
        (LABEL_IMAGE, format!("{environment}/{app}/{name}")),
        (LABEL_HOME, home.clone()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A name that registries take: their separators may not come at an end or in rows.
fn repository(app: &str, name: &str) -> String {
    let mut text = String::new();
    for part in format!("{app}-{name}").split(['-', '_']).filter(|part| !part.is_empty()) {
        if !text.is_empty() {
            text.push('-');
        }
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_registries_take() {
        assert_eq!(repository("reel_studio-", "_cpu--x"), "reel-studio-cpu-x");
    }
}
