//! The manifest as it is written: which tables and keys there are, and what they mean. The JSON
//! Schema that editors read is made from this file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use vdeploy_runtime::function::Hardware;

use super::choice::{Flavor, HardwareCodec, ImageKind, Isolation, StateChoice};
use super::decode::{At, Decode, Entries, Json, mismatch, section};
use super::document::Node;
use super::problem::Problems;
use super::quantity::{Bytes, Seconds};
use crate::engine::Wish;

section! {
    /// An app of vdeploy: images, volumes, secrets and functions.
    #[schemars(rename = "Manifest")]
    RawManifest, "a manifest" {
        /// What the app is called.
        #[schemars(required)]
        app: RawApp,
        /// Images that functions run in, by name.
        image: Entries<RawImage>,
        /// Volumes that the app wants to exist, by name. They belong to the environment and outlive
        /// the app; `vdeploy destroy` keeps their files.
        volume: Entries<RawVolume>,
        /// Secrets that the app needs, by name. Their values never stand in the manifest: set them
        /// with `vdeploy secret create`.
        secret: Entries<RawSecret>,
        /// Existing S3-compatible buckets, by name. Calls reach them as `bucket://NAME/KEY`.
        bucket: Entries<RawBucket>,
        /// Functions, by name. `vdeploy call NAME` runs one.
        function: Entries<RawFunction>,
        /// Settings of targets.
        target: RawTargets,
        /// What is different in one environment: `[env.prod.function.transcode]` takes the place of
        /// the same keys when `-e prod` is given.
        env: Entries<RawOverrides>,
    }
}

section! {
    /// What one environment says differently. Each key takes the place of the same key of the
    /// manifest.
    #[expect(dead_code, reason = "read for its mistakes; its values are laid over the rest as TOML")]
    #[schemars(rename = "Overrides")]
    RawOverrides, "an environment" {
        /// Images, by name.
        image: Entries<RawImage>,
        /// Volumes, by name.
        volume: Entries<RawVolume>,
        /// Secrets, by name.
        secret: Entries<RawSecret>,
        /// Buckets, by name.
        bucket: Entries<RawBucket>,
        /// Functions, by name.
        function: Entries<RawFunction>,
        /// Settings of targets.
        target: RawTargets,
    }
}

section! {
    /// What the app is called.
    #[schemars(rename = "App")]
    RawApp, "`[app]`" {
        /// The app's name: lowercase letters, digits, `-` and `_`.
        #[schemars(required)]
        name: String,
        /// What the app is for, in a sentence.
        description: String,
    }
}

section! {
    /// An image recipe: one of `kind`, `base` and `dockerfile`, and what is added to it.
    #[schemars(rename = "Image")]
    RawImage, "an image" {
        /// A ready-made recipe.
        kind: ImageKind,
        /// A base image of your own, such as `debian:bookworm-slim`.
        base: String,
        /// A Dockerfile of your own, relative to the manifest's folder.
        dockerfile: String,
        /// An image that is in a registry already; nothing is built.
        uri: String,
        /// CUDA version, such as `12.4.1`; for kinds that have CUDA.
        cuda: String,
        /// Operating system of the CUDA base, such as `ubuntu22.04`.
        os: String,
        /// Which parts of CUDA there are.
        flavor: Flavor,
        /// Python version, such as `3.12`; for kind `python`.
        python: String,
        /// Debian packages to install.
        apt: Vec<At<String>>,
        /// Python packages to install.
        pip: Vec<At<String>>,
        /// The oldest NVIDIA driver that it must run with, such as `"535"`; for kinds that have CUDA.
        driver: String,
        /// Environment variables.
        env: Entries<String>,
        /// Build arguments: variables of build commands only.
        args: Entries<String>,
        /// Files and folders to copy, relative to the manifest's folder, and where to.
        copy: Entries<String>,
        /// Extra build commands, each a `RUN` line.
        run: Vec<At<String>>,
        /// Secrets whose keys are variables of the commands of `apt`, `pip` and `run`; nothing of
        /// them stays in the image.
        secrets: Vec<At<String>>,
        /// The folder that commands start in.
        workdir: String,
        /// What a container of it starts when nothing else is said.
        entrypoint: Vec<At<String>>,
        /// A file of certificates to trust, such as those of a company's proxy, relative to the
        /// manifest's folder.
        ca_bundle: String,
    }
}

section! {
    /// A volume; it has nothing to set.
    #[schemars(rename = "Volume")]
    RawVolume, "a volume" {}
}

section! {
    /// A secret that the app needs.
    #[schemars(rename = "Secret")]
    RawSecret, "a secret" {
        /// Keys that it must have; each becomes an environment variable of functions that name it.
        keys: Vec<At<String>>,
    }
}

section! {
    /// An existing S3-compatible bucket.
    #[schemars(rename = "Bucket")]
    RawBucket, "a bucket" {
        /// Where it is: `s3://bucket/prefix`.
        url: String,
        /// The address of the store that it is in, such as `https://ACCOUNT.r2.cloudflarestorage.com`,
        /// if it isn't Amazon S3.
        endpoint: String,
        /// The region it is in.
        region: String,
        /// The secret that holds its credentials, under keys that end with `ACCESS_KEY_ID` and
        /// `SECRET_ACCESS_KEY`; also `SESSION_TOKEN`, `ENDPOINT_URL` and `REGION` where it has them.
        secret: String,
        /// Nothing is written to it.
        read_only: bool,
    }
}

section! {
    /// What arguments may bring in from the web, by `https://`.
    #[schemars(rename = "Downloads")]
    RawDownloads, "downloads" {
        /// How large one file may be, such as `"200GiB"` [default: 64GiB].
        max_size: Bytes,
        /// Addresses of this machine and of private networks may be asked, and by `http://` too.
        private: bool,
    }
}

section! {
    /// A function: a `handler` or a `command`, what one call claims, and how calls are run.
    #[schemars(rename = "Function")]
    RawFunction, "a function" {
        /// What the function does, in a sentence.
        description: String,
        /// A built-in handler, such as `transcode`; or, with `binary`, one of that binary's.
        handler: String,
        /// A binary of your own that links the runtime crate, relative to the manifest's folder.
        binary: String,
        /// Any program and its arguments: it reads JSON on stdin and writes JSON to stdout.
        command: Vec<At<String>>,
        /// Files and folders of the function's own code, relative to the manifest's folder. A copy
        /// of them is deployed.
        source: Vec<At<String>>,
        /// A JSON Schema file of the arguments of a `command`, relative to the manifest's folder.
        args: String,
        /// Arguments that calls needn't give, such as the `steps` of a `pipeline`. Relative paths
        /// are of the manifest's folder.
        with: Entries<Json>,
        /// The image it runs in, by name; without one it runs on the machine itself.
        image: String,
        /// Whether it runs as a process of the machine or in a container of its image, on the local
        /// target [default: that of the target].
        isolation: Isolation,
        /// Whether it reaches the network from its container [default: false].
        network: bool,
        /// CPU cores that one call claims [default: 1].
        cpu: f64,
        /// Memory that one call claims, such as `"8GiB"`.
        memory: Bytes,
        /// Disk that one call claims, such as `"50GiB"`.
        ephemeral_disk: Bytes,
        /// A GPU model, or several in order of preference.
        gpu: OneOrMany,
        /// Whether hardware encoders and decoders are used [default: auto].
        hardware: Hardware,
        /// How long one attempt may take, such as `"10m"` [default: 5m].
        timeout: Seconds,
        /// Attempts after a failed one that another try may mend [default: 0].
        retries: RawRetries,
        /// Environment variables.
        env: Entries<String>,
        /// Volumes by the path they are mounted at in a container.
        volumes: Entries<String>,
        /// Secrets whose keys become environment variables.
        secrets: Vec<At<String>>,
        /// What its arguments may bring in from the web.
        downloads: RawDownloads,
        /// Workers that `vdeploy executor` keeps ready [default: 0].
        min_containers: u32,
        /// Calls that run at the same time; without it, as many as the machine takes.
        max_containers: u32,
        /// How long an idle worker is kept, such as `"5m"` [default: 1m].
        scaledown_window: Seconds,
        /// A call like an earlier one returns the earlier outcome.
        cache: bool,
        /// Cheaper machines that may be taken away are used; their calls are tried again.
        spot: bool,
        /// When it is called by itself: five cron fields, such as `"0 6 * * *"`.
        schedule: String,
        /// What runs it on AWS; without it, what fits.
        engine: Wish,
        /// Codecs that its calls encode to with hardware; models that can't are refused.
        codecs: Vec<At<HardwareCodec>>,
    }
}

section! {
    /// When and how often a failed attempt is followed by another.
    #[schemars(rename = "Retries")]
    RetriesTable, "`retries`" {
        /// Attempts after the first.
        #[schemars(required)]
        max: u32,
        /// Wait before the second attempt, such as `"1s"` [default: 1s].
        initial_delay: Seconds,
        /// What each later wait is multiplied by [default: 2.0].
        backoff: f64,
        /// What no wait exceeds, such as `"1m"` [default: 1m].
        max_delay: Seconds,
    }
}

section! {
    /// Settings of targets.
    #[schemars(rename = "Targets")]
    RawTargets, "`[target]`" {
        /// This machine.
        local: RawLocal,
        /// Amazon Web Services.
        aws: RawAws,
    }
}

section! {
    /// How this machine runs functions.
    #[schemars(rename = "Local")]
    RawLocal, "`[target.local]`" {
        /// Whether functions run as processes of the machine or in containers of their images
        /// [default: process].
        isolation: Isolation,
    }
}

section! {
    /// Where in AWS the app runs.
    #[schemars(rename = "Aws")]
    RawAws, "`[target.aws]`" {
        /// The region, such as `us-east-1`.
        region: String,
        /// An existing VPC, whose subnets are used unless `subnets` names some; without it, the
        /// region's default VPC.
        vpc: String,
        /// Existing subnets that jobs run in.
        subnets: Vec<At<String>>,
        /// Existing security groups that jobs belong to.
        security_groups: Vec<At<String>>,
        /// An existing bucket to keep everything in. It is used as it is and never deleted.
        bucket: String,
        /// Where what was deployed is remembered: in the bucket, for everybody who deploys, or on this
        /// machine [default: bucket]. `vdeploy state migrate` brings it from one to the other.
        state: StateChoice,
        /// The name of an existing role that functions run with, in place of one of least privilege.
        role: String,
        /// The name of an existing ECR repository for the app's images.
        repository: String,
        /// The name of an existing compute environment of Batch for functions without a GPU.
        compute_environment: String,
        /// The name of an existing job queue of Batch for all functions.
        queue: String,
        /// CPUs that run at the same time at most, in each compute environment [default: 256].
        max_vcpus: u32,
        /// Days that logs are kept [default: 30].
        log_retention_days: u32,
        /// Days that calls are kept [default: 30].
        call_retention_days: u32,
        /// US dollars an hour by instance type, in place of the built-in table's.
        prices: Entries<f64>,
    }
}

/// One string or a list of them.
#[derive(Clone, Debug)]
pub(super) struct OneOrMany(pub(super) Vec<At<String>>);

/// A number of attempts, or a table that says more.
#[derive(Clone, Debug)]
pub(super) struct RawRetries(pub(super) RetriesTable);

impl Decode for OneOrMany {
    const EXPECTED: &'static str = "a string or a list of strings";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        if node.get_ref().is_array() {
            Decode::decode(key, node, problems).map(OneOrMany)
        } else if node.get_ref().is_str() {
            Decode::decode(key, node, problems).map(|one| OneOrMany(vec![one]))
        } else {
            mismatch::<Self>(key, node, problems)
        }
    }
}

impl Decode for RawRetries {
    const EXPECTED: &'static str = "a number of attempts or a table";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        if node.get_ref().is_table() {
            Decode::decode(key, node, problems).map(RawRetries)
        } else if node.get_ref().is_integer() {
            let max = Decode::decode(key, node, problems)?;
            Some(RawRetries(RetriesTable { max: Some(max), ..RetriesTable::default() }))
        } else {
            mismatch::<Self>(key, node, problems)
        }
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}

impl JsonSchema for RawRetries {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Retries".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                generator.subschema_for::<RetriesTable>(),
            ],
        })
    }
}
