//! What put and get do: Modal's rules, without its traps.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::{MIB, noise, root, set, tree, with_volume};
use crate::env::ran;

#[test]
fn put_goes_where_modal_puts_it() {
    let cases: &[(&str, &[&str])] = &[
        ("clip", &["clip"]),
        ("./clips/a", &["a"]),
        ("clip raw/", &["raw/", "raw/clip"]),
        ("clip raw/b", &["raw/", "raw/b"]),
        ("clip /raw/deep/b", &["raw/", "raw/deep/", "raw/deep/b"]),
        ("clips", &["clips/", "clips/a", "clips/sub/", "clips/sub/b"]),
        ("clips/", &["a", "sub/", "sub/b"]),
        ("clips/.", &["a", "sub/", "sub/b"]),
        ("clips raw", &["raw/", "raw/a", "raw/sub/", "raw/sub/b"]),
        ("clips raw/", &["raw/", "raw/clips/", "raw/clips/a", "raw/clips/sub/", "raw/clips/sub/b"]),
        ("clips/* raw/", &["raw/", "raw/a", "raw/sub/", "raw/sub/b"]),
        ("cl*/a", &["a"]),
        ("**/[ab]", &["a", "b"]),
    ];
    for (args, expected) in cases {
        let env = with_volume();
        env.write("clip", "clip");
        env.write("clips/a", "a");
        env.write("clips/sub/b", "b");
        env.vdeploy(&format!("volume put v {args}")).exits(0);
        assert_eq!(tree(&root(&env)), set(expected), "volume put v {args}");
    }
}

#[test]
fn get_goes_where_modal_gets_it_to() {
    let cases: &[(&str, &[&str])] = &[
        ("raw/a", &["a", "here/"]),
        ("raw/a here", &["here/", "here/a"]),
        ("raw/a b", &["b", "here/"]),
        ("raw/a new/", &["here/", "new/", "new/a"]),
        ("raw/a new/b", &["here/", "new/", "new/b"]),
        ("raw", &["here/", "raw/", "raw/a", "raw/sub/", "raw/sub/b"]),
        ("raw/ here", &["here/", "here/raw/", "here/raw/a", "here/raw/sub/", "here/raw/sub/b"]),
        ("raw new", &["here/", "new/", "new/a", "new/sub/", "new/sub/b"]),
        (
            "/ dump",
            &["dump/", "dump/raw/", "dump/raw/a", "dump/raw/sub/", "dump/raw/sub/b", "here/"],
        ),
        ("/", &["here/", "raw/", "raw/a", "raw/sub/", "raw/sub/b"]),
        ("raw/* new", &["here/", "new/", "new/a", "new/sub/", "new/sub/b"]),
    ];
    for (args, expected) in cases {
        let env = with_volume();
        fs::create_dir_all(root(&env).join("raw/sub")).unwrap();
        fs::write(root(&env).join("raw/a"), "a").unwrap();
        fs::write(root(&env).join("raw/sub/b"), "b").unwrap();
        fs::create_dir(env.project().join("here")).unwrap();
        env.vdeploy(&format!("volume get v {args}")).exits(0);
        assert_eq!(tree(&env.project()), set(expected), "volume get v {args}");
    }
}

#[test]
fn unchanged_files_are_skipped_and_changed_ones_named_before_anything_is_written() {
    let env = with_volume();
    for name in ["a", "b", "c"] {
        env.write(&format!("clips/{name}"), name);
    }
    let first = env.vdeploy("volume put v clips --json").exits(0).json();
    assert_eq!((&first["files"], &first["bytes"]), (&3.into(), &3.into()));
    let second = env.vdeploy("volume put v clips").exits(0);
    assert!(second.stderr.contains("put 0 files, 0 B in "), "{}", second.stderr);
    assert!(second.stderr.contains("(3 unchanged)"));

    // Equal size, and the old time set again: only reading it or its change time can tell.
    let b = env.project().join("clips/b");
    let modified = fs::metadata(&b).unwrap().modified().unwrap();
    env.write("clips/b", "B");
    fs::File::options().write(true).open(&b).unwrap().set_modified(modified).unwrap();
    env.write("clips/c", "other");
    env.write("clips/new", "new");
    let refused = env.vdeploy("volume put v clips").exits(1);
    assert!(
        refused.stderr.starts_with(
            "error: 2 files already exist in volume `v` with other content\n  \
             cause: /clips/b\n  cause: /clips/c\nhint: replace what is there with `--force`"
        ),
        "{}",
        refused.stderr
    );
    assert_eq!(tree(&root(&env)), set(&["clips/", "clips/a", "clips/b", "clips/c"]));

    let forced = env.vdeploy("volume put v clips -f --json").exits(0).json();
    assert_eq!((&forced["files"], &forced["unchanged"]), (&3.into(), &1.into()));
    assert_eq!(fs::read_to_string(root(&env).join("clips/b")).unwrap(), "B");
}

#[test]
fn a_file_changed_in_the_volume_is_noticed_too() {
    let env = with_volume();
    env.write("a", "one");
    env.vdeploy("volume put v a").exits(0);
    fs::write(root(&env).join("a"), "two").unwrap();
    env.vdeploy("volume put v a").exits(1);
    fs::write(root(&env).join("a"), "one").unwrap();
    let ran = env.vdeploy("volume put v a").exits(0);
    assert!(ran.stderr.contains("1 unchanged"), "{}", ran.stderr);
}

#[test]
fn a_folder_is_never_replaced_by_a_file_nor_a_file_by_a_folder() {
    let env = with_volume();
    env.write("clip", "x");
    env.write("raw/a", "a");
    env.vdeploy("volume put v raw").exits(0);
    for force in ["", " --force"] {
        let ran = env.vdeploy(&format!("volume put v clip raw{force}")).exits(1);
        assert!(ran.stderr.contains("`/raw` in volume `v` is a folder"), "{}", ran.stderr);
        assert!(ran.stderr.contains("`/raw/`"));
        let ran = env.vdeploy(&format!("volume put v raw raw/a{force}")).exits(1);
        assert!(ran.stderr.contains("`/raw/a` in volume `v` is a file"), "{}", ran.stderr);
        let ran = env.vdeploy(&format!("volume put v clip raw/a/deep{force}")).exits(1);
        assert!(ran.stderr.contains("`/raw/a` in volume `v` is a file"), "{}", ran.stderr);
    }
    assert_eq!(tree(&root(&env)), set(&["raw/", "raw/a"]));
    env.write("here/raw", "mine");
    env.vdeploy("volume get v raw here --force").exits(1);
    assert_eq!(fs::read_to_string(env.project().join("here/raw")).unwrap(), "mine");
}

#[test]
fn get_with_force_keeps_what_is_only_here() {
    let env = with_volume();
    env.write("clips/a", "old");
    env.vdeploy("volume put v clips").exits(0);
    env.write("clips/a", "changed here");
    env.write("clips/mine", "only here");
    let refused = env.vdeploy("volume get v clips .").exits(1);
    assert!(
        refused.stderr.starts_with("error: `clips/a` already exists with other content\n"),
        "{}",
        refused.stderr
    );
    env.vdeploy("volume get v clips . --force").exits(0);
    assert_eq!(fs::read_to_string(env.project().join("clips/a")).unwrap(), "old");
    assert_eq!(fs::read_to_string(env.project().join("clips/mine")).unwrap(), "only here");
}

#[test]
fn stdin_and_stdout_carry_any_bytes() {
    let env = with_volume();
    let bytes = noise(3 * MIB + 7);
    let mut put = env
        .command(["volume", "put", "v", "-", "raw/clip"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    put.stdin.take().unwrap().write_all(&bytes).unwrap();
    ran(put.wait_with_output().unwrap()).exits(0);
    let got = env.command(["volume", "get", "v", "raw/clip", "-"]).output().unwrap();
    assert!(got.stdout == bytes, "{} bytes came back", got.stdout.len());
    assert!(got.stderr.is_empty());

    let nameless = env.vdeploy("volume put v - raw/").exits(2);
    assert!(nameless.stderr.contains("needs a name"));
    assert!(env.vdeploy("volume put v - raw/clip").exits(1).stderr.contains("already exists"));
    env.vdeploy("volume put v - raw/clip --force").exits(0);
    assert_eq!(fs::metadata(root(&env).join("raw/clip")).unwrap().len(), 0);
    assert_eq!(tree(&root(&env)), set(&["raw/", "raw/clip"]));
}

#[test]
fn folders_go_to_stdout_file_after_file() {
    let env = with_volume();
    for (name, text) in [("b", "2"), ("a", "1"), ("c/d", "3")] {
        env.write(&format!("clips/{name}"), text);
    }
    env.vdeploy("volume put v clips").exits(0);
    assert_eq!(env.vdeploy("volume get v clips -").exits(0).stdout, "123");
    assert_eq!(env.vdeploy("volume get v clips/[ab] -").exits(0).stdout, "12");
}

#[test]
fn what_a_file_is_beside_its_content_is_kept() {
    let env = with_volume();
    let script = env.write("tools/run.sh", "#!/bin/sh\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o4751)).unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_700);
    fs::File::options().write(true).open(&script).unwrap().set_modified(old).unwrap();
    fs::create_dir(env.project().join("tools/empty")).unwrap();
    env.vdeploy("volume put v tools").exits(0);
    env.vdeploy("volume get v tools back").exits(0);
    let back = fs::metadata(env.project().join("back/run.sh")).unwrap();
    assert_eq!(back.modified().unwrap(), old);
    assert_eq!(back.permissions().mode() & 0o7777, 0o751, "without set-user-id");
    assert!(env.project().join("back/empty").is_dir());
}
