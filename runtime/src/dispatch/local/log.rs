//! A worker's output, told apart by call: split at the mark that ends each, without the values of
//! secrets, in a file of the call's that exists only when something was said.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::redact::{Redactor, find};
use crate::wire::Outcome;

/// Bytes of output kept of one call.
const LIMIT: usize = 64 << 20;

/// Where the output of the call in hand goes, and the notice that all of it was seen.
#[derive(Debug)]
pub(super) struct Log {
    /// The folder of the next call.
    pub(super) folders: mpsc::UnboundedSender<PathBuf>,
    /// Says when the mark at the end of a call was read.
    pub(super) ends: mpsc::UnboundedReceiver<()>,
}

/// Starts reading `output` until all writers are gone; `grown` is told whenever there is more to
/// read in the call's log.
pub(super) fn follow(
    output: OwnedFd,
    mark: String,
    secrets: Vec<String>,
    grown: impl Fn() + Send + Sync + 'static,
) -> io::Result<Log> {
    let reader = pipe::Receiver::from_owned_fd(output)?;
    let (folders, next_folder) = mpsc::unbounded_channel();
    let (ended, ends) = mpsc::unbounded_channel();
    let redactor = Redactor::new(secrets);
    let splitter = Splitter::new(mark.into_bytes());
    tokio::spawn(copy(reader, splitter, redactor, next_folder, ended, grown));
    Ok(Log { folders, ends })
}

async fn copy(
    mut reader: pipe::Receiver,
    mut splitter: Splitter,
    redactor: Redactor,
    mut folders: mpsc::UnboundedReceiver<PathBuf>,
    ended: mpsc::UnboundedSender<()>,
    grown: impl Fn() + Send + Sync,
) {
    let mut chunk = vec![0; 64 << 10];
    let mut file = CallLog::default();
    loop {
        let count = reader.read(&mut chunk).await.unwrap_or(0);
        splitter.push(&chunk[..count]);
        while let Some(piece) = splitter.next(count == 0) {
            // Before the first call's folder is known there is only start-up noise.
            while let Ok(folder) = folders.try_recv() {
                file = CallLog::in_folder(folder);
            }
            match piece {
                Piece::Output(bytes) => {
                    file.write(&redactor.redact(bytes)).await;
                    grown();
                }
                Piece::End => {
                    file = CallLog::default();
                    // The worker's task may have given up on it.
                    let _ = ended.send(());
                }
            }
        }
        if count == 0 {
            return;
        }
    }
}

/// The log of one call, opened when there is something to write.
#[derive(Debug, Default)]
struct CallLog {
    folder: Option<PathBuf>,
    file: Option<File>,
    written: usize,
}

impl CallLog {
    fn in_folder(folder: PathBuf) -> Self {
        CallLog { folder: Some(folder), ..CallLog::default() }
    }

    async fn write(&mut self, bytes: &[u8]) {
        if self.written >= LIMIT {
            return;
        }
        self.written += bytes.len();
        if let Err(error) = self.try_write(bytes).await {
            tracing::warn!(%error, "a call's log is cut short");
            self.folder = None;
            self.file = None;
        }
        if self.written >= LIMIT {
            let note =
                format!("\n[vdeploy: the log is over {} MiB; the rest is left out]\n", LIMIT >> 20);
            let _ = self.try_write(note.as_bytes()).await;
        }
    }

    async fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        if self.file.is_none() {
            self.file = Some(open(folder).await?);
        }
        match &mut self.file {
            Some(file) => {
                file.write_all(bytes).await?;
                // Whoever is told that the log has grown finds it there.
                file.flush().await
            }
            None => Ok(()),
        }
    }
}

async fn open(folder: &Path) -> io::Result<File> {
    let mut options = tokio::fs::OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    tokio::fs::create_dir_all(folder).await?;
    match options.open(folder.join("log")).await {
        // The worker removes the folder at the end of an attempt if nothing is in it, once.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tokio::fs::create_dir_all(folder).await?;
            options.open(folder.join("log")).await
        }
        opened => opened,
    }
}

enum Piece {
    Output(Vec<u8>),
    End,
}

/// Cuts a stream into lines and marks. Holds back an unfinished line, so that neither a mark nor a
/// secret is cut in two by the size of a read.
struct Splitter {
    mark: Vec<u8>,
    buffer: Vec<u8>,
}

/// An unfinished line longer than this is written as it is.
const LONGEST_LINE: usize = 256 << 10;

impl Splitter {
    fn new(mark: Vec<u8>) -> Self {
        Splitter { mark, buffer: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole piece; at the end of the stream also what is unfinished.
    fn next(&mut self, last: bool) -> Option<Piece> {
        if self.buffer.is_empty() {
            return None;
        }
        if self.buffer.starts_with(&self.mark) {
            self.buffer.drain(..self.mark.len());
            return Some(Piece::End);
        }
        let end = match find(&self.buffer, &self.mark) {
            Some(mark) => mark,
            None => match self.buffer.iter().rposition(|byte| *byte == b'\n') {
                Some(newline) => newline + 1,
                None if last || self.buffer.len() > LONGEST_LINE => self.buffer.len(),
                None => return None,
            },
        };
        Some(Piece::Output(self.buffer.drain(..end).collect()))
    }
}

/// `outcome` without the values of `secrets`, whether they are in its result or in its failure.
pub(super) fn redact_outcome(outcome: Outcome, secrets: &[String]) -> Outcome {
    if secrets.is_empty() {
        return outcome;
    }
    let redactor = Redactor::new(secrets.to_vec());
    let mut value = serde_json::to_value(&outcome).expect("outcomes serialise");
    redact_value(&mut value, &redactor);
    serde_json::from_value(value).unwrap_or(outcome)
}

fn redact_value(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => {
            *text = redactor.redact_text(std::mem::take(text));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact_value(item, redactor)),
        Value::Object(map) => map.values_mut().for_each(|item| redact_value(item, redactor)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The outputs of calls when `stream` arrives in pieces of `size` bytes.
    fn split(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut splitter = Splitter::new(b"\x1eMARK\n".to_vec());
        let (mut calls, mut output) = (Vec::new(), Vec::new());
        let chunks = stream.chunks(size).map(Some).chain([None]);
        for chunk in chunks {
            splitter.push(chunk.unwrap_or_default());
            while let Some(piece) = splitter.next(chunk.is_none()) {
                match piece {
                    Piece::Output(bytes) => output.extend(bytes),
                    Piece::End => calls.push(std::mem::take(&mut output)),
                }
            }
        }
        (calls, output)
    }

    proptest! {
        #[test]
        fn output_is_told_apart_however_it_arrives(
            texts in prop::collection::vec("[a-zM\\x1e\n]{0,20}", 0..5),
            rest in "[a-z\n]{0,20}",
            size in 1usize..30,
        ) {
            let mut stream = Vec::new();
            for text in &texts {
                stream.extend(text.as_bytes());
                stream.extend(b"\x1eMARK\n");
            }
            stream.extend(rest.as_bytes());
            let (calls, output) = split(&stream, size);
            let expected: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            prop_assert_eq!(calls, expected);
            prop_assert_eq!(output, rest.as_bytes());
        }
    }

    #[test]
    fn secrets_are_hidden_even_inside_one_another() {
        let secrets = ["hunter2".to_owned(), "hunter2-extended".to_owned(), "abc".to_owned()];
        let result = serde_json::json!({ "said": ["key=hunter2-extended; hunter2 abc"] });
        let outcome = Outcome::from_result(Ok((result, Vec::new())));
        let redacted = serde_json::to_string(&redact_outcome(outcome, &secrets)).unwrap();
        assert!(redacted.contains(r#""key=***; *** abc""#), "{redacted}");
    }
}
