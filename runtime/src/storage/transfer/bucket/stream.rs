//! One file from or to a stream, such as stdin and stdout.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{HASH_NOTE, PART, Problem, blocking, hash_blocks, part_ranges, refused};
use crate::aws::objects::{Condition, Metadata, UploadedPart};
use crate::storage::bucket::{BucketFolder, to_io};
use crate::storage::path::VolumePath;
use crate::storage::transfer::hash::{ContentHash, Hasher};
use crate::storage::transfer::{Event, Failed, TransferError};

/// Parts of a stream on their way at the same time.
const AT_ONCE: usize = 4;

/// The largest stream: as many parts as S3 takes.
const LONGEST: u64 = 10_000 * PART;

/// Writes all of `source` to `to`, which appears when the stream has ended. Returns the bytes.
pub async fn put_bucket_stream(
    source: impl Read + Send + 'static,
    folder: &BucketFolder,
    to: &VolumePath,
    overwrite: bool,
    cancel: &CancellationToken,
    events: Arc<dyn Fn(Event) + Send + Sync>,
) -> Result<u64, TransferError> {
    let condition = if overwrite { Condition::Always } else { Condition::Absent };
    if !overwrite && folder.file(to).await.map_err(|e| destination(to, e))?.is_some() {
        return Err(TransferError::Exists(vec![to.clone()]));
    }
    let (chunks, mut next) = mpsc::channel(AT_ONCE);
    let reading = tokio::task::spawn_blocking(move || read_chunks(source, &chunks));
    let first = next.recv().await.unwrap_or_default();
    let put = async {
        match (first.len() as u64) < PART {
            true => put_whole(folder, to, first, condition, &*events).await,
            false => put_parts(folder, to, (first, next), condition, &*events).await,
        }
    };
    let put = tokio::select! {
        put = put => put,
        () = cancel.cancelled() => return Err(TransferError::Cancelled),
    };
    let read = reading.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
    read.map_err(|error| destination(to, error))?;
    put
}

/// Sends all that is read, a part at a time; the last one is shorter than a part.
fn read_chunks(mut source: impl Read, chunks: &mpsc::Sender<Bytes>) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(PART as usize);
        let read = (&mut source).take(PART).read_to_end(&mut chunk)?;
        // Whoever takes them has failed, and says why.
        if chunks.blocking_send(chunk.into()).is_err() || (read as u64) < PART {
            return Ok(());
        }
    }
}

async fn put_whole(
    folder: &BucketFolder,
    to: &VolumePath,
    bytes: Bytes,
    condition: Condition,
    events: &(dyn Fn(Event) + Send + Sync),
) -> Result<u64, TransferError> {
    let size = bytes.len() as u64;
    let hash = ContentHash::of(size, &hash_blocks(&bytes, &Hasher::default()));
    let notes = Metadata::from([(HASH_NOTE.to_owned(), hash.to_string())]);
    let put = folder.bucket().put(&folder.key(to), bytes, notes, condition).await;
    put.map_err(|error| fatal(to, error))?;
    events(Event::Advanced { bytes: size });
    Ok(size)
}

async fn put_parts(
    folder: &BucketFolder,
    to: &VolumePath,
    (first, next): (Bytes, mpsc::Receiver<Bytes>),
    condition: Condition,
    events: &(dyn Fn(Event) + Send + Sync),
) -> Result<u64, TransferError> {
    let (bucket, key) = (folder.bucket(), folder.key(to));
    let upload = bucket.begin(&key, Metadata::new()).await.map_err(|error| fatal(to, error))?;
    let rest = futures::stream::unfold(next, |mut next| async {
        let chunk = next.recv().await?;
        Some((chunk, next))
    });
    let chunks = futures::stream::once(async { first }).chain(rest);
    let hasher = Arc::new(Hasher::default());
    let chunks = chunks.filter(|chunk| std::future::ready(!chunk.is_empty()));
    let sent = chunks
        .enumerate()
        .map(|(number, chunk)| {
            let (key, upload, hasher) = (&key, &upload, Arc::clone(&hasher));
            async move {
                let number = number as i32 + 1;
                let size = chunk.len() as u64;
                let bytes = chunk.clone();
                let hashes = blocking(move || hash_blocks(&bytes, &hasher)).await;
                let etag = bucket.put_part(key, upload, number, chunk).await?;
                events(Event::Advanced { bytes: size });
                Ok((UploadedPart { number, etag, size }, hashes))
            }
        })
        .buffered(AT_ONCE);
    let sent: Vec<_> = match sent.try_collect().await {
        Ok(sent) => sent,
        Err(error) => {
            // A stream can't be read again, so nothing goes on where this one stopped.
            let _ = bucket.abort(&key, &upload).await;
            return Err(fatal(to, error));
        }
    };
    let size = sent.iter().map(|(part, _)| part.size).sum();
    if size > LONGEST {
        let _ = bucket.abort(&key, &upload).await;
        let error = io::Error::from(io::ErrorKind::FileTooLarge);
        return Err(destination(to, error));
    }
    let hashes: Vec<_> = sent.iter().flat_map(|(_, hashes)| hashes).copied().collect();
    let parts = sent.into_iter().map(|(part, _)| part).collect();
    let done = bucket.complete(&key, &upload, parts, condition).await;
    done.map_err(|error| fatal(to, error))?;
    let hash = ContentHash::of(size, &hashes).to_string();
    bucket.tag(&key, HASH_NOTE, &hash).await.map_err(|error| fatal(to, error))?;
    Ok(size)
}

/// Writes all of the file at `from` to `sink`. Returns the bytes.
pub async fn get_bucket_stream(
    folder: &BucketFolder,
    from: &VolumePath,
    sink: &mut (dyn Write + Send),
    events: &(dyn Fn(Event) + Send + Sync),
) -> Result<u64, TransferError> {
    let source = |error| TransferError::Source(Failed::new(from.clone(), error));
    let file = folder.file(from).await.map_err(source)?;
    let file = file.ok_or_else(|| source(io::ErrorKind::NotFound.into()))?;
    let key = folder.key(from);
    let ranges = part_ranges(file.size).collect::<Vec<_>>();
    let mut ranges = futures::stream::iter(ranges)
        .map(|(start, end)| folder.bucket().range(&key, start, end, Some(&file.etag)))
        .buffered(AT_ONCE);
    while let Some(bytes) = ranges.next().await {
        let bytes = bytes.map_err(|error| source(to_io(error)))?;
        let written = sink.write_all(&bytes).and_then(|()| sink.flush());
        written.map_err(|error| TransferError::Destination(Failed::new(from.clone(), error)))?;
        events(Event::Advanced { bytes: bytes.len() as u64 });
    }
    Ok(file.size)
}

fn fatal(path: &VolumePath, error: crate::aws::AwsError) -> TransferError {
    match refused(path, error) {
        Problem::Fatal(error) => error,
        Problem::File(failed) => TransferError::Destination(failed),
    }
}

fn destination(path: &VolumePath, error: io::Error) -> TransferError {
    TransferError::Destination(Failed::new(path.clone(), error))
}
