//! Objects in this process, for tests: as strict as S3 about conditions and parts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use jiff::Timestamp;

use super::{Condition, Fetched, Head, Metadata, Object, Page, Result, UploadedPart};
use crate::aws::error::{AwsError, AwsErrorKind};

#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    objects: BTreeMap<String, Stored>,
    uploads: BTreeMap<String, Upload>,
    writes: u64,
}

#[derive(Clone, Debug)]
struct Stored {
    bytes: Bytes,
    etag: String,
    metadata: Metadata,
    tags: Metadata,
}

#[derive(Debug, Default)]
struct Upload {
    key: String,
    metadata: Metadata,
    parts: BTreeMap<i32, (String, Bytes)>,
}

impl Held {
    fn new_etag(&mut self) -> String {
        self.writes += 1;
        format!("\"{}\"", self.writes)
    }

    fn store(
        &mut self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: &Condition,
    ) -> Result<String> {
        let there = self.objects.get(key).map(|stored| &stored.etag);
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => there.is_none(),
            Condition::Unchanged(etag) => there == Some(etag),
        };
        if !holds {
            return Err(error("write", key, AwsErrorKind::Conflict));
        }
        let etag = self.new_etag();
        let stored = Stored { bytes, etag: etag.clone(), metadata, tags: Metadata::new() };
        self.objects.insert(key.into(), stored);
        Ok(etag)
    }
}

fn error(verb: &str, key: &str, kind: AwsErrorKind) -> AwsError {
    AwsError::new(format!("{verb} `{key}`"), kind, "memory says no")
}

impl Memory {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    fn stored(&self, verb: &str, key: &str) -> Result<Stored> {
        let stored = self.held().objects.get(key).cloned();
        stored.ok_or_else(|| error(verb, key, AwsErrorKind::NotFound))
    }

    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>> {
        Ok(self.held().objects.get(key).map(Stored::head))
    }

    pub(super) async fn get(&self, key: &str, known: Option<&str>) -> Result<Fetched> {
        Ok(match self.held().objects.get(key) {
            None => Fetched::Missing,
            Some(stored) if known == Some(&*stored.etag) => Fetched::Same,
            Some(stored) => Fetched::New(stored.head(), stored.bytes.clone()),
        })
    }

    pub(super) async fn range(
        &self,
        key: &str,
        from: u64,
        to: u64,
        etag: Option<&str>,
    ) -> Result<Bytes> {
        let stored = self.stored("read", key)?;
        if etag.is_some_and(|etag| etag != stored.etag) {
            return Err(error("read", key, AwsErrorKind::Conflict));
        }
        if to > stored.bytes.len() as u64 {
            return Err(error("read", key, AwsErrorKind::Other));
        }
        Ok(stored.bytes.slice(from as usize..to as usize))
    }

    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<String> {
        self.held().store(key, bytes, metadata, &condition)
    }

    /// Pages of three, so that whoever lists has to turn them.
    pub(super) async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        folders: bool,
    ) -> Result<Page> {
        let held = self.held();
        let mut page = Page::default();
        let keys = held.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        for (key, stored) in keys.filter(|(key, _)| after.is_none_or(|after| &***key > after)) {
            if page.objects.len() + page.prefixes.len() == 3 {
                return Ok(page);
            }
            match key[prefix.len()..].split_once('/') {
                Some((folder, _)) if folders => {
                    let folder = format!("{prefix}{folder}/");
                    page.next = Some(format!("{folder}\u{10ffff}"));
                    if page.prefixes.last() != Some(&folder) {
                        page.prefixes.push(folder);
                    }
                }
                _ => {
                    page.next = Some(key.clone());
                    let Head { size, etag, modified, .. } = stored.head();
                    page.objects.push(Object { key: key.clone(), size, etag, modified });
                }
            }
        }
        page.next = None;
        Ok(page)
    }

    pub(super) async fn delete(&self, keys: &[String]) -> Result<()> {
        self.held().objects.retain(|key, _| !keys.contains(key));
        Ok(())
    }

    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let stored = self.stored("copy", from)?;
        let mut held = self.held();
        held.store(to, stored.bytes, stored.metadata, &Condition::Always)?;
        if let Some(copied) = held.objects.get_mut(to) {
            copied.tags = stored.tags;
        }
        Ok(())
    }

    pub(super) async fn touch(&self, key: &str, metadata: Metadata) -> Result<()> {
        let stored = self.stored("copy", key)?;
        self.held().store(key, stored.bytes, metadata, &Condition::Always).map(drop)
    }

    pub(super) async fn begin(&self, key: &str, metadata: Metadata) -> Result<String> {
        let mut held = self.held();
        let id = held.new_etag();
        let upload = Upload { key: key.into(), metadata, parts: BTreeMap::new() };
        held.uploads.insert(id.clone(), upload);
        Ok(id)
    }

    pub(super) async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<String> {
        let mut held = self.held();
        let etag = held.new_etag();
        let upload = held.uploads.get_mut(upload).filter(|upload| upload.key == key);
        let upload = upload.ok_or_else(|| error("write", key, AwsErrorKind::NotFound))?;
        upload.parts.insert(number, (etag.clone(), bytes));
        Ok(etag)
    }

    pub(super) async fn copy_part(
        &self,
        (from, start, end): (&str, u64, u64),
        (to, upload, number): (&str, &str, i32),
    ) -> Result<String> {
        let bytes = self.range(from, start, end, None).await?;
        self.put_part(to, upload, number, bytes).await
    }

    pub(super) async fn parts(&self, _: &str, upload: &str) -> Result<Option<Vec<UploadedPart>>> {
        let held = self.held();
        let Some(upload) = held.uploads.get(upload) else { return Ok(None) };
        let part = |(number, (etag, bytes)): (&i32, &(String, Bytes))| UploadedPart {
            number: *number,
            etag: etag.clone(),
            size: bytes.len() as u64,
        };
        Ok(Some(upload.parts.iter().map(part).collect()))
    }

    pub(super) async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: Vec<UploadedPart>,
        condition: Condition,
    ) -> Result<String> {
        let mut held = self.held();
        let upload = held.uploads.get(id).filter(|upload| upload.key == key);
        let upload = upload.ok_or_else(|| error("write", key, AwsErrorKind::NotFound))?;
        let mut whole = Vec::new();
        for part in &parts {
            let (etag, bytes) = upload.parts.get(&part.number).expect("a part that was written");
            assert_eq!(*etag, part.etag);
            whole.extend_from_slice(bytes);
        }
        let metadata = upload.metadata.clone();
        let etag = held.store(key, whole.into(), metadata, &condition)?;
        held.uploads.remove(id);
        Ok(etag)
    }

    pub(super) async fn abort(&self, _: &str, upload: &str) -> Result<()> {
        self.held().uploads.remove(upload);
        Ok(())
    }

    pub(super) async fn tag(&self, key: &str, name: &str, value: &str) -> Result<()> {
        let mut held = self.held();
        let stored = held.objects.get_mut(key);
        let stored = stored.ok_or_else(|| error("tag", key, AwsErrorKind::NotFound))?;
        stored.tags.insert(name.into(), value.into());
        Ok(())
    }

    pub(super) async fn tags(&self, key: &str) -> Result<Metadata> {
        Ok(self.held().objects.get(key).map(|stored| stored.tags.clone()).unwrap_or_default())
    }
}

impl Stored {
    fn head(&self) -> Head {
        Head {
            size: self.bytes.len() as u64,
            etag: self.etag.clone(),
            modified: Timestamp::UNIX_EPOCH,
            metadata: self.metadata.clone(),
        }
    }
}
