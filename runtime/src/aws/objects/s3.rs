//! Objects in S3, or in a store that speaks like it.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Delete, MetadataDirective, ObjectIdentifier, Tag,
    Tagging,
};
use bytes::Bytes;
use jiff::Timestamp;

use super::{Condition, Fetched, Head, Metadata, Object, Page, Result, UploadedPart};
use crate::aws::again::again;
use crate::aws::error::{AwsError, AwsErrorKind, Named};

/// A bucket of a store that is reached by `client`.
pub(super) struct S3<'s> {
    pub(super) client: &'s Client,
    pub(super) bucket: &'s str,
}

/// A range that is on its way.
#[derive(Debug)]
pub(crate) struct Pieces {
    doing: String,
    body: ByteStream,
    came: u64,
    wanted: u64,
}

impl Pieces {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        let broken =
            |cause: String| AwsError::new(self.doing.clone(), AwsErrorKind::Network, cause);
        match self.body.try_next().await.map_err(|error| broken(error.to_string()))? {
            Some(piece) => {
                self.came += piece.len() as u64;
                Ok(Some(piece))
            }
            None if self.came == self.wanted => Ok(None),
            None => Err(broken(format!("{} of {} bytes came", self.came, self.wanted))),
        }
    }
}

impl S3<'_> {
    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>> {
        let sent = self.client.head_object().bucket(self.bucket).key(key).send().await;
        match found(self.failed("look at", key, sent))? {
            None => Ok(None),
            Some(head) => Ok(Some(Head {
                size: length(head.content_length()),
                etag: head.e_tag().unwrap_or_default().into(),
                modified: timestamp(head.last_modified()),
                metadata: head.metadata.unwrap_or_default(),
            })),
        }
    }

    pub(super) async fn get(&self, key: &str, known: Option<&str>) -> Result<Fetched> {
        let request = self.client.get_object().bucket(self.bucket).key(key);
        let sent = request.set_if_none_match(known.map(Into::into)).send().await;
        if let Err(error) = &sent
            && error.raw_response().is_some_and(|response| response.status().as_u16() == 304)
        {
            return Ok(Fetched::Same);
        }
        let Some(got) = found(self.failed("read", key, sent))? else { return Ok(Fetched::Missing) };
        let head = Head {
            size: length(got.content_length()),
            etag: got.e_tag().unwrap_or_default().into(),
            modified: timestamp(got.last_modified()),
            metadata: got.metadata.unwrap_or_default(),
        };
        Ok(Fetched::New(head, self.body(key, got.body).await?))
    }

    pub(super) async fn range(
        &self,
        key: &str,
        from: u64,
        to: u64,
        etag: Option<&str>,
    ) -> Result<Bytes> {
        let broke_off = |error: &AwsError| error.kind == AwsErrorKind::Network;
        let pieces = again(broke_off, || async {
            let mut stream = self.stream(key, from, to, etag).await?;
            let mut pieces = Vec::new();
            while let Some(piece) = stream.next().await? {
                pieces.push(piece);
            }
            Ok(pieces)
        });
        let mut pieces = pieces.await?;
        Ok(match pieces.len() {
            1 => pieces.remove(0),
            _ => pieces.concat().into(),
        })
    }

    pub(super) async fn stream(
        &self,
        key: &str,
        from: u64,
        to: u64,
        etag: Option<&str>,
    ) -> Result<Pieces> {
        let doing = self.doing("read", key);
        if from >= to {
            return Ok(Pieces { doing, body: ByteStream::default(), came: 0, wanted: 0 });
        }
        let request = self.client.get_object().bucket(self.bucket).key(key);
        let request = request.range(format!("bytes={from}-{}", to - 1));
        let sent = request.set_if_match(etag.map(Into::into)).send().await;
        let body = self.failed("read", key, sent)?.body;
        Ok(Pieces { doing, body, came: 0, wanted: to - from })
    }

    async fn body(&self, key: &str, body: ByteStream) -> Result<Bytes> {
        let bytes = body.collect().await.map_err(|error| {
            AwsError::new(self.doing("read", key), AwsErrorKind::Network, error.to_string())
        })?;
        Ok(bytes.into_bytes())
    }

    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<String> {
        let request = self.client.put_object().bucket(self.bucket).key(key);
        let request = request.set_metadata(Some(metadata)).body(bytes.into());
        let sent = match condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        let put = self.failed("write", key, sent.send().await)?;
        Ok(put.e_tag.unwrap_or_default())
    }

    pub(super) async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        folders: bool,
    ) -> Result<Page> {
        let request = self.client.list_objects_v2().bucket(self.bucket).prefix(prefix);
        let request = request.set_start_after(after.map(Into::into));
        let request = if folders { request.delimiter("/") } else { request };
        let listed = self.failed("list", prefix, request.send().await)?;
        let objects: Vec<_> = listed.contents.unwrap_or_default();
        let objects: Vec<_> = objects.into_iter().filter_map(object).collect();
        let prefixes = listed.common_prefixes.unwrap_or_default();
        let prefixes: Vec<_> = prefixes.into_iter().filter_map(|common| common.prefix).collect();
        let last = objects.last().map(|object| &object.key).max(prefixes.last());
        // What follows a folder is what follows all that it holds.
        let next = last.map(|last| match last.ends_with('/') && folders {
            true => format!("{last}\u{10ffff}"),
            false => last.clone(),
        });
        let next = next.filter(|_| listed.is_truncated == Some(true));
        Ok(Page { objects, prefixes, next })
    }

    pub(super) async fn delete(&self, keys: &[String]) -> Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        let invalid = |error: aws_sdk_s3::error::BuildError| {
            AwsError::new(self.doing("delete", first), AwsErrorKind::Other, error.to_string())
        };
        let mut delete = Delete::builder().quiet(true);
        for key in keys {
            delete = delete.objects(ObjectIdentifier::builder().key(key).build().map_err(invalid)?);
        }
        let request = self.client.delete_objects().bucket(self.bucket);
        let sent = request.delete(delete.build().map_err(invalid)?).send().await;
        let deleted = self.failed("delete", first, sent)?;
        match deleted.errors().first() {
            None => Ok(()),
            Some(error) => {
                let key = error.key().unwrap_or(first);
                let cause = error.message().or(error.code()).unwrap_or("nothing was said");
                let kind = match error.code() {
                    Some("AccessDenied") => AwsErrorKind::Denied,
                    _ => AwsErrorKind::Other,
                };
                Err(AwsError::new(self.doing("delete", key), kind, cause))
            }
        }
    }

    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let request = self.client.copy_object().bucket(self.bucket).key(to);
        let sent = request.copy_source(self.source(from)).send().await;
        self.failed("copy", from, sent).map(drop)
    }

    pub(super) async fn touch(&self, key: &str, metadata: Metadata) -> Result<()> {
        let request = self.client.copy_object().bucket(self.bucket).key(key);
        // A copy onto itself is refused unless something is replaced.
        let request = request.metadata_directive(MetadataDirective::Replace);
        let sent = request.set_metadata(Some(metadata)).copy_source(self.source(key)).send().await;
        self.failed("copy", key, sent).map(drop)
    }

    pub(super) async fn begin(&self, key: &str, metadata: Metadata) -> Result<String> {
        let request = self.client.create_multipart_upload().bucket(self.bucket).key(key);
        let begun = self.failed("write", key, request.set_metadata(Some(metadata)).send().await)?;
        Ok(begun.upload_id.unwrap_or_default())
    }

    pub(super) async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<String> {
        let request = self.client.upload_part().bucket(self.bucket).key(key);
        let request = request.upload_id(upload).part_number(number).body(bytes.into());
        let put = self.failed("write", key, request.send().await)?;
        Ok(put.e_tag.unwrap_or_default())
    }

    pub(super) async fn copy_part(
        &self,
        (from, start, end): (&str, u64, u64),
        (to, upload, number): (&str, &str, i32),
    ) -> Result<String> {
        let request = self.client.upload_part_copy().bucket(self.bucket).key(to);
        let request = request.upload_id(upload).part_number(number);
        let request = request.copy_source(self.source(from));
        let sent = request.copy_source_range(format!("bytes={start}-{}", end - 1)).send().await;
        let copied = self.failed("copy", from, sent)?.copy_part_result;
        Ok(copied.and_then(|part| part.e_tag).unwrap_or_default())
    }

    pub(super) async fn parts(&self, key: &str, upload: &str) -> Result<Option<Vec<UploadedPart>>> {
        let mut parts = Vec::new();
        let mut after = None;
        loop {
            let request = self.client.list_parts().bucket(self.bucket).key(key).upload_id(upload);
            let sent = request.set_part_number_marker(after).send().await;
            let Some(listed) = found(self.failed("write", key, sent))? else { return Ok(None) };
            parts.extend(listed.parts().iter().filter_map(|part| {
                Some(UploadedPart {
                    number: part.part_number?,
                    etag: part.e_tag.clone()?,
                    size: length(part.size),
                })
            }));
            after = listed.next_part_number_marker;
            if listed.is_truncated != Some(true) || after.is_none() {
                return Ok(Some(parts));
            }
        }
    }

    pub(super) async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: Vec<UploadedPart>,
        condition: Condition,
    ) -> Result<String> {
        let part = |part: UploadedPart| {
            CompletedPart::builder().part_number(part.number).e_tag(part.etag).build()
        };
        let parts = parts.into_iter().map(part).collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(self.bucket).key(key);
        let request = request.upload_id(upload).multipart_upload(parts);
        let request = match condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        let done = self.failed("write", key, request.send().await)?;
        Ok(done.e_tag.unwrap_or_default())
    }

    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<()> {
        let request = self.client.abort_multipart_upload().bucket(self.bucket).key(key);
        let sent = request.upload_id(upload).send().await;
        found(self.failed("give up", key, sent)).map(drop)
    }

    pub(super) async fn tag(&self, key: &str, name: &str, value: &str) -> Result<()> {
        let invalid = |error: aws_sdk_s3::error::BuildError| {
            AwsError::new(self.doing("tag", key), AwsErrorKind::Other, error.to_string())
        };
        let tag = Tag::builder().key(name).value(value).build().map_err(invalid)?;
        let tags = Tagging::builder().tag_set(tag).build().map_err(invalid)?;
        let request = self.client.put_object_tagging().bucket(self.bucket).key(key);
        self.failed("tag", key, request.tagging(tags).send().await).map(drop)
    }

    pub(super) async fn tags(&self, key: &str) -> Result<Metadata> {
        let sent = self.client.get_object_tagging().bucket(self.bucket).key(key).send().await;
        let tagged = found(self.failed("look at", key, sent))?;
        let tags = tagged.map(|tagged| tagged.tag_set).unwrap_or_default();
        Ok(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    fn doing(&self, verb: &str, key: &str) -> String {
        format!("{verb} {}", Named(self.bucket, key))
    }

    fn failed<T, E>(
        &self,
        verb: &str,
        key: &str,
        sent: std::result::Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<T>
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        sent.map_err(|error| AwsError::of(self.doing(verb, key), &error))
    }

    /// How a copy names what it copies: encoded as in a URL.
    fn source(&self, key: &str) -> String {
        let mut source = format!("{}/", self.bucket);
        for byte in key.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                    source.push(char::from(byte));
                }
                byte => source.extend(format!("%{byte:02X}").chars()),
            }
        }
        source
    }
}

/// None where the object isn't there. That the bucket isn't is an error.
fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if error.kind == AwsErrorKind::NotFound && !error.cause.contains("NoSuchBucket") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn object(object: aws_sdk_s3::types::Object) -> Option<Object> {
    Some(Object {
        size: length(object.size),
        modified: timestamp(object.last_modified.as_ref()),
        etag: object.e_tag.unwrap_or_default(),
        key: object.key?,
    })
}

fn length(bytes: Option<i64>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

fn timestamp(time: Option<&DateTime>) -> Timestamp {
    time.and_then(|time| Timestamp::new(time.secs(), time.subsec_nanos() as i32).ok())
        .unwrap_or_default()
}
