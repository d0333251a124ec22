//! Warm containers: one serves many calls, and each way to end them holds.

use std::process::{Child, Stdio};

use rustix::process::Signal;

use super::{Docked, docked};
use crate::env::{eventually, signal};

fn manifest(window: &str) -> String {
    format!(
        "[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\n\
         [function.echo]\nhandler = \"echo\"\nimage = \"box\"\nisolation = \"docker\"\n\
         scaledown_window = \"{window}\"\n"
    )
}

/// `vdeploy executor`, which a test that fails ends too.
struct Service(Child);

impl Service {
    fn start(docked: &Docked) -> Self {
        let mut service = docked.command(["executor"]);
        Service(service.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn end(mut self) {
        signal(&self.0, Signal::TERM);
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }

    fn kill(&mut self) {
        // One that has ended needs no killing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A service, and the container that has served two calls of it.
fn warmed(docked: &Docked, window: &str) -> (Service, String) {
    docked.manifest(&manifest(window));
    docked.vdeploy("deploy -y").exits(0);
    let service = Service::start(docked);
    docked.vdeploy("call echo --args n=1").exits(0);
    let warm = docked.containers();
    docked.vdeploy("call echo --args n=2").exits(0);
    assert_eq!(docked.containers(), warm, "it is used again");
    let [name] = warm.as_slice() else { panic!("{warm:?}") };
    (service, name.clone())
}

#[test]
fn a_container_ends_when_nothing_was_asked_of_it_for_a_while() {
    let Some(docked) = docked() else { return };
    docked.manifest(&manifest("0s"));
    docked.vdeploy("deploy -y").exits(0);
    let service = Service::start(&docked);
    docked.vdeploy("call echo --args n=1").exits(0);
    eventually(|| docked.containers().is_empty());
    service.end();
}

#[test]
fn a_container_ends_with_its_function() {
    let Some(docked) = docked() else { return };
    let (service, _) = warmed(&docked, "10m");
    docked.vdeploy("destroy -y").exits(0);
    eventually(|| docked.containers().is_empty());
    service.end();
}

#[test]
fn a_container_of_the_version_before_ends_with_a_deploy() {
    let Some(docked) = docked() else { return };
    let (service, old) = warmed(&docked, "10m");
    let changed = manifest("10m").replace("[function", "env = { A = \"1\" }\n[function");
    docked.manifest(&changed);
    docked.vdeploy("deploy -y").exits(0);
    eventually(|| !docked.containers().contains(&old));
    service.end();
    assert_eq!(docked.containers(), Vec::<String>::new());
}

#[test]
fn a_container_outlives_no_executor_that_is_killed() {
    let Some(docked) = docked() else { return };
    let (mut service, name) = warmed(&docked, "10m");
    service.kill();
    // Its worker sees that the socket is gone.
    let running = || {
        let state =
            docked.daemon.try_docker(&format!("inspect --format {{{{.State.Running}}}} {name}"));
        String::from_utf8_lossy(&state.stdout).trim() == "true"
    };
    eventually(|| !running());
    // The next one takes away what is left of it.
    docked.vdeploy("call echo --args n=3").exits(0);
    assert_eq!(docked.containers(), Vec::<String>::new());
}
