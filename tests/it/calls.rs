//! `vdeploy calls`: made again where they were made, and asked for by names that exist.

use serde_json::json;
use vdeploy_runtime::function::Entry;

use crate::env::TestEnv;

fn echo() -> Entry {
    Entry::Builtin { handler: "echo".into() }
}

/// `echo` in the environment `staging` and nothing in `main`.
fn staging_env() -> TestEnv {
    let env = TestEnv::new();
    env.publish("echo", echo(), |_| {});
    let environments = env.vdeploy_home().join("environments");
    std::fs::rename(environments.join("main"), environments.join("staging")).unwrap();
    env
}

fn newest(env: &TestEnv, environment: &str) -> String {
    let calls = env.run(["calls", "ls", "--json", "--env", environment]).exits(0).json();
    calls[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_call_is_made_again_in_its_own_environment() {
    let env = staging_env();
    env.vdeploy("call echo --args a=1 --env staging").exits(0);
    let first = newest(&env, "staging");
    let ran = env.run(["calls", "retry", &first, "--json"]).exits(0);
    let again = ran.json()["call"].as_str().unwrap().to_owned();
    let record = env.run(["calls", "get", &again, "--wait", "--json"]).exits(0).json();
    assert_eq!(
        (&record["environment"], &record["state"]),
        (&json!("staging"), &json!("succeeded"))
    );
}

#[test]
fn calls_are_made_again_all_or_none() {
    let env = staging_env();
    env.vdeploy("call echo --args a=1 --env staging").exits(0);
    let first = newest(&env, "staging");
    let ran = env.run(["calls", "retry", &first, "c-nope"]).exits(1);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("`c-nope`"), "{}", ran.stderr);
    let calls = env.vdeploy("calls ls --json --env staging").exits(0).json();
    assert_eq!(calls.as_array().unwrap().len(), 1, "{calls}");
}

#[test]
fn a_detached_call_is_named_in_json_when_asked() {
    let env = TestEnv::new();
    env.publish("echo", echo(), |_| {});
    let call = env.vdeploy("--json call echo --detach").exits(0).json()["call"].clone();
    env.run(["calls", "get", call.as_str().unwrap(), "--wait"]).exits(0);
}

#[test]
fn calls_of_what_is_neither_deployed_nor_was_called_are_a_mistake() {
    let env = TestEnv::new();
    env.publish("echo", echo(), |_| {});
    for command in ["calls ls ecko", "calls watch ecko", "calls ls demo/ecko", "logs ecko"] {
        let ran = env.vdeploy(command).exits(1);
        assert!(ran.stderr.contains("demo/echo"), "{command}: {}", ran.stderr);
    }
    assert_eq!(env.vdeploy("calls ls echo").exits(0).stderr, "no calls\n");
}

#[test]
fn a_call_without_attempts_took_no_time() {
    let env = TestEnv::new();
    env.publish("echo", echo(), |function| function.cache = true);
    env.vdeploy("call echo").exits(0);
    env.vdeploy("call echo").exits(0);
    let ran = env.vdeploy("calls ls -n 1").exits(0);
    assert_eq!(ran.stderr, "1 call, 0.0 s of work\n");
    let listed = env.vdeploy("calls ls -n 1 --json").exits(0);
    assert!(listed.stdout.contains("\"seconds\":0.0"), "{}", listed.stdout);
}
