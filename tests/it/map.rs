//! `vdeploy map`: results, order, failures, resuming and wrong inputs.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv, eventually, interrupt, ran, sh};
use crate::process::running;

fn echo_env() -> TestEnv {
    let env = TestEnv::new();
    env.publish("echo", Entry::Builtin { handler: "echo".into() }, |_| {});
    env
}

fn numbers(env: &TestEnv, count: usize) {
    let lines: String = (0..count).map(|n| format!("{{\"n\": {n}}}\n")).collect();
    env.write("inputs.jsonl", lines);
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn map_id(ran: &Ran) -> String {
    let line = ran.stderr.lines().find(|line| line.starts_with("map m-")).unwrap();
    line.trim_start_matches("map ").to_owned()
}

#[test]
fn every_input_has_one_result_in_order_when_asked() {
    let env = echo_env();
    numbers(&env, 700);
    let ran = env.vdeploy("map echo --inputs inputs.jsonl --ordered").exits(0);
    let results = lines(&ran);
    assert_eq!(results.len(), 700);
    for (index, line) in results.iter().enumerate() {
        assert_eq!(line["index"], index);
        assert_eq!(line["result"], json!({ "n": index }));
    }
    let recorded = env.vdeploy("calls ls -n 0 --json").exits(0).json();
    assert_eq!(recorded.as_array().unwrap().len(), 700);
}

#[test]
fn programs_of_a_map_see_nothing_of_each_other_and_leave_nothing() {
    let env = TestEnv::new();
    let script = "args=$(cat); echo '{\"progress\": {\"fraction\": 0.5}}' > $VDEPLOY_EVENTS
        files=$(ls | wc -l)
        case $args in
            *3*) echo it was $args >&2;;
            *5*) echo $args > $VDEPLOY_ARTIFACTS/made.txt;;
            *7*) touch left.txt;;
        esac
        echo \"{\\\"files\\\": $files, \\\"scratch\\\": \\\"$VDEPLOY_SCRATCH\\\"}\"";
    env.publish("works", sh(script), |function| function.retries.max = 0);
    numbers(&env, 30);
    let ran = env.vdeploy("map works --inputs inputs.jsonl --ordered").exits(0);
    for (n, line) in lines(&ran).iter().enumerate() {
        let (id, result) = (line["call"].as_str().unwrap(), &line["result"]);
        assert_eq!(result["files"], 0, "{line}");
        assert!(result["scratch"].as_str().unwrap().contains(id), "{line}");
        let logs = env.vdeploy(&format!("calls logs {id}")).exits(0).stdout;
        assert_eq!(logs.contains("it was"), n.to_string().contains('3'), "{n}: {logs}");
        let folder = env.vdeploy_home().join("calls").join(id);
        let kept = n.to_string().contains('5') && !n.to_string().contains('3');
        assert_eq!(folder.join("artifacts/made.txt").exists(), kept, "{n}");
        assert_eq!(folder.exists(), kept || n.to_string().contains('3'), "{n}");
    }
    assert!(!env.vdeploy_home().join("spares").exists());
}

#[test]
fn a_wrong_input_is_named_by_its_line_and_nothing_is_queued() {
    let env = echo_env();
    env.write("inputs.jsonl", "{\"n\": 1}\n\n[2]\n{\"n\": 3}\n");
    let ran = env.vdeploy("map echo --inputs inputs.jsonl").exits(2);
    assert!(ran.stderr.contains("line 3 of inputs.jsonl isn't a JSON object"), "{}", ran.stderr);
    assert_eq!(env.vdeploy("calls ls --json").exits(0).json(), json!([]));
    let rest = env.vdeploy("map echo --inputs inputs.jsonl --keep-going --ordered").exits(5);
    let results: Vec<_> = lines(&rest).iter().map(|line| line["result"]["n"].clone()).collect();
    assert_eq!(results, [1, 3]);
}

#[test]
fn inputs_that_fail_the_schema_are_named_by_their_line() {
    let env = TestEnv::new();
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    env.publish("strict", sh("cat"), |function| function.schema = Some(schema));
    env.write("inputs.jsonl", "{\"n\": 1}\n{\"n\": \"two\"}\n");
    let ran = env.vdeploy("map strict --inputs inputs.jsonl").exits(2);
    assert!(ran.stderr.contains("line 2 of inputs.jsonl: argument `n` is wrong"), "{}", ran.stderr);
}

#[test]
fn a_failure_stops_the_map_unless_it_is_to_go_on_and_the_rest_can_be_done_later() {
    let env = TestEnv::new();
    let broken = env.write("broken", "");
    let script = format!(
        r#"read -r args; case "$args" in *'"n":3'*) [ -e {} ] && exit 9;; esac; echo "$args""#,
        broken.display()
    );
    env.publish("picky", sh(&script), |_| {});
    numbers(&env, 8);
    let first = env.vdeploy("map picky --inputs inputs.jsonl --keep-going").exits(5);
    assert_eq!(lines(&first).len(), 8);
    assert!(first.stderr.contains("7 of 8 done, 1 failed"), "{}", first.stderr);
    let failed = lines(&first).into_iter().find(|line| line["status"] == "failed").unwrap();
    assert_eq!(failed["index"], 3);

    std::fs::remove_file(broken).unwrap();
    let again = format!("map picky --inputs inputs.jsonl --ordered --map-id {}", map_id(&first));
    let second = env.vdeploy(&again).exits(0);
    assert_eq!(lines(&second).len(), 8);
    assert!(second.stderr.contains("8 of 8 done, 7 of them earlier"), "{}", second.stderr);
    let calls = env.vdeploy("calls ls -n 0 --json").exits(0).json();
    assert_eq!(calls.as_array().unwrap().len(), 9, "only the failed one was done again");
}

#[test]
fn an_earlier_map_is_not_continued_with_other_inputs() {
    let env = echo_env();
    numbers(&env, 3);
    let first = env.vdeploy("map echo --inputs inputs.jsonl").exits(0);
    env.write("inputs.jsonl", "{\"n\": 0}\n{\"n\": 99}\n");
    let id = map_id(&first);
    let ran = env.vdeploy(&format!("map echo --inputs inputs.jsonl --map-id {id}")).exits(1);
    assert!(ran.stderr.contains("was run before with another input 1"), "{}", ran.stderr);
}

#[test]
fn files_are_inputs_by_pattern() {
    let env = echo_env();
    for name in ["b.mov", "a.mov", "c.txt", "deep/d.mov"] {
        env.write(&format!("clips/{name}"), "");
    }
    let ran = env
        .run([
            "map",
            "echo",
            "--glob",
            "clips/*.mov",
            "--ordered",
            "--args",
            "output={stem}-{index}.mp4",
        ])
        .exits(0);
    let results = lines(&ran);
    let outputs: Vec<_> = results.iter().map(|line| line["result"]["output"].clone()).collect();
    assert_eq!(outputs, ["a-0.mp4", "b-1.mp4"]);
    let none = env.run(["map", "echo", "--glob", "clips/*.mkv"]).exits(2);
    assert!(none.stderr.contains("no file matches"), "{}", none.stderr);
}

#[test]
fn a_map_uses_as_many_workers_as_its_function_may_have() {
    let env = TestEnv::new();
    let script = format!(
        r#"dir={0}; echo > "$dir/$$"; ls "$dir" | wc -l; rm "$dir/$$""#,
        env.project().join("running").display()
    );
    std::fs::create_dir(env.project().join("running")).unwrap();
    env.publish("alone", sh(&script), |function| function.scaling.max_containers = Some(1));
    numbers(&env, 12);
    let ran = env.vdeploy("map alone --inputs inputs.jsonl").exits(0);
    assert!(lines(&ran).iter().all(|line| line["result"] == 1), "{}", ran.stdout);
}

fn pairs_env() -> TestEnv {
    let env = TestEnv::new();
    let schema = json!({ "type": "object", "properties": {
        "width": { "type": "integer" }, "height": { "type": "integer" }, "name": { "type": "string" } } });
    env.publish("size", sh("cat"), |function| function.schema = Some(schema));
    env
}

#[test]
fn arrays_are_arguments_in_the_order_of_the_schema() {
    let env = pairs_env();
    env.write("inputs.jsonl", "[4, 3]\n[16, 9, \"wide\"]\n");
    let ran = env.vdeploy("map size --starmap --inputs inputs.jsonl --ordered").exits(0);
    let results: Vec<_> = lines(&ran).iter().map(|line| line["result"].clone()).collect();
    let wide = json!({ "width": 16, "height": 9, "name": "wide" });
    assert_eq!(results, [json!({ "width": 4, "height": 3 }), wide]);

    env.write("inputs.jsonl", "[1, 2, \"a\", 4]\n");
    let long = env.vdeploy("map size --starmap --inputs inputs.jsonl").exits(2);
    assert!(long.stderr.contains("has 4 values and the function takes 3"), "{}", long.stderr);
    env.write("inputs.jsonl", "{\"width\": 1}\n");
    let object = env.vdeploy("map size --starmap --inputs inputs.jsonl").exits(2);
    assert!(object.stderr.contains("isn't a JSON array"), "{}", object.stderr);
    let echo = echo_env();
    echo.write("inputs.jsonl", "[1]\n");
    let none = echo.vdeploy("map echo --starmap --inputs inputs.jsonl").exits(2);
    assert!(none.stderr.contains("doesn't say which arguments it takes"), "{}", none.stderr);
}

#[test]
fn a_map_for_each_prints_how_many_and_nothing_else() {
    let env = pairs_env();
    env.write("inputs.jsonl", "{\"width\": 1}\n{\"width\": 2}\n");
    let ran = env.vdeploy("map size --for-each --inputs inputs.jsonl").exits(0);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("2 of 2 done"), "{}", ran.stderr);
    env.publish_script("fails", "exit 1");
    let failed = env.vdeploy("map fails --for-each --keep-going --inputs inputs.jsonl").exits(5);
    assert!(failed.stderr.contains("0 of 2 done, 2 failed"), "{}", failed.stderr);
}

#[test]
fn a_long_map_that_is_stopped_ends() {
    let env = TestEnv::new();
    env.publish_script("fails", "exit 1");
    numbers(&env, 600);
    let ran = env.vdeploy("map fails --inputs inputs.jsonl").exits(5);
    assert!(ran.stderr.contains("to go on"), "{}", ran.stderr);
    let open = env.vdeploy("calls ls -n 0 --state queued --state running --json").exits(0).json();
    assert_eq!(open, json!([]));
}

#[test]
fn a_call_that_someone_else_cancels_is_missing_from_the_map() {
    let env = TestEnv::new();
    let gate = env.project().join("gate");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &gate, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // Opening the pipe for reading waits until the test opens it for writing, and that stays so.
    let script = format!("read -r args < {}; echo '{{}}'", gate.display());
    env.publish("waits", sh(&script), |function| function.scaling.max_containers = Some(1));
    // More than the executor holds in memory while they wait.
    numbers(&env, 100);
    let map = env
        .command(["map", "waits", "--inputs", "inputs.jsonl", "--map-id", "m-1", "-k"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually(|| calls_of(&env, "m-1").len() == 100);
    let newest = calls_of(&env, "m-1")[0]["id"].as_str().unwrap().to_owned();
    env.run(["calls", "cancel", &newest]).exits(0);
    let go = std::fs::OpenOptions::new().read(true).write(true).open(&gate).unwrap();
    (&go).write_all(&b"go\n".repeat(100)).unwrap();
    let ran = ran(map.wait_with_output().unwrap()).exits(5);
    assert!(ran.stderr.contains("99 of 100 done, 1 cancelled"), "{}", ran.stderr);
    let cancelled = lines(&ran).into_iter().find(|line| line["status"] == "cancelled").unwrap();
    assert_eq!(cancelled["call"], newest);
}

#[test]
fn a_map_that_nobody_reads_stops_and_says_how_to_go_on() {
    let env = TestEnv::new();
    env.publish("slow", sh("cat"), |function| function.scaling.max_containers = Some(1));
    numbers(&env, 600);
    let mut map = env
        .command(["map", "slow", "--inputs", "inputs.jsonl", "--map-id", "m-1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(map.stdout.take());
    let ran = ran(map.wait_with_output().unwrap()).exits(1);
    assert!(ran.stderr.contains("nobody reads its results"), "{}", ran.stderr);
    assert!(ran.stderr.contains("to go on: add `--map-id m-1`"), "{}", ran.stderr);
    let calls = calls_of(&env, "m-1");
    assert!(calls.iter().any(|call| call["state"] == "cancelled"), "all of it was done");
    assert!(calls.iter().all(|call| call["ended"].is_string()), "something is still open");
}

#[test]
fn a_second_ctrl_c_ends_a_map_whose_programs_do_not_stop() {
    let env = TestEnv::new();
    let marker = format!("{}", 50_000 + std::process::id());
    let started = env.project().join("started");
    let script = format!("trap '' TERM; : > {}; exec sleep {marker}", started.display());
    env.publish_script("stubborn", &script);
    numbers(&env, 3);
    let mut map = env
        .command(["map", "stubborn", "--inputs", "inputs.jsonl"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually(|| started.exists());
    interrupt(&map);
    let mut said = BufReader::new(map.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("again to end it at once")));
    interrupt(&map);
    assert_eq!(map.wait().unwrap().code(), Some(130));
    let rest: Vec<_> = said.collect();
    assert!(!rest.iter().any(|line| line.contains("of other commands")), "{rest:?}");
    assert_eq!(running(&format!("sleep {marker}")), 0);
}

#[test]
fn a_result_names_its_map() {
    let env = echo_env();
    numbers(&env, 1);
    let ran = env.vdeploy("map echo --quiet --inputs inputs.jsonl --map-id m-1").exits(0);
    assert_eq!(lines(&ran)[0]["map"], "m-1");
}

/// The map's calls that are recorded, newest first.
fn calls_of(env: &TestEnv, map: &str) -> Vec<Value> {
    let ran = env.run(["calls", "ls", "-n", "0", "--map", map, "--json"]).exits(0);
    ran.json().as_array().unwrap().clone()
}
