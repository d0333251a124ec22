//! Programs that take what they should leave alone: the machine's processes, memory, disk and
//! logs. Each gets a plain error that names which, and the queue goes on.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv, eventually, interrupt, ran, sh};
use crate::process::running;

#[test]
fn a_log_of_a_hundred_megabytes_is_cut_and_the_call_succeeds() {
    let env = TestEnv::new();
    env.publish_script("loud", "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 99 >&2; echo 1");
    assert_eq!(env.vdeploy("call loud").exits(0).json(), 1);
    let id = env.vdeploy("calls ls --json").exits(0).json()[0]["id"].as_str().unwrap().to_owned();
    let log = env.run(["calls", "logs", &id]).exits(0).stdout;
    assert!(log.ends_with("the log is over 64 MiB; the rest is left out]\n"));
    assert!(log.len() < 65 << 20, "{} bytes", log.len());
}

#[test]
fn a_program_that_will_not_end_is_ended_after_its_timeout() {
    let env = TestEnv::new();
    let marker = format!("{}", 50_000 + std::process::id());
    let script = format!("trap '' TERM; sleep {marker}; sleep {marker}");
    env.publish("stubborn", sh(&script), |function| function.timeout_seconds = 0.2);
    let ran = env.vdeploy("call stubborn").exits(5);
    let message = "`stubborn` took longer than its timeout of 0.2 s";
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
    assert_eq!(running(&format!("sleep {marker}")), 0);
}

#[test]
fn a_child_that_leaves_its_session_is_ended_with_its_program() {
    let env = TestEnv::new();
    let marker = format!("{}", 60_000 + std::process::id());
    env.publish_script("escapes", &format!("setsid sleep {marker} & echo '{{}}'"));
    env.vdeploy("call escapes").exits(0);
    assert_eq!(running(&format!("sleep {marker}")), 0);
}

#[test]
fn a_worker_that_cannot_be_started_is_named() {
    let env = TestEnv::new();
    let entry = Entry::Binary { binary: "/nowhere/worker".into(), handler: "any".into() };
    env.publish("absent", entry, |function| {
        function.retries.max = 1;
        function.retries.initial_delay_seconds = 0.01;
    });
    let ran = env.vdeploy("call absent").exits(5);
    let message = "error: the worker of `absent` can't be started: `/nowhere/worker`: No such file";
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
    let call = &env.vdeploy("calls ls --json").exits(0).json()[0];
    assert_eq!(call["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn ctrl_c_ends_a_worker_that_never_says_that_it_is_ready() {
    let env = TestEnv::new();
    let marker = format!("{}", 60_000 + std::process::id());
    let started = env.project().join("started");
    let script = format!("#!/bin/sh\ntouch {}\nexec sleep {marker}\n", started.display());
    let worker = env.write("worker", script);
    std::fs::set_permissions(&worker, PermissionsExt::from_mode(0o755)).unwrap();
    let entry = Entry::Binary { binary: worker.to_str().unwrap().into(), handler: "any".into() };
    env.publish("mute", entry, |_| {});
    let mut child = env.command(["call", "mute"]).stderr(Stdio::null()).spawn().unwrap();
    eventually(|| started.exists());
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(running(&format!("sleep {marker}")), 0);
    let call = &env.vdeploy("calls ls --json").exits(0).json()[0];
    // A worker that nobody wants any more would be waited for that long.
    assert!(call["seconds"].as_f64().unwrap() < 30.0, "{call}");
}

#[test]
fn a_program_that_fills_the_disk_is_told_so() {
    let Some(namespace) = Namespace::new() else { return };
    let env = TestEnv::new();
    env.publish_script("fills", r#"head -c 9000000 /dev/zero > "$VDEPLOY_SCRATCH/big""#);
    env.publish_script(
        "fills-and-hides-it",
        r#"head -c 9000000 /dev/zero > "$VDEPLOY_SCRATCH/big" 2> /dev/null || exit 3; echo 1"#,
    );
    let calls = env.vdeploy_home().join("calls");
    for (function, status) in [("fills", 1), ("fills-and-hides-it", 3)] {
        let ran = namespace.with_small_disk(&env, &calls, &format!("call {function}")).exits(5);
        let message = format!("error: `sh` exited with status {status} because the disk is full");
        assert!(ran.stderr.contains(&message), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: make room"), "{}", ran.stderr);
    }
}

#[test]
fn a_queue_on_a_full_disk_says_so_and_loses_nothing() {
    let Some(namespace) = Namespace::new() else { return };
    let env = TestEnv::new();
    let home = env.vdeploy_home();
    let filler = home.join("filler");
    let script = format!(
        r#"read -r args; case "$args" in *'"n":50}}'*) [ -e {0}.once ] || {{
           touch {0}.once; cat /dev/zero > {1} 2> /dev/null; }};; esac; echo "$args""#,
        env.project().join("filler").display(),
        filler.display()
    );
    // One at a time, since another that starts on the full disk would fail for that.
    env.publish("fills", sh(&script), |function| function.scaling.max_containers = Some(1));
    env.publish("echo", Entry::Builtin { handler: "echo".into() }, |_| {});
    let inputs: String = (0..100).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    env.write("inputs.jsonl", inputs);
    let map = "map fills --inputs inputs.jsonl --map-id m-1";
    let script = format!(
        "{map} > first; echo $? > status; $VDEPLOY call echo; echo $? >> status; rm {0}
         $VDEPLOY {map} > second; echo $? >> status; $VDEPLOY calls ls -n 0 --json",
        filler.display()
    );
    let ran = namespace.with_small_disk(&env, &home, &script).exits(0);
    let status = std::fs::read_to_string(env.project().join("status")).unwrap();
    assert_eq!(status, "1\n1\n0\n", "{}", ran.stderr);
    assert!(ran.stderr.contains("database or disk is full"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: nothing that was accepted is lost"), "{}", ran.stderr);
    let results = std::fs::read_to_string(env.project().join("second")).unwrap();
    assert_eq!(results.lines().count(), 100);
    let first = std::fs::read_to_string(env.project().join("first")).unwrap();
    for line in first.lines() {
        assert!(results.contains(line), "what was said to be done was done again: {line}");
    }
}

#[test]
fn a_program_that_is_killed_for_memory_is_told_so() {
    let Some(group) = SmallMemory::new() else { return };
    let env = TestEnv::new();
    let join = format!("echo $$ > {}/cgroup.procs", group.0.display());
    env.publish_script("greedy", &format!("{join}; exec tail /dev/zero"));
    env.publish_script("greedy-child", &format!("{join}; tail /dev/zero"));
    for function in ["greedy", "greedy-child"] {
        let ran = env.vdeploy(&format!("call {function}")).exits(5);
        let message = "error: `sh` was killed because there was no memory left";
        assert!(ran.stderr.contains(message), "{function}: {}", ran.stderr);
        assert!(ran.stderr.contains("lower `max_containers`"), "{}", ran.stderr);
    }
    env.publish_script("modest", "echo '{}'");
    assert_eq!(env.vdeploy("call modest").exits(0).json(), json!({}));
}

/// A view of the file system of its own, in which anyone may mount.
struct Namespace;

const ENTER: [&str; 3] = ["--user", "--map-root-user", "--mount"];

impl Namespace {
    fn new() -> Option<Self> {
        let works = Command::new("unshare").args(ENTER).arg("true").status();
        if works.is_ok_and(|status| status.success()) {
            return Some(Namespace);
        }
        eprintln!("not tested: this machine makes no mount namespace for this user");
        None
    }

    /// Runs `vdeploy LINE` while `folder` is on a disk of 8 MiB, with what is in it now.
    fn with_small_disk(&self, env: &TestEnv, folder: &Path, line: &str) -> Ran {
        let vdeploy = env.command(["--version"]);
        let folder = folder.display();
        let script = format!(
            "set -e; mkdir -p {folder}; cp -a {folder} kept; mount -t tmpfs -o size=8m none {folder}
             cp -a kept/. {folder}; rm -r kept; set +e; $VDEPLOY {line}"
        );
        let mut command = Command::new("unshare");
        command.args(ENTER).args(["sh", "-c", &script]).env_clear();
        let variables = vdeploy.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(variables).env("VDEPLOY", vdeploy.get_program());
        ran(command.current_dir(env.project()).output().unwrap())
    }
}

/// A control group with little memory, removed when dropped.
struct SmallMemory(PathBuf);

impl SmallMemory {
    /// None where this user may not make one.
    fn new() -> Option<Self> {
        let layouts =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        for (root, limit) in layouts {
            let group = Path::new(root).join(format!("vdeploy-test-{}", std::process::id()));
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let group = SmallMemory(group);
            if std::fs::write(group.0.join(limit), "20000000").is_ok() {
                return Some(group);
            }
        }
        eprintln!("not tested: this user may not limit memory here");
        None
    }
}

impl Drop for SmallMemory {
    fn drop(&mut self) {
        // One that is still in use stays; it holds nothing.
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_program_that_leaves_nothing_leaves_no_folders() {
    let env = TestEnv::new();
    env.publish_script("tidy", "echo gone > \"$VDEPLOY_SCRATCH\"/part; echo '{}'");
    env.vdeploy("call tidy").exits(0);
    let left = std::fs::read_dir(env.vdeploy_home().join("calls")).unwrap().count();
    assert_eq!(left, 0, "a call's folder holds a log or artifacts, or isn't there");
}
