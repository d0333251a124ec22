//! The volumes of one environment: which there are, since when, and because of which app.
//!
//! A volume is a directory; whoever can make a directory can make a volume. What else is known of
//! it lies in a record beside, so that nothing of ours is among a user's files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::volume::Volume;
use crate::aws::AwsError;
use crate::home::EnvironmentHome;

/// All volumes of an environment on the local target.
#[derive(Clone, Debug)]
pub struct Volumes {
    directories: PathBuf,
    records: PathBuf,
}

/// What is known of a volume beside its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// Its name in the environment.
    pub name: String,
    /// When it was created; unknown for a directory that somebody put there.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// The app whose deployment created it; none when a person did.
    #[serde(default)]
    pub created_by: Option<String>,
}

/// What deletion does with the files of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Refuse to delete a volume that holds any.
    Keep,
    /// Delete them too.
    Delete,
}

/// Why something couldn't be done with a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumesError {
    /// The name is not allowed.
    #[error("`{0}` can't be the name of a volume")]
    Name(String),
    /// There is one of that name.
    #[error("volume `{0}` already exists")]
    Exists(String),
    /// There is none of that name.
    #[error("no volume named `{name}`")]
    NotFound {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// It holds files, which nobody asked to delete.
    #[error("volume `{0}` isn't empty")]
    NotEmpty(String),
    /// AWS said no.
    #[error("can't {}: {}", .0.doing, .0.cause)]
    Aws(AwsError),
    /// The disk said no.
    #[error("can't {doing} volume `{name}`")]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The volume.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Volumes {
    /// The volumes of the environment at `home`.
    pub fn of(home: &EnvironmentHome) -> Self {
        Volumes { directories: home.volumes(), records: home.volume_records() }
    }

    /// Creates an empty volume. `created_by` is the app that it is created for, if any.
    pub fn create(
        &self,
        name: &str,
        created_by: Option<&str>,
        created: Timestamp,
    ) -> Result<VolumeRecord, VolumesError> {
        check_name(name)?;
        let record = VolumeRecord {
            name: name.into(),
            created: Some(created),
            created_by: created_by.map(Into::into),
        };
        let io = failed("create", name);
        let _lock = self.lock().map_err(&io)?;
        if self.exists(name) {
            return Err(VolumesError::Exists(name.into()));
        }
        // The record goes first: a volume must never be there without saying whose it is.
        self.write_record(&record).map_err(&io)?;
        fs::create_dir(self.directories.join(name)).map_err(&io)?;
        Ok(record)
    }

    /// What is known of volume `name`; none when there is none.
    pub fn get(&self, name: &str) -> Result<Option<VolumeRecord>, VolumesError> {
        check_name(name)?;
        if !self.exists(name) {
            return Ok(None);
        }
        self.read_record(name).map(Some).map_err(failed("read", name))
    }

    /// Volume `name`, to work with its files.
    pub fn open(&self, name: &str) -> Result<Volume, VolumesError> {
        check_name(name)?;
        if self.exists(name) {
            Ok(Volume::new(name, self.directories.join(name)))
        } else {
            Err(self.not_found(name))
        }
    }

    /// All volumes, by name.
    pub fn list(&self) -> Result<Vec<VolumeRecord>, VolumesError> {
        self.names()
            .map_err(failed("list", "*"))?
            .iter()
            .map(|name| self.read_record(name).map_err(failed("read", name)))
            .collect()
    }

    /// Deletes a volume and, if told to, its files.
    pub fn delete(&self, name: &str, contents: Contents) -> Result<(), VolumesError> {
        let io = failed("delete", name);
        let _lock = self.lock().map_err(&io)?;
        let volume = self.open(name)?;
        if contents == Contents::Keep && !volume.is_empty().map_err(&io)? {
            return Err(VolumesError::NotEmpty(name.into()));
        }
        // First out of sight in one step, so that nobody ever sees half a volume.
        let bin = self.records.join("deleted");
        fs::create_dir_all(&bin).map_err(&io)?;
        let bin = tempfile::tempdir_in(bin).map_err(&io)?;
        fs::rename(volume.root(), bin.path().join(name)).map_err(&io)?;
        self.forget(name).map_err(&io)?;
        bin.close().map_err(&io)
    }

    /// Gives a volume another name.
    pub fn rename(&self, name: &str, new: &str) -> Result<VolumeRecord, VolumesError> {
        check_name(new)?;
        let io = failed("rename", name);
        let _lock = self.lock().map_err(&io)?;
        let volume = self.open(name)?;
        if self.exists(new) {
            return Err(VolumesError::Exists(new.into()));
        }
        let record = VolumeRecord { name: new.into(), ..self.read_record(name).map_err(&io)? };
        self.write_record(&record).map_err(&io)?;
        fs::rename(volume.root(), self.directories.join(new)).map_err(&io)?;
        self.forget(name).map_err(&io)?;
        Ok(record)
    }

    /// The remembered content hashes of volume `name`; a cache that may be lost at any time.
    pub fn index_path(&self, name: &str) -> PathBuf {
        self.records.join(format!("{name}.index.db"))
    }

    fn exists(&self, name: &str) -> bool {
        self.directories.join(name).is_dir()
    }

    fn not_found(&self, name: &str) -> VolumesError {
        VolumesError::NotFound { name: name.into(), known: self.names().unwrap_or_default() }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.directories) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && check_name(&name).is_ok()
                && entry.path().is_dir()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.records.join(format!("{name}.json"))
    }

    fn read_record(&self, name: &str) -> io::Result<VolumeRecord> {
        match fs::read(self.record_path(name)) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(VolumeRecord { name: name.into(), created: None, created_by: None })
            }
            Err(error) => Err(error),
        }
    }

    fn write_record(&self, record: &VolumeRecord) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.records)?;
        serde_json::to_writer(&mut file, record)?;
        file.as_file().sync_all()?;
        file.persist(self.record_path(&record.name))?;
        Ok(())
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        remove_if_there(&self.record_path(name))?;
        let index = self.index_path(name);
        for suffix in ["", "-wal", "-shm"] {
            let mut path = index.clone().into_os_string();
            path.push(suffix);
            remove_if_there(Path::new(&path))?;
        }
        Ok(())
    }

    /// Held while a volume comes, goes or changes its name; released when dropped.
    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(&self.directories)?;
        fs::create_dir_all(&self.records)?;
        let lock = File::create(self.records.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }
}

/// Letters, digits, `-`, `_` and `.`, fewer than 64, not starting with a dot.
pub(super) fn check_name(name: &str) -> Result<(), VolumesError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let ok = !name.is_empty()
        && name.len() < 64
        && !name.starts_with(['.', '-'])
        && name.bytes().all(allowed);
    if ok { Ok(()) } else { Err(VolumesError::Name(name.into())) }
}

fn failed(doing: &'static str, name: &str) -> impl Fn(io::Error) -> VolumesError {
    let name = name.to_owned();
    move |source| VolumesError::Io { doing, name: name.clone(), source }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

    fn volumes() -> (tempfile::TempDir, Volumes) {
        let dir = tempfile::tempdir().unwrap();
        let volumes = Volumes::of(&Home::new(dir.path()).environment("main"));
        (dir, volumes)
    }

    #[test]
    fn a_volume_says_who_created_it_until_it_is_deleted() {
        let (_dir, volumes) = volumes();
        let created = volumes.create("footage", Some("studio"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(created.created_by.as_deref(), Some("studio"));
        assert_eq!(volumes.get("footage").unwrap(), Some(created.clone()));
        assert_eq!(volumes.list().unwrap(), [created]);

        volumes.delete("footage", Contents::Keep).unwrap();
        assert_eq!(volumes.get("footage").unwrap(), None);
        assert!(volumes.list().unwrap().is_empty());
    }

    #[test]
    fn a_second_volume_of_a_name_is_refused_and_keeps_the_first_record() {
        let (_dir, volumes) = volumes();
        let first = volumes.create("a", None, Timestamp::UNIX_EPOCH).unwrap();
        let error = volumes.create("a", Some("app"), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, VolumesError::Exists(_)));
        assert_eq!(volumes.get("a").unwrap(), Some(first));
    }

    #[test]
    fn files_are_deleted_only_when_asked() {
        let (_dir, volumes) = volumes();
        volumes.create("a", None, Timestamp::UNIX_EPOCH).unwrap();
        let file = volumes.open("a").unwrap().root().join("clip");
        fs::write(&file, "x").unwrap();
        let error = volumes.delete("a", Contents::Keep).unwrap_err();
        assert!(matches!(error, VolumesError::NotEmpty(_)));
        assert!(file.exists());
        volumes.delete("a", Contents::Delete).unwrap();
        assert!(!file.exists());
        assert_eq!(fs::read_dir(volumes.records.join("deleted")).unwrap().count(), 0);
    }

    #[test]
    fn a_renamed_volume_keeps_its_files_and_its_record() {
        let (_dir, volumes) = volumes();
        volumes.create("a", Some("app"), Timestamp::UNIX_EPOCH).unwrap();
        volumes.create("taken", None, Timestamp::UNIX_EPOCH).unwrap();
        fs::write(volumes.open("a").unwrap().root().join("clip"), "x").unwrap();
        assert!(matches!(volumes.rename("a", "taken"), Err(VolumesError::Exists(_))));

        volumes.rename("a", "b").unwrap();
        assert!(volumes.get("a").unwrap().is_none());
        assert_eq!(volumes.get("b").unwrap().unwrap().created_by.as_deref(), Some("app"));
        assert!(volumes.open("b").unwrap().root().join("clip").exists());
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        let (_dir, volumes) = volumes();
        for name in ["", ".", "..", "../a", "a/b", ".hidden", "-f", "a b", "ü", &"x".repeat(64)] {
            assert!(matches!(volumes.open(name), Err(VolumesError::Name(_))), "{name:?}");
            let created = volumes.create(name, None, Timestamp::UNIX_EPOCH);
            assert!(matches!(created, Err(VolumesError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_comes_with_those_that_are() {
        let (_dir, volumes) = volumes();
        volumes.create("footage", None, Timestamp::UNIX_EPOCH).unwrap();
        let Err(VolumesError::NotFound { known, .. }) = volumes.open("fotage") else {
            panic!("expected not found");
        };
        assert_eq!(known, ["footage"]);
    }
}
