//! The functions that are deployed on this machine, by name: one small file each.
//!
//! `vdeploy deploy` publishes and removes them; command lines, programs and handlers look them up.
//! Finding a function needs no manifest and no state, only the environment's folder. A record is
//! replaced by a rename, so a reader sees the old one or the new one and never a part.

mod error;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::aws::layout::Engine;
use crate::function::FunctionSpec;
use crate::home::EnvironmentHome;

pub use error::CatalogError;
pub(crate) use error::{not_found, the_only};

/// The version of [`Published`] that this code writes; readers refuse later ones.
pub const FORMAT: u32 = 1;

/// A deployed function as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The version of the app that last changed this function, from 1.
    pub version: u64,
    /// When that was.
    pub deployed_at: Timestamp,
    /// What is run.
    pub function: FunctionSpec,
    /// What runs it; nothing is said of this machine.
    #[serde(default, skip_serializing_if = "Engine::is_local")]
    pub engine: Engine,
}

/// A function's full name, written `app/function`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName {
    /// The app it belongs to.
    pub app: String,
    /// Its name within the app.
    pub function: String,
}

impl FunctionName {
    /// The full name of `function` in `app`.
    pub fn new(app: impl Into<String>, function: impl Into<String>) -> Self {
        FunctionName { app: app.into(), function: function.into() }
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.function)
    }
}

/// The deployed functions of one environment.
#[derive(Clone, Debug)]
pub struct Catalog {
    home: EnvironmentHome,
}

impl Catalog {
    /// The catalog of one environment.
    pub fn new(home: EnvironmentHome) -> Self {
        Catalog { home }
    }

    /// The file of one function's record, whether it exists or not.
    pub fn path(&self, name: &FunctionName) -> PathBuf {
        self.functions(&name.app).join(format!("{}.json", name.function))
    }

    fn functions(&self, app: &str) -> PathBuf {
        self.home.app(app).join("functions")
    }

    /// Writes a function's record, in place of an earlier one.
    pub fn publish(&self, published: &Published) -> Result<(), CatalogError> {
        let function = &published.function;
        let path = self.path(&FunctionName::new(&function.app, &function.name));
        let staged = staging_path(&path);
        let text = serde_json::to_vec(published).expect("a function's record is plain data");
        // Not synced one by one: after a power cut the next plan finds an empty record and mends it.
        create_parent(&path)
            .and_then(|()| std::fs::write(&staged, text))
            .and_then(|()| std::fs::rename(&staged, &path))
            .map_err(|source| CatalogError::Io { path, source })
    }

    /// Removes a function's record, and the app's folder with its last one. A missing record is
    /// fine.
    pub fn remove(&self, name: &FunctionName) -> Result<(), CatalogError> {
        let path = self.path(name);
        for file in [staging_path(&path), path] {
            if let Err(source) = std::fs::remove_file(&file)
                && source.kind() != io::ErrorKind::NotFound
            {
                return Err(CatalogError::Io { path: file, source });
            }
        }
        // Both fail while something is in them, which is what keeps the other functions.
        let _ = std::fs::remove_dir(self.functions(&name.app));
        let _ = std::fs::remove_dir(self.home.app(&name.app));
        Ok(())
    }

    /// The record of one function, if there is one.
    pub fn read(&self, name: &FunctionName) -> Result<Option<Published>, CatalogError> {
        if !is_plain(&name.app) || !is_plain(&name.function) {
            return Ok(None);
        }
        let path = self.path(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CatalogError::Io { path, source }),
        };
        match serde_json::from_slice::<Published>(&bytes) {
            Ok(published) if published.format > FORMAT => {
                Err(CatalogError::Later { path, format: published.format })
            }
            Ok(published) => Ok(Some(published)),
            Err(source) => Err(CatalogError::Damaged { path, source }),
        }
    }

    /// The names of all deployed functions, sorted.
    pub fn list(&self) -> Result<Vec<FunctionName>, CatalogError> {
        let mut names = Vec::new();
        for app in entries(&self.home.apps())? {
            for file in entries(&self.functions(&app))? {
                if let Some(function) = file.strip_suffix(".json") {
                    names.push(FunctionName::new(app.clone(), function));
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// The deployed function `function` of `app`.
    pub fn find(&self, app: &str, function: &str) -> Result<Published, CatalogError> {
        let name = FunctionName::new(app, function);
        match self.read(&name)? {
            Some(published) => Ok(published),
            None => Err(not_found(&name.to_string(), self.list()?)),
        }
    }

    /// The deployed function that `name` means: `app/function`, or `function` alone when `app` has
    /// it (the app of the project one is in) or when no two apps do.
    pub fn resolve(&self, name: &str, app: Option<&str>) -> Result<Published, CatalogError> {
        if let Some((app, function)) = name.split_once('/') {
            return self.find(app, function);
        }
        if let Some(app) = app
            && let Some(published) = self.read(&FunctionName::new(app, name))?
        {
            return Ok(published);
        }
        let only = the_only(name, self.list()?)?;
        self.find(&only.app, &only.function)
    }
}

/// Where a record is written before it takes its place. One fixed name, so that what a killed
/// `deploy` left is overwritten by the next.
fn staging_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

fn create_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => std::fs::create_dir_all(parent),
        _ => Ok(()),
    }
}

/// Whether a name can be a file's name here, and nothing else.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// The names in a folder, without those that start with a dot; none when there is no folder.
fn entries(dir: &Path) -> Result<Vec<String>, CatalogError> {
    let io = |source| CatalogError::Io { path: dir.to_owned(), source };
    let listing = match std::fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(io(error)),
    };
    let mut names = Vec::new();
    for entry in listing {
        let name = entry.map_err(io)?.file_name();
        names.extend(name.to_str().filter(|name| is_plain(name)).map(str::to_owned));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tempfile::TempDir;

    use super::*;
    use crate::function::{Entry, Hardware, Resources, Retries, Scaling, default_timeout};
    use crate::home::Home;

    fn published(app: &str, name: &str) -> Published {
        Published {
            format: FORMAT,
            version: 3,
            deployed_at: Timestamp::UNIX_EPOCH,
            function: FunctionSpec {
                app: app.into(),
                name: name.into(),
                entry: Entry::Builtin { handler: "echo".into() },
                image: None,
                container: None,
                resources: Resources::default(),
                hardware: Hardware::Auto,
                timeout_seconds: default_timeout(),
                retries: Retries::default(),
                env: BTreeMap::new(),
                volumes: BTreeMap::new(),
                secrets: Vec::new(),
                source: None,
                buckets: Default::default(),
                downloads: Default::default(),
                scaling: Scaling::default(),
                cache: false,
                with: Default::default(),
                schema: None,
            },
            engine: Engine::Local,
        }
    }

    fn catalog(deployed: &[(&str, &str)]) -> (TempDir, Catalog) {
        let dir = TempDir::new().unwrap();
        let catalog = Catalog::new(Home::new(dir.path()).environment("main"));
        for (app, name) in deployed {
            catalog.publish(&published(app, name)).unwrap();
        }
        (dir, catalog)
    }

    fn hint_of(result: Result<Published, CatalogError>) -> String {
        result.unwrap_err().hint().unwrap()
    }

    #[test]
    fn what_is_published_is_found_until_it_is_removed() {
        let (dir, catalog) = catalog(&[("reel", "echo")]);
        assert_eq!(catalog.find("reel", "echo").unwrap(), published("reel", "echo"));
        catalog.remove(&FunctionName::new("reel", "echo")).unwrap();
        catalog.remove(&FunctionName::new("reel", "echo")).unwrap();
        assert!(catalog.list().unwrap().is_empty());
        assert!(!dir.path().join("environments/main/apps/reel").exists());
    }

    #[test]
    fn a_name_alone_means_the_only_function_or_the_one_of_this_project() {
        let (_dir, catalog) = catalog(&[("a", "echo"), ("b", "echo"), ("b", "probe")]);
        assert_eq!(catalog.resolve("probe", None).unwrap().function.app, "b");
        assert_eq!(catalog.resolve("echo", Some("a")).unwrap().function.app, "a");
        assert_eq!(catalog.resolve("b/echo", Some("a")).unwrap().function.app, "b");
        assert_eq!(hint_of(catalog.resolve("echo", None)), "say which one: `a/echo`, `b/echo`");
    }

    #[test]
    fn a_missing_function_is_answered_with_what_was_meant() {
        let (_dir, catalog) = catalog(&[("reel", "transcode"), ("reel", "probe")]);
        assert_eq!(hint_of(catalog.resolve("transcod", None)), "did you mean `reel/transcode`?");
        assert_eq!(hint_of(catalog.find("rel", "probe")), "did you mean `reel/probe`?");
        assert_eq!(hint_of(catalog.find("other", "prob")), "did you mean `reel/probe`?");
        assert_eq!(
            hint_of(catalog.resolve("blur", None)),
            "deployed are `reel/probe`, `reel/transcode`"
        );
    }

    #[test]
    fn an_empty_environment_says_to_deploy_first() {
        let (_dir, catalog) = catalog(&[]);
        let error = catalog.resolve("echo", None).unwrap_err();
        assert!(matches!(error, CatalogError::NothingDeployed { .. }), "{error}");
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_catalog() {
        let (dir, catalog) = catalog(&[("reel", "echo")]);
        std::fs::write(dir.path().join("x.json"), "{}").unwrap();
        for name in ["../../../../x", "reel/../../../x", "..", ".", "/etc/passwd", "reel/"] {
            let error = catalog.resolve(name, None).unwrap_err();
            assert!(matches!(error, CatalogError::NotFound { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn a_damaged_record_is_named_and_not_listed_as_missing() {
        let (_dir, catalog) = catalog(&[("reel", "echo")]);
        std::fs::write(catalog.path(&FunctionName::new("reel", "echo")), "").unwrap();
        let error = catalog.find("reel", "echo").unwrap_err();
        assert!(matches!(error, CatalogError::Damaged { .. }), "{error}");
        assert_eq!(catalog.list().unwrap(), [FunctionName::new("reel", "echo")]);
    }

    #[test]
    fn what_a_killed_writer_left_is_not_listed_and_is_overwritten() {
        let (_dir, catalog) = catalog(&[("reel", "echo")]);
        let staged = staging_path(&catalog.path(&FunctionName::new("reel", "echo")));
        std::fs::write(&staged, "{").unwrap();
        assert_eq!(catalog.list().unwrap().len(), 1);
        catalog.publish(&published("reel", "echo")).unwrap();
        assert!(!staged.exists());
    }
}
