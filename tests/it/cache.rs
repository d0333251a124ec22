//! `cache = true`: calls like earlier ones.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::env::{Ran, TestEnv, eventually, sh, signal};

/// A function that makes capitals of a file, and counts how often it ran.
fn shouting() -> TestEnv {
    let env = TestEnv::new();
    let schema = json!({
        "type": "object",
        "properties": {
            "input": { "type": "string", "format": "input-file" },
            "output": { "type": "string", "format": "output-file" },
            "n": { "type": "integer" },
        },
    });
    let script = format!(
        r#"read -r args
        input=$(echo "$args" | sed 's/.*"input":"\([^"]*\)".*/\1/')
        output=$(echo "$args" | sed 's/.*"output":"\([^"]*\)".*/\1/')
        tr a-z A-Z < "$input" > "$output"
        echo ran >> {}
        echo '{{"done": true}}'"#,
        env.project().join("runs").display()
    );
    for environment in ["main", "staging"] {
        env.publish_in(environment, "shout", sh(&script), |function| {
            function.schema = Some(schema.clone());
            function.cache = true;
        });
    }
    env.write("in.txt", "hello");
    env
}

fn runs(env: &TestEnv) -> usize {
    fs::read_to_string(env.project().join("runs")).unwrap_or_default().lines().count()
}

fn text(env: &TestEnv, name: &str) -> String {
    fs::read_to_string(env.project().join(name)).unwrap()
}

fn from_cache(ran: &Ran) -> bool {
    ran.stderr.contains("from the cache: call c-")
}

#[test]
fn a_call_like_an_earlier_one_gives_its_outcome_and_file_at_once() {
    let env = shouting();
    let first = env.vdeploy("call shout --args input=in.txt output=a.txt").exits(0);
    assert!(!from_cache(&first), "{}", first.stderr);
    let second = env.vdeploy("call shout --args output=b.txt input=in.txt").exits(0);
    assert!(from_cache(&second), "{}", second.stderr);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!((text(&env, "b.txt").as_str(), runs(&env)), ("HELLO", 1));
    let calls = env.vdeploy("calls ls --json").exits(0).json();
    assert_eq!(calls[0]["state"], "succeeded");
    assert_eq!(calls[0]["outcome"]["cached_from"], calls[1]["id"]);
    assert_eq!(calls[0]["attempts"], json!([]));
    // What it made is where it is wanted already.
    let again = env.vdeploy("call shout --args input=in.txt output=a.txt").exits(0);
    assert!(from_cache(&again), "{}", again.stderr);
    let detached = env.vdeploy("call shout --args input=in.txt output=c.txt --detach").exits(0);
    env.run(["calls", "get", detached.stdout.trim(), "--wait"]).exits(0);
    assert_eq!((text(&env, "c.txt").as_str(), runs(&env)), ("HELLO", 1));
}

#[test]
fn anything_that_differs_makes_the_call_run() {
    let env = shouting();
    let call = |line: &str| env.vdeploy(&format!("call shout --args input=in.txt {line}")).exits(0);
    call("output=a.txt");
    call("output=b.txt n=1");
    call("output=b.text");
    call("output=c.txt --no-cache");
    assert_eq!(runs(&env), 4);
    fs::write(env.project().join("in.txt"), "other").unwrap();
    call("output=d.txt");
    assert_eq!((text(&env, "d.txt").as_str(), runs(&env)), ("OTHER", 5));
}

#[test]
fn a_file_that_has_vanished_or_changed_is_made_again() {
    let env = shouting();
    env.vdeploy("call shout --args input=in.txt output=a.txt").exits(0);
    fs::remove_file(env.project().join("a.txt")).unwrap();
    env.vdeploy("call shout --args input=in.txt output=a.txt").exits(0);
    assert_eq!((text(&env, "a.txt").as_str(), runs(&env)), ("HELLO", 2));
    fs::write(env.project().join("a.txt"), "mine").unwrap();
    let kept = env.vdeploy("call shout --args input=in.txt output=a.txt").exits(5);
    assert!(kept.stderr.contains("already exists"), "{}", kept.stderr);
    assert_eq!(text(&env, "a.txt"), "mine");
    env.vdeploy("call shout --args input=in.txt output=b.txt").exits(0);
    let taken = env.vdeploy("call shout --args input=in.txt output=a.txt").exits(5);
    assert!(taken.stderr.contains("already exists"), "{}", taken.stderr);
    let forced = env.vdeploy("call shout --args input=in.txt output=a.txt --force").exits(0);
    assert!(from_cache(&forced), "{}", forced.stderr);
    assert_eq!(text(&env, "a.txt"), "HELLO");
}

#[test]
fn files_in_volumes_count_by_their_content_and_are_given_again() {
    let env = shouting();
    env.vdeploy("volume create footage").exits(0);
    env.vdeploy("volume put footage in.txt").exits(0);
    let line = "call shout --args input=vol://footage/in.txt";
    env.vdeploy(&format!("{line} output=vol://footage/a.txt")).exits(0);
    let second = env.vdeploy(&format!("{line} output=b.txt")).exits(0);
    assert!(from_cache(&second), "{}", second.stderr);
    assert_eq!((text(&env, "b.txt").as_str(), runs(&env)), ("HELLO", 1));
    env.write("in.txt", "other");
    env.vdeploy("volume put footage in.txt --force").exits(0);
    env.vdeploy(&format!("{line} output=c.txt")).exits(0);
    assert_eq!((text(&env, "c.txt").as_str(), runs(&env)), ("OTHER", 2));
}

#[test]
fn environments_do_not_share_outcomes() {
    let env = shouting();
    let line = "call shout --args input=in.txt output=vol://foot/a.txt";
    for environment in ["main", "staging"] {
        env.vdeploy(&format!("volume create foot -e {environment}")).exits(0);
        let ran = env.vdeploy(&format!("{line} -e {environment}")).exits(0);
        assert!(!from_cache(&ran), "{}", ran.stderr);
        let listed = env.vdeploy(&format!("volume ls foot -e {environment}")).exits(0);
        assert!(listed.stdout.contains("a.txt"), "{environment}: {}", listed.stdout);
    }
    assert_eq!(runs(&env), 2);
}

#[test]
fn a_service_that_is_terminated_does_not_wait_for_inputs_to_be_read() {
    let env = shouting();
    let big = env.write("big.bin", "");
    fs::File::options().write(true).open(&big).unwrap().set_len(1 << 40).unwrap();
    let mut service =
        env.command(["executor"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let id = env.vdeploy("call shout --args input=big.bin output=a.txt --detach").exits(0).stdout;
    let files = format!("/proc/{}/fd", service.id());
    eventually(|| {
        let mut open = fs::read_dir(&files).unwrap().flatten();
        open.any(|file| fs::read_link(file.path()).is_ok_and(|path| path.ends_with("big.bin")))
    });
    signal(&service, Signal::TERM);
    eventually(|| service_ended(&service));
    assert_eq!(service.wait().unwrap().code(), Some(0));
    let call = env.run(["calls", "get", id.trim(), "--json"]).exits(0).json();
    assert_eq!(call["state"], "queued");
    // Nobody reads it to its end either when the call is cancelled.
    let mut service =
        env.command(["executor"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    env.run(["calls", "cancel", id.trim()]).exits(0);
    eventually(|| {
        let call = env.run(["calls", "get", id.trim(), "--json"]).exits(0).json();
        call["state"] == "cancelled"
    });
    signal(&service, Signal::TERM);
    assert_eq!(service.wait().unwrap().code(), Some(0));
}

/// Whether a process that this one started has ended, though nobody has waited for it.
fn service_ended(service: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", service.id())).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('Z')
}

#[test]
fn a_map_does_only_what_no_earlier_call_did() {
    let env = shouting();
    for n in 0..4 {
        env.write(&format!("clips/{n}.txt"), format!("clip {n}"));
    }
    let map = |output: &str| {
        let output = format!("output={output}/{{stem}}.txt");
        env.run(["map", "shout", "--glob", "clips/*.txt", "--args", &output]).exits(0)
    };
    map("one");
    env.write("clips/4.txt", "clip 4");
    let second = map("two");
    let lines = second.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let cached = lines.filter(|line| line["cached_from"].is_string()).count();
    assert_eq!((cached, runs(&env)), (4, 5));
    assert_eq!(text(&env, "two/3.txt"), "CLIP 3");
    assert_eq!(text(&env, "two/4.txt"), "CLIP 4");
}

#[test]
fn what_was_forgotten_and_what_failed_is_not_given_again() {
    let env = shouting();
    env.vdeploy("call shout --args input=in.txt output=a.txt").exits(0);
    env.vdeploy("calls prune --older-than 0s").exits(0);
    env.vdeploy("call shout --args input=in.txt output=b.txt").exits(0);
    assert_eq!(runs(&env), 2);
    env.publish("fails", sh("exit 1"), |function| function.cache = true);
    env.vdeploy("call fails").exits(5);
    let again = env.vdeploy("call fails").exits(5);
    assert!(!from_cache(&again), "{}", again.stderr);
    // Files that are left in the call's own folder are copied to the next call's.
    env.publish("makes", sh(r#"echo made > "$VDEPLOY_ARTIFACTS/a.txt"; echo '{}'"#), |function| {
        function.cache = true;
    });
    env.vdeploy("call makes").exits(0);
    let copied = env.vdeploy("call makes --output here.txt").exits(0);
    assert!(from_cache(&copied), "{}", copied.stderr);
    assert_eq!(text(&env, "here.txt"), "made\n");
}
