//! Calls that handlers make: on one slot, nested, cancelled with their parent, resumed, and after
//! kills.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use vdeploy_runtime::function::{Entry, FunctionSpec};

use crate::env::{TestEnv, interrupt, sh};

/// A function of the worker that tests have; one call of it takes the whole machine.
fn publish(env: &TestEnv, handler: &str, change: impl FnOnce(&mut FunctionSpec)) {
    let worker = Path::new(env!("CARGO_BIN_EXE_vdeploy")).with_file_name("examples/test-worker");
    assert!(worker.is_file(), "build it: `cargo build -p vdeploy --examples`");
    let binary = worker.to_str().unwrap().to_owned();
    env.publish(handler, Entry::Binary { binary, handler: handler.into() }, |function| {
        function.resources.cpu = 4096.0;
        change(function);
    });
}

fn world(handlers: &[&str]) -> TestEnv {
    let env = TestEnv::new();
    for handler in handlers {
        publish(&env, handler, |_| {});
    }
    env
}

/// Calls as `calls ls` shows them, oldest first.
fn calls(env: &TestEnv) -> Vec<Value> {
    let mut calls = env.vdeploy("calls ls -n 0 --json").exits(0).json().as_array().unwrap().clone();
    calls.reverse();
    calls
}

#[test]
fn calls_that_call_calls_end_where_there_is_room_for_one() {
    let env = world(&["nest"]);
    let ran = env.vdeploy("call nest --args depth=2 width=3").exits(0);
    assert_eq!(ran.json(), json!(9));
    let calls = calls(&env);
    assert_eq!(calls.len(), 13);
    assert!(calls.iter().all(|call| call["state"] == "succeeded"), "{calls:?}");
    let root = &calls[0]["id"];
    let of = |parent: &Value| calls.iter().filter(|call| call["parent"] == *parent).count();
    assert_eq!(of(root), 3);
    assert!(calls.iter().filter(|call| call["parent"] == *root).all(|call| of(&call["id"]) == 3));
    assert_eq!(calls[1]["function"], "nest:nest");
}

#[test]
fn a_call_costs_nothing_while_it_waits_for_calls_that_it_made() {
    let env = world(&["nest"]);
    let profile = env.vdeploy_home().with_file_name("home/.config/vdeploy/config.toml");
    std::fs::create_dir_all(profile.parent().unwrap()).unwrap();
    std::fs::write(profile, "price_per_hour = 3600.0\n").unwrap();
    env.publish("slow", sh("sleep 0.3; echo 1"), |function| function.resources.cpu = 4096.0);
    env.run(["call", "nest", "--args", "depth=1", "width=1", "function=slow"]).exits(0);
    let calls = calls(&env);
    let figure = |call: &Value, name: &str| call[name].as_f64().unwrap();
    let (parent, child) = (&calls[0], &calls[1]);
    assert_eq!((&parent["function"], &child["function"]), (&json!("nest"), &json!("slow")));
    // A second of the whole machine costs one. Times are recorded in milliseconds.
    let worked = figure(parent, "seconds") - figure(child, "seconds");
    assert!(figure(parent, "cost") <= worked + 0.005, "{calls:?}");
    assert!((figure(child, "cost") - figure(child, "seconds")).abs() < 1e-6, "{calls:?}");
}

#[test]
fn a_function_that_calls_itself_needs_no_second_container() {
    let env = TestEnv::new();
    publish(&env, "nest", |function| function.scaling.max_containers = Some(1));
    let ran = env.run(["call", "nest", "--args", "depth=2", "width=2", "function=nest"]).exits(0);
    assert_eq!(ran.json(), json!(4));
    assert!(calls(&env).iter().all(|call| call["function"] == "nest"));
}

#[test]
fn many_parents_at_once_start_no_more_workers_than_they_must() {
    let env = world(&["nest"]);
    let inputs: String = (0..12).map(|_| "{\"depth\": 1, \"width\": 4}\n").collect();
    env.write("inputs.jsonl", inputs);
    let ran = env.vdeploy("map nest --inputs inputs.jsonl").exits(0);
    assert_eq!(ran.stdout.lines().count(), 12);
    assert_eq!(ran.stdout.matches("\"result\":4").count(), 12, "{}", ran.stdout);
    // One that works, and at most one that waits for it: a parent starts when no other's calls
    // are waiting.
    let workers: std::collections::BTreeSet<u64> =
        calls(&env).iter().map(|call| call["attempts"][0]["worker"].as_u64().unwrap()).collect();
    assert!(workers.len() <= 4, "{workers:?}");
}

#[test]
fn two_waits_at_once_do_not_wait_for_each_other() {
    let ran = world(&["both"]).vdeploy("call both").exits(0);
    assert_eq!(ran.json(), json!(6));
}

#[test]
fn what_an_earlier_attempt_had_done_is_not_done_again() {
    let env = TestEnv::new();
    publish(&env, "resumes", |function| {
        function.retries.max = 1;
        function.retries.initial_delay_seconds = 0.01;
    });
    let folder = env.project().join("traces");
    std::fs::create_dir(&folder).unwrap();
    let argument = format!("folder={}", folder.display());
    let ran = env.run(["call", "resumes", "--args", &argument]).exits(0);
    assert_eq!(ran.json(), json!(["part 0", "part 1", "part 2"]));
    // Three parts, one of them tried twice by its own policy, in two attempts of their parent.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
}

#[test]
fn failures_of_calls_say_which_and_why() {
    let env = world(&["follow", "nest"]);
    let schema =
        json!({ "type": "object", "properties": { "depth": {} }, "additionalProperties": false });
    publish(&env, "nest", |function| function.schema = Some(schema));
    let ran = env.vdeploy("call follow").exits(0);
    let said: Vec<String> = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(said[0], "no function `nets` is deployed |  | did you mean `demo/nest`?");
    assert!(said[1].starts_with("call 0 of `tsen` failed | this worker has no handler `tsen`"));
    assert!(said[2].contains("input 0 of `nest`: there is no argument `folder`"), "{}", said[2]);
}

#[test]
fn the_calls_of_a_cancelled_call_are_cancelled_at_every_level() {
    let env = TestEnv::new();
    publish(&env, "lead", |function| function.resources.cpu = 0.1);
    let (mut child, mut rest) = start(&env, &["call", "lead", "--args", "fail=false", "deep=true"]);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    rest.read_to_string(&mut said).unwrap();
    assert!(!said.contains("of other commands"), "{said}");
    let states: Vec<_> = calls(&env).iter().map(|call| call["state"].clone()).collect();
    assert_eq!(states, ["cancelled"; 4]);
}

#[test]
fn the_calls_of_a_call_that_ends_before_them_are_cancelled() {
    let env = TestEnv::new();
    publish(&env, "lead", |function| function.resources.cpu = 0.1);
    env.vdeploy("call lead --args fail=true deep=false").exits(5);
    let states: Vec<_> = calls(&env).iter().map(|call| call["state"].clone()).collect();
    assert_eq!(states, ["failed", "cancelled", "cancelled"]);
}

#[test]
fn a_call_that_takes_too_long_takes_its_calls_with_it() {
    let env = TestEnv::new();
    publish(&env, "lead", |function| {
        function.resources.cpu = 0.1;
        function.timeout_seconds = 0.5;
    });
    let ran = env.vdeploy("call lead --args fail=false deep=false").exits(5);
    assert!(ran.stderr.contains("took longer than its timeout"), "{}", ran.stderr);
    assert!(calls(&env).iter().all(|call| call["outcome"] != Value::Null));
}

#[test]
fn a_killed_command_leaves_no_call_of_its_calls() {
    let env = TestEnv::new();
    publish(&env, "lead", |function| function.resources.cpu = 0.1);
    let (mut child, _rest) = start(&env, &["call", "lead", "--args", "fail=false", "deep=true"]);
    child.kill().unwrap();
    child.wait().unwrap();
    publish(&env, "nest", |_| {});
    env.vdeploy("call nest --args depth=1 width=1").exits(0);
    let states: Vec<_> = calls(&env).iter().map(|call| call["state"].clone()).collect();
    assert_eq!(states[0], "lost");
    assert_eq!(states[1..4], ["cancelled", "cancelled", "cancelled"]);
    assert_eq!(states[4..], ["succeeded", "succeeded"]);
}

#[test]
fn an_executor_that_dies_among_calls_of_calls_leaves_one_outcome_each() {
    let failpoints = [
        "child",
        "waiting",
        "resume",
        "accept",
        "claim",
        "outcome",
        "before-commit",
        "after-commit",
    ];
    for failpoint in failpoints {
        for pass in [1, 4] {
            let env = world(&["nest"]);
            let mut command =
                env.command(["call", "nest", "--args", "depth=2", "width=2", "--detach"]);
            // The background executor inherits it and dies there; the next one doesn't.
            command.env("VDEPLOY_FAILPOINT", format!("{failpoint}:{pass}"));
            command.stderr(Stdio::null()).output().unwrap();
            env.vdeploy("call nest --args depth=0 width=0").exits(0);
            for call in calls(&env).iter().filter(|call| call["parent"].is_null()) {
                let id = call["id"].as_str().unwrap();
                let ended = env.run(["calls", "get", id, "--wait", "--json"]).exits(0).json();
                assert_eq!(ended["state"], "succeeded", "{failpoint}:{pass}: {ended}");
            }
            for call in calls(&env) {
                let state = call["state"].as_str().unwrap();
                assert!(["succeeded", "cancelled"].contains(&state), "{failpoint}:{pass}: {call}");
            }
            crate::kill::assert_whole(&env);
        }
    }
}

/// Starts a command and waits until its call says that all its calls run.
fn start(env: &TestEnv, args: &[&str]) -> (std::process::Child, impl Read) {
    let mut command = env.command(args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("all run") {
        assert_ne!(lines.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    (child, lines)
}
