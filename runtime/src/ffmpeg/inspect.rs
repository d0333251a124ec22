//! Looks at a file with ffprobe, and says what is wrong with one that isn't media.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::exec::{self, ExecError};
use super::input::Source;
use super::mp4::{self, Index, IndexError};
use super::pixel::HdrMetadata;
use super::probe::{self, Count, Media};
use super::{Tools, failure, input};
use crate::wire::{Failure, FailureKind};

/// Bytes that are looked at to say what a file that isn't media seems to be.
const HEAD: u64 = 512;

/// How a JPEG begins.
const JPEG: &[u8] = &[0xff, 0xd8, 0xff];

impl Tools {
    /// What the file at `path` is; `name` is what the caller called it.
    pub async fn inspect(
        &self,
        path: &Path,
        name: &str,
        count: Count,
        cancel: &CancellationToken,
    ) -> Result<Media, Failure> {
        self.inspect_source(&Source::File(path.to_owned()), name, count, cancel).await
    }

    /// The same of a file that may be brought as it is read.
    pub async fn inspect_source(
        &self,
        source: &Source,
        name: &str,
        count: Count,
        cancel: &CancellationToken,
    ) -> Result<Media, Failure> {
        check_size(source, name).await?;
        // Counting takes as long as the call may take; a header doesn't.
        let limit = (count != Count::Nothing).then_some(Duration::MAX);
        let head = head(source).await;
        // A name that ends in `.jpg` makes ffmpeg think of numbered pictures, which aren't allowed.
        let format = head.starts_with(JPEG).then_some("jpeg_pipe");
        let args = probe::args(source, count, format);
        match exec::capture(&self.ffprobe, args, limit, cancel).await {
            Ok(json) => probe::parse(&json).map_err(|error| unreadable(name).cause(error)),
            Err(error @ ExecError::Failed { .. }) => {
                let mut failure = failure::failure(error, &unreadable(name).message);
                if matches!(source, Source::File(_))
                    && let Some(what) = input::looks_like(&head)
                {
                    failure.causes.insert(0, what.into());
                }
                let hint = "name a video file such as MP4, MOV, MKV, WebM, AVI or MPEG-TS";
                Err(Failure { hint: failure.hint.or_else(|| Some(hint.into())), ..failure })
            }
            Err(error) => Err(failure::failure(error, &unreadable(name).message)),
        }
    }

    /// HDR metadata of a video stream that only its frames carry. Absent where it can't be read:
    /// the picture is whole without it.
    pub async fn hdr_of_first_frame(
        &self,
        source: &Source,
        stream: u32,
        cancel: &CancellationToken,
    ) -> Option<HdrMetadata> {
        let args = probe::first_frame_args(source, stream);
        let json = exec::capture(&self.ffprobe, args, None, cancel).await.ok()?;
        probe::parse_first_frame(&json).ok()?
    }
}

/// The index of an MP4 or MOV file, read without starting ffprobe.
pub async fn index(path: &Path) -> Result<Index, IndexError> {
    let path = path.to_owned();
    let work = tokio::task::spawn_blocking(move || mp4::read(std::fs::File::open(path)?));
    work.await.unwrap_or_else(|stopped| Err(IndexError::Read(stopped.into())))
}

/// Refuses files that are larger than any that somebody means.
async fn check_size(source: &Source, name: &str) -> Result<(), Failure> {
    let bytes = match source {
        // What can't be looked at, ffprobe has a message for.
        Source::File(path) => tokio::fs::metadata(path).await.map_or(0, |file| file.len()),
        Source::Loopback(held) => held.bytes,
    };
    if bytes <= input::MAX_BYTES {
        return Ok(());
    }
    let [size, most] = [bytes, input::MAX_BYTES].map(|bytes| bytes as f64 / f64::from(1 << 30));
    Err(Failure::new(FailureKind::InvalidInput, format!("`{name}` is too large"))
        .cause(format!("it has {size:.0} GiB, and inputs may have {most:.0} GiB"))
        .hint("cut it into pieces first, such as with `ffmpeg -c copy -f segment`"))
}

fn unreadable(name: &str) -> Failure {
    Failure::new(FailureKind::InvalidInput, format!("`{name}` isn't a video that can be read"))
}

/// How a file begins; empty where it can't be read, and ffprobe will say why.
async fn head(source: &Source) -> Vec<u8> {
    let mut head = Vec::new();
    let Source::File(path) = source else { return head };
    if let Ok(file) = tokio::fs::File::open(path).await {
        let _ = file.take(HEAD).read_to_end(&mut head).await;
    }
    head
}
