//! Standard input that stops waiting when it should.

use std::io::{self, PipeReader, Read};

use rustix::event::{PollFd, PollFlags, poll};
use tokio_util::sync::CancellationToken;

/// Standard input; a read that waits fails with [`io::ErrorKind::Interrupted`] on cancellation.
#[derive(Debug)]
pub(super) struct Stdin {
    /// Its other end is closed on cancellation, which wakes a poll.
    cancelled: PipeReader,
}

impl Stdin {
    pub(super) fn until(cancel: &CancellationToken) -> io::Result<Self> {
        let (cancelled, open) = io::pipe()?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            cancel.cancelled().await;
            drop(open);
        });
        Ok(Stdin { cancelled })
    }
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = rustix::stdio::stdin();
        let mut both =
            [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.cancelled, PollFlags::IN)];
        poll(&mut both, None)?;
        if !both[1].revents().is_empty() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(rustix::io::read(stdin, buffer)?)
    }
}
