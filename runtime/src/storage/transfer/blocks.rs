//! Works through the blocks of many files with a few threads, so that many small files and one
//! huge file are equally fast, and memory is what the threads' buffers take.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::hash::{BlockHash, ContentHash};
use super::job::{Buffers, Done, Job};

/// What is done with files and blocks. Called by many threads at once.
pub(super) struct Work<'a> {
    /// How many files there are.
    pub(super) files: usize,
    /// Opens a file; none when it can't be, which was then dealt with.
    pub(super) open: &'a (dyn Fn(usize) -> Option<Job> + Sync),
    /// Does a block.
    pub(super) block: &'a (dyn Fn(&Job, u64, &mut Buffers) -> io::Result<Done> + Sync),
    /// Ends a file whose blocks are all done, or one of them failed.
    pub(super) close: &'a (dyn Fn(usize, Job, io::Result<ContentHash>) + Sync),
    /// Whether to stop before the next block.
    pub(super) stopped: &'a (dyn Fn() -> bool + Sync),
}

/// A file some of whose blocks are not done.
struct Open {
    file: usize,
    job: Job,
    result: Mutex<io::Result<Vec<BlockHash>>>,
}

#[derive(Default)]
struct Queue {
    /// The next file to open.
    next: usize,
    /// Files that are being opened; their blocks are about to come.
    opening: usize,
    /// Open files with the next block to be taken.
    open: VecDeque<(Arc<Open>, u64)>,
}

enum Task {
    Open(usize),
    Block(Arc<Open>, u64),
}

impl Work<'_> {
    /// Runs with `threads` threads until everything is done or it is stopped. Files that were
    /// stopped in the middle are dropped without being closed.
    pub(super) fn run(&self, threads: usize) {
        let queue = (Mutex::new(Queue::default()), Condvar::new());
        std::thread::scope(|scope| {
            for _ in 0..threads.min(self.files.max(1) * 4) {
                scope.spawn(|| self.work(&queue));
            }
        });
    }

    fn work(&self, queue: &(Mutex<Queue>, Condvar)) {
        let mut buffers = Buffers::default();
        while let Some(task) = self.take(queue) {
            match task {
                Task::Open(file) => {
                    let opened = (self.open)(file);
                    self.opened(queue, file, opened);
                }
                Task::Block(open, number) if lock(&open.result).is_err() => {
                    self.done(open, number, Err(io::ErrorKind::Other.into()));
                }
                Task::Block(open, number) => {
                    let done = (self.block)(&open.job, number, &mut buffers);
                    self.done(open, number, done);
                }
            }
        }
    }

    /// The next thing to do: rather a block of an open file than another file.
    fn take(&self, (queue, changed): &(Mutex<Queue>, Condvar)) -> Option<Task> {
        let mut queue = lock(queue);
        loop {
            if (self.stopped)() {
                return None;
            }
            if let Some((open, number)) = queue.open.pop_front() {
                if number + 1 < open.job.blocks() {
                    queue.open.push_front((open.clone(), number + 1));
                }
                return Some(Task::Block(open, number));
            }
            if queue.next < self.files {
                queue.next += 1;
                queue.opening += 1;
                return Some(Task::Open(queue.next - 1));
            }
            if queue.opening == 0 {
                return None;
            }
            queue = changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn opened(&self, (queue, changed): &(Mutex<Queue>, Condvar), file: usize, job: Option<Job>) {
        let empty = match job {
            Some(job) if job.blocks() > 0 => {
                let hashes = vec![[0; 32]; job.blocks() as usize];
                let open = Open { file, job, result: Mutex::new(Ok(hashes)) };
                lock(queue).open.push_back((Arc::new(open), 0));
                None
            }
            job => job,
        };
        lock(queue).opening -= 1;
        changed.notify_all();
        if let Some(job) = empty {
            (self.close)(file, job, Ok(ContentHash::of(0, &[])));
        }
    }

    /// Takes note of a block. Every block holds the file; whoever lets go of it last closes it.
    fn done(&self, open: Arc<Open>, number: u64, done: io::Result<Done>) {
        {
            let mut result = lock(&open.result);
            match (&mut *result, done) {
                (Ok(hashes), Ok(done)) => hashes[number as usize] = done.hash,
                (Ok(_), Err(error)) => *result = Err(error),
                (Err(_), _) => {}
            }
        }
        if let Some(open) = Arc::into_inner(open) {
            let result = open.result.into_inner().unwrap_or_else(PoisonError::into_inner);
            let hash = result.map(|hashes| ContentHash::of(open.job.stat.size, &hashes));
            (self.close)(open.file, open.job, hash);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
