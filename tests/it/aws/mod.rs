//! The target `aws` against a stand-in: what a deployment makes, keeps, mends and removes.

mod calls;
mod children;
mod contract;
mod deploy;
mod deployed;
mod examples;
mod faults;
mod files;
mod images;
mod migrate;
mod refused;
mod running;
pub mod standin;
mod yard;

pub use deployed::Deployed;

use crate::env::TestEnv;

/// An app with every kind of function: a job with a GPU on spot machines, a job by its schedule, and
/// a short one.
pub const MANIFEST: &str = r#"
[app]
name = "reel"

[image.cuda]
uri = "registry.example/reel:1"

[volume.footage]

[secret.storage]
keys = ["TOKEN"]

[function.encode]
handler = "transcode"
image = "cuda"
gpu = ["T4", "L4"]
codecs = ["h264"]
cpu = 4
memory = "8GiB"
spot = true
volumes = { "/footage" = "footage" }
secrets = ["storage"]
timeout = "30m"
ephemeral_disk = "50GiB"

[function.nightly]
handler = "probe"
image = "cuda"
timeout = "20m"
schedule = "cron(0 6 * * *)"

[function.thumbs]
command = ["cat", "code/thumbs.txt"]
source = ["code/"]
image = "cuda"
engine = "batch"

[function.short]
handler = "echo"
image = "cuda"
memory = "2GiB"

[target.aws]
max_vcpus = 64
log_retention_days = 14
"#;

/// A project with [`MANIFEST`].
pub fn project() -> TestEnv {
    let env = TestEnv::new();
    env.write("vdeploy.toml", MANIFEST);
    env.write("code/thumbs.txt", "one");
    env
}
