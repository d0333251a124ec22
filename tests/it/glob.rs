//! `vdeploy map --glob`: the files that a shell finds, and a word about those it can't.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv, ran};

fn env_with(files: &[&str]) -> TestEnv {
    let env = TestEnv::new();
    env.publish("echo", Entry::Builtin { handler: "echo".into() }, |_| {});
    for file in files {
        env.write(file, "");
    }
    env
}

fn map(env: &TestEnv, folder: &Path, pattern: &str) -> Ran {
    let mut command = env.command(["map", "echo", "--ordered", "--glob", pattern]);
    ran(command.current_dir(folder).output().unwrap())
}

/// What a pattern finds, by names within `folder`.
fn found(env: &TestEnv, folder: &Path, pattern: &str) -> Vec<String> {
    let ran = map(env, folder, pattern).exits(0);
    let paths = ran.stdout.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let path = Path::new(line["result"]["input"].as_str().unwrap());
        path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()
    });
    paths.collect()
}

#[test]
fn a_pattern_finds_what_it_says() {
    let env =
        env_with(&["clips/b.mov", "clips/a.mov", "clips/c.txt", "clips/deep/er/d.mov", "e.mov"]);
    let project = env.project();
    let cases: [(&str, &[&str]); 8] = [
        ("./clips/*.mov", &["clips/a.mov", "clips/b.mov"]),
        ("clips/./[ab].mov", &["clips/a.mov", "clips/b.mov"]),
        ("clips/c.txt", &["clips/c.txt"]),
        ("*.mov", &["e.mov"]),
        ("*/deep/*/*.mov", &["clips/deep/er/d.mov"]),
        ("clips/**/*.mov", &["clips/a.mov", "clips/b.mov", "clips/deep/er/d.mov"]),
        (
            "{clips/deep/er,clips}/*.{mov,txt}",
            &["clips/a.mov", "clips/b.mov", "clips/c.txt", "clips/deep/er/d.mov"],
        ),
        ("clips/deep/../*.txt", &["clips/deep/../c.txt"]),
    ];
    for (pattern, expected) in cases {
        assert_eq!(found(&env, &project, pattern), expected, "{pattern}");
    }
}

#[test]
fn the_folder_is_no_pattern() {
    let env = env_with(&["g [1]/{x}/a.mov"]);
    let folder = env.project().join("g [1]").join("{x}");
    assert_eq!(found(&env, &folder, "*.mov"), ["a.mov"]);
    assert_eq!(found(&env, &folder, "a.mov"), ["a.mov"]);
}

#[test]
fn links_are_followed_and_circles_are_not() {
    let env = env_with(&["store/a.mov", "clips/b.mov"]);
    let (store, clips) = (env.project().join("store"), env.project().join("clips"));
    symlink(store.join("a.mov"), clips.join("c.mov")).unwrap();
    symlink(&store, clips.join("linked")).unwrap();
    symlink(&clips, clips.join("circle")).unwrap();
    symlink("nowhere", clips.join("gone.txt")).unwrap();
    assert_eq!(found(&env, &env.project(), "clips/*.mov"), ["clips/b.mov", "clips/c.mov"]);
    let deep = ["clips/b.mov", "clips/c.mov", "clips/linked/a.mov"];
    assert_eq!(found(&env, &env.project(), "clips/**/*.mov"), deep);
    let gone = map(&env, &env.project(), "clips/*.txt");
    assert!(gone.stderr.contains("clips/gone.txt"), "{}", gone.stderr);
    assert_eq!(gone.code, 1);
}

#[test]
fn a_folder_that_cannot_be_read_is_an_error_only_if_it_is_asked_for() {
    let env = env_with(&["clips/open/a.mov", "clips/shut/b.mov"]);
    let shut = env.project().join("clips/shut");
    let allow = |mode| std::fs::set_permissions(&shut, PermissionsExt::from_mode(mode)).unwrap();
    allow(0o000);
    if std::fs::read_dir(&shut).is_ok() {
        eprintln!("not tested: this user may read every folder");
        return;
    }
    assert_eq!(found(&env, &env.project(), "clips/open/*.mov"), ["clips/open/a.mov"]);
    assert_eq!(found(&env, &env.project(), "clips/o*/*.mov"), ["clips/open/a.mov"]);
    let ran = map(&env, &env.project(), "clips/*/*.mov");
    allow(0o700);
    assert!(ran.stderr.contains("clips/shut"), "{}", ran.stderr);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
}
