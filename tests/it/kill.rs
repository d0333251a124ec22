//! What is true after anything was killed: every call has one outcome or is taken up again, no
//! process is left, and the database is whole.

use std::process::Stdio;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::{TestEnv, sh};
use crate::process;

/// Every named place at which a command that calls a function may die.
const FAILPOINTS: [&str; 6] =
    ["accept", "claim", "spawn", "outcome", "before-commit", "after-commit"];

fn echo_env() -> TestEnv {
    let env = TestEnv::new();
    env.publish("echo", Entry::Builtin { handler: "echo".into() }, |_| {});
    env
}

fn calls(env: &TestEnv) -> Vec<Value> {
    env.vdeploy("calls ls -n 0 --json").exits(0).json().as_array().unwrap().clone()
}

/// Asserts that the database is whole and that exactly the calls that ended have an outcome.
pub fn assert_whole(env: &TestEnv) {
    let db = rusqlite::Connection::open(env.vdeploy_home().join("queue.db")).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let doubtful: i64 = db
        .query_row(
            "SELECT count(*) FROM calls WHERE (outcome IS NULL) != (state IN ('queued', 'running'))",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(doubtful, 0, "a call has an outcome if and only if it has ended");
    let attempts: i64 = db
        .query_row(
            "SELECT count(*) FROM attempts JOIN calls ON calls.seq = attempts.call
             WHERE attempts.ended IS NULL AND calls.outcome IS NOT NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(attempts, 0, "no attempt of an ended call is open");
}

#[test]
fn a_command_that_dies_anywhere_leaves_calls_that_end_once() {
    for failpoint in FAILPOINTS {
        for pass in 1..=3 {
            let env = echo_env();
            let mut command = env.command(["call", "echo", "--args", "a=1"]);
            let died = command.env("VDEPLOY_FAILPOINT", format!("{failpoint}:{pass}"));
            let status = died.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert!(pass > 1 || status.code().is_none(), "{failpoint} was not passed: {status}");
            let next = env.vdeploy("call echo --args a=2").exits(0);
            assert_eq!(next.json(), json!({ "a": 2 }), "{failpoint}:{pass}");
            let calls = calls(&env);
            let open = calls.iter().filter(|call| call["outcome"].is_null()).count();
            assert_eq!(open, 0, "{failpoint}:{pass}: {calls:?}");
            assert_whole(&env);
        }
    }
}

#[test]
fn a_detached_call_ends_wherever_its_executor_dies() {
    for failpoint in FAILPOINTS {
        let env = echo_env();
        let mut command = env.command(["call", "echo", "--args", "a=1", "--detach"]);
        let died = command.env("VDEPLOY_FAILPOINT", format!("{failpoint}:1"));
        let output = died.stderr(Stdio::null()).output().unwrap();
        let id = String::from_utf8(output.stdout).unwrap();
        // A command that died before it could say the id may have accepted the call all the same.
        env.vdeploy("call echo --args a=2").exits(0);
        for call in calls(&env) {
            let id = call["id"].as_str().unwrap();
            let ended = env.run(["calls", "get", id, "--wait", "--json"]).exits(0).json();
            assert_eq!(ended["state"], "succeeded", "{failpoint}: {ended}");
        }
        if !id.is_empty() {
            assert!(calls(&env).iter().any(|call| call["id"] == id.trim()), "{failpoint}");
        }
        assert_whole(&env);
    }
}

#[test]
fn calls_that_were_detached_survive_a_reboot() {
    let env = TestEnv::new();
    let gate = env.project().join("gate");
    let script =
        format!("while [ ! -e {0} ]; do read -r _ < {0}.fifo; done; echo '{{}}'", gate.display());
    let fifo = env.project().join("gate.fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    env.publish("waits", sh(&script), |_| {});
    let ids: Vec<String> = (0..50)
        .map(|_| env.vdeploy("call waits --detach").exits(0).stdout.trim().to_owned())
        .collect();
    process::kill_all(&env);
    for call in calls(&env) {
        assert!(["queued", "running"].contains(&call["state"].as_str().unwrap()), "{call}");
    }
    std::fs::write(&gate, "").unwrap();
    for id in &ids {
        let call = env.run(["calls", "get", id, "--wait", "--json"]).exits(0).json();
        assert_eq!(call["state"], "succeeded");
    }
    assert_eq!(calls(&env).len(), ids.len());
    assert_whole(&env);
}
