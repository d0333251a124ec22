//! One thread that owns the queue's connection and commits whatever has gathered while the last
//! commit was on its way to disk: a full commit costs about 0.3 ms, so one for each write would
//! be the limit of everything.

use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use super::queue::{Queue, QueueError};
use crate::failpoint::Failpoint;

/// Writes in one transaction at most: bounds what waits for a commit.
const BATCH: usize = 1024;

/// What is done once a batch is durable, or known not to be.
type Done = Box<dyn FnOnce(bool) + Send>;
type Job = Box<dyn FnOnce(&Queue) -> Done + Send>;

/// The way to the thread. Cheap to clone; the thread ends when all are gone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(queue: Queue, failpoint: Failpoint) -> Self {
        let (jobs, next) = mpsc::channel();
        thread::spawn(move || write_batches(&queue, &next, &failpoint));
        Writer { jobs }
    }

    /// Does `work` in the next transaction and returns when that is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Queue) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Box::new(move |queue| {
            let result = work(queue);
            Box::new(move |durable| {
                if durable {
                    // Nobody may wait any more; the write stands all the same.
                    let _ = reply.send(result);
                }
            })
        }))?;
        Ok(answer.await.map_err(|_| QueueError::Closed)??)
    }

    /// Does `work` in the next transaction; nobody waits for it.
    pub(super) fn post(&self, work: impl FnOnce(&Queue) -> rusqlite::Result<()> + Send + 'static) {
        let job: Job = Box::new(move |queue| {
            if let Err(error) = work(queue) {
                tracing::warn!(%error, "a write to the queue failed");
            }
            Box::new(|_| {})
        });
        // Only a thread that has failed is gone; the next write that is waited for says so.
        let _ = self.jobs.send(job);
    }

    fn enqueue(&self, job: Job) -> Result<(), QueueError> {
        self.jobs.send(job).map_err(|_| QueueError::Closed)
    }
}

fn write_batches(queue: &Queue, jobs: &mpsc::Receiver<Job>, failpoint: &Failpoint) {
    while let Ok(first) = jobs.recv() {
        if let Err(error) = queue.begin() {
            tracing::error!(%error, "the queue can't be written");
            return;
        }
        let rest = std::iter::from_fn(|| jobs.try_recv().ok()).take(BATCH - 1);
        let done: Vec<Done> = std::iter::once(first).chain(rest).map(|job| job(queue)).collect();
        failpoint.hit("before-commit");
        let durable = queue.commit().is_ok();
        failpoint.hit("after-commit");
        done.into_iter().for_each(|done| done(durable));
    }
}
