//! Workers, executors, programs and commands are killed at random while a map and other commands
//! run. In the end every call has exactly one outcome, nothing is left running, and the database
//! is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use vdeploy_runtime::function::{Entry, FunctionSpec};

use crate::env::{TestEnv, eventually, sh};
use crate::kill::assert_whole;
use crate::process::{self, Process};

/// Takes a little while, in a child, and returns its arguments.
const PROGRAM: &str = r#"read -r args; sleep 0.01 & wait $!; echo "$args""#;

#[test]
fn a_short_soak_ends_with_one_outcome_of_each_call() {
    soak(&Plan { inputs: 120, kills: 10, seed: 1 });
}

#[test]
#[ignore = "takes minutes; `make soak` runs it"]
fn a_long_soak_ends_with_one_outcome_of_each_call() {
    let number = |name, default| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
    };
    soak(&Plan {
        inputs: number("SOAK_INPUTS", 2000),
        kills: number("SOAK_KILLS", 200),
        seed: number("SOAK_SEED", u64::from(std::process::id())),
    });
}

/// How much is done, and how much of it is disturbed.
#[derive(Debug)]
struct Plan {
    inputs: u64,
    kills: u64,
    /// Of the choice of moments and victims. How the machine schedules the rest isn't repeated.
    seed: u64,
}

fn soak(plan: &Plan) {
    eprintln!("soak: {plan:?}; SOAK_SEED={} repeats the choices", plan.seed);
    let env = world(plan);
    let over = AtomicBool::new(false);
    let detached = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        scope.spawn(|| until(&over, |round| call(&env, round)));
        scope.spawn(|| until(&over, |round| detach(&env, &detached, round)));
        scope.spawn(|| until(&over, |round| look(&env, round)));
        let _over = Flag(&over);
        map(&env, plan);
    });
    let detached = detached.into_inner().unwrap_or_else(PoisonError::into_inner);
    for id in &detached {
        let call = env.run(["calls", "get", id, "--wait", "--json"]).json();
        let state = call["state"].as_str().unwrap();
        assert!(["succeeded", "cancelled"].contains(&state), "{call}");
    }
    assert_all_ended(&env);
    assert_map_is_whole(&env, plan);
    eventually(|| process::of(&env).is_empty());
    assert_whole(&env);
}

/// Set when dropped: also by a failing assertion, so that no thread goes on without the others.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn world(plan: &Plan) -> TestEnv {
    let env = TestEnv::new();
    let lasting = |function: &mut FunctionSpec| {
        // Enough to outlive every kill; what runs out of attempts is another test's matter.
        function.retries.max = 1000;
        function.retries.initial_delay_seconds = 0.001;
        function.retries.backoff = 1.0;
        function.scaling.scaledown_window_seconds = 0.5;
    };
    env.publish("works", sh(PROGRAM), lasting);
    env.publish("echo", Entry::Builtin { handler: "echo".into() }, lasting);
    let lines: String = (0..plan.inputs).map(|n| format!("{{\"n\": {n}}}\n")).collect();
    env.write("inputs.jsonl", lines);
    env
}

/// Runs `work` over and over, with the number of the round.
fn until(over: &AtomicBool, work: impl Fn(u64)) {
    (0..).take_while(|_| !over.load(Ordering::SeqCst)).for_each(work);
}

/// A call that is waited for; the command may be killed.
fn call(env: &TestEnv, round: u64) {
    let ran = env.run(["call", "echo", "--args", &format!("round={round}")]);
    match ran.code {
        0 => assert_eq!(ran.json(), json!({ "round": round })),
        -1 => {}
        code => panic!("a call ended with {code}: {}", ran.stderr),
    }
}

/// Calls that are not waited for, of which every fifth is cancelled.
fn detach(env: &TestEnv, detached: &Mutex<BTreeSet<String>>, round: u64) {
    let ran = env.run(["call", "works", "--detach", "--args", &format!("round={round}")]);
    let id = ran.stdout.trim().to_owned();
    if id.is_empty() {
        assert_eq!(ran.code, -1, "{}", ran.stderr);
        return;
    }
    if round.is_multiple_of(5) {
        let ran = env.run(["calls", "cancel", &id]);
        assert!([0, -1].contains(&ran.code), "{}", ran.stderr);
    }
    detached.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
}

/// What people do meanwhile.
fn look(env: &TestEnv, round: u64) {
    let line = match round % 3 {
        0 => "calls ls --json",
        1 => "calls ls --state running",
        _ => "calls prune --older-than 1h",
    };
    let ran = env.vdeploy(line);
    assert!([0, -1].contains(&ran.code), "`{line}`: {}", ran.stderr);
}

/// Runs the map again and again, until a run gets to its end, and kills as it makes progress.
fn map(env: &TestEnv, plan: &Plan) {
    let mut chance = Chance(plan.seed);
    let mut kills: Vec<u64> = (0..plan.kills).map(|_| chance.below(plan.inputs)).collect();
    kills.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
    let mut results = BTreeMap::new();
    let mut runs = 0;
    loop {
        runs += 1;
        let mut child = start_map(env);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            // A command that was killed may have been writing a line.
            let Ok(line) = serde_json::from_str::<Value>(&line.unwrap()) else { break };
            assert_eq!(line["status"], "succeeded", "{line}");
            let index = line["index"].as_u64().unwrap();
            assert_eq!(line["result"], json!({ "n": index }));
            let call = line["call"].as_str().unwrap().to_owned();
            let known = results.insert(index, call.clone());
            assert!(known.is_none_or(|known| known == call), "input {index} was done twice");
            while kills.pop_if(|at| *at < results.len() as u64).is_some() {
                kill_one(env, &mut chance);
            }
        }
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => break,
            None => {}
            Some(code) => panic!("a map ended with {code}"),
        }
    }
    assert_eq!(results.len() as u64, plan.inputs);
    eprintln!("soak: {} runs of the map, {} kills left over", runs, kills.len());
}

fn start_map(env: &TestEnv) -> Child {
    env.command(["map", "works", "--inputs", "inputs.jsonl", "--map-id", "m-soak"])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Kills one process of a kind chosen by chance, of those there are.
fn kill_one(env: &TestEnv, chance: &mut Chance) {
    let all = process::of(env);
    let mut kinds: BTreeMap<Kind, Vec<&Process>> = BTreeMap::new();
    for process in &all {
        kinds.entry(Kind::of(process)).or_default().push(process);
    }
    if let Some(processes) = chance.pick(kinds.values()) {
        chance.pick(processes).into_iter().for_each(|process| process.kill());
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// `vdeploy map`, which may be the executor.
    Map,
    /// `vdeploy executor`.
    Executor,
    /// Any other `vdeploy`, which may be the executor too.
    Command,
    /// A worker.
    Worker,
    /// What a worker has started.
    Program,
}

impl Kind {
    fn of(process: &Process) -> Self {
        let mut words = process.line.split(' ');
        let program = words.next().unwrap_or_default();
        match words.next() {
            _ if program.ends_with("/vdeploy-runtime") => Kind::Worker,
            Some("map") if program.ends_with("/vdeploy") => Kind::Map,
            Some("executor") if program.ends_with("/vdeploy") => Kind::Executor,
            _ if program.ends_with("/vdeploy") => Kind::Command,
            _ => Kind::Program,
        }
    }
}

/// Numbers that follow from a seed (SplitMix64; Steele, Lea and Flood 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<T>(&mut self, from: impl IntoIterator<Item = T>) -> Option<T> {
        let mut all: Vec<T> = from.into_iter().collect();
        let count = all.len() as u64;
        (count > 0).then(|| all.swap_remove(self.below(count) as usize))
    }
}

/// Makes sure that every call gets its end, and that each end is one.
fn assert_all_ended(env: &TestEnv) {
    // Calls whose command was killed end with the next look at the queue.
    env.vdeploy("call echo").exits(0);
    let calls = env.vdeploy("calls ls -n 0 --json").exits(0).json();
    for call in calls.as_array().unwrap() {
        let id = call["id"].as_str().unwrap();
        if call["outcome"].is_null() {
            env.run(["calls", "get", id, "--wait"]);
        }
    }
    let calls = env.vdeploy("calls ls -n 0 --json").exits(0).json();
    for call in calls.as_array().unwrap() {
        assert!(!call["outcome"].is_null(), "{call}");
    }
}

/// Asserts that the map's places have one success each.
fn assert_map_is_whole(env: &TestEnv, plan: &Plan) {
    let calls = env.vdeploy("calls ls -n 0 --map m-soak --json").exits(0).json();
    let calls = calls.as_array().unwrap();
    assert_eq!(calls.len() as u64, plan.inputs);
    let places: BTreeSet<u64> =
        calls.iter().map(|call| call["args"]["n"].as_u64().unwrap()).collect();
    assert_eq!(places.len(), calls.len());
    assert!(calls.iter().all(|call| call["state"] == "succeeded"));
}
