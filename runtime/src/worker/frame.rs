//! Framed messages between an executor and a warm worker: a length of four bytes, least
//! significant first, then JSON.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::dispatch::What;
use crate::ffmpeg::Tools;
use crate::function::{FunctionSpec, Resources, Retries};
use crate::wire::{CallId, Failure, Loopback, Outcome, Progress};

/// The largest message in bytes; arguments and results are data about files, not files.
pub const LIMIT: usize = 64 << 20;

/// What an executor says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// First of all: what the worker serves until it ends.
    Serve(Box<Serve>),
    /// Do this, and say how it ended before anything else is asked.
    Invoke(Invoke),
    /// Stop the call in hand.
    Cancel {
        /// The call to stop; another in hand goes on.
        call: CallId,
    },
    /// A [`Batch`] was recorded, or nothing of it was.
    Accepted {
        /// [`Batch::map`].
        map: u32,
        /// What became of each input, in their order.
        accepted: Result<Vec<Accepted>, Failure>,
    },
    /// Something happened to a call that the call in hand made.
    Child {
        /// [`Batch::map`].
        map: u32,
        /// The call it happened to.
        call: CallId,
        /// What happened.
        what: What,
    },
    /// The call in hand has its claim again.
    Resumed {
        /// Of the [`FromWorker::Resume`] that this answers.
        turn: u64,
    },
}

/// What a worker serves until it ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Serve {
    /// [`crate::wire::VERSION`] of the executor.
    pub v: u32,
    /// The function.
    pub function: FunctionSpec,
    /// The folder of the function's own code, if it has any.
    pub source: Option<PathBuf>,
    /// The volumes of the environment, by name.
    pub volumes: BTreeMap<String, PathBuf>,
    /// ffmpeg and what is known of the machine.
    pub tools: Tools,
    /// Where calls have their scratch folders, if not in their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<PathBuf>,
    /// Where a worker may keep the folders of a call for the next, if anywhere. Who started it
    /// removes what is there when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare: Option<PathBuf>,
    /// Written to stdout when a call has ended, so that output can be told apart by call.
    pub log_mark: String,
}

/// One attempt of one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invoke {
    /// The call.
    pub call: CallId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The arguments.
    pub args: Value,
    /// Outputs that exist may be replaced.
    pub overwrite: bool,
    /// What the previous attempt stored.
    pub checkpoint: Option<Value>,
    /// The folder of the call; nothing is created in it before it is needed.
    pub folder: PathBuf,
    /// Files that are read in parts, by what the arguments call them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ranged: BTreeMap<String, Loopback>,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    /// First of all.
    Hello {
        /// [`crate::wire::VERSION`] of the worker.
        v: u32,
    },
    /// How far the call in hand is.
    Progress {
        /// The figures.
        progress: Progress,
    },
    /// What the next attempt of the call in hand gets back.
    Checkpoint {
        /// Anything.
        value: Value,
    },
    /// The call in hand calls a function.
    Submit(Batch),
    /// The calls of a [`Batch::map`] that have not ended should be cancelled.
    CancelMap {
        /// [`Batch::map`].
        map: u32,
    },
    /// All calls of a map have ended, and nothing more is asked of it.
    CloseMap {
        /// [`Batch::map`].
        map: u32,
    },
    /// The call in hand does nothing but wait for calls it made: others may have its claim.
    Waiting,
    /// The call in hand wants its claim again, and waits until [`ToWorker::Resumed`].
    Resume {
        /// Told apart by it, since a wait may begin again before the answer to this comes.
        turn: u64,
    },
    /// The call in hand has ended.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

/// Some of the inputs that a call maps a function over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Which of the maps that the call makes, from 0; a single call is a map of one input.
    pub map: u32,
    /// What is called.
    pub routine: Routine,
    /// How.
    pub settings: ChildSettings,
    /// The place of the first of these inputs in the map; 0 begins it.
    pub first: u64,
    /// The arguments of each call.
    pub inputs: Vec<Value>,
}

/// What a call may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Routine {
    /// A deployed function.
    Function {
        /// `app/function`, or `function` of the caller's own app.
        name: String,
    },
    /// Another handler of the caller's own worker program, with the resources, the policies, the
    /// volumes and the secrets of the caller's function.
    Handler {
        /// The handler's name.
        name: String,
    },
}

/// How a call made by another call differs from what its function declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChildSettings {
    /// In place of the function's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// In place of the function's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    /// In place of the function's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Outputs that exist may be replaced.
    #[serde(default)]
    pub overwrite: bool,
    /// What an earlier attempt of the caller did under this name is not done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Files that the calls make without a place of their own are wanted where the caller runs.
    #[serde(default)]
    pub files: bool,
}

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its id.
    pub call: CallId,
    /// How it ended, when an earlier attempt of the caller had it done already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Writes one message.
pub async fn write<M: Serialize>(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &M,
) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes is over the limit of {LIMIT}"),
        ));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    writer.write_all(&bytes).await
}

/// Reads one message; none at the end of the stream.
pub async fn read<M: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match reader.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes is over the limit of {LIMIT}"),
        ));
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).await?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_comes_out_as_it_went_in() {
        let mut bytes = Vec::new();
        write(&mut bytes, &FromWorker::Hello { v: 7 }).await.unwrap();
        let message: Option<FromWorker> = read(&mut bytes.as_slice()).await.unwrap();
        assert!(matches!(message, Some(FromWorker::Hello { v: 7 })));
    }

    #[tokio::test]
    async fn a_stream_that_ends_between_messages_is_over() {
        let message: Option<FromWorker> = read(&mut [].as_slice()).await.unwrap();
        assert!(message.is_none());
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_before_anything_is_read() {
        let bytes = u32::MAX.to_le_bytes();
        assert!(read::<FromWorker>(&mut bytes.as_slice()).await.is_err());
    }
}
