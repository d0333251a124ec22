//! What everything of the `aws` target is called: the bucket, the keys in it, and the resources.
//! Pure: command lines, workers and deploys agree because they all ask here.
//!
//! ```text
//! vdeploy/environments/ENV/apps/APP/functions/FN.json   a deployed function (catalog)
//! vdeploy/environments/ENV/state/APP/…                  state of an app
//! vdeploy/environments/ENV/lock.json                    who changes the environment
//! vdeploy/environments/ENV/volumes/VOL/PATH             the files of a volume
//! vdeploy/environments/ENV/volume-records/VOL.json      what is known of it beside its files
//! vdeploy/environments/ENV/sources/HASH/…               deployed copies of code
//! vdeploy/calls/ENV/GROUP/record.json                   calls made together: what is called, and how
//! vdeploy/calls/ENV/GROUP/inputs                        their arguments
//! vdeploy/calls/ENV/GROUP/job.json                      what runs them
//! vdeploy/calls/ENV/GROUP/status/INDEX.json             attempts and progress; replaced every second
//! vdeploy/calls/ENV/GROUP/log/INDEX/PART                what was said
//! vdeploy/calls/ENV/GROUP/checkpoint/INDEX.json         for the next attempt
//! vdeploy/calls/ENV/GROUP/cancel/INDEX                  somebody asked for it to stop
//! vdeploy/calls/ENV/GROUP/outcome/INDEX.json            how it ended; written once
//! vdeploy/calls/ENV/GROUP/artifacts/INDEX/…             files without a place of their own
//! vdeploy/maps/ENV/MAP/FIRST.json                       which group holds the inputs from FIRST on
//! vdeploy/files/ENV/…                                   files that callers sent along, and outputs for them
//! ```
//!
//! Everything of calls lies below three prefixes, so that lifecycle rules can expire it.

mod keys;
mod names;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use keys::{CallPlace, GroupKeys, Keys};
pub use names::{Names, secret};

/// What every key starts with, so that a bucket may hold other things too.
pub const ROOT: &str = "vdeploy/";
/// Prefixes whose objects may expire: what is known of calls.
pub const EXPIRING: [&str; 3] = ["vdeploy/calls/", "vdeploy/maps/", "vdeploy/files/"];
/// The tag of everything that belongs to an app: its name.
pub const APP_TAG: &str = "vdeploy:app";
/// The volume that every environment has: files that come and go with calls.
pub const CALL_FILES: &str = "vdeploy-files";
/// The fewest and the most calls of one array job.
pub const ARRAY_SIZES: std::ops::RangeInclusive<u64> = 2..=10_000;

/// The bucket of an account in a region when none is named. It stands in plans, state and keys that
/// may be shown to anybody, so it holds a hash in place of the account's number.
pub fn default_bucket(account: &str, region: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(format!("{account}/{region}")).into();
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("vdeploy-{region}-{hash}")
}

/// What runs the calls of a deployed function, as its record in the catalog says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Engine {
    /// The executor of the machine that it was deployed on.
    #[default]
    Local,
    /// Jobs of AWS Batch.
    Batch(BatchEngine),
    /// AWS Lambda.
    Lambda(LambdaEngine),
}

impl Engine {
    /// Whether it is the machine itself, which records needn't say.
    pub fn is_local(&self) -> bool {
        *self == Engine::Local
    }
}

/// Where AWS Batch runs a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchEngine {
    /// The job queue's name or ARN.
    pub queue: String,
    /// The job definition with its revision: `name:revision`.
    pub job_definition: String,
    /// Where its jobs log, beside what their calls keep.
    pub log_group: String,
    /// What an hour of one job costs in US dollars, as estimated at deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
}

/// Where AWS Lambda runs a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LambdaEngine {
    /// The function's name.
    pub function: String,
    /// The alias that calls go to.
    pub alias: String,
    /// Calls that run at the same time when it is mapped; none leaves that to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// What an hour of one environment costs in US dollars, as estimated at deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
}

/// What a job's container is told by variables, beside what the function's own settings say.
pub mod variables {
    /// The bucket that holds everything.
    pub const BUCKET: &str = "VDEPLOY_BUCKET";
    /// The environment of the function.
    pub const ENVIRONMENT: &str = "VDEPLOY_ENVIRONMENT";
    /// The function, `app/name`: what is called when nobody recorded a call, as schedules do.
    pub const FUNCTION: &str = "VDEPLOY_FUNCTION";
    /// The arguments of such a call, a JSON object; none are `{}`.
    pub const ARGS: &str = "VDEPLOY_ARGS";
    /// Which variables are of which secret, as a JSON object: `{"SECRET": ["KEY", …]}`. The
    /// variables themselves come from Secrets Manager.
    pub const SECRETS: &str = "VDEPLOY_SECRETS";
    /// The group of calls that a job serves; given when the job is submitted.
    pub const GROUP: &str = "VDEPLOY_CALL_GROUP";
}

/// How the `batch` door ends, by which AWS Batch decides whether another attempt follows.
pub mod exit {
    /// The call has its outcome, and it succeeded.
    pub const DONE: u8 = 0;
    /// The call has its outcome, and it did not succeed.
    pub const FAILED: u8 = 1;
    /// The attempt has ended and the call has not: try again (`EX_TEMPFAIL`).
    pub const AGAIN: u8 = 75;

    /// What `evaluateOnExit` of a job definition says, in order: the field, the pattern, and
    /// whether to try again. The worker counts attempts itself, so the job definition may allow
    /// the most there are, which is 10.
    pub const RULES: [(Field, &str, bool); 5] = [
        (Field::StatusReason, "Host EC2*", true),
        (Field::ExitCode, "75", true),
        (Field::ExitCode, "137", true),
        (Field::Reason, "CannotPullContainer*", true),
        (Field::Reason, "*", false),
    ];

    /// What a rule looks at.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Field {
        /// `onStatusReason`.
        StatusReason,
        /// `onReason`.
        Reason,
        /// `onExitCode`.
        ExitCode,
    }
}
