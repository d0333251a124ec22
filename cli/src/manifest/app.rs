//! What a manifest says once everything in it was found to be right.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vdeploy_runtime::function::{BucketMount, FunctionSpec};

use crate::engine::Wish;

/// An app: everything one manifest describes for one environment.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// Images by name.
    pub images: BTreeMap<String, Image>,
    /// Where the manifest describes each image, for messages about its build.
    pub image_places: BTreeMap<String, ImagePlace>,
    /// Volumes that the app wants to exist, by name.
    pub volumes: Vec<String>,
    /// Secrets that the app needs, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Existing buckets, mounted by name.
    pub buckets: BTreeMap<String, BucketMount>,
    /// Functions by name.
    pub functions: BTreeMap<String, Function>,
    /// Targets other than `local`, by name.
    pub targets: BTreeMap<String, Target>,
}

/// A function as the manifest describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// What it needs and runs. `source` and `schema` are still empty: they follow from files.
    pub spec: FunctionSpec,
    /// Files and folders of its own code, relative to the manifest's folder.
    pub source: Vec<String>,
    /// A JSON Schema file of its arguments, relative to the manifest's folder.
    pub args: Option<String>,
    /// What it does, in a sentence.
    pub description: Option<String>,
    /// Interruptible machines may be used.
    pub spot: bool,
    /// Five cron fields that say when it is called by itself.
    pub schedule: Option<String>,
    /// What runs it on AWS.
    pub engine: Wish,
    /// Codecs that its calls encode to with hardware.
    pub codecs: Vec<String>,
    /// The line of its section in the manifest, from 1, for messages about its files.
    pub line: usize,
    /// It runs in a container of its image, on the local target.
    pub contained: bool,
    /// It reaches the network from there.
    pub network: bool,
}

/// Lines of an image in the manifest, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagePlace {
    /// Its section.
    pub section: usize,
    /// Its Debian packages.
    pub apt: Option<usize>,
    /// Its Python packages.
    pub pip: Option<usize>,
    /// What is copied into it.
    pub copy: Option<usize>,
    /// Each of its build commands.
    pub run: Vec<usize>,
}

/// An image recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// `cpu`, `cuda`, `cuda-ffmpeg`, `detect` or `python`; none with `base` or `dockerfile`.
    pub kind: Option<String>,
    /// A base image of the user's own.
    pub base: Option<String>,
    /// A Dockerfile of the user's own, relative to the manifest's folder.
    pub dockerfile: Option<String>,
    /// An image in a registry that is used as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// CUDA version, such as `12.4.1`.
    pub cuda: Option<String>,
    /// Operating system of the CUDA base, such as `ubuntu22.04`.
    pub os: Option<String>,
    /// `base`, `runtime` or `devel`.
    pub flavor: Option<String>,
    /// Python version, such as `3.12`.
    pub python: Option<String>,
    /// Debian packages.
    pub apt: Vec<String>,
    /// Python packages.
    pub pip: Vec<String>,
    /// The oldest driver it must run with, such as `535`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Build arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Files and folders of the manifest's folder, and where they are copied to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub copy: BTreeMap<String, String>,
    /// Extra build commands.
    pub run: Vec<String>,
    /// Secrets that build commands may see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The folder that commands start in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// What a container starts when nothing else is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// A file of certificates to trust, relative to the manifest's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
}

/// A secret that the app needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Keys it must have.
    pub keys: Vec<String>,
}

/// Where the state of a target is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatePlace {
    /// In the bucket, for everybody who deploys.
    #[default]
    Bucket,
    /// On this machine.
    Local,
}

/// Settings of the target `aws`. What is named here exists already, is used and is left alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// The region.
    pub region: Option<String>,
    /// The network; the region's default one without it.
    pub vpc: Option<String>,
    /// Subnets; all of the network without them.
    pub subnets: Vec<String>,
    /// Security groups; the network's default one without them.
    pub security_groups: Vec<String>,
    /// The bucket.
    pub bucket: Option<String>,
    /// Where what was deployed is remembered.
    pub state: StatePlace,
    /// The role that functions run with, by name.
    pub role: Option<String>,
    /// The ECR repository, by name.
    pub repository: Option<String>,
    /// The compute environment of functions without a GPU, by name.
    pub compute_environment: Option<String>,
    /// The job queue of all functions, by name.
    pub queue: Option<String>,
    /// CPUs that run at the same time in each compute environment.
    pub max_vcpus: u32,
    /// Days that logs are kept.
    pub log_retention_days: u32,
    /// Days that calls are kept.
    pub call_retention_days: u32,
    /// What the user knows better than the table of prices.
    pub prices: BTreeMap<String, f64>,
}
