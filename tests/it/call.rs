//! `vdeploy call`: results, arguments, failures, cancellation and what is left behind.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use serde_json::json;
use vdeploy_runtime::function::Entry;

use crate::env::{TestEnv, eventually, interrupt, sh};
use crate::process::{self, running};

fn echo_env() -> TestEnv {
    let env = TestEnv::new();
    env.publish("echo", Entry::Builtin { handler: "echo".into() }, |_| {});
    env
}

#[test]
fn a_result_comes_back_on_stdout_and_nothing_else_does() {
    let ran = echo_env().vdeploy("call echo --args a=1 b=text").exits(0);
    assert_eq!(ran.stdout, "{\"a\":1,\"b\":\"text\"}\n");
}

#[test]
fn arguments_come_as_json_from_a_file_or_from_stdin() {
    let env = echo_env();
    env.write("args.json", r#"{"from": "file"}"#);
    let file = env.vdeploy("call demo/echo --args @args.json").exits(0);
    assert_eq!(file.json(), json!({ "from": "file" }));
    let inline = env.run(["call", "echo", "--args", r#"{"from": "flag"}"#]).exits(0);
    assert_eq!(inline.json(), json!({ "from": "flag" }));
    let mut command = env.command(["call", "echo", "--args", "-"]);
    let stdin = env.write("stdin.json", r#"{"from": "stdin"}"#);
    let output = command.stdin(std::fs::File::open(stdin).unwrap()).output().unwrap();
    assert_eq!(crate::env::ran(output).json(), json!({ "from": "stdin" }));
}

#[test]
fn an_unknown_function_is_answered_with_the_nearest() {
    let ran = echo_env().vdeploy("call ehco").exits(1);
    assert!(ran.stderr.contains("did you mean `demo/echo`"), "{}", ran.stderr);
}

#[test]
fn arguments_are_checked_before_anything_is_recorded() {
    let env = TestEnv::new();
    let schema = json!({
        "type": "object",
        "properties": { "width": { "type": "integer", "description": "Pixels." } },
        "additionalProperties": false,
    });
    env.publish("strict", sh("cat"), |function| function.schema = Some(schema));
    let unknown = env.vdeploy("call strict --args widht=3").exits(2);
    assert_eq!(
        unknown.stderr,
        "error: there is no argument `widht`\nhint: did you mean `width`?\n"
    );
    let wrong = env.vdeploy("call strict --args width=wide").exits(2);
    assert!(wrong.stderr.contains("argument `width` is wrong"), "{}", wrong.stderr);
    let garbage = env.run(["call", "strict", "--args", "{\"width\": "]).exits(2);
    assert!(garbage.stderr.contains("aren't JSON"), "{}", garbage.stderr);
    let calls = env.vdeploy("calls ls --json").exits(0);
    assert_eq!(calls.json(), json!([]));
}

#[test]
fn a_program_that_breaks_its_contract_is_told_what_it_did() {
    let env = TestEnv::new();
    let cases = [
        ("fails", "echo why >&2; exit 3", "`sh` exited with status 3", "why"),
        ("silent", "exit 0", "`sh` exited with status 0 but printed no result", "print one JSON"),
        ("garbage", "echo hello there", "isn't one JSON value", "hello there"),
        ("killed", "kill -9 $$", "`sh` was killed by signal 9", "ran out of memory"),
        ("huge", "head -c 100000000 /dev/zero", "printed more than 16 MiB", "VDEPLOY_ARTIFACTS"),
        (
            "declares",
            r#"echo '{"error": {"message": "the sky is dark", "hint": "wait"}}'; exit 1"#,
            "error: the sky is dark",
            "hint: wait",
        ),
    ];
    for (name, script, message, detail) in cases {
        env.publish_script(name, script);
        let ran = env.vdeploy(&format!("call {name}")).exits(5);
        assert!(ran.stderr.contains(message), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(detail), "{name}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{name}");
    }
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_its_children() {
    let env = TestEnv::new();
    let marker = format!("{}", 10_000 + std::process::id());
    let script = format!("sleep {marker} & sleep {marker}");
    env.publish("slow", sh(&script), |function| function.timeout_seconds = 0.3);
    let ran = env.vdeploy("call slow").exits(5);
    assert!(ran.stderr.contains("took longer than its timeout of 0.3 s"), "{}", ran.stderr);
    assert_eq!(running(&format!("sleep {marker}")), 0);
}

#[test]
fn a_child_left_running_does_not_keep_the_call_waiting() {
    let env = TestEnv::new();
    let marker = format!("{}", 20_000 + std::process::id());
    env.publish_script("forks", &format!("sleep {marker} & echo '{{}}'"));
    env.vdeploy("call forks").exits(0);
    assert_eq!(running(&format!("sleep {marker}")), 0);
}

#[test]
fn ctrl_c_cancels_the_call_and_leaves_nothing_running() {
    let env = TestEnv::new();
    let marker = format!("{}", 30_000 + std::process::id());
    env.publish_script("waits", &report_then(&format!("exec sleep {marker}")));
    let (mut child, _stderr) = start_and_wait_for_progress(&env, "waits");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(running(&format!("sleep {marker}")), 0);
    let calls = env.vdeploy("calls ls --json").exits(0).json();
    assert_eq!(calls[0]["state"], "cancelled");
}

#[test]
fn a_second_ctrl_c_ends_a_program_that_does_not_stop() {
    let env = TestEnv::new();
    let marker = format!("{}", 40_000 + std::process::id());
    let stubborn = format!("trap '' TERM; {}", report_then(&format!("exec sleep {marker}")));
    env.publish_script("stubborn", &stubborn);
    let (mut child, mut stderr) = start_and_wait_for_progress(&env, "stubborn");
    interrupt(&child);
    let mut line = String::new();
    while !line.contains("again to end it at once") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it never said so");
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(!said.contains("of other commands"), "{said}");
    assert_eq!(running(&format!("sleep {marker}")), 0);
    let calls = env.vdeploy("calls ls --json").exits(0).json();
    assert_eq!(calls[0]["state"], "cancelled");
}

#[test]
fn a_killed_command_leaves_its_call_lost_and_nothing_running() {
    let env = echo_env();
    let marker = format!("{}", 40_000 + std::process::id());
    env.publish_script("waits", &report_then(&format!("exec sleep {marker}")));
    let (mut child, _stderr) = start_and_wait_for_progress(&env, "waits");
    child.kill().unwrap();
    child.wait().unwrap();
    env.vdeploy("call echo --args again=true").exits(0);
    assert_eq!(running(&format!("sleep {marker}")), 0);
    let calls = env.vdeploy("calls ls --json").exits(0).json();
    assert_eq!(calls[1]["state"], "lost");
    let why = calls[1]["outcome"]["failure"]["message"].as_str().unwrap();
    assert!(why.contains("was killed"), "{why}");
}

#[test]
fn a_program_gets_its_files_and_its_outputs_appear_whole() {
    let env = TestEnv::new();
    let schema = json!({
        "type": "object",
        "properties": {
            "input": { "type": "string", "format": "input-file" },
            "output": { "type": "string", "format": "output-file" },
        },
    });
    let script = r#"
        read -r args
        input=$(echo "$args" | sed 's/.*"input":"\([^"]*\)".*/\1/')
        output=$(echo "$args" | sed 's/.*"output":"\([^"]*\)".*/\1/')
        tr a-z A-Z < "$input" > "$output"
        echo '{}'"#;
    env.publish("shout", sh(script), |function| function.schema = Some(schema));
    env.write("in.txt", "hello");
    env.vdeploy("call shout --args input=in.txt output=out.txt").exits(0);
    assert_eq!(std::fs::read_to_string(env.project().join("out.txt")).unwrap(), "HELLO");
    let again = env.vdeploy("call shout --args input=in.txt output=out.txt").exits(5);
    assert!(again.stderr.contains("already exists"), "{}", again.stderr);
    env.vdeploy("call shout --args input=in.txt output=out.txt --force").exits(0);
    env.vdeploy("call shout --args input=in.txt --output named.txt").exits(0);
    assert_eq!(std::fs::read_to_string(env.project().join("named.txt")).unwrap(), "HELLO");
    let taken = env.vdeploy("call shout --args input=in.txt --output named.txt").exits(1);
    assert!(taken.stderr.contains("already exists"), "{}", taken.stderr);
    let missing = env.vdeploy("call shout --args input=no.txt output=new.txt").exits(5);
    assert!(missing.stderr.contains("can't read input"), "{}", missing.stderr);
    assert!(missing.stderr.contains("hint: see what is there: `ls -l "), "{}", missing.stderr);
    assert!(!env.project().join("new.txt").exists());
}

#[test]
fn what_a_program_leaves_behind_is_copied_to_where_it_is_wanted() {
    let env = TestEnv::new();
    env.publish_script("makes", r#"echo made > "$VDEPLOY_ARTIFACTS/a.txt"; echo '{}'"#);
    env.vdeploy("call makes --output here.txt").exits(0);
    assert_eq!(std::fs::read_to_string(env.project().join("here.txt")).unwrap(), "made\n");
    env.publish_script("makes-nothing", "echo '{}'");
    let none = env.vdeploy("call makes-nothing --output there.txt").exits(1);
    assert!(none.stderr.contains("made no file"), "{}", none.stderr);
}

#[test]
fn a_detached_call_goes_on_without_its_command() {
    let env = echo_env();
    let id = env.vdeploy("call echo --args a=1 --detach").exits(0).stdout;
    let call = env.run(["calls", "get", id.trim(), "--wait", "--json"]).exits(0).json();
    assert_eq!(call["state"], "succeeded");
    assert_eq!(call["outcome"]["result"], json!({ "a": 1 }));
}

#[test]
fn many_detached_calls_leave_one_executor_and_at_most_one_that_waits() {
    let env = echo_env();
    for n in 0..8 {
        env.vdeploy(&format!("call echo --args n={n} --detach")).exits(0);
    }
    for call in env.vdeploy("calls ls --json").exits(0).json().as_array().unwrap() {
        let id = call["id"].as_str().unwrap();
        env.run(["calls", "get", id, "--wait"]).exits(0);
    }
    // Each has said what it had to say before its command ended, or is the one that waits.
    let line = format!("{} executor --until-idle --quiet", env!("CARGO_BIN_EXE_vdeploy"));
    eventually(|| process::of(&env).iter().filter(|process| process.line == line).count() <= 2);
}

#[test]
fn an_attempt_finds_nothing_of_one_that_was_killed() {
    let env = TestEnv::new();
    let script = r#"
        if [ "$VDEPLOY_ATTEMPT" = 1 ]; then
            touch "$VDEPLOY_SCRATCH/left" "$VDEPLOY_ARTIFACTS/left"
            kill -9 $PPID
        fi
        echo "{\"left\": $(ls "$VDEPLOY_SCRATCH" "$VDEPLOY_ARTIFACTS" | grep -c left)}""#;
    env.publish("dies", sh(script), |function| {
        function.retries.max = 1;
        function.retries.initial_delay_seconds = 0.01;
    });
    let ran = env.vdeploy("call dies").exits(0);
    assert_eq!(ran.json(), json!({ "left": 0 }));
    assert!(ran.stderr.contains("was killed (signal 9)"), "{}", ran.stderr);
}

#[test]
fn failures_are_retried_as_often_as_declared() {
    let env = TestEnv::new();
    let script =
        r#"[ "$VDEPLOY_ATTEMPT" -ge 3 ] && echo "{\"attempt\": $VDEPLOY_ATTEMPT}" || exit 1"#;
    env.publish("flaky", sh(script), |function| {
        function.retries.max = 2;
        function.retries.initial_delay_seconds = 0.01;
    });
    let ran = env.vdeploy("call flaky").exits(0);
    assert_eq!(ran.json(), json!({ "attempt": 3 }));
    let call = &env.vdeploy("calls ls --json").exits(0).json()[0];
    assert_eq!(call["attempts"].as_array().unwrap().len(), 3);
}

/// A script that says it has started, then does `what`.
fn report_then(what: &str) -> String {
    format!(r#"echo '{{"progress": {{"phase": "processing"}}}}' > "$VDEPLOY_EVENTS"; {what}"#)
}

/// Starts a call and waits until its program has spoken.
fn start_and_wait_for_progress(env: &TestEnv, function: &str) -> (Child, impl BufRead + use<>) {
    let mut child = env
        .command(["call", function])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("processing") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the call ended early");
    }
    (child, stderr)
}

#[test]
fn a_secret_reaches_its_function_and_no_output() {
    let env = TestEnv::new();
    let key = "hunter2-and-more";
    env.vdeploy(&format!("secret create api TOKEN={key}")).exits(0);
    let script = r#"echo "token $TOKEN" >&2; echo "{\"length\": ${#TOKEN}, \"said\": \"$TOKEN\"}""#;
    env.publish("with", sh(script), |function| function.secrets = vec!["api".into()]);
    env.publish_script("without", r#"echo "{\"length\": ${#TOKEN}}""#);
    let with = env.vdeploy("call with").exits(0).json();
    assert_eq!(with, json!({ "length": key.len(), "said": "***" }));
    assert_eq!(env.vdeploy("call without").exits(0).json(), json!({ "length": 0 }));
    let calls = env.vdeploy("calls ls with --json").exits(0).json();
    let log = env.run(["calls", "logs", calls[0]["id"].as_str().unwrap()]).exits(0);
    assert_eq!(log.stdout, "token ***\n");
}

#[test]
fn a_call_is_cancelled_by_id_from_another_command() {
    let env = TestEnv::new();
    env.publish_script("waits", &report_then("exec sleep 1000"));
    let id = env.vdeploy("call waits --detach").exits(0).stdout;
    let id = id.trim();
    let ran = env.run(["calls", "cancel", id]).exits(0);
    assert_eq!(ran.stderr, format!("cancelled {id}\n"));
    let call = env.run(["calls", "get", id, "--wait", "--json"]).exits(5).json();
    assert_eq!(call["state"], "cancelled");
    let unknown = env.run(["calls", "cancel", "c-nothing"]).exits(1);
    assert!(unknown.stderr.contains("no call has the id `c-nothing`"), "{}", unknown.stderr);
}

#[test]
fn what_a_reader_no_longer_wants_is_not_an_error() {
    let env = echo_env();
    let mut child = env
        .command(["call", "echo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(said, "");
}

#[test]
fn an_ended_call_is_made_again_or_forgotten() {
    let env = echo_env();
    env.vdeploy("call echo --args a=1").exits(0);
    let first =
        env.vdeploy("calls ls --json").exits(0).json()[0]["id"].as_str().unwrap().to_owned();
    let again = env.run(["calls", "retry", &first]).exits(0).stdout;
    let call = env.run(["calls", "get", again.trim(), "--wait"]).exits(0);
    assert_eq!(call.json(), json!({ "a": 1 }));
    assert_eq!(env.vdeploy("calls prune").exits(0).stderr, "forgot 0 calls\n");
    assert_eq!(env.vdeploy("calls prune --older-than 0s").exits(0).stderr, "forgot 2 calls\n");
    assert_eq!(env.vdeploy("calls ls --json").exits(0).json(), json!([]));
}
