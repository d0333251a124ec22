//! What a program says while it runs: progress and checkpoints, as JSON lines through a pipe.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

use super::GRACE;
use crate::handler::Context;
use crate::wire::{Phase, Progress};

/// The line after a program's last event; not JSON.
const END_OF_EVENTS: &str = "<end>";

/// Reads events while the program runs. The pipe is opened for both ways, so that neither side
/// ever waits for the other to open it.
pub(super) fn follow(path: &Path, cx: Context) -> tokio::task::JoinHandle<()> {
    let opened = pipe::OpenOptions::new().read_write(true).open_receiver(path);
    tokio::spawn(async move {
        let Ok(receiver) = opened else { return };
        let mut lines = BufReader::new(receiver).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match line.trim() {
                "" => {}
                END_OF_EVENTS => return,
                line => report_event(line, &cx),
            }
        }
    })
}

/// Waits until what the program wrote last has been read: a pipe has no end while it is open for
/// writing on this side, so it gets a line that no event can be.
pub(super) async fn end(mut events: tokio::task::JoinHandle<()>, path: &Path) {
    let end = async {
        let mut pipe = pipe::OpenOptions::new().open_sender(path)?;
        pipe.write_all(format!("\n{END_OF_EVENTS}\n").as_bytes()).await
    };
    let ended = async { (end.await, (&mut events).await) };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        events.abort();
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
