//! `vdeploy executor` as a service, and what calls cost and get of the machine.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use rustix::process::Signal;
use vdeploy_runtime::function::Entry;

use crate::env::{TestEnv, eventually, interrupt, sh, signal};

fn executor(env: &TestEnv) -> Child {
    env.command(["executor"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The processes that `parent` has started.
fn children(parent: u32) -> Vec<u64> {
    let parent_of = |pid: u64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let after_name = stat.rsplit_once(')')?.1.to_owned();
        after_name.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

#[test]
fn a_service_holds_workers_ready_and_replaces_them_with_the_deployment() {
    let env = TestEnv::new();
    env.publish("echo", Entry::Builtin { handler: "echo".into() }, |function| {
        function.scaling.min_containers = 1;
        function.scaling.scaledown_window_seconds = 0.0;
    });
    let mut service = executor(&env);
    eventually(|| children(service.id()).len() == 1);
    let ready = children(service.id())[0];
    for _ in 0..2 {
        env.vdeploy("call echo --args a=1").exits(0);
        let calls = env.vdeploy("calls ls --json").exits(0).json();
        assert_eq!(calls[0]["attempts"][0]["worker"], ready);
    }
    // Deployed while the service runs.
    env.write(
        "vdeploy.toml",
        "[app]\nname = \"other\"\n[function.twice]\nhandler = \"echo\"\nmin_containers = 2\n",
    );
    env.vdeploy("deploy -y").exits(0);
    eventually(|| children(service.id()).len() == 3);
    assert!(children(service.id()).contains(&ready));
    signal(&service, Signal::TERM);
    assert_eq!(service.wait().unwrap().code(), Some(0));
    // It was killed; the system takes a moment to forget it.
    eventually(|| !std::path::Path::new(&format!("/proc/{ready}")).exists());
}

#[test]
fn a_call_given_to_a_held_worker_that_dies_ends_with_the_reason_and_leaves_room() {
    use std::os::unix::fs::PermissionsExt;
    let env = TestEnv::new();
    let (go, first) = (env.project().join("go"), env.project().join("first"));
    std::process::Command::new("mkfifo").arg(&go).status().unwrap();
    let script = format!(
        "#!/bin/sh\n[ -e {first} ] && exit 3\ntouch {first}\nread -r _ < {go}\nexit 3\n",
        first = first.display(),
        go = go.display(),
    );
    let binary = env.write("never-ready", script);
    std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).unwrap();
    let entry = serde_json::json!({ "kind": "binary", "binary": binary, "handler": "h" });
    env.publish("f", serde_json::from_value(entry).unwrap(), |function| {
        function.scaling.min_containers = 1;
        function.scaling.max_containers = Some(1);
    });
    let mut service = executor(&env);
    eventually(|| first.exists());
    let id = env.vdeploy("call f --detach").exits(0).stdout;
    let get = |id: &str| env.run(["calls", "get", id.trim(), "--json"]).exits(0).json();
    eventually(|| get(&id)["state"] == "running");
    std::fs::write(&go, "now\n").unwrap();
    eventually(|| get(&id)["state"] == "failed");
    let message = get(&id)["outcome"]["failure"]["message"].clone();
    assert_eq!(message, "the worker of `f` exited with status 3 before it was ready");
    // One at a time may run, and the first doesn't any more.
    let next = env.vdeploy("call f --detach").exits(0).stdout;
    eventually(|| get(&next)["state"] == "failed");
    signal(&service, Signal::TERM);
    assert_eq!(service.wait().unwrap().code(), Some(0));
}

#[test]
fn a_secret_that_is_set_anew_reaches_the_next_call() {
    let env = TestEnv::new();
    let got = env.project().join("got");
    let script = format!("printf %s \"$KEY\" > {}; echo 1", got.display());
    env.publish("f", sh(&script), |function| {
        function.secrets = vec!["s".into()];
        function.scaling.scaledown_window_seconds = 600.0;
    });
    let mut service = executor(&env);
    let call = || {
        env.vdeploy("call f").exits(0);
        (std::fs::read_to_string(&got).unwrap(), children(service.id()))
    };
    let set = |value: &str, flag: &[&str]| {
        let stdin = std::fs::File::open(env.write("value", value)).unwrap();
        let args = [&["secret", "create", "s", "KEY=-"], flag].concat();
        assert!(env.command(args).stdin(stdin).output().unwrap().status.success());
    };
    set("first", &[]);
    let (_, before) = call();
    assert_eq!(call(), ("first".into(), before.clone()), "a warm worker");
    set("second", &["--force"]);
    let (value, after) = call();
    assert_eq!(value, "second");
    assert_ne!(after, before);
    env.vdeploy("secret delete s -y").exits(0);
    let failed = env.vdeploy("call f").exits(5);
    assert!(failed.stderr.contains("no secret named `s`"), "{}", failed.stderr);
    signal(&service, Signal::TERM);
    assert_eq!(service.wait().unwrap().code(), Some(0));
}

#[test]
fn a_service_that_is_terminated_finishes_what_runs() {
    let env = TestEnv::new();
    let go = env.project().join("go");
    std::process::Command::new("mkfifo").arg(&go).status().unwrap();
    let script = format!("echo said >&2; read -r _ < {}; echo '{{\"done\": true}}'", go.display());
    env.publish_script("waits", &script);
    let mut service =
        env.command(["executor"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let id = env.vdeploy("call waits --detach").exits(0).stdout;
    eventually(|| !env.run(["calls", "logs", id.trim()]).stdout.is_empty());
    signal(&service, Signal::TERM);
    let mut line = String::new();
    BufReader::new(service.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "finishing what runs; again to give it back to the queue\n");
    std::fs::write(go, "now\n").unwrap();
    assert_eq!(service.wait().unwrap().code(), Some(0));
    let call = env.run(["calls", "get", id.trim(), "--json"]).exits(0).json();
    assert_eq!(call["state"], "succeeded");
    assert_eq!(call["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_command_says_whose_calls_it_finishes_and_hands_them_over_when_asked() {
    let env = TestEnv::new();
    let go = env.project().join("go");
    std::process::Command::new("mkfifo").arg(&go).status().unwrap();
    let say = r#"echo '{"progress": {"phase": "processing"}}' > "$VDEPLOY_EVENTS""#;
    let first = format!("{say}; read -r _ < {}; echo 1", go.display());
    let second = format!("{say}; sleep 1000");
    for (name, script) in [("first", &first), ("second", &second)] {
        // Both fit on a machine of one core.
        env.publish(name, sh(script), |function| function.resources.cpu = 0.1);
    }
    let start = |name: &str| {
        let mut child = env
            .command(["call", name])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("processing") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "the call ended early");
        }
        (child, stderr)
    };
    let (mut first, mut said) = start("first");
    let (mut second, _stderr) = start("second");
    std::fs::write(go, "now\n").unwrap();
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "finishing 1 call of other commands; Ctrl-C hands them over\n");
    let mut result = String::new();
    BufReader::new(first.stdout.take().unwrap()).read_line(&mut result).unwrap();
    assert_eq!(result, "1\n");
    interrupt(&first);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    let calls = env.vdeploy("calls ls --json").exits(0).json();
    assert!(["queued", "running"].contains(&calls[0]["state"].as_str().unwrap()), "{calls}");
    interrupt(&second);
    assert_eq!(second.wait().unwrap().code(), Some(130));
}

#[test]
fn a_unit_for_systemd_runs_this_program() {
    let env = TestEnv::new();
    let unit = env.vdeploy("executor --print-systemd-unit").exits(0).stdout;
    let program = env!("CARGO_BIN_EXE_vdeploy");
    assert!(unit.contains(&format!("ExecStart=\"{program}\" executor\n")), "{unit}");
    let home = env.vdeploy_home();
    assert!(unit.contains(&format!("Environment=\"VDEPLOY_HOME={}\"\n", home.display())), "{unit}");
    assert!(!unit.contains("{{"), "{unit}");
}

#[test]
fn what_a_function_asks_for_beyond_the_machine_is_said_once() {
    let env = TestEnv::new();
    env.publish("huge", sh("echo 1"), |function| function.resources.cpu = 100_000.0);
    let ran = env.vdeploy("call huge").exits(0);
    let said = "warning: `huge` asks for 100000 cpus; this machine has ";
    assert_eq!(ran.stderr.matches(said).count(), 1, "{}", ran.stderr);
    env.write("inputs.jsonl", "{}\n{}\n{}\n");
    let map = env.vdeploy("map huge --inputs inputs.jsonl").exits(0);
    assert_eq!(map.stderr.matches(said).count(), 1, "{}", map.stderr);
}

#[test]
fn calls_cost_their_share_of_a_machine_that_has_a_price() {
    let env = TestEnv::new();
    env.publish("work", sh("echo 1"), |function| function.resources.cpu = 100_000.0);
    env.vdeploy("call work").exits(0);
    let free = env.vdeploy("calls ls --json").exits(0).json();
    assert!(free[0]["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(free[0].get("cost"), None);

    let profile = env.vdeploy_home().with_file_name("home/.config/vdeploy/config.toml");
    std::fs::create_dir_all(profile.parent().unwrap()).unwrap();
    std::fs::write(profile, "price_per_hour = 3600.0\n").unwrap();
    env.vdeploy("call work").exits(0);
    let calls = env.vdeploy("calls ls --json").exits(0).json();
    // A call that claims the whole machine costs as much as the machine.
    let (cost, seconds) =
        (calls[0]["cost"].as_f64().unwrap(), calls[0]["seconds"].as_f64().unwrap());
    assert!((cost - seconds).abs() < 1e-6, "{cost} {seconds}");
    let listed = env.vdeploy("calls ls").exits(0);
    assert!(
        listed.stderr.contains(&format!(
            "2 calls, {:.1} s of work, cost ",
            seconds + free[0]["seconds"].as_f64().unwrap()
        )),
        "{}",
        listed.stderr
    );
}

#[test]
fn short_help_is_about_the_command_and_long_help_about_everything() {
    let env = TestEnv::new();
    let short = env.vdeploy("calls ls -h").exits(0).stdout;
    assert!(short.contains("--since") && !short.contains("--no-progress"), "{short}");
    let long = env.vdeploy("calls ls --help").exits(0).stdout;
    assert!(long.contains("--no-progress"), "{long}");
}
