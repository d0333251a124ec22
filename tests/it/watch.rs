//! `vdeploy calls watch` on a pipe.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::env::{TestEnv, interrupt};

#[test]
fn each_change_of_a_call_is_a_line() {
    let env = TestEnv::new();
    let go = env.project().join("go");
    std::process::Command::new("mkfifo").arg(&go).status().unwrap();
    let script = format!(
        r#"echo '{{"progress": {{"phase": "processing", "fraction": 0.5}}}}' > "$VDEPLOY_EVENTS"
           read -r _ < {}; echo '{{"done": true}}'"#,
        go.display()
    );
    env.publish_script("waits", &script);
    env.publish_script("other", "echo '{}'");
    let first = env.vdeploy("call waits --detach").exits(0).stdout;
    let mut child = env
        .command(["calls", "watch", "waits"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut until = |call: &str, state: &str| {
        lines.find(|line| line["call"] == call.trim() && line["state"] == state).unwrap()
    };
    let found = until(&first, "running");
    assert_eq!(found["function"], "demo/waits");
    env.vdeploy("call other").exits(0);
    std::fs::write(&go, "now\n").unwrap();
    let ended = until(&first, "succeeded");
    assert_eq!(ended["outcome"]["result"], json!({ "done": true }));

    let second = env.vdeploy("call waits --detach").exits(0).stdout;
    until(&second, "queued");
    assert_eq!(until(&second, "running")["attempt"], 1);
    assert_eq!(until(&second, "running")["progress"]["fraction"], 0.5);
    std::fs::write(&go, "now\n").unwrap();
    until(&second, "succeeded");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let rest: Vec<_> = lines.collect();
    assert!(rest.iter().all(|line| line["function"] == "demo/waits"), "{rest:?}");
}
