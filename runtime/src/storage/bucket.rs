//! Files below a prefix of a bucket: a volume on S3, or an existing bucket that is mounted.
//!
//! Folders are what keys have in common; an empty one is an object whose key ends with a slash.
//! Names that are no path within a volume, which other programs may have made, aren't seen.

use std::io;

use super::path::VolumePath;
use super::tree::{Entry, Kind, Stat};
use crate::aws::objects::{Bucket, Head, Object};
use crate::aws::{AwsError, AwsErrorKind};

/// A folder in a bucket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BucketFolder {
    bucket: Bucket,
    prefix: String,
}

/// A file in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BucketFile {
    pub(super) path: VolumePath,
    pub(super) size: u64,
    pub(super) etag: String,
    /// Nanoseconds since 1970.
    pub(super) modified: i128,
}

/// Permission bits of what says nothing of its own.
const MODE: u32 = 0o644;
const MODE_NOTE: &str = "vdeploy-mode";
const MTIME_NOTE: &str = "vdeploy-mtime";

impl BucketFolder {
    /// What is below `prefix`, which is empty or ends with a slash.
    pub fn new(bucket: Bucket, prefix: impl Into<String>) -> Self {
        BucketFolder { bucket, prefix: prefix.into() }
    }

    /// Its own path, from the root of the bucket.
    pub(super) fn path(&self) -> VolumePath {
        VolumePath::parse(&self.prefix).unwrap_or_default()
    }

    /// The bucket it is in.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The key of the file at `path`.
    pub fn key(&self, path: &VolumePath) -> String {
        format!("{}{path}", self.prefix)
    }

    /// What the keys of everything in the folder at `path` start with.
    fn below(&self, path: &VolumePath) -> String {
        if path.is_root() { self.prefix.clone() } else { format!("{}{path}/", self.prefix) }
    }

    /// What `path` names; none when nothing is there.
    pub async fn find(&self, path: &VolumePath) -> io::Result<Option<Stat>> {
        if path.is_root() {
            return Ok(Some(folder_stat()));
        }
        if let Some(head) = self.bucket.head(&self.key(path)).await.map_err(to_io)? {
            return Ok(Some(stat_of(&head)));
        }
        let page = self.bucket.page(&self.below(path), None, true).await.map_err(to_io)?;
        let found = !page.objects.is_empty() || !page.prefixes.is_empty();
        Ok(found.then(folder_stat))
    }

    /// The names in a folder, sorted, without those that are ours.
    pub async fn list(&self, path: &VolumePath) -> io::Result<Vec<Entry>> {
        let below = self.below(path);
        let mut entries = Vec::new();
        let mut after = None;
        loop {
            let page = self.bucket.page(&below, after.as_deref(), true).await.map_err(to_io)?;
            let files = page.objects.iter().map(|object| {
                (
                    &object.key[below.len()..],
                    file_stat(object.size, object.modified.as_nanosecond()),
                )
            });
            let folders = page
                .prefixes
                .iter()
                .map(|prefix| (prefix[below.len()..].trim_end_matches('/'), folder_stat()));
            for (name, stat) in files.chain(folders).filter(|(name, _)| is_name(name)) {
                entries.push(Entry { name: name.into(), stat });
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// All files and all empty folders below `path`, or the file that it names.
    pub(super) async fn walk(&self, path: &VolumePath) -> io::Result<Walked> {
        let below = self.below(path);
        let mut walked = Walked::default();
        for object in self.bucket.list(&below).await.map_err(to_io)? {
            walked.add(&self.prefix, object);
        }
        Ok(walked)
    }

    /// The file at `path`; none when there is none.
    pub(super) async fn file(&self, path: &VolumePath) -> io::Result<Option<BucketFile>> {
        if path.is_root() {
            return Ok(None);
        }
        let head = self.bucket.head(&self.key(path)).await.map_err(to_io)?;
        Ok(head.map(|head| BucketFile {
            path: path.clone(),
            size: head.size,
            modified: head.modified.as_nanosecond(),
            etag: head.etag,
        }))
    }

    /// Removes a file, or a folder with everything in it.
    pub async fn remove(&self, path: &VolumePath) -> io::Result<()> {
        let mut keys: Vec<_> = match path.is_root() {
            true => Vec::new(),
            false => vec![self.key(path)],
        };
        let objects = self.bucket.list(&self.below(path)).await.map_err(to_io)?;
        keys.extend(objects.into_iter().map(|object| object.key));
        self.bucket.delete(&keys).await.map_err(to_io)
    }

    /// Whether nothing is in it.
    pub async fn is_empty(&self) -> io::Result<bool> {
        let page = self.bucket.page(&self.prefix, None, true).await.map_err(to_io)?;
        Ok(page.objects.is_empty() && page.prefixes.is_empty())
    }
}

/// Everything below a folder.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Files, in the order of keys.
    pub(super) files: Vec<BucketFile>,
    /// Folders that hold nothing.
    pub(super) empty: Vec<VolumePath>,
}

impl Walked {
    fn add(&mut self, prefix: &str, object: Object) {
        let Object { key, size, etag, modified } = object;
        let text = &key[prefix.len()..];
        match VolumePath::parse(text) {
            Ok(path) if path.is_root() => {}
            Ok(path) if text.ends_with('/') && path.as_str().len() + 1 == text.len() => {
                self.empty.push(path);
            }
            // Exactly what was written: `a//b` is another key than `a/b`.
            Ok(path) if path.as_str() == text => {
                let modified = modified.as_nanosecond();
                self.files.push(BucketFile { path, size, etag, modified });
            }
            _ => {}
        }
    }
}

/// What is noted beside a file: when it was changed, and who may do what with it.
pub(super) fn notes_of(stat: &Stat) -> crate::aws::objects::Metadata {
    [
        (MTIME_NOTE.to_owned(), stat.mtime.to_string()),
        (MODE_NOTE.to_owned(), format!("{:o}", stat.mode)),
    ]
    .into()
}

/// What is known of a file, by its notes where it has some.
pub(super) fn stat_of(head: &Head) -> Stat {
    let note = |name: &str| head.metadata.get(name);
    let mtime = note(MTIME_NOTE).and_then(|mtime| mtime.parse().ok());
    let mode = note(MODE_NOTE).and_then(|mode| u32::from_str_radix(mode, 8).ok());
    Stat {
        mode: mode.unwrap_or(MODE) & 0o777,
        ..file_stat(head.size, mtime.unwrap_or_else(|| head.modified.as_nanosecond()))
    }
}

pub(super) fn file_stat(size: u64, mtime: i128) -> Stat {
    Stat { kind: Kind::File, size, mode: MODE, mtime, ctime: mtime, identity: (0, 0) }
}

fn folder_stat() -> Stat {
    Stat { kind: Kind::Folder, mode: 0o755, ..file_stat(0, 0) }
}

fn is_name(name: &str) -> bool {
    !name.contains('/')
        && VolumePath::parse(name).is_ok_and(|path| path.as_str() == name)
        && !name.is_empty()
}

/// The same error, for those who know only of files.
pub(super) fn to_io(error: AwsError) -> io::Error {
    let kind = match error.kind {
        AwsErrorKind::NotFound => io::ErrorKind::NotFound,
        AwsErrorKind::Conflict => io::ErrorKind::AlreadyExists,
        AwsErrorKind::Denied => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, Explained(error))
}

/// An error that says its cause in one line.
#[derive(Debug)]
struct Explained(AwsError);

impl std::fmt::Display for Explained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.cause)?;
        match self.0.hint() {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Explained {}

/// The request that failed, where it was one.
pub(super) fn explained(error: &io::Error) -> Option<&AwsError> {
    error.get_ref()?.downcast_ref::<Explained>().map(|explained| &explained.0)
}
