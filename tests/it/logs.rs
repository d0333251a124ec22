//! `vdeploy logs` and `vdeploy calls logs`: what calls say, now and while they go on.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::env::{TestEnv, interrupt, sh};

/// A script that says `first`, waits until the file `go` is there, then says `last`.
fn in_two_parts(env: &TestEnv) -> String {
    let go = env.project().join("go");
    std::process::Command::new("mkfifo").arg(&go).status().unwrap();
    format!("echo first >&2; read -r _ < {}; echo last >&2; echo '{{}}'", go.display())
}

fn let_go(env: &TestEnv) {
    std::fs::write(env.project().join("go"), "now\n").unwrap();
}

fn start(mut command: Command) -> (Child, impl Iterator<Item = String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(Result::unwrap))
}

#[test]
fn a_log_is_followed_while_another_process_runs_the_call_up_to_its_end() {
    let env = TestEnv::new();
    env.publish_script("talks", &in_two_parts(&env));
    let id = env.vdeploy("call talks --detach").exits(0).stdout;
    let (mut child, mut lines) = start(env.command(["calls", "logs", id.trim(), "--follow"]));
    assert_eq!(lines.next().unwrap(), "first");
    let_go(&env);
    assert_eq!(lines.next().unwrap(), "last");
    assert_eq!(lines.next(), None);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let again = env.run(["calls", "logs", id.trim(), "-f"]).exits(0);
    assert_eq!(again.stdout, "first\nlast\n");
    let json = env.run(["calls", "logs", id.trim(), "--json"]).exits(0).stdout;
    let line = |text: &str| format!("{{\"call\":\"{}\",\"line\":\"{text}\"}}\n", id.trim());
    assert_eq!(json, line("first") + &line("last"));
}

#[test]
fn logs_of_running_and_coming_calls_are_followed_and_marked_with_their_calls() {
    let env = TestEnv::new();
    env.publish_script("talks", &in_two_parts(&env));
    env.publish_script("other", "echo other >&2; echo '{}'");
    let first = env.vdeploy("call talks --detach").exits(0).stdout;
    let (mut child, mut lines) = start(env.command(["logs", "demo/talks", "-f"]));
    assert_eq!(lines.next().unwrap(), format!("{} first", first.trim()));
    env.vdeploy("call other").exits(0);
    let_go(&env);
    assert_eq!(lines.next().unwrap(), format!("{} last", first.trim()));
    let second = env.vdeploy("call talks --detach").exits(0).stdout;
    assert_eq!(lines.next().unwrap(), format!("{} first", second.trim()));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let_go(&env);
    env.run(["calls", "get", second.trim(), "--wait"]).exits(0);
    let all = env.vdeploy("logs talks").exits(0).stdout;
    let (first, second) = (first.trim(), second.trim());
    let expected = format!("{first} first\n{first} last\n{second} first\n{second} last\n");
    assert_eq!(all, expected);
    let latest = env.vdeploy("logs talks -n 1").exits(0).stdout;
    assert_eq!(latest, "first\nlast\n");
    let json = env.vdeploy("logs talks -n 1 --json").exits(0).stdout;
    assert_eq!(json.lines().next().unwrap(), format!(r#"{{"call":"{second}","line":"first"}}"#));
}

#[test]
fn following_takes_up_a_call_whose_executor_was_killed() {
    let env = TestEnv::new();
    env.publish("talks", sh("echo said >&2; echo '{}'"), |_| {});
    // Dies once the call is recorded, before anything runs it.
    let mut command = env.command(["call", "talks", "--detach"]);
    command.env("VDEPLOY_FAILPOINT", "accept:1").output().unwrap();
    let id = env.vdeploy("calls ls --json").exits(0).json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(env.run(["calls", "logs", &id, "-f"]).exits(0).stdout, "said\n");
}

#[test]
fn logs_of_what_is_neither_deployed_nor_was_called_are_a_mistake() {
    let env = TestEnv::new();
    env.publish_script("talks", "echo '{}'");
    let ran = env.vdeploy("logs taks").exits(1);
    assert!(ran.stderr.contains("did you mean `demo/talks`"), "{}", ran.stderr);
    assert_eq!(env.vdeploy("logs talks").exits(0).stdout, "");
}
