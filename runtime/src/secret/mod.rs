//! The secrets of an environment: files of mode 0600 in a folder of mode 0700, or the memory of
//! this process.
//!
//! A value leaves this module only as a [`SecretValue`], which neither prints nor serializes, so it
//! can't end in state, a plan, a log or an error text by accident.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::home::EnvironmentHome;
use crate::suggestion::did_you_mean;

/// A value that is not to be seen.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// Hides a value.
    pub fn new(value: impl Into<String>) -> Self {
        SecretValue(value.into())
    }

    /// The value itself: for the environment of a worker, and for redaction, only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

/// What may be known of a secret without its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretSummary {
    /// Its name in the environment.
    pub name: String,
    /// Its keys, sorted.
    pub keys: Vec<String>,
    /// When it was first created.
    pub created_at: Timestamp,
    /// When its values were last set.
    pub updated_at: Timestamp,
}

/// The file of a secret.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    created_at: Timestamp,
    updated_at: Timestamp,
    values: BTreeMap<String, String>,
}

/// Why something couldn't be done with a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The name is not allowed.
    #[error("`{0}` can't be the name of a secret")]
    Name(String),
    /// The key can't name an environment variable.
    #[error("`{0}` can't be a key of a secret")]
    Key(String),
    /// The value can't be an environment variable's.
    #[error("the value of `{0}` contains a null byte")]
    Value(String),
    /// There are no keys.
    #[error("secret `{0}` would have no keys")]
    Empty(String),
    /// There is one of that name.
    #[error("secret `{0}` already exists")]
    Exists(String),
    /// There is none of that name.
    #[error("no secret named `{name}`")]
    NotFound {
        /// The name that was asked for.
        name: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// The disk said no.
    #[error("can't {doing} secret `{name}`")]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The secret.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file isn't what `vdeploy secret create` writes. What it holds is not repeated here.
    #[error("the file of secret `{0}` is damaged")]
    Damaged(String),
}

impl SecretError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) => Some("use letters, digits, `-` and `_`, fewer than 64".into()),
            Self::Key(_) => Some("keys become variables: use letters, digits and `_`".into()),
            Self::Value(_) => None,
            Self::Empty(name) => Some(format!("give it one: `vdeploy secret create {name} KEY=-`")),
            Self::Exists(name) => {
                Some(format!("replace it with `vdeploy secret create {name} --force …`"))
            }
            Self::NotFound { suggestion: Some(other), .. } => {
                Some(format!("did you mean `{other}`?"))
            }
            Self::NotFound { name, suggestion: None } => {
                Some(format!("create it with `vdeploy secret create {name} KEY=-`"))
            }
            Self::Io { .. } => None,
            Self::Damaged(name) => {
                Some(format!("set it anew with `vdeploy secret create {name} --force …`"))
            }
        }
    }
}

/// Which values some secrets had: each file's number and time, none where there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edition(Vec<Option<(u64, i64, i64)>>);

/// All secrets of an environment on the local target. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SecretStore {
    kept: Kept,
}

/// Where they are.
#[derive(Clone)]
enum Kept {
    /// A folder of files.
    Files(PathBuf),
    /// The memory of this process, for tests.
    Memory(Arc<Mutex<BTreeMap<String, Stored>>>),
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Files(dir) => f.debug_tuple("Files").field(dir).finish(),
            Kept::Memory(_) => f.write_str("Memory(…)"),
        }
    }
}

impl SecretStore {
    /// The secrets of the environment at `home`.
    pub fn of(home: &EnvironmentHome) -> Self {
        SecretStore { kept: Kept::Files(home.secrets()) }
    }

    /// For tests: none yet; they are forgotten with the last clone.
    pub fn in_memory() -> Self {
        SecretStore { kept: Kept::Memory(Arc::default()) }
    }

    /// Sets a secret's values; an existing secret is replaced only if `overwrite`.
    pub fn create(
        &self,
        name: &str,
        values: BTreeMap<String, SecretValue>,
        overwrite: bool,
        now: Timestamp,
    ) -> Result<(), SecretError> {
        check_name(name)?;
        check_values(name, &values)?;
        let created_at = match self.read(name) {
            Ok(_) if !overwrite => return Err(SecretError::Exists(name.into())),
            Ok(stored) => stored.created_at,
            Err(SecretError::NotFound { .. }) => now,
            Err(SecretError::Damaged(_)) if overwrite => now,
            Err(error) => return Err(error),
        };
        let values = values.into_iter().map(|(key, value)| (key, value.0)).collect();
        self.write(name, Stored { created_at, updated_at: now, values })
            .map_err(|source| SecretError::Io { doing: "write", name: name.into(), source })
    }

    /// The values of a secret.
    pub fn get(&self, name: &str) -> Result<BTreeMap<String, SecretValue>, SecretError> {
        let values = self.read(name)?.values;
        Ok(values.into_iter().map(|(key, value)| (key, SecretValue(value))).collect())
    }

    /// The values of several secrets together; of a key in more than one, the last one's.
    pub fn get_all(&self, names: &[String]) -> Result<BTreeMap<String, SecretValue>, SecretError> {
        names.iter().try_fold(BTreeMap::new(), |mut all, name| {
            all.extend(self.get(name)?);
            Ok(all)
        })
    }

    /// Changes whenever one of these secrets is set or deleted; reads none of them.
    pub(crate) fn edition(&self, names: &[String]) -> Edition {
        let of = |name: &String| match &self.kept {
            Kept::Files(dir) => {
                let stat = fs::metadata(path(dir, name)).ok()?;
                Some((stat.ino(), stat.mtime(), stat.mtime_nsec()))
            }
            Kept::Memory(all) => {
                let set = held(all).get(name)?.updated_at;
                Some((0, set.as_second(), set.subsec_nanosecond().into()))
            }
        };
        Edition(names.iter().map(of).collect())
    }

    /// What may be known of one secret; none when there is none.
    pub fn summary(&self, name: &str) -> Result<Option<SecretSummary>, SecretError> {
        match self.read(name) {
            Ok(stored) => Ok(Some(SecretSummary {
                name: name.into(),
                keys: stored.values.into_keys().collect(),
                created_at: stored.created_at,
                updated_at: stored.updated_at,
            })),
            Err(SecretError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What may be known of all secrets, by name.
    pub fn list(&self) -> Result<Vec<SecretSummary>, SecretError> {
        let mut all = Vec::new();
        for name in self.names()? {
            all.extend(self.summary(&name)?);
        }
        Ok(all)
    }

    /// Deletes a secret.
    pub fn delete(&self, name: &str) -> Result<(), SecretError> {
        check_name(name)?;
        let dir = match &self.kept {
            Kept::Files(dir) => dir,
            Kept::Memory(all) => {
                let gone = held(all).remove(name);
                return gone.map(drop).ok_or_else(|| self.not_found(name));
            }
        };
        match fs::remove_file(path(dir, name)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.not_found(name)),
            Err(source) => Err(SecretError::Io { doing: "delete", name: name.into(), source }),
        }
    }

    fn read(&self, name: &str) -> Result<Stored, SecretError> {
        check_name(name)?;
        let dir = match &self.kept {
            Kept::Files(dir) => dir,
            Kept::Memory(all) => {
                let found = held(all).get(name).cloned();
                return found.ok_or_else(|| self.not_found(name));
            }
        };
        match fs::read(path(dir, name)) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|_| SecretError::Damaged(name.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.not_found(name)),
            Err(source) => Err(SecretError::Io { doing: "read", name: name.into(), source }),
        }
    }

    fn write(&self, name: &str, stored: Stored) -> io::Result<()> {
        match &self.kept {
            Kept::Files(dir) => write(dir, name, &stored),
            Kept::Memory(all) => {
                held(all).insert(name.into(), stored);
                Ok(())
            }
        }
    }

    fn names(&self) -> Result<Vec<String>, SecretError> {
        match &self.kept {
            Kept::Files(dir) => names(dir),
            Kept::Memory(all) => Ok(held(all).keys().cloned().collect()),
        }
    }

    fn not_found(&self, name: &str) -> SecretError {
        let names = self.names().unwrap_or_default();
        let suggestion = did_you_mean(name, names.iter().map(String::as_str)).map(str::to_owned);
        SecretError::NotFound { name: name.into(), suggestion }
    }
}

fn held(all: &Mutex<BTreeMap<String, Stored>>) -> MutexGuard<'_, BTreeMap<String, Stored>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.json"))
}

fn write(dir: &Path, name: &str, stored: &Stored) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let staged = dir.join(format!(".{name}.new"));
    // A killed writer's file is taken away first, so that the new one has its mode from birth.
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    file.write_all(&serde_json::to_vec(stored)?)?;
    file.sync_all()?;
    fs::rename(&staged, path(dir, name))
}

fn names(dir: &Path) -> Result<Vec<String>, SecretError> {
    let io = |source| SecretError::Io { doing: "list", name: "*".into(), source };
    let listing = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(io)?,
    };
    let mut names = Vec::new();
    for entry in listing {
        let file = entry.map_err(io)?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(".json"));
        names.extend(name.filter(|name| check_name(name).is_ok()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Fails for what can't be the name of a secret.
pub fn check_name(name: &str) -> Result<(), SecretError> {
    let ok = !name.is_empty()
        && name.len() < 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if ok { Ok(()) } else { Err(SecretError::Name(name.into())) }
}

/// Fails for keys and values that can't be an environment's.
pub fn check_values(name: &str, values: &BTreeMap<String, SecretValue>) -> Result<(), SecretError> {
    if values.is_empty() {
        return Err(SecretError::Empty(name.into()));
    }
    for (key, value) in values {
        let starts_well = key.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !starts_well || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(SecretError::Key(key.clone()));
        }
        if value.0.contains('\0') {
            return Err(SecretError::Value(key.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
