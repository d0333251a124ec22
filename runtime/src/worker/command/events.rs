//! What a program says while it runs: progress and checkpoints, as JSON lines through a pipe.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::unix::pipe::Receiver;

use crate::handler::Context;
use crate::wire::{Phase, Progress};

/// Bytes that are read before others get their turn.
const ROUND: usize = 16 << 10;
/// Bytes of an event at most.
const EVENT_LIMIT: usize = 16 << 20;

/// A pipe with a name. It is open for both ways, so that neither side ever waits for the other to
/// open it, and it has no end.
#[derive(Debug)]
pub(super) struct Events {
    path: PathBuf,
    pipe: Receiver,
    /// The start of a line, and room for more.
    line: Vec<u8>,
}

impl Events {
    /// Makes the pipe.
    pub(super) fn make(path: PathBuf) -> io::Result<Self> {
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let pipe = Receiver::from_owned_fd(rustix::fs::open(&path, flags, Mode::empty())?)?;
        Ok(Events { path, pipe, line: Vec::new() })
    }

    /// Where programs find it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It was moved.
    pub(super) fn moved_to(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Reports events as they come.
    pub(super) async fn follow(&mut self, cx: &Context) -> Infallible {
        loop {
            // Only a runtime that is about to end has no answer.
            let Ok(()) = self.pipe.readable().await else { return std::future::pending().await };
            let Events { pipe, line, .. } = self;
            take(line, cx, |room| pipe.try_read(room));
            tokio::task::yield_now().await;
        }
    }

    /// Reports what is left of a program that has ended with all that it started.
    pub(super) fn finish(&mut self, cx: &Context) {
        // Of the pipe itself: the runtime may not have heard yet that there is something in it.
        let Events { pipe, line, .. } = self;
        while take(line, cx, |room| Ok(rustix::io::read(&*pipe, room)?)) {}
        report(&self.line, cx);
        self.line.clear();
    }
}

/// Takes what `read` gives, up to a limit; `false`: there was nothing.
fn take(
    line: &mut Vec<u8>,
    cx: &Context,
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> bool {
    let start = line.len();
    line.resize(start + ROUND, 0);
    let count = read(&mut line[start..]).unwrap_or(0);
    line.truncate(start + count);
    let (mut from, mut searched) = (0, start);
    while let Some(end) = line[searched..].iter().position(|byte| *byte == b'\n') {
        report(&line[from..searched + end], cx);
        searched += end + 1;
        from = searched;
    }
    line.drain(..from);
    if line.len() > EVENT_LIMIT {
        tracing::warn!("an event of more than {} MiB", EVENT_LIMIT >> 20);
        line.clear();
    }
    count > 0
}

fn report(line: &[u8], cx: &Context) {
    let line = String::from_utf8_lossy(line);
    if !line.trim().is_empty() {
        report_event(line.trim(), cx);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Progress(Map<String, Value>),
    Checkpoint(Value),
}

fn report_event(line: &str, cx: &Context) {
    let reported = serde_json::from_str(line).and_then(|event| {
        match event {
            Event::Progress(progress) => cx.progress(progress_of(progress)?),
            Event::Checkpoint(value) => cx.checkpoint(value),
        }
        Ok(())
    });
    if let Err(error) = reported {
        tracing::warn!(%error, line, "not an event");
    }
}

/// Progress as a program says it: one that names no phase is at work.
fn progress_of(mut said: Map<String, Value>) -> serde_json::Result<Progress> {
    said.entry("phase").or_insert_with(|| json!(Phase::Processing));
    serde_json::from_value(Value::Object(said))
}
