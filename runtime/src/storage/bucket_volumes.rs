//! The volumes of an environment in a bucket: a record for each, and its files below a prefix.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::bucket::{BucketFolder, to_io};
use super::path::VolumePath;
use super::transfer::{BucketTransfer, Pair, TransferError};
use super::volumes::{Contents, VolumeRecord, VolumesError, check_name};
use crate::aws::AwsErrorKind;
use crate::aws::layout::Keys;
use crate::aws::objects::{Bucket, Condition, Metadata};

/// The volumes of an environment in a bucket.
#[derive(Clone, Debug)]
pub struct BucketVolumes {
    bucket: Bucket,
    keys: Keys,
    /// Where hashes are remembered on this machine.
    cache: PathBuf,
}

type Result<T> = std::result::Result<T, VolumesError>;

impl BucketVolumes {
    /// The volumes of `environment` in `bucket`. What is remembered of files is below `cache`.
    pub fn new(bucket: Bucket, environment: impl Into<String>, cache: impl Into<PathBuf>) -> Self {
        BucketVolumes { bucket, keys: Keys::of(environment), cache: cache.into() }
    }

    /// Creates an empty volume: its record, which is what makes it one.
    pub async fn create(
        &self,
        name: &str,
        created_by: Option<&str>,
        created: Timestamp,
    ) -> Result<VolumeRecord> {
        check_name(name)?;
        let record = VolumeRecord {
            name: name.into(),
            created: Some(created),
            created_by: created_by.map(Into::into),
        };
        let key = self.keys.volume_record(name);
        match self.bucket.put_json(&key, &record, Condition::Absent).await {
            Ok(_) => Ok(record),
            Err(error) if error.kind == AwsErrorKind::Conflict => {
                Err(VolumesError::Exists(name.into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is known of volume `name`; none when there is none.
    pub async fn get(&self, name: &str) -> Result<Option<VolumeRecord>> {
        check_name(name)?;
        let found = self.bucket.get_json(&self.keys.volume_record(name)).await?;
        Ok(found.map(|(record, _)| record))
    }

    /// The files of volume `name`.
    pub async fn open(&self, name: &str) -> Result<BucketFolder> {
        match self.get(name).await? {
            Some(_) => Ok(self.folder(name)),
            None => {
                let known = self.list().await?.into_iter().map(|record| record.name).collect();
                Err(VolumesError::NotFound { name: name.into(), known })
            }
        }
    }

    fn folder(&self, name: &str) -> BucketFolder {
        BucketFolder::new(self.bucket.clone(), self.keys.volume(name))
    }

    /// All volumes, by name.
    pub async fn list(&self) -> Result<Vec<VolumeRecord>> {
        let prefix = self.keys.volume_records();
        let mut records = Vec::new();
        for object in self.bucket.list(&prefix).await? {
            let found: Option<(VolumeRecord, _)> = self.bucket.get_json(&object.key).await?;
            records.extend(found.map(|(record, _)| record));
        }
        Ok(records)
    }

    /// Deletes a volume and, if told to, its files: those first, so that a volume is never without
    /// its record.
    pub async fn delete(&self, name: &str, contents: Contents) -> Result<()> {
        let folder = self.open(name).await?;
        let io = |source| VolumesError::Io { doing: "delete", name: name.into(), source };
        if contents == Contents::Keep && !folder.is_empty().await.map_err(io)? {
            return Err(VolumesError::NotEmpty(name.into()));
        }
        folder.remove(&VolumePath::root()).await.map_err(io)?;
        Ok(self.bucket.delete(&[self.keys.volume_record(name)]).await?)
    }

    /// Gives a volume another name. Its files are there under the new one before it has a record,
    /// and gone under the old one before that has none: whenever this is interrupted, each record is
    /// of a whole volume, and the same again goes on.
    pub async fn rename(&self, name: &str, new: &str) -> Result<VolumeRecord> {
        check_name(new)?;
        let folder = self.open(name).await?;
        if self.get(new).await?.is_some() {
            return Err(VolumesError::Exists(new.into()));
        }
        let io = |source| VolumesError::Io { doing: "rename", name: name.into(), source };
        let target = self.folder(new);
        copy_all(&folder, &target).await.map_err(io)?;
        let record = self.get(name).await?;
        let (created, created_by) =
            record.map(|it| (it.created, it.created_by)).unwrap_or_default();
        let record = VolumeRecord { name: new.into(), created, created_by };
        let key = self.keys.volume_record(new);
        match self.bucket.put_json(&key, &record, Condition::Absent).await {
            Err(error) if error.kind == AwsErrorKind::Conflict => {
                return Err(VolumesError::Exists(new.into()));
            }
            written => drop(written?),
        }
        self.delete(name, Contents::Delete).await?;
        Ok(record)
    }

    pub(super) fn index_path(&self, name: &str) -> PathBuf {
        let environment = self.keys.environment();
        let folder = self.cache.join("buckets").join(self.bucket.name()).join(environment);
        // Without the folder nothing is remembered, which only costs time.
        let _ = std::fs::create_dir_all(&folder);
        folder.join(format!("{name}.index.db"))
    }
}

/// Copies everything in a folder of a bucket into another of the same bucket, and nothing that is
/// there already.
async fn copy_all(from: &BucketFolder, to: &BucketFolder) -> io::Result<()> {
    for folder in from.walk(&VolumePath::root()).await?.empty {
        let key = format!("{}/", to.key(&folder));
        let made = to.bucket().put(&key, Vec::new(), Metadata::new(), Condition::Always).await;
        made.map_err(to_io)?;
    }
    let whole = BucketFolder::new(from.bucket().clone(), "");
    let transfer = BucketTransfer {
        pairs: vec![Pair { from: from.path(), to: to.path() }],
        overwrite: true,
        index: None,
        cancel: CancellationToken::new(),
        events: Arc::new(|_| {}),
    };
    match transfer.copy(whole).await {
        // There were none.
        Err(TransferError::Source(failed)) if failed.kind == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io::Error::other(error)),
        Ok(summary) => match summary.failed.into_iter().next() {
            None => Ok(()),
            Some(failed) => Err(io::Error::other(failed.why)),
        },
    }
}
