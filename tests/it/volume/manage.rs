//! Volumes themselves, and what is done within them: list, copy, remove.

use std::fs;

use super::{root, set, tree, with_volume};
use crate::env::TestEnv;

#[test]
fn volumes_come_and_go() {
    let env = TestEnv::new();
    let none = env.vdeploy("volume list").exits(0);
    assert_eq!(none.stdout, "");
    assert!(none.stderr.contains("vdeploy volume create NAME"));

    env.vdeploy("volume create footage").exits(0);
    let again = env.vdeploy("volume create footage").exits(1);
    assert!(again.stderr.starts_with("error: volume `footage` already exists\n"));
    env.vdeploy("volume create models").exits(0);
    assert_eq!(env.vdeploy("volume list").exits(0).stdout, "footage\nmodels\n");
    let list = env.vdeploy("volume list --json").exits(0).json();
    assert_eq!(list[0]["name"], "footage");
    assert!(list[0]["created"].as_str().unwrap().ends_with('Z'));
    assert_eq!(list[0]["created_by"], serde_json::Value::Null);

    env.vdeploy("volume rename models weights -y").exits(0);
    env.vdeploy("volume delete weights").exits(0);
    assert_eq!(env.vdeploy("volume list").stdout, "footage\n");
    assert_eq!(env.vdeploy("volume list -e other").stdout, "");
}

#[test]
fn a_volume_that_is_not_there_is_one_clear_error_everywhere() {
    let env = TestEnv::new();
    env.vdeploy("volume create footage").exits(0);
    env.write("clip", "x");
    for line in ["put footge clip", "get footge clip", "ls footge", "rm footge a", "cp footge a b"]
    {
        let ran = env.vdeploy(&format!("volume {line}")).exits(1);
        assert_eq!(
            ran.stderr,
            "error: no volume named `footge`\nhint: did you mean `footage`?\n\
             hint: create it with `vdeploy volume create footge`\n"
        );
    }
    env.vdeploy("volume delete gone").exits(1);
    env.vdeploy("volume delete gone --allow-missing").exits(0);
    let ran = env.vdeploy("volume create ../x").exits(2);
    assert!(ran.stderr.contains("`../x` can't be the name of a volume"));
}

#[test]
fn a_volume_with_files_is_deleted_only_with_a_yes() {
    let env = with_volume();
    env.write("clip", "x");
    env.vdeploy("volume put v clip").exits(0);
    let ran = env.vdeploy("volume delete v").exits(1);
    assert!(ran.stderr.contains("volume `v` isn't empty"), "{}", ran.stderr);
    assert!(ran.stderr.contains("vdeploy volume delete v -y"));
    assert!(root(&env).join("clip").exists());
    env.vdeploy("volume delete v -y").exits(0);
    assert!(!root(&env).exists());
    let renamed = env.vdeploy("volume create v").exits(0);
    assert_eq!(renamed.stdout, "");
    assert!(env.vdeploy("volume rename v w").exits(1).stderr.contains("`-y`"));
}

#[test]
fn ls_gives_bare_paths_to_a_pipe_and_everything_as_json() {
    let env = with_volume();
    env.write("clips/a b", "12345");
    env.write("clips/sub/c", "");
    env.vdeploy("volume put v clips").exits(0);
    assert_eq!(env.vdeploy("volume ls v").exits(0).stdout, "clips\n");
    assert_eq!(env.vdeploy("volume ls v clips").exits(0).stdout, "clips/a b\nclips/sub\n");
    assert_eq!(env.vdeploy("volume ls v /clips/sub/c").exits(0).stdout, "clips/sub/c\n");
    let all = env.vdeploy("volume ls -r v").exits(0).stdout;
    assert_eq!(all, "clips\nclips/a b\nclips/sub\nclips/sub/c\n");
    let rows = env.vdeploy("volume ls v clips --json").exits(0).json();
    assert_eq!(rows[0]["path"], "clips/a b");
    assert_eq!((&rows[0]["type"], &rows[0]["size"]), (&"file".into(), &5.into()));
    assert_eq!(rows[1]["type"], "dir");
    let table = env.vdeploy("volume ls -l v clips").exits(0).stdout;
    assert!(table.starts_with("FILENAME"), "{table}");
    assert!(table.contains("5 B"));
    let missing = env.vdeploy("volume ls v clip").exits(1);
    assert_eq!(
        missing.stderr,
        "error: `/clip` isn't in volume `v`\nhint: did you mean `/clips`?\n"
    );
}

#[test]
fn rm_removes_what_is_named_and_folders_only_with_r() {
    let env = with_volume();
    env.write("clips/a", "a");
    env.write("clips/sub/b", "b");
    env.vdeploy("volume put v clips").exits(0);
    env.vdeploy("volume rm v clips/a").exits(0);
    let refused = env.vdeploy("volume rm v clips").exits(1);
    assert!(refused.stderr.contains("vdeploy volume rm -r v /clips"), "{}", refused.stderr);
    assert_eq!(tree(&root(&env)), set(&["clips/", "clips/sub/", "clips/sub/b"]));
    env.vdeploy("volume rm v clips -r").exits(0);
    assert!(tree(&root(&env)).is_empty());
    env.vdeploy("volume rm v clips").exits(1);
    env.vdeploy("volume rm v / -r").exits(2);
}

#[test]
fn cp_copies_as_in_unix_and_replaces_nothing_unasked() {
    let env = with_volume();
    env.write("clips/a", "a");
    env.write("clips/b", "b");
    env.vdeploy("volume put v clips").exits(0);
    env.vdeploy("volume cp v clips/a c").exits(0);
    env.vdeploy("volume cp v clips/a c both/").exits(0);
    env.vdeploy("volume cp v clips new").exits(1);
    env.vdeploy("volume cp v clips new -r").exits(0);
    env.vdeploy("volume cp v clips new -r").exits(0);
    let copied = ["new/", "new/a", "new/b", "new/clips/", "new/clips/a", "new/clips/b"];
    let rest = ["both/", "both/a", "both/c", "c", "clips/", "clips/a", "clips/b"];
    assert_eq!(tree(&root(&env)), set(&[&copied[..], &rest[..]].concat()));

    env.vdeploy("volume cp v clips/b c").exits(1);
    env.vdeploy("volume cp v clips/b c -f").exits(0);
    assert_eq!(fs::read_to_string(root(&env).join("c")).unwrap(), "b");
    let itself = env.vdeploy("volume cp v clips clips/deep -r").exits(1);
    assert!(itself.stderr.contains("can't be copied into itself"));
    env.vdeploy("volume cp v c c").exits(1);
    env.vdeploy("volume cp v clips/a clips/b c").exits(2);
    env.vdeploy("volume cp v nothing c").exits(1);
}
