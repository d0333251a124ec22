//! The Docker daemon of `tests/standin/docker`.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::env::repository;

/// A Docker daemon that runs.
#[derive(Debug)]
pub struct Daemon {
    socket: PathBuf,
}

/// The daemon that tests share, started when it isn't; none, with a line that says why, where
/// there can be none.
pub fn daemon() -> Option<Daemon> {
    let home = home();
    let socket = home.join("docker.sock");
    if home.join("ready").exists() && UnixStream::connect(&socket).is_ok() {
        return Some(Daemon { socket });
    }
    let up = standin(["up"]);
    if !up.status.success() {
        eprintln!("not tested here: {}", String::from_utf8_lossy(&up.stderr).trim());
        return None;
    }
    Some(Daemon { socket })
}

impl Daemon {
    /// What `DOCKER_HOST` is for it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Runs `docker` with words split at spaces; its output, trimmed.
    #[track_caller]
    pub fn docker(&self, line: &str) -> String {
        let output = self.try_docker(line);
        assert!(output.status.success(), "docker {line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The same, of a command that may fail.
    pub fn try_docker(&self, line: &str) -> Output {
        let mut docker = Command::new("docker");
        docker.args(line.split_whitespace()).env("DOCKER_HOST", self.host());
        // Logins of tests aren't the user's.
        docker.env("DOCKER_CONFIG", home().join("config"));
        docker.output().expect("docker starts")
    }
}

/// Runs `tests/standin/docker`.
fn standin<'a>(args: impl IntoIterator<Item = &'a str>) -> Output {
    let script = repository().join("tests/standin/docker");
    Command::new(script).args(args).output().expect("the script starts")
}

fn home() -> PathBuf {
    std::env::var_os("VDEPLOY_STANDIN")
        .map_or_else(|| repository().join("target/standin"), PathBuf::from)
}

/// The daemon does what the tests that are built on it need: it runs containers, and pushes to a
/// registry.
#[test]
fn the_stand_in_runs_containers_and_has_a_registry() {
    let Some(daemon) = daemon() else { return };
    assert_eq!(daemon.docker("run --rm debian:bookworm-slim echo hello"), "hello");
    let image = "127.0.0.1:5000/standin/base:1";
    daemon.docker(&format!("tag debian:bookworm-slim {image}"));
    let pushed = daemon.docker(&format!("push --quiet {image}"));
    assert_eq!(pushed, image);
}
