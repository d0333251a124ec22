//! What travels between a command line, a queue and a worker: versioned data, serde only.
//!
//! A worker inside an image may be older or newer than the command line that calls it, so readers
//! ignore fields they do not know and every message names the version it was written for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::function::FunctionSpec;

/// The version of every message in this module. A worker says it at start; a mismatch is an error
/// before the first call, not a surprise in the middle of one.
pub const VERSION: u32 = 1;

/// The id of a call: `c-` and 26 characters of Crockford base32, ordered by time.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct CallId(pub String);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One attempt of one call, as a worker receives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// [`VERSION`] of the writer.
    pub v: u32,
    /// The call this is an attempt of.
    pub call: CallId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The function as it was deployed when the call was accepted.
    pub function: FunctionSpec,
    /// The arguments, already checked against the function's schema.
    pub args: Value,
    /// Outputs that already exist may be replaced.
    #[serde(default)]
    pub overwrite: bool,
    /// What the previous attempt stored with [`crate::Context::checkpoint`].
    #[serde(default)]
    pub checkpoint: Option<Value>,
    /// A directory of this attempt's own, removed when the call has ended.
    pub scratch: PathBuf,
    /// Where artifacts go that the arguments give no place of their own.
    pub artifacts: PathBuf,
    /// The volumes this environment has, by name, as directories on this machine.
    #[serde(default)]
    pub volumes: BTreeMap<String, PathBuf>,
    /// Files that are read in parts, by what the arguments call them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ranged: BTreeMap<String, Loopback>,
}

/// A file elsewhere that is held ready for one call, on this machine alone: an `http` address that
/// nobody can guess, which answers requests for ranges as long as the call runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loopback {
    /// Where.
    pub url: String,
    /// Its size.
    pub bytes: u64,
}

/// What a worker is doing now.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Recorded, and waiting for a worker.
    #[default]
    Queued,
    /// A worker has it and is getting ready.
    Starting,
    /// Inputs are on their way in.
    Downloading,
    /// The work itself; for video, frames are counted.
    Processing,
    /// Outputs are being checked.
    Verifying,
    /// Outputs are on their way to their place.
    Uploading,
    /// Over.
    Done,
}

/// How far a call is. Every figure was reported by the tool that does the work; nothing is
/// guessed from a clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// What the worker is doing.
    pub phase: Phase,
    /// The share of the whole call that is done, 0 to 1; absent when the total isn't known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// Frames done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// Frames there will be, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_frames: Option<u64>,
    /// Frames per second of work, not of the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Seconds of video per second of work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Seconds left at the present speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<f64>,
    /// A short note, such as the name of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The handler returned a result.
    Succeeded {
        /// What the handler returned.
        result: Value,
        /// The files it made.
        #[serde(default)]
        artifacts: Vec<Artifact>,
        /// The earlier call that was alike and whose outcome this is; none where the call ran.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cached_from: Option<CallId>,
    },
    /// The handler, or what surrounds it, failed.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// Somebody asked for it to stop.
    Cancelled,
}

impl Outcome {
    /// An outcome for a handler's result or failure.
    pub fn from_result(result: Result<(Value, Vec<Artifact>), Failure>) -> Self {
        match result {
            Ok((result, artifacts)) => Outcome::Succeeded { result, artifacts, cached_from: None },
            Err(failure) if failure.kind == FailureKind::Cancelled => Outcome::Cancelled,
            Err(failure) => Outcome::Failed { failure },
        }
    }
}

/// A file that a call produced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// What the file is to the handler, such as `output`.
    pub name: String,
    /// Where it is: a path on this machine or `vol://volume/path`.
    pub location: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What kind of thing went wrong; decides whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The arguments are wrong.
    InvalidArgs,
    /// An input is missing, unreadable or not what the handler takes.
    InvalidInput,
    /// The output's place can't be written, or is taken.
    Output,
    /// This machine lacks something: a program, an encoder, disk space.
    Machine,
    /// The work was done and did not hold up to its checks.
    Verification,
    /// The time limit passed.
    Timeout,
    /// Somebody asked for it to stop.
    Cancelled,
    /// The worker died: killed, out of memory, crashed.
    WorkerLost,
    /// The handler broke its contract: no result, garbage, a panic.
    Handler,
}

/// Why a call failed: one line, its causes, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of thing went wrong.
    pub kind: FailureKind,
    /// One line that names the thing in backticks.
    pub message: String,
    /// What lies behind it, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do about it, with a command to paste where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same call may succeed when tried again.
    #[serde(default)]
    pub retryable: bool,
}

impl Failure {
    /// A failure of `kind`; retryable by default only where another try can help.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let retryable =
            matches!(kind, FailureKind::WorkerLost | FailureKind::Timeout | FailureKind::Machine);
        Failure { kind, message: message.into(), causes: Vec::new(), hint: None, retryable }
    }

    /// The same failure, with what lies behind it.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// The same failure, with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, marked as worth another try or not.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }
}
