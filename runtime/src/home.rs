//! Where everything of the local target lies on disk.

use std::path::{Path, PathBuf};

/// `VDEPLOY_HOME`: the root of the local target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The local target at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Home { root: root.into() }
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One environment's part.
    pub fn environment(&self, name: &str) -> EnvironmentHome {
        EnvironmentHome { root: self.root.join("environments").join(name) }
    }

    /// The names of the environments there are.
    pub(crate) fn environments(&self) -> std::io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.root.join("environments"))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// The durable queue of calls, for all environments.
    pub fn queue_db(&self) -> PathBuf {
        self.root.join("queue.db")
    }

    /// What the elected executor holds a lock on.
    pub fn executor_lock(&self) -> PathBuf {
        self.root.join("executor.lock")
    }

    /// What a process holds a lock on that waits to be the next executor.
    pub fn successor_lock(&self) -> PathBuf {
        self.root.join("executor-next.lock")
    }

    /// The folder of one call: log, scratch, artifacts.
    pub fn call(&self, call: &str) -> PathBuf {
        self.root.join("calls").join(call)
    }

    /// The rooms of containers that run: a folder each, of the same name.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// Folders of ended calls that workers keep for the next, one each.
    pub fn spares(&self) -> PathBuf {
        self.root.join("spares")
    }

    /// What was learned about this machine and can be learned again.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }
}

/// The part of the local target that belongs to one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentHome {
    root: PathBuf,
}

impl EnvironmentHome {
    /// The folder of the environment.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// State of the apps of this environment.
    pub fn state_db(&self) -> PathBuf {
        self.root.join("state.db")
    }

    /// Everything published by one app.
    pub fn app(&self, app: &str) -> PathBuf {
        self.root.join("apps").join(app)
    }

    /// All apps.
    pub fn apps(&self) -> PathBuf {
        self.root.join("apps")
    }

    /// Deployed copies of code, by content hash.
    pub fn sources(&self) -> PathBuf {
        self.root.join("sources")
    }

    /// Volumes; each is a directory.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// One volume.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name)
    }

    /// What is known about volumes beside their files: who created them, remembered hashes.
    pub fn volume_records(&self) -> PathBuf {
        self.root.join("volume-records")
    }

    /// Secrets; each is a file of mode 0600.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }
}
