//! What happens to a call, as the bucket is told.

use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{EVERY, new_attempt};
use crate::aws::AwsError;
use crate::aws::calls::{Ledger, Status};
use crate::aws::layout::CallPlace;
use crate::aws::objects::{Condition, Metadata};
use crate::client::Client;
use crate::dispatch::local::CallRecord;
use crate::storage::remote::carry::Tell;
use crate::wire::{CallId, Failure, FailureKind, Progress};

/// Bytes at which a part of the log is followed by another; until then it is replaced as it grows.
const PART: usize = 256 << 10;

/// The last that was heard of a call, from whoever hears it.
type Heard = Arc<Mutex<Option<Progress>>>;

/// Tells the bucket what is new, when told to. What can't be told now is told the next time.
pub(super) struct Publisher {
    ledger: Ledger,
    place: CallPlace,
    status: Status,
    /// As it is in the bucket.
    published: Option<Status>,
    heard: Heard,
    checkpoint: Option<serde_json::Value>,
    log: Log,
}

/// What of a log is in the bucket.
struct Log {
    path: PathBuf,
    /// Bytes of the file that were read.
    read: u64,
    /// The container's attempt, which a part's key begins with.
    attempt: u32,
    number: u32,
    part: Vec<u8>,
    /// Bytes of the part that are in the bucket.
    sent: usize,
}

impl Publisher {
    pub(super) fn new(ledger: &Ledger, place: &CallPlace, log: PathBuf, status: Status) -> Self {
        let attempt = status.attempts.len() as u32 + 1;
        Publisher {
            ledger: ledger.clone(),
            place: place.clone(),
            status,
            published: None,
            heard: Heard::default(),
            checkpoint: None,
            log: Log { path: log, read: 0, attempt, number: 0, part: Vec::new(), sent: 0 },
        }
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// Takes progress from whoever makes some.
    pub(super) fn progress(&self) -> Tell {
        let heard = Arc::clone(&self.heard);
        Arc::new(move |progress| {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        })
    }

    pub(super) fn heard(&self, progress: Progress) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    pub(super) fn forget_progress(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn last_heard(&self) -> Option<Progress> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The executor in this container has nothing to say yet, and this attempt has begun.
    pub(super) fn start_attempt(&mut self, now: Timestamp) {
        let number = self.status.attempts.last().map_or(0, |last| last.attempt) + 1;
        self.status.attempts.push(new_attempt(number, now));
    }

    pub(super) fn end_attempt(&mut self, failure: &Failure, now: Timestamp) {
        if let Some(last) = self.status.attempts.last_mut() {
            last.ended = Some(now);
            last.failure = Some(failure.clone());
        }
    }

    /// Waits for `work`, and tells every second what is heard meanwhile.
    pub(super) async fn while_flushing<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = tick.tick() => {
                    let heard = self.last_heard();
                    if let (Some(last), Some(progress)) = (self.status.attempts.last_mut(), heard) {
                        last.progress = Some(progress);
                    }
                    self.flush().await;
                }
            }
        }
    }

    /// Tells what the executor in this container knows.
    pub(super) async fn publish(&mut self, client: &Client, call: &CallId) {
        match client.record(call).await {
            Ok(record) => self.take(&record),
            Err(error) => tracing::warn!(%error, "can't look at the call"),
        }
        let checkpoint = match client.dispatcher().local() {
            Some(queue) => queue.checkpoint(call).await,
            None => Ok(None),
        };
        match checkpoint {
            Ok(Some(value)) if self.checkpoint.as_ref() != Some(&value) => {
                match self.ledger.store_checkpoint(&self.place, &value).await {
                    Ok(()) => self.checkpoint = Some(value),
                    Err(error) => warn(&error),
                }
            }
            _ => {}
        }
        self.flush().await;
    }

    /// Takes over the attempts of the executor, whose first is the one that began this.
    fn take(&mut self, record: &CallRecord) {
        if record.attempts.len() < self.status.attempts.len() {
            return;
        }
        self.status.attempts.clone_from(&record.attempts);
        for attempt in &mut self.status.attempts {
            // A process of this container means nothing elsewhere.
            attempt.worker = None;
        }
        let heard = self.last_heard();
        if let (Some(last), Some(progress)) = (self.status.attempts.last_mut(), heard)
            && last.ended.is_none()
        {
            last.progress = Some(progress);
        }
    }

    /// Tells the bucket what it was not told.
    pub(super) async fn flush(&mut self) {
        if let Err(error) = self.send_log().await {
            warn(&error);
        }
        if self.published.as_ref() != Some(&self.status) {
            match self.ledger.say(&self.place, &self.status).await {
                Ok(()) => self.published = Some(self.status.clone()),
                Err(error) => warn(&error),
            }
        }
    }

    /// Tells the last of it, before the outcome says the rest.
    pub(super) async fn finish(&mut self, record: &CallRecord) {
        self.take(record);
        self.flush().await;
    }

    /// The attempt ends with its machine, and another takes up the call.
    pub(super) async fn reclaimed(&mut self, record: &CallRecord, now: Timestamp) {
        self.take(record);
        let message = "its machine was taken away; another goes on";
        self.end_attempt(&Failure::new(FailureKind::WorkerLost, message), now);
        self.status.reclaimed += 1;
        self.flush().await;
    }

    async fn send_log(&mut self) -> Result<(), AwsError> {
        self.log.read_more().await;
        while self.log.sent < self.log.part.len() {
            let Log { attempt, number, part, .. } = &self.log;
            let whole = part.len().min(PART);
            let keys = self.ledger.group_keys(&self.place.group);
            let key = keys.log_part(self.place.index, *attempt, *number);
            let bytes = part[..whole].to_vec();
            let bucket = self.ledger.bucket();
            bucket.put(&key, bytes, Metadata::new(), Condition::Always).await?;
            self.status.log_bytes += (whole - self.log.sent) as u64;
            self.log.sent = whole;
            if whole == PART {
                self.log.part.drain(..PART);
                self.log.sent = 0;
                self.log.number += 1;
            }
        }
        Ok(())
    }
}

impl Log {
    /// Takes what the call has said since the last look, and says it to the container's own log.
    async fn read_more(&mut self) {
        let before = self.part.len();
        // There is no file before anything was said.
        let Ok(mut file) = File::open(&self.path).await else { return };
        let read = async {
            file.seek(io::SeekFrom::Start(self.read)).await?;
            file.read_to_end(&mut self.part).await
        };
        match read.await {
            Ok(read) => self.read += read as u64,
            Err(error) => tracing::warn!(%error, "can't read the call's log"),
        }
        let _ = io::stdout().write_all(&self.part[before..]);
    }
}

fn warn(error: &AwsError) {
    tracing::warn!("{error}: {}", error.cause);
}
