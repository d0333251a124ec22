//! The real program dies before and after every step, and the same command again reaches what was
//! wanted, with nothing orphaned and nothing doubled.

use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::env::{TestEnv, ran};

const FAILPOINTS: [&str; 9] = [
    "before-intent",
    "after-intent",
    "before-step",
    "after-step",
    "between-delete-and-create",
    "before-record",
    "after-record",
    "source-copied",
    "image-written",
];

/// An app that can be written into a project.
#[derive(Clone, Debug)]
struct Sketch {
    code: u8,
    functions: BTreeSet<(String, u8, bool)>,
    volumes: BTreeSet<String>,
    image: Option<String>,
}

prop_compose! {
    fn sketch()(
        code in any::<u8>(),
        functions in prop::collection::btree_map("[a-c]", (1u8..3, any::<bool>()), 1..3),
        volumes in prop::collection::btree_set("[v-x]", 0..2),
        image in prop::option::of(prop::sample::select(vec!["cpu", "python"])),
    ) -> Sketch {
        let functions = functions.into_iter().map(|(name, (cpu, own))| (name, cpu, own)).collect();
        Sketch { code, functions, volumes, image: image.map(Into::into) }
    }
}

impl Sketch {
    fn write(&self, env: &TestEnv) {
        env.write("code/run.txt", format!("{}", self.code));
        let mut text = String::from("[app]\nname = \"app\"\n");
        for volume in &self.volumes {
            writeln!(text, "[volume.{volume}]").unwrap();
        }
        if let Some(kind) = &self.image {
            writeln!(text, "[image.i]\nkind = \"{kind}\"").unwrap();
        }
        for (name, cpu, own) in &self.functions {
            let entry =
                if *own { "command = [\"cat\", \"code/run.txt\"]" } else { "handler = \"echo\"" };
            writeln!(text, "[function.{name}]\n{entry}\ncpu = {cpu}").unwrap();
        }
        env.write("vdeploy.toml", text);
    }
}

/// Every file and folder of an environment; what is in the files is for `plan` to judge.
fn files(env: &TestEnv) -> BTreeSet<String> {
    let main = env.vdeploy_home().join("environments/main");
    let entries = walkdir::WalkDir::new(&main).into_iter().map(|entry| entry.unwrap());
    entries
        .map(|entry| entry.path().strip_prefix(&main).unwrap().display().to_string())
        .filter(|path| !path.starts_with("state."))
        .collect()
}

/// Runs the command until no failpoint of this name is left to die at; each time in a world where
/// `before` was deployed.
fn dies_and_recovers(failpoint: &str, before: &Sketch, command: &str, expected: &TestEnv) -> u32 {
    for count in 1.. {
        let env = TestEnv::new();
        before.write(&env);
        env.vdeploy("deploy -y -q").exits(0);
        copy_project(expected, &env);
        let died = ran(env
            .command(command.split(' '))
            .env("VDEPLOY_FAILPOINT", format!("{failpoint}:{count}"))
            .output()
            .unwrap());
        if died.code == 0 {
            return count - 1;
        }
        assert_eq!(died.code, -1, "{failpoint}:{count}: {}", died.stderr);
        env.vdeploy(command).exits(0);
        let place = format!("after dying at {failpoint}:{count} in `{command}`");
        assert_eq!(files(&env), files(expected), "{place}");
        assert_eq!(listed(&env), listed(expected), "{place}");
        let destroyed = if command.starts_with("destroy") { " --destroy" } else { "" };
        let plan = env.vdeploy(&format!("plan --detailed-exitcode{destroyed}"));
        assert_eq!(plan.code, 0, "{place}: {}", plan.stdout);
    }
    unreachable!("no command has that many steps")
}

fn copy_project(from: &TestEnv, to: &TestEnv) {
    for file in ["vdeploy.toml", "code/run.txt"] {
        to.write(file, std::fs::read(from.project().join(file)).unwrap());
    }
}

fn listed(env: &TestEnv) -> (String, usize) {
    let history = env.vdeploy("app history --json").exits(0).json();
    (env.vdeploy("state list").exits(0).stdout, history.as_array().unwrap().len())
}

#[test]
fn every_death_of_a_deployment_is_recovered_from() {
    let mut runner = TestRunner::deterministic();
    let mut deaths = [0; FAILPOINTS.len()];
    for round in 0..2 {
        let mut draw = || sketch().new_tree(&mut runner).unwrap().current();
        let (mut before, mut after) = (draw(), draw());
        if round == 0 {
            // Another kind of image is what is replaced.
            (before.image, after.image) = (Some("cpu".into()), Some("python".into()));
        }
        let clean = TestEnv::new();
        before.write(&clean);
        clean.vdeploy("deploy -y -q").exits(0);
        after.write(&clean);
        clean.vdeploy("deploy -y -q").exits(0);
        for (at, failpoint) in FAILPOINTS.iter().enumerate() {
            deaths[at] += dies_and_recovers(failpoint, &before, "deploy -y -q", &clean);
        }
    }
    let never: Vec<_> =
        FAILPOINTS.iter().zip(deaths).filter(|(_, deaths)| *deaths == 0).map(|(f, _)| f).collect();
    assert!(never.is_empty(), "no death at {never:?}");
}

#[test]
fn every_death_of_a_destruction_is_recovered_from() {
    let app = Sketch {
        code: 1,
        functions: [("a".into(), 1, true), ("b".into(), 1, false)].into(),
        volumes: ["v".into()].into(),
        image: Some("cpu".into()),
    };
    let clean = TestEnv::new();
    app.write(&clean);
    clean.vdeploy("deploy -y -q").exits(0);
    clean.vdeploy("destroy -y -q").exits(0);
    for failpoint in ["before-step", "after-step", "before-record", "after-record"] {
        assert!(dies_and_recovers(failpoint, &app, "destroy -y -q", &clean) > 0, "{failpoint}");
    }
}
