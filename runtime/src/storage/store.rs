//! The volumes of an environment, wherever they are.

use std::path::PathBuf;

use jiff::Timestamp;

use super::bucket_volumes::BucketVolumes;
use super::side::Side;
use super::volume::Volume;
use super::volumes::{Contents, VolumeRecord, Volumes, VolumesError};
use super::{VolumePath, bucket};
use crate::aws::AwsError;

/// The volumes of an environment. Cheap to clone.
#[derive(Clone, Debug)]
pub enum VolumeStore {
    /// Folders of this machine.
    Local(Volumes),
    /// Prefixes of a bucket.
    Bucket(BucketVolumes),
}

type Result<T> = std::result::Result<T, VolumesError>;

impl VolumeStore {
    /// Creates an empty volume. `created_by` is the app that it is created for, if any.
    pub async fn create(
        &self,
        name: &str,
        created_by: Option<&str>,
        created: Timestamp,
    ) -> Result<VolumeRecord> {
        match self {
            VolumeStore::Local(volumes) => volumes.create(name, created_by, created),
            VolumeStore::Bucket(volumes) => volumes.create(name, created_by, created).await,
        }
    }

    /// What is known of volume `name`; none when there is none.
    pub async fn get(&self, name: &str) -> Result<Option<VolumeRecord>> {
        match self {
            VolumeStore::Local(volumes) => volumes.get(name),
            VolumeStore::Bucket(volumes) => volumes.get(name).await,
        }
    }

    /// The files of volume `name`.
    pub async fn open(&self, name: &str) -> Result<Side> {
        match self {
            VolumeStore::Local(volumes) => {
                let tree = volumes.open(name)?.tree();
                tree.map(Side::Folder).map_err(|source| VolumesError::Io {
                    doing: "open",
                    name: name.into(),
                    source,
                })
            }
            VolumeStore::Bucket(volumes) => Ok(Side::Bucket(volumes.open(name).await?)),
        }
    }

    /// Removes what `path` names in volume `name`, a folder with everything in it.
    pub async fn remove(&self, name: &str, path: &VolumePath) -> Result<()> {
        let io = |source| VolumesError::Io { doing: "change", name: name.into(), source };
        match self {
            VolumeStore::Local(volumes) => {
                let volume: Volume = volumes.open(name)?;
                volume.remove(path).map_err(io)
            }
            VolumeStore::Bucket(volumes) => {
                volumes.open(name).await?.remove(path).await.map_err(io)
            }
        }
    }

    /// All volumes, by name.
    pub async fn list(&self) -> Result<Vec<VolumeRecord>> {
        match self {
            VolumeStore::Local(volumes) => volumes.list(),
            VolumeStore::Bucket(volumes) => volumes.list().await,
        }
    }

    /// Deletes a volume and, if told to, its files.
    pub async fn delete(&self, name: &str, contents: Contents) -> Result<()> {
        match self {
            VolumeStore::Local(volumes) => volumes.delete(name, contents),
            VolumeStore::Bucket(volumes) => volumes.delete(name, contents).await,
        }
    }

    /// Gives a volume another name. In a bucket the store copies its files for that.
    pub async fn rename(&self, name: &str, new: &str) -> Result<VolumeRecord> {
        match self {
            VolumeStore::Local(volumes) => volumes.rename(name, new),
            VolumeStore::Bucket(volumes) => volumes.rename(name, new).await,
        }
    }

    /// The remembered content hashes of volume `name`; a cache that may be lost at any time.
    pub fn index_path(&self, name: &str) -> PathBuf {
        match self {
            VolumeStore::Local(volumes) => volumes.index_path(name),
            VolumeStore::Bucket(volumes) => volumes.index_path(name),
        }
    }
}

impl From<AwsError> for VolumesError {
    fn from(error: AwsError) -> Self {
        VolumesError::Aws(error)
    }
}

/// What a failed request for files was, where it was one.
pub fn aws_error(error: &std::io::Error) -> Option<&AwsError> {
    bucket::explained(error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::aws::objects::Bucket;
    use crate::home::Home;
    use crate::storage::side::Copying;
    use crate::storage::transfer::{Pair, Summary, TransferError};
    use crate::storage::{Pattern, Tree};

    /// The stores there are, each empty.
    fn stores(dir: &std::path::Path) -> [VolumeStore; 2] {
        let home = Home::new(dir.join("home")).environment("main");
        let bucket = Bucket::in_memory();
        [
            VolumeStore::Local(Volumes::of(&home)),
            VolumeStore::Bucket(BucketVolumes::new(bucket, "main", dir.join("cache"))),
        ]
    }

    fn path(text: &str) -> VolumePath {
        VolumePath::parse(text).unwrap()
    }

    fn copying(store: &VolumeStore, from: &str, to: &str, overwrite: bool) -> Copying {
        Copying {
            pairs: vec![Pair { from: path(from), to: path(to) }],
            overwrite,
            index: Some(store.index_path("footage")),
            cancel: CancellationToken::new(),
            events: Arc::new(|_| {}),
        }
    }

    async fn put(
        store: &VolumeStore,
        folder: &std::path::Path,
        to: &str,
        overwrite: bool,
    ) -> std::result::Result<Summary, TransferError> {
        let from = Side::Folder(Tree::open(folder).unwrap());
        let into = store.open("footage").await.unwrap();
        from.copy_to(into, copying(store, "", to, overwrite)).await
    }

    async fn get(
        store: &VolumeStore,
        from: &str,
        folder: &std::path::Path,
    ) -> std::result::Result<Summary, TransferError> {
        fs::create_dir_all(folder).unwrap();
        let into = Side::Folder(Tree::open(folder).unwrap());
        let source = store.open("footage").await.unwrap();
        source.copy_to(into, copying(store, from, "", false)).await
    }

    /// A tree with small files, an empty folder, and one file of several parts.
    fn tree(dir: &std::path::Path) -> std::path::PathBuf {
        let tree = dir.join("tree");
        fs::create_dir_all(tree.join("a/empty")).unwrap();
        fs::write(tree.join("a/one"), "one").unwrap();
        fs::write(tree.join("two"), "").unwrap();
        let large: Vec<u8> = (0..20_u32 << 18).flat_map(u32::to_le_bytes).collect();
        fs::write(tree.join("a/large"), large).unwrap();
        tree
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_volume_is_made_once_and_deleted_with_its_files_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        for store in stores(dir.path()) {
            let made = store.create("footage", Some("app"), Timestamp::UNIX_EPOCH).await.unwrap();
            let again = store.create("footage", None, Timestamp::UNIX_EPOCH).await;
            assert!(matches!(again, Err(VolumesError::Exists(_))));
            assert_eq!(store.list().await.unwrap(), [made]);
            let missing = store.open("fotage").await;
            let Err(VolumesError::NotFound { known, .. }) = missing else { panic!("{missing:?}") };
            assert_eq!(known, ["footage"]);
            put(&store, &tree(dir.path()), "", false).await.unwrap();
            let kept = store.delete("footage", Contents::Keep).await;
            assert!(matches!(kept, Err(VolumesError::NotEmpty(_))));
            store.delete("footage", Contents::Delete).await.unwrap();
            assert!(store.list().await.unwrap().is_empty());
            assert!(store.get("../x").await.is_err());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_goes_in_comes_out_and_what_is_unchanged_stays() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        for (number, store) in stores(dir.path()).into_iter().enumerate() {
            store.create("footage", None, Timestamp::UNIX_EPOCH).await.unwrap();
            let first = put(&store, &tree, "raw", false).await.unwrap();
            assert_eq!((first.files, first.unchanged), (3, 0), "{first:?}");
            let second = put(&store, &tree, "raw", false).await.unwrap();
            assert_eq!((second.files, second.unchanged), (0, 3), "{second:?}");

            let out = dir.path().join(format!("out-{number}"));
            let got = get(&store, "raw", &out).await.unwrap();
            assert_eq!((got.files, got.failed.len()), (3, 0));
            for file in ["a/one", "a/large", "two"] {
                let (was, is) = (fs::read(tree.join(file)), fs::read(out.join(file)));
                assert!(was.unwrap() == is.unwrap(), "{file}");
                let times = [tree.join(file), out.join(file)]
                    .map(|path| path.metadata().unwrap().modified().unwrap());
                assert_eq!(times[0], times[1], "{file}");
            }
            assert!(out.join("a/empty").is_dir());
            let again = get(&store, "raw", &out).await.unwrap();
            assert_eq!((again.files, again.unchanged), (0, 3), "{again:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_replaced_unless_asked_and_nothing_goes_where_something_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        for store in stores(dir.path()) {
            fs::write(tree.join("two"), "").unwrap();
            store.create("footage", None, Timestamp::UNIX_EPOCH).await.unwrap();
            put(&store, &tree, "raw", false).await.unwrap();
            fs::write(tree.join("two"), "other").unwrap();
            let refused = put(&store, &tree, "raw", false).await.unwrap_err();
            assert_eq!(refused, TransferError::Exists(vec![path("raw/two")]));
            let replaced = put(&store, &tree, "raw", true).await.unwrap();
            assert_eq!((replaced.files, replaced.unchanged), (1, 2), "{replaced:?}");

            let under_a_file = put(&store, &tree, "raw/two/x", true).await.unwrap_err();
            assert!(matches!(under_a_file, TransferError::Blocked { .. }), "{under_a_file:?}");
            let single = Side::Folder(Tree::open(&tree).unwrap());
            let over_a_folder = copying(&store, "two", "raw/a", true);
            let over_a_folder = single.copy_to(store.open("footage").await.unwrap(), over_a_folder);
            let over_a_folder = over_a_folder.await.unwrap_err();
            assert!(matches!(over_a_folder, TransferError::Blocked { .. }), "{over_a_folder:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_volume_gets_another_name_with_everything_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        for (number, store) in stores(dir.path()).into_iter().enumerate() {
            store.create("footage", Some("app"), Timestamp::UNIX_EPOCH).await.unwrap();
            store.create("empty", None, Timestamp::UNIX_EPOCH).await.unwrap();
            put(&store, &tree, "", false).await.unwrap();
            let taken = store.rename("footage", "empty").await;
            assert!(matches!(taken, Err(VolumesError::Exists(_))), "{taken:?}");
            let renamed = store.rename("footage", "archive").await.unwrap();
            assert_eq!(renamed.created_by.as_deref(), Some("app"));
            store.rename("empty", "void").await.unwrap();
            let names: Vec<_> =
                store.list().await.unwrap().into_iter().map(|record| record.name).collect();
            assert_eq!(names, ["archive", "void"]);
            let side = store.open("archive").await.unwrap();
            assert_eq!(side.find(&path("a/one")).await.unwrap().unwrap().size, 3);
            assert!(side.find(&path("a/empty")).await.unwrap().is_some());
            store.rename("archive", "footage").await.unwrap();
            let out = dir.path().join(format!("out-{number}"));
            assert_eq!(get(&store, "", &out).await.unwrap().files, 3);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_are_listed_copied_matched_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        for store in stores(dir.path()) {
            store.create("footage", None, Timestamp::UNIX_EPOCH).await.unwrap();
            put(&store, &tree, "raw", false).await.unwrap();
            let side = store.open("footage").await.unwrap();
            let names = |entries: Vec<crate::storage::Entry>| -> Vec<String> {
                entries.into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
            };
            assert_eq!(names(side.list(&path("")).await.unwrap()), ["raw"]);
            assert_eq!(names(side.list(&path("raw/a")).await.unwrap()), ["empty", "large", "one"]);
            let pattern = Pattern::parse("raw/*/o*").unwrap();
            assert_eq!(side.matches(&pattern).await.unwrap(), [path("raw/a/one")]);
            assert_eq!(side.find(&path("raw/a/one")).await.unwrap().unwrap().size, 3);
            assert!(side.find(&path("raw/b")).await.unwrap().is_none());

            let to = store.open("footage").await.unwrap();
            let copied = side.copy_to(to, copying(&store, "raw/a", "copy", false)).await.unwrap();
            assert_eq!(copied.files, 2);
            store.remove("footage", &path("raw")).await.unwrap();
            let side = store.open("footage").await.unwrap();
            assert_eq!(names(side.list(&path("")).await.unwrap()), ["copy"]);
        }
    }
}
