//! One thread that owns the queue's connection and commits whatever has gathered while the last
//! commit was on its way to disk: a full commit costs about 0.3 ms, so one for each write would
//! be the limit of everything.

use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Error;
use tokio::sync::oneshot;

use super::queue::{Queue, QueueError};
use crate::failpoint::Failpoint;

/// Writes in one transaction at most: bounds what waits for a commit.
const BATCH: usize = 1024;
/// How long writes wait for others that nobody is in a hurry for.
const PATIENCE: Duration = Duration::from_millis(5);

/// What is done once a batch is durable; it is dropped when the batch is not.
type Done = Box<dyn FnOnce() + Send>;
type Work = Box<dyn FnOnce(&Queue) -> (Done, Option<Arc<Error>>) + Send>;

/// When a write is to be durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum When {
    /// As soon as it can be.
    #[default]
    Now,
    /// With the next that is to be durable now, or in [`PATIENCE`]: commits cost as much as small
    /// calls do.
    Soon,
}

struct Job {
    work: Work,
    when: When,
}

/// The way to the thread. Cheap to clone; the thread ends when all are gone, or when the database
/// can't be written: what comes after a lost write would rest on something that isn't there.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    broken: Arc<OnceLock<Arc<Error>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(queue: Queue, failpoint: Failpoint) -> Self {
        let (jobs, next) = mpsc::channel();
        let broken = Arc::new(OnceLock::new());
        let why = Arc::clone(&broken);
        thread::spawn(move || write_batches(&queue, &next, &failpoint, &why));
        Writer { jobs, broken }
    }

    /// Does `work` in the next transaction and returns when that is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Queue) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        self.write_when(When::Now, work).await
    }

    /// The same, for who may have time.
    pub(super) async fn write_when<T: Send + 'static>(
        &self,
        when: When,
        work: impl FnOnce(&Queue) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |queue| {
            let result = work(queue).map_err(Arc::new);
            let failed = result.as_ref().err().cloned();
            // Nobody may wait any more; the write stands all the same.
            (Box::new(move || drop(reply.send(result))), failed)
        });
        self.jobs.send(Job { work, when }).map_err(|_| self.why())?;
        Ok(answer.await.map_err(|_| self.why())??)
    }

    /// Does `work` in the next transaction; nobody waits for it.
    pub(super) fn post(
        &self,
        when: When,
        work: impl FnOnce(&Queue) -> rusqlite::Result<()> + Send + 'static,
    ) {
        let work: Work = Box::new(move |queue| {
            let failed = work(queue).err().map(Arc::new);
            if let Some(error) = &failed {
                tracing::warn!(%error, "a write to the queue failed");
            }
            (Box::new(|| {}), failed)
        });
        // Only a thread that has failed is gone; the next write that is waited for says so.
        let _ = self.jobs.send(Job { work, when });
    }

    /// Why the thread is gone.
    fn why(&self) -> QueueError {
        match self.broken.get() {
            Some(error) => QueueError::Unwritable(Arc::clone(error).into()),
            None => QueueError::Closed,
        }
    }
}

fn write_batches(
    queue: &Queue,
    jobs: &mpsc::Receiver<Job>,
    failpoint: &Failpoint,
    broken: &OnceLock<Arc<Error>>,
) {
    while let Ok(first) = jobs.recv() {
        let batch = gathered(first, jobs);
        let mut done = Vec::new();
        if let Err(error) = write_batch(queue, batch, failpoint, &mut done) {
            // Set once, and before those who wait are told by the end of their channels.
            let _ = broken.set(error);
            return;
        }
        done.into_iter().for_each(|done| done());
    }
}

/// What is written with `first`: what has come meanwhile, and what comes while nobody is in a hurry.
fn gathered(first: Job, jobs: &mpsc::Receiver<Job>) -> Vec<Job> {
    let until = Instant::now() + PATIENCE;
    let mut batch = vec![first];
    while batch.len() < BATCH && batch.last().is_some_and(|job| job.when == When::Soon) {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(job) = jobs.recv_timeout(left) else { break };
        batch.push(job);
    }
    let room = BATCH - batch.len();
    batch.extend(jobs.try_iter().take(room));
    batch
}

/// Ends with an error when the batch could not be written; then none of it was, since a connection
/// that closes gives its transaction up.
fn write_batch(
    queue: &Queue,
    batch: Vec<Job>,
    failpoint: &Failpoint,
    done: &mut Vec<Done>,
) -> Result<(), Arc<Error>> {
    queue.begin()?;
    for job in batch {
        let (told, failed) = (job.work)(queue);
        done.push(told);
        if let Some(error) = failed.filter(|error| queue.is_broken_by(error)) {
            return Err(error);
        }
    }
    failpoint.hit("before-commit");
    queue.commit()?;
    failpoint.hit("after-commit");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue whose file may not grow beyond what it has now, as on a full disk.
    fn full_queue(folder: &std::path::Path) -> Queue {
        let queue = Queue::open(&folder.join("queue.db")).unwrap();
        let pages: u32 = queue.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        queue.db.pragma_update(None, "max_page_count", pages).unwrap();
        queue
    }

    fn fill(queue: &Queue) -> rusqlite::Result<()> {
        let insert = "INSERT INTO functions (environment, app, name, version, spec)
                      VALUES ('', '', '', 0, zeroblob(1000000))";
        queue.db.execute(insert, []).map(drop)
    }

    #[tokio::test]
    async fn a_full_disk_is_told_to_everyone_and_nothing_half_done_stays() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(full_queue(folder.path()), Failpoint::none());
        let small = |queue: &Queue| {
            let insert = "INSERT INTO workers (pid, started) VALUES (1, 1)";
            queue.db.execute(insert, [])
        };
        let both = writer.write(move |queue| {
            small(queue)?;
            fill(queue)
        });
        let told = both.await.unwrap_err();
        assert!(told.is_full(), "{told:?}");
        let told = writer.write(|_| Ok(())).await.unwrap_err();
        assert!(told.is_full(), "{told:?}");
        let left = Queue::open(&folder.path().join("queue.db")).unwrap().workers().unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}
