//! Images and containers, on a Docker daemon that `tests/standin/docker` starts.

mod build;
mod contained;
mod daemon;
mod kinds;
mod push;
mod secrets;
mod security;
mod trouble;
mod warm;

use std::path::Path;
use std::process::Command;

use crate::env::{Ran, TestEnv, ran};
use crate::examples::stripped;
use daemon::Daemon;

/// A test's world with a Docker daemon.
pub struct Docked {
    env: TestEnv,
    daemon: Daemon,
}

/// One, where there can be a daemon.
pub fn docked() -> Option<Docked> {
    Some(Docked { daemon: daemon::daemon()?, env: TestEnv::new() })
}

impl Docked {
    /// Writes the manifest of app `demo`.
    pub fn manifest(&self, text: &str) {
        self.env.write("vdeploy.toml", format!("[app]\nname = \"demo\"\n{text}"));
    }

    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.env.command(args);
        command.env("DOCKER_HOST", self.daemon.host());
        command.env("VDEPLOY_WORKER", stripped("vdeploy-runtime"));
        command
    }

    /// Runs `vdeploy` with words split at spaces.
    pub fn vdeploy(&self, line: &str) -> Ran {
        ran(self.command(line.split_whitespace()).output().expect("vdeploy starts"))
    }

    /// Makes a clip of 25 frames in the project.
    pub fn clip(&self, name: &str) {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:d=1:r=25"]);
        let path = self.env.project().join(name);
        ffmpeg.args(["-pix_fmt", "yuv420p", "-preset", "ultrafast"]).arg(path);
        assert!(ffmpeg.status().unwrap().success());
    }

    /// A line for each frame of a file in the project.
    pub fn frames(&self, name: impl AsRef<Path>) -> String {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-i"]).arg(self.env.project().join(name));
        let output = ffmpeg.args(["-map", "0", "-f", "framemd5", "-"]).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    }

    /// Containers of this world's local target.
    pub fn containers(&self) -> Vec<String> {
        let home = self.env.vdeploy_home();
        let filter = format!("--filter label=dev.vdeploy.home={}", home.display());
        let names = self.daemon.docker(&format!("ps -a --format {{{{.Names}}}} {filter}"));
        names.lines().map(str::to_owned).collect()
    }

    /// The image that `[image.NAME]` was built as.
    pub fn reference(&self, name: &str) -> String {
        let images = self.vdeploy("image ls --json").exits(0).json();
        let images = images.as_array().unwrap().iter();
        let ours = format!("main/demo/{name}");
        let found = images
            .filter(|image| image["image"] == ours.as_str())
            .max_by_key(|image| image["created"].as_i64().unwrap());
        found.unwrap()["reference"].as_str().unwrap().to_owned()
    }
}

impl Drop for Docked {
    fn drop(&mut self) {
        // What a failed test leaves; a passed one has destroyed its app.
        let images = self.daemon.try_docker(&format!(
            "images --quiet --no-trunc --filter label=dev.vdeploy.home={}",
            self.env.vdeploy_home().display()
        ));
        for id in String::from_utf8_lossy(&images.stdout).lines() {
            self.daemon.try_docker(&format!("rmi --force {id}"));
        }
    }
}
