//! Objects of one bucket: what S3 and stores like it can do, and no more.

#[cfg(test)]
mod memory;
mod s3;

use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{AwsError, AwsErrorKind, Named};

/// The most keys that are deleted by one request.
const DELETED_AT_ONCE: usize = 1000;

/// A bucket, and the way to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    name: String,
    store: Store,
}

/// Where objects really are.
#[derive(Clone, Debug)]
enum Store {
    S3(aws_sdk_s3::Client),
    #[cfg(test)]
    Memory(memory::Memory),
}

/// A range of an object, piece after piece.
#[derive(Debug)]
pub(crate) enum RangeStream {
    /// As it comes over the network.
    S3(s3::Pieces),
    /// What is left.
    #[cfg(test)]
    Memory(Bytes),
}

impl RangeStream {
    /// What comes next; none when all has come. Fails when less than all comes.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            RangeStream::S3(pieces) => pieces.next().await,
            #[cfg(test)]
            RangeStream::Memory(left) => {
                let piece = left.split_to(left.len().min(100_000));
                Ok(Some(piece).filter(|piece| !piece.is_empty()))
            }
        }
    }
}

/// What a user may note beside an object's bytes.
pub type Metadata = HashMap<String, String>;

/// An object as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Changes with its content.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
}

/// Some of what a prefix holds, in the order of keys.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Objects.
    pub objects: Vec<Object>,
    /// What keys have in common up to the next slash, where that was asked for.
    pub prefixes: Vec<String>,
    /// There may be more, after this.
    pub next: Option<String>,
}

/// What is known of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the whole object.
    pub size: u64,
    /// Changes with its content.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// What its writer noted.
    pub metadata: Metadata,
}

/// When a write takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// When nothing is there.
    Absent,
    /// When this is there still.
    Unchanged(String),
}

/// What became of asking for an object that may be known already.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// There is none.
    Missing,
    /// It is the one that is known.
    Same,
    /// It is this.
    New(Head, Bytes),
}

/// A part of an object that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedPart {
    /// From 1.
    pub number: i32,
    /// By which completion names it.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

type Result<T> = std::result::Result<T, AwsError>;

/// Does with the store that there is what all of them can.
macro_rules! either {
    ($bucket:ident, $store:ident => $call:expr) => {
        match &$bucket.store {
            Store::S3($store) => {
                let $store = s3::S3 { client: $store, bucket: &$bucket.name };
                $call.await
            }
            #[cfg(test)]
            Store::Memory($store) => $call.await,
        }
    };
}

impl Bucket {
    /// Bucket `name`, reached by `client`.
    pub fn new(client: aws_sdk_s3::Client, name: impl Into<String>) -> Self {
        Bucket { name: name.into(), store: Store::S3(client) }
    }

    /// An empty bucket in this process.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Bucket { name: "memory".into(), store: Store::Memory(memory::Memory::default()) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of an object; none when it isn't there.
    pub async fn head(&self, key: &str) -> Result<Option<Head>> {
        either!(self, store => store.head(key))
    }

    /// A whole object, which must be small; none when it isn't there.
    pub async fn get(&self, key: &str) -> Result<Option<(Head, Bytes)>> {
        match self.get_unless(key, None).await? {
            Fetched::New(head, bytes) => Ok(Some((head, bytes))),
            Fetched::Missing | Fetched::Same => Ok(None),
        }
    }

    /// A whole object unless it is the one with the `known` ETag.
    pub async fn get_unless(&self, key: &str, known: Option<&str>) -> Result<Fetched> {
        either!(self, store => store.get(key, known))
    }

    /// Bytes `from` up to and without `to` of an object, provided it is still the one with `etag`.
    pub async fn range(&self, key: &str, from: u64, to: u64, etag: Option<&str>) -> Result<Bytes> {
        either!(self, store => store.range(key, from, to, etag))
    }

    /// The same as it comes, which takes no room for large ranges.
    pub(crate) async fn stream(
        &self,
        key: &str,
        from: u64,
        to: u64,
        etag: &str,
    ) -> Result<RangeStream> {
        match &self.store {
            Store::S3(client) => {
                let store = s3::S3 { client, bucket: &self.name };
                store.stream(key, from, to, Some(etag)).await.map(RangeStream::S3)
            }
            #[cfg(test)]
            Store::Memory(store) => {
                let bytes = store.range(key, from, to, Some(etag)).await?;
                Ok(RangeStream::Memory(bytes))
            }
        }
    }

    /// Writes an object, whole, and returns its ETag.
    pub async fn put(
        &self,
        key: &str,
        bytes: impl Into<Bytes>,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<String> {
        let bytes = bytes.into();
        either!(self, store => store.put(key, bytes, metadata, condition))
    }

    /// A JSON object and its ETag; none when it isn't there.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<(T, String)>> {
        let Some((head, bytes)) = self.get(key).await? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            let doing = format!("read {}", Named(&self.name, key));
            AwsError::new(doing, AwsErrorKind::Other, format!("it isn't what was written: {error}"))
        })?;
        Ok(Some((value, head.etag)))
    }

    /// Writes a value as JSON.
    pub async fn put_json<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        condition: Condition,
    ) -> Result<String> {
        let bytes = serde_json::to_vec(value).expect("what is stored is plain data");
        self.put(key, bytes, Metadata::new(), condition).await
    }

    /// Writes a value as JSON unless something is there already: whether it was written.
    pub async fn put_json_once<T: Serialize>(&self, key: &str, value: &T) -> Result<bool> {
        match self.put_json(key, value, Condition::Absent).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == AwsErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A page of what is below `prefix`, after the key `after`; `folders` stops at slashes.
    pub async fn page(&self, prefix: &str, after: Option<&str>, folders: bool) -> Result<Page> {
        either!(self, store => store.page(prefix, after, folders))
    }

    /// All that is below `prefix`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        let mut after = None;
        loop {
            let page = self.page(prefix, after.as_deref(), false).await?;
            objects.extend(page.objects);
            after = page.next;
            if after.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Deletes objects; those that aren't there are fine.
    pub async fn delete(&self, keys: &[String]) -> Result<()> {
        for keys in keys.chunks(DELETED_AT_ONCE) {
            either!(self, store => store.delete(keys))?;
        }
        Ok(())
    }

    /// Copies an object of at most 5 GiB within the store, with what is noted beside it.
    pub async fn copy(&self, from: &str, to: &str) -> Result<()> {
        either!(self, store => store.copy(from, to))
    }

    /// Makes an object of at most 5 GiB new again, with what is noted beside it, which is `metadata`.
    pub async fn touch(&self, key: &str, metadata: Metadata) -> Result<()> {
        either!(self, store => store.touch(key, metadata))
    }

    /// Begins an object that is written in parts, and returns the upload's id.
    pub async fn begin(&self, key: &str, metadata: Metadata) -> Result<String> {
        either!(self, store => store.begin(key, metadata))
    }

    /// Writes a part and returns its ETag.
    pub async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<String> {
        either!(self, store => store.put_part(key, upload, number, bytes))
    }

    /// Makes a part of a range of another object of this bucket.
    pub async fn copy_part(&self, from: (&str, u64, u64), to: (&str, &str, i32)) -> Result<String> {
        either!(self, store => store.copy_part(from, to))
    }

    /// The parts that were written; none when there is no such upload.
    pub async fn parts(&self, key: &str, upload: &str) -> Result<Option<Vec<UploadedPart>>> {
        either!(self, store => store.parts(key, upload))
    }

    /// Makes one object of its parts, which appears whole, and returns its ETag.
    pub async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: Vec<UploadedPart>,
        condition: Condition,
    ) -> Result<String> {
        either!(self, store => store.complete(key, upload, parts, condition))
    }

    /// Gives up an object that is written in parts; one that isn't there is fine.
    pub async fn abort(&self, key: &str, upload: &str) -> Result<()> {
        either!(self, store => store.abort(key, upload))
    }

    /// Notes beside an object, after it was written.
    pub async fn tag(&self, key: &str, name: &str, value: &str) -> Result<()> {
        either!(self, store => store.tag(key, name, value))
    }

    /// What was noted after it was written.
    pub async fn tags(&self, key: &str) -> Result<Metadata> {
        either!(self, store => store.tags(key))
    }
}
