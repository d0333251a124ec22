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

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::wire::CallId;

/// What every key starts with, so that a bucket may hold other things too.
pub const ROOT: &str = "vdeploy/";
/// Prefixes whose objects may expire: what is known of calls.
pub const EXPIRING: [&str; 3] = ["vdeploy/calls/", "vdeploy/maps/", "vdeploy/files/"];
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

/// Keys of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    environment: String,
}

impl Keys {
    /// The keys of `environment`, whose name holds letters, digits, `-` and `_`.
    pub fn of(environment: impl Into<String>) -> Self {
        Keys { environment: environment.into() }
    }

    /// The environment's name.
    pub fn environment(&self) -> &str {
        &self.environment
    }

    fn own(&self, rest: impl std::fmt::Display) -> String {
        format!("{ROOT}environments/{}/{rest}", self.environment)
    }

    /// The records of all deployed functions.
    pub fn apps(&self) -> String {
        self.own("apps/")
    }

    /// The record of a deployed function: [`crate::catalog::Published`] as JSON.
    pub fn function(&self, app: &str, function: &str) -> String {
        self.own(format_args!("apps/{app}/functions/{function}.json"))
    }

    /// The app and the function of a record's key.
    pub fn function_of<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str)> {
        let (app, file) = key.strip_prefix(&self.apps())?.split_once("/functions/")?;
        Some((app, file.strip_suffix(".json")?))
    }

    /// Everything about the state of `app`.
    pub fn state(&self, app: &str) -> String {
        self.own(format_args!("state/{app}/"))
    }

    /// The lock of the environment, whose apps share volumes.
    pub fn lock(&self) -> String {
        self.own("lock.json")
    }

    /// A deployed copy of code, by content hash.
    pub fn source(&self, hash: &str) -> String {
        self.own(format_args!("sources/{hash}/"))
    }

    /// The files of a volume.
    pub fn volume(&self, name: &str) -> String {
        self.own(format_args!("volumes/{name}/"))
    }

    /// What is known of all volumes beside their files.
    pub fn volume_records(&self) -> String {
        self.own("volume-records/")
    }

    /// What is known of a volume: [`crate::storage::VolumeRecord`] as JSON.
    pub fn volume_record(&self, name: &str) -> String {
        self.own(format_args!("volume-records/{name}.json"))
    }

    /// The files of volume [`CALL_FILES`].
    pub fn call_files(&self) -> String {
        format!("{ROOT}files/{}/", self.environment)
    }

    /// The calls of the environment.
    pub fn calls(&self) -> String {
        format!("{ROOT}calls/{}/", self.environment)
    }

    /// Calls that were made together.
    pub fn group(&self, group: &str) -> GroupKeys {
        GroupKeys { prefix: format!("{}{group}/", self.calls()) }
    }

    /// Which groups hold the inputs of a map.
    pub fn map(&self, map: &str) -> String {
        format!("{ROOT}maps/{}/{map}/", self.environment)
    }

    /// Which group holds the inputs of a map from place `first` on. Keys sort by place.
    pub fn map_part(&self, map: &str, first: u64) -> String {
        format!("{}{first:012}.json", self.map(map))
    }
}

/// Keys of calls that were made together: one, or as many as an array job has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKeys {
    prefix: String,
}

impl GroupKeys {
    /// What all of them start with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What is called, and how.
    pub fn record(&self) -> String {
        format!("{}record.json", self.prefix)
    }

    /// The arguments of all its calls.
    pub fn inputs(&self) -> String {
        format!("{}inputs", self.prefix)
    }

    /// What runs them; written after it was started.
    pub fn job(&self) -> String {
        format!("{}job.json", self.prefix)
    }

    /// How far calls are.
    pub fn statuses(&self) -> String {
        format!("{}status/", self.prefix)
    }

    /// Attempts and progress of a call.
    pub fn status(&self, index: u64) -> String {
        format!("{}status/{index}.json", self.prefix)
    }

    /// How calls ended.
    pub fn outcomes(&self) -> String {
        format!("{}outcome/", self.prefix)
    }

    /// How a call ended.
    pub fn outcome(&self, index: u64) -> String {
        format!("{}outcome/{index}.json", self.prefix)
    }

    /// What the next attempt of a call gets back.
    pub fn checkpoint(&self, index: u64) -> String {
        format!("{}checkpoint/{index}.json", self.prefix)
    }

    /// Requests for calls to be cancelled.
    pub fn cancels(&self) -> String {
        format!("{}cancel/", self.prefix)
    }

    /// The request for a call to be cancelled.
    pub fn cancel(&self, index: u64) -> String {
        format!("{}cancel/{index}", self.prefix)
    }

    /// The request for all calls of the group to be cancelled.
    pub fn cancel_all(&self) -> String {
        format!("{}cancel/all", self.prefix)
    }

    /// The log of a call. Parts sort in the order they were written.
    pub fn log(&self, index: u64) -> String {
        format!("{}log/{index}/", self.prefix)
    }

    /// A part of a call's log.
    pub fn log_part(&self, index: u64, attempt: u32, part: u32) -> String {
        format!("{}{attempt:03}-{part:06}", self.log(index))
    }

    /// Files of a call that have no place of their own.
    pub fn artifacts(&self, index: u64) -> String {
        format!("{}artifacts/{index}/", self.prefix)
    }

    /// The index in a key such as `PREFIX17.json` or `PREFIX17`, below a prefix of this group's.
    pub fn index_of(key: &str, prefix: &str) -> Option<u64> {
        let rest = key.strip_prefix(prefix)?;
        rest.strip_suffix(".json").unwrap_or(rest).parse().ok()
    }
}

/// A call by the group that it was made in and its place there, as its id says:
/// `c-01k…` is the only call of its group, `c-01k…-17` the eighteenth of its.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallPlace {
    /// The group, `c-` and 26 characters.
    pub group: String,
    /// The call's place, from 0.
    pub index: u64,
    /// The group is one call.
    pub single: bool,
}

impl CallPlace {
    /// The only call of `group`.
    pub fn single(group: impl Into<String>) -> Self {
        CallPlace { group: group.into(), index: 0, single: true }
    }

    /// The call at `index` of `group`.
    pub fn of_many(group: impl Into<String>, index: u64) -> Self {
        CallPlace { group: group.into(), index, single: false }
    }

    /// What `id` says; none when it is no call's id.
    pub fn of(id: &CallId) -> Option<Self> {
        let rest = id.0.strip_prefix("c-")?;
        let (group, index) = rest.split_at_checked(26)?;
        let plain = group.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        let group = format!("c-{group}");
        match index.strip_prefix('-') {
            _ if !plain => None,
            None if index.is_empty() => Some(CallPlace::single(group)),
            None => None,
            Some(index) => Some(CallPlace::of_many(group, index.parse().ok()?)),
        }
    }

    /// Its id.
    pub fn id(&self) -> CallId {
        CallId(match self.single {
            true => self.group.clone(),
            false => format!("{}-{}", self.group, self.index),
        })
    }
}

/// Names of what an app has in an account, beside what its bucket holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    environment: String,
    app: String,
}

impl Names {
    /// Names in `environment` for `app`.
    pub fn of(environment: impl Into<String>, app: impl Into<String>) -> Self {
        Names { environment: environment.into(), app: app.into() }
    }

    /// A name for `thing` that is no longer than `limit`: what is too long ends in a hash of all.
    pub fn name(&self, thing: &str, limit: usize) -> String {
        shorten(&format!("vdeploy-{}-{}-{thing}", self.environment, self.app), limit)
    }

    /// The job definition of a function: 128 characters of letters, digits, `-` and `_`.
    pub fn job_definition(&self, function: &str) -> String {
        self.name(function, 128)
    }

    /// The job queue of functions that need `family`, such as `cpu` or `l4`.
    pub fn queue(&self, family: &str) -> String {
        self.name(family, 128)
    }

    /// The compute environment of a kind such as `l4-spot`. A suffix of 7 characters, by which a
    /// replacement differs from what it replaces, has room.
    pub fn compute_environment(&self, kind: &str) -> String {
        self.name(kind, 121)
    }

    /// The Lambda function of a function: 64 characters.
    pub fn lambda(&self, function: &str) -> String {
        self.name(function, 64)
    }

    /// An IAM role or instance profile: 64 characters.
    pub fn role(&self, purpose: &str) -> String {
        self.name(purpose, 64)
    }

    /// The ECR repository of an image, which is written with slashes.
    pub fn repository(&self, image: &str) -> String {
        format!("vdeploy/{}/{}/{image}", self.environment, self.app).to_ascii_lowercase()
    }

    /// The CloudWatch log group of a function.
    pub fn log_group(&self, function: &str) -> String {
        format!("/vdeploy/{}/{}/{function}", self.environment, self.app)
    }
}

/// The secret `name` of an environment in Secrets Manager; its value is a JSON object of the
/// secret's keys.
pub fn secret(environment: &str, name: &str) -> String {
    format!("vdeploy/{environment}/{name}")
}

fn shorten(name: &str, limit: usize) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .collect();
    if name.len() <= limit {
        return name;
    }
    let hash: [u8; 32] = Sha256::digest(&name).into();
    let hash: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hash}", &name[..limit - hash.len() - 1])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_by_its_id_and_nothing_else_is() {
        let group = "c-01k0000000000000000000000a";
        for place in [CallPlace::single(group), CallPlace::of_many(group, 17)] {
            assert_eq!(CallPlace::of(&place.id()), Some(place));
        }
        for id in
            ["", "c-", "c-short", "m-01k0000000000000000000000a", "c-01k000000000000000000000/a"]
        {
            assert_eq!(CallPlace::of(&CallId(id.into())), None, "{id}");
        }
        for rest in ["x", "-", "-x", "-1-2", "/../x"] {
            assert_eq!(CallPlace::of(&CallId(format!("{group}{rest}"))), None, "{rest}");
        }
    }

    #[test]
    fn keys_are_where_the_table_says() {
        let keys = Keys::of("main");
        let group = keys.group("c-1");
        insta::assert_snapshot!(
            [
                keys.function("reel", "probe"),
                keys.lock(),
                keys.volume("footage"),
                keys.volume_record("footage"),
                keys.map_part("m-1", 10_000),
                group.record(),
                group.status(7),
                group.log_part(7, 1, 12),
                group.outcome(7),
            ]
            .join("\n"),
            @r"
        vdeploy/environments/main/apps/reel/functions/probe.json
        vdeploy/environments/main/lock.json
        vdeploy/environments/main/volumes/footage/
        vdeploy/environments/main/volume-records/footage.json
        vdeploy/maps/main/m-1/000000010000.json
        vdeploy/calls/main/c-1/record.json
        vdeploy/calls/main/c-1/status/7.json
        vdeploy/calls/main/c-1/log/7/001-000012
        vdeploy/calls/main/c-1/outcome/7.json
        "
        );
        let key = keys.function("reel", "probe");
        assert_eq!(keys.function_of(&key), Some(("reel", "probe")));
        assert_eq!(GroupKeys::index_of(&group.outcome(7), &group.outcomes()), Some(7));
        assert!(EXPIRING.iter().any(|prefix| group.prefix().starts_with(prefix)));
    }

    #[test]
    fn long_names_fit_and_stay_apart() {
        let names = Names::of("main", "a".repeat(60));
        let (one, other) = (names.lambda("one"), names.lambda("other"));
        assert_eq!((one.len(), other.len()), (64, 64));
        assert_ne!(one, other);
        assert_eq!(Names::of("main", "reel").lambda("probe"), "vdeploy-main-reel-probe");
    }
}
