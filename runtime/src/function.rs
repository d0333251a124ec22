//! A deployed function as data: what a plan creates, a queue stores and a worker receives.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a function needs and how it is run; made from the manifest at deploy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// The app it belongs to.
    pub app: String,
    /// Its name within the app.
    pub name: String,
    /// What runs when it is called.
    pub entry: Entry,
    /// The image it runs in, by name; none runs on the machine itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The container it runs in; none runs as a process of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// What one call claims of the machine.
    #[serde(default)]
    pub resources: Resources,
    /// Whether hardware encoders and decoders are used.
    #[serde(default)]
    pub hardware: Hardware,
    /// Seconds that one attempt may take.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: f64,
    /// What happens after a failure that another try may mend.
    #[serde(default)]
    pub retries: Retries,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Volumes by the path they are mounted at in a container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, String>,
    /// Secrets whose keys become environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The content hash of the deployed copy of its code, if it has code of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Existing buckets that arguments name as `bucket://NAME/PATH`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<String, BucketMount>,
    /// What may be brought in from the web.
    #[serde(default, skip_serializing_if = "Downloads::is_default")]
    pub downloads: Downloads,
    /// How many workers serve it.
    #[serde(default)]
    pub scaling: Scaling,
    /// A call like an earlier one returns the earlier outcome.
    #[serde(default)]
    pub cache: bool,
    /// Arguments that calls needn't give; what a call says counts more.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// The JSON Schema of its arguments; absent when anything goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

impl FunctionSpec {
    /// What a call means that gave `args`: those, and of [`FunctionSpec::with`] what they leave out.
    pub fn complete(&self, args: Value) -> Value {
        match args {
            Value::Object(given) if !self.with.is_empty() => {
                let mut all = self.with.clone();
                all.extend(given);
                Value::Object(all)
            }
            other => other,
        }
    }

    /// The secrets that have to be there when it is called: its own, and those of its buckets,
    /// which it doesn't get to see.
    pub fn needed_secrets(&self) -> Vec<String> {
        let of_buckets = self.buckets.values().filter_map(|bucket| bucket.secret.as_ref());
        let mut names = self.secrets.clone();
        for name in of_buckets {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// An existing bucket of any store that speaks S3, mounted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketMount {
    /// The bucket's own name.
    pub bucket: String,
    /// What the keys of everything in the mount begin with: empty, or ends with a slash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The store's address, if it isn't Amazon S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The secret that holds its credentials; without one they are found as every AWS tool does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Nothing is written to it.
    #[serde(default)]
    pub read_only: bool,
}

/// What a function's arguments may bring in from the web.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downloads {
    /// Bytes of one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Addresses of this machine and of private networks may be asked, and without encryption.
    #[serde(default)]
    pub private: bool,
}

impl Downloads {
    /// Bytes of one file unless the manifest says otherwise.
    pub const MAX_BYTES: u64 = 64 << 30;

    fn is_default(&self) -> bool {
        *self == Downloads::default()
    }
}

/// The container that a function runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The image that was built for it, such as `vdeploy/reel-cpu:0123456789abcdef`.
    pub image: String,
    /// It reaches the network.
    #[serde(default)]
    pub network: bool,
}

/// Seconds that one attempt may take when the manifest does not say: Modal's default.
pub fn default_timeout() -> f64 {
    300.0
}

/// What runs when a function is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A handler of the runtime crate, by name.
    Builtin {
        /// Such as `transcode`.
        handler: String,
    },
    /// A handler of the user's own binary that links the runtime crate.
    Binary {
        /// Path of the binary within the deployed source.
        binary: String,
        /// The handler's name within it.
        handler: String,
    },
    /// Any program: JSON on stdin, JSON on stdout, one process per call.
    Command {
        /// The program and its arguments; relative paths are within the deployed source.
        argv: Vec<String>,
    },
}

/// What one call claims of the machine it runs on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU cores.
    pub cpu: f64,
    /// Bytes of memory; none claims nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Bytes of disk; none claims nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_disk_bytes: Option<u64>,
    /// GPU models in order of preference; empty needs no GPU.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpu: Vec<String>,
}

impl Default for Resources {
    fn default() -> Self {
        Resources { cpu: 1.0, memory_bytes: None, ephemeral_disk_bytes: None, gpu: Vec::new() }
    }
}

/// Whether hardware encoders and decoders are used.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Hardware {
    /// Used where proven, else the CPU; the outcome says which and why.
    #[default]
    Auto,
    /// Used, or the call fails at once.
    Required,
    /// Never used.
    Off,
}

/// When and how often a failed attempt is followed by another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retries {
    /// Attempts after the first.
    pub max: u32,
    /// Seconds before the second attempt.
    pub initial_delay_seconds: f64,
    /// What each later delay is multiplied by.
    pub backoff: f64,
    /// Seconds that no delay exceeds.
    pub max_delay_seconds: f64,
}

impl Default for Retries {
    fn default() -> Self {
        Retries { max: 0, initial_delay_seconds: 1.0, backoff: 2.0, max_delay_seconds: 60.0 }
    }
}

/// How many workers serve a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Workers kept ready by `vdeploy executor`.
    pub min_containers: u32,
    /// Calls that run at the same time; none is bounded by the machine only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_containers: Option<u32>,
    /// Seconds that an idle worker is kept.
    pub scaledown_window_seconds: f64,
}

impl Default for Scaling {
    fn default() -> Self {
        Scaling { min_containers: 0, max_containers: None, scaledown_window_seconds: 60.0 }
    }
}
