//! Calls that calls on `aws` make of functions by name: jobs of their own.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use super::calls::{PROCESSES, batch, clip, frames, publish, standin, standin_of};
use super::files::{brought, large_clip};
use super::standin::Aws;
use crate::env::{TestEnv, eventually, sh};

/// The worker that only tests have.
fn test_worker() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_vdeploy")).with_file_name("examples/test-worker")
}

fn publish_nest(aws: &Aws) {
    let binary = test_worker().display().to_string();
    let entry = Entry::Binary { binary, handler: "nest".into() };
    publish(aws, "nest", entry, batch("calls"), |_| {});
}

fn calls(aws: &Aws, env: &TestEnv) -> Vec<Value> {
    aws.vdeploy(env, "calls ls -n 0 --json").exits(0).json().as_array().unwrap().clone()
}

#[test]
fn functions_by_name_are_jobs_of_their_own_and_their_caller_waits() {
    let env = TestEnv::new();
    let Some(aws) = standin_of(&env, PROCESSES, &test_worker()) else { return };
    publish_nest(&aws);
    let called = aws.vdeploy(&env, "call nest --args depth=2 width=2 function=nest").exits(0);
    assert_eq!(called.json(), json!(4));
    let calls = calls(&aws, &env);
    assert_eq!(calls.len(), 7);
    assert!(calls.iter().all(|call| call["state"] == "succeeded"), "{calls:?}");
    let root = calls.iter().find(|call| call["parent"].is_null()).unwrap();
    assert_eq!(calls.iter().filter(|call| call["parent"] == root["id"]).count(), 2);
    // The call, a map of two, and by each of those a map of two.
    assert_eq!(aws.requests()["batch:submitjob"], 4, "{}", aws.requests());
    let missing = aws.vdeploy(&env, "call nest --args depth=1 width=1 function=nset").exits(5);
    assert!(missing.stderr.contains("no function `nset`"), "{}", missing.stderr);
}

#[test]
fn calls_of_a_cancelled_call_are_cancelled() {
    let env = TestEnv::new();
    let Some(aws) = standin_of(&env, PROCESSES, &test_worker()) else { return };
    publish_nest(&aws);
    publish(&aws, "slow", sh("cat >/dev/null; sleep 60"), batch("calls"), |_| {});
    let call = "call nest --args depth=1 width=2 function=slow --detach";
    let call = aws.vdeploy(&env, call).exits(0).stdout.trim().to_owned();
    let in_state =
        |state: &str| calls(&aws, &env).iter().filter(|call| call["state"] == state).count();
    eventually(|| in_state("running") == 3);
    aws.vdeploy(&env, &format!("calls cancel {call}")).exits(0);
    eventually(|| in_state("cancelled") == 3);
}

#[test]
fn steps_of_a_pipeline_are_functions_and_files_pass_by_volumes() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    for handler in ["pipeline", "probe"] {
        let entry = Entry::Builtin { handler: handler.into() };
        publish(&aws, handler, entry, batch("calls"), |_| {});
    }
    clip(&env, "clip.mp4");
    let probe = json!({ "function": "probe", "args": { "input": "${input}" } });
    env.write("args.json", json!({ "input": "clip.mp4", "steps": [probe] }).to_string());
    let piped = aws.vdeploy(&env, "call pipeline --args @args.json").exits(0).json();
    assert_eq!(piped["steps"][0]["result"]["width"], 160, "{piped}");

    let small = json!({ "handler": "transcode",
        "args": { "input": "${input}", "output": "small.mp4", "preset": "ultrafast" } });
    let probe = json!({ "function": "probe", "args": { "input": "${transcode}" } });
    env.write("args.json", json!({ "input": "clip.mp4", "steps": [small, probe] }).to_string());
    let refused = aws.vdeploy(&env, "call pipeline --args @args.json").exits(5);
    assert!(refused.stderr.contains("can't pass the path"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: pass files between calls in a volume"));
}

#[test]
fn chunks_are_jobs_of_their_own_that_bring_their_own_bytes() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    for handler in ["chunked", "transcode"] {
        let entry = Entry::Builtin { handler: handler.into() };
        publish(&aws, handler, entry, batch("calls"), |_| {});
    }
    let size = large_clip(&env, 20, 30);
    aws.vdeploy(&env, "volume create footage").exits(0);
    aws.vdeploy(&env, "volume put footage large.mp4").exits(0);
    let before = brought(&aws);
    let call = "call chunked --args input=vol://footage/large.mp4 output=vol://footage/small.mp4 \
                function=transcode workers=4 with={\"preset\":\"ultrafast\",\"crf\":45}";
    let made = aws.vdeploy(&env, call).exits(0).json();
    assert_eq!(made["chunks"].as_array().unwrap().len(), 4, "{made}");
    let brought = brought(&aws) - before;
    // All of it to see where it can be cut and for the sound, and then each part about once.
    assert!(brought < 4 * size, "{brought} of {size} bytes were brought");
    aws.vdeploy(&env, "volume get footage small.mp4 small.mp4").exits(0);
    assert_eq!(frames(env.project().join("small.mp4")), "500");
}

#[test]
fn what_a_step_replaces_in_a_volume_is_what_the_next_one_reads() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    let entry = Entry::Builtin { handler: "pipeline".into() };
    publish(&aws, "pipeline", entry, batch("calls"), |_| {});
    clip(&env, "clip.mp4");
    large_clip(&env, 1, 40);
    aws.vdeploy(&env, "volume create footage").exits(0);
    aws.vdeploy(&env, "volume put footage large.mp4").exits(0);
    let small = json!({ "handler": "transcode", "args": {
        "input": "${input}", "output": "vol://footage/large.mp4", "preset": "ultrafast" } });
    let probe = json!({ "handler": "probe", "args": { "input": "${transcode}" } });
    env.write("args.json", json!({ "input": "clip.mp4", "steps": [small, probe] }).to_string());
    let piped = aws.vdeploy(&env, "call pipeline --force --args @args.json").exits(0).json();
    assert_eq!(piped["steps"][1]["result"]["width"], 160, "{piped}");
}
