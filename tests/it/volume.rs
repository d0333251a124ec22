//! Volumes: Modal's argument order and rules, without its traps.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::env::{Ran, TestEnv, ran};

const MIB: u64 = 1 << 20;

/// A world with an empty volume `v`.
fn with_volume() -> TestEnv {
    let env = TestEnv::new();
    env.vdeploy("volume create v").exits(0);
    env
}

/// Where the files of `v` are.
fn root(env: &TestEnv) -> PathBuf {
    env.vdeploy_home().join("environments/main/volumes/v")
}

/// Every path below `folder`, folders with a slash at the end, staging included.
fn tree(folder: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_dir() && !path.is_symlink() {
                paths.insert(format!("{shown}/"));
                waiting.push(path);
            } else {
                paths.insert(shown);
            }
        }
    }
    paths
}

fn set(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// Bytes that don't compress or repeat by block, the same in every run.
fn noise(bytes: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(bytes as usize).collect()
}

/// Runs `vdeploy` in a shell that sets limits first.
fn limited(env: &TestEnv, limits: &str, line: &str) -> Ran {
    let vdeploy = env.command([""]);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{limits}; exec \"$0\" {line}"))
        .arg(vdeploy.get_program())
        .current_dir(env.project())
        .env_clear();
    for (key, value) in vdeploy.get_envs() {
        if let Some(value) = value {
            shell.env(key, value);
        }
    }
    ran(shell.stdin(Stdio::null()).output().unwrap())
}

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

#[test]
fn names_may_hold_anything_that_is_utf8() {
    let env = with_volume();
    let names = ["a b", "new\nline", "ü💜", "-f", "*star*", "[a]", "tab\t'\"$`\\"];
    for name in names {
        env.write(&format!("clips/{name}"), name);
    }
    env.vdeploy("volume put v clips").exits(0);
    env.vdeploy("volume get v clips back").exits(0);
    for name in names {
        let back = fs::read_to_string(env.project().join("back").join(name)).unwrap();
        assert_eq!(back, name);
        let one = format!("/clips/{name}");
        assert_eq!(env.run(["volume", "get", "v", one.as_str(), "-"]).exits(0).stdout, name);
    }
    env.run(["volume", "put", "v", "clips/[a]", "literal"]).exits(0);
    assert_eq!(fs::read_to_string(root(&env).join("literal")).unwrap(), "[a]");
}

#[test]
fn a_name_that_is_not_utf8_is_told_and_does_not_stop_the_others() {
    let env = with_volume();
    env.write("clips/a", "a");
    let bad = std::ffi::OsStr::from_bytes(b"bad\xff");
    fs::write(env.project().join("clips").join(bad), "x").unwrap();
    env.write("clips/z", "z");
    let ran = env.vdeploy("volume put v clips").exits(1);
    assert!(ran.stderr.contains("error: 1 file couldn't be copied"), "{}", ran.stderr);
    assert!(ran.stderr.contains("its name isn't UTF-8"));
    assert_eq!(tree(&root(&env)), set(&["clips/", "clips/a", "clips/z"]));

    let mut args = ["volume", "put", "v"].map(std::ffi::OsString::from).to_vec();
    args.push(std::ffi::OsStr::from_bytes(b"clips/bad\xff").into());
    assert!(env.run(&args).exits(1).stderr.contains("its name isn't UTF-8"));
}

#[test]
fn links_and_pipes_are_skipped_with_a_line() {
    let env = with_volume();
    env.write("secret", "secret");
    env.write("clips/a", "a");
    symlink("../secret", env.project().join("clips/link")).unwrap();
    let fifo = env.project().join("clips/pipe");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let ran = env.vdeploy("volume put v clips").exits(0);
    assert!(ran.stderr.contains("warning: skipped `clips/link`: it is a link\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("warning: skipped `clips/pipe`: it is a pipe, socket or device\n"));
    assert_eq!(tree(&root(&env)), set(&["clips/", "clips/a"]));

    // A link that is named is meant, under its own name.
    env.vdeploy("volume put v clips/link").exits(0);
    assert_eq!(fs::read_to_string(root(&env).join("link")).unwrap(), "secret");
    let ran = env.vdeploy("volume put v clips/pipe").exits(1);
    assert!(ran.stderr.contains("it is a pipe, socket or device"), "{}", ran.stderr);
}

#[test]
fn nothing_leads_out_of_a_volume() {
    let env = with_volume();
    let outside = env.write("outside/secret", "secret");
    let root = root(&env);
    symlink(env.project().join("outside"), root.join("out")).unwrap();
    symlink("../../../../../project/outside", root.join("up")).unwrap();
    symlink(&outside, root.join("file")).unwrap();
    env.write("clip", "x");

    for line in [
        "get v ../v/file",
        "get v out/secret",
        "get v up/secret",
        "get v file",
        "get v out -",
        "put v clip out/new",
        "put v clip up/",
        "put v clip ../new",
        "put v outside out --force",
        "cp v file copy",
        "cp v up copy -r",
        "ls v out",
        "ls v ..",
        "rm v out/secret",
    ] {
        let ran = env.vdeploy(&format!("volume {line}"));
        assert!(matches!(ran.code, 1 | 2), "{line}: {ran:?}");
        assert!(ran.stderr.starts_with("error: "), "{line}: {}", ran.stderr);
        assert!(!ran.stdout.contains("secret"), "{line}");
    }
    assert_eq!(tree(&env.project().join("outside")), set(&["secret"]));
    assert_eq!(tree(&root), set(&["file", "out", "up"]));

    // Replacing or removing a link never touches what it leads to.
    env.vdeploy("volume put v clip file --force").exits(0);
    env.vdeploy("volume rm v out -r").exits(0);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "secret");
    assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "x");
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

#[test]
fn sources_that_make_no_sense_are_refused_before_anything_happens() {
    let env = with_volume();
    env.write("a/clip", "1");
    env.write("b/clip", "2");
    let cases = [
        ("put v missing", 1, "there is no such file or folder"),
        ("put v *.mov", 1, "nothing matches `*.mov`"),
        ("put v */clip", 2, "two files would become `/clip`"),
        ("put v a/* new", 2, "end REMOTE with a slash: `new/`"),
        ("put v a/clip .vdeploy-staging/x", 2, "kept for vdeploy itself"),
        ("put v a/clip/", 1, "error: "),
        ("get v missing", 1, "`/missing` isn't in volume `v`"),
        ("get v x*", 1, "nothing matches `x*` in volume `v`"),
        ("ls v --target aws", 2, "can't be reached yet"),
    ];
    for (line, code, message) in cases {
        let ran = env.vdeploy(&format!("volume {line}")).exits(code);
        assert!(ran.stderr.contains(message), "{line}: {}", ran.stderr);
        assert!(tree(&root(&env)).is_empty(), "{line}");
    }
}

/// `ulimit -f` lets the kernel kill the process in the middle of a write: the same as `kill -9`
/// there, but at a place that doesn't depend on speed.
#[test]
fn a_put_that_was_killed_goes_on_where_it_stopped() {
    let env = with_volume();
    let bytes = noise(24 * MIB + 3);
    env.write("clip", &bytes);
    let killed = limited(&env, "ulimit -f 16384", "volume put v clip");
    assert_eq!(killed.code, -1, "{killed:?}");
    let left = tree(&root(&env));
    assert!(!left.contains("clip") && left.contains(".vdeploy-staging/"), "{left:?}");
    assert_eq!(env.vdeploy("volume ls -r v").exits(0).stdout, "", "a part is no file");

    let summary = env.vdeploy("volume put v clip --json").exits(0).json();
    assert!(summary["resumed_bytes"].as_u64().unwrap() >= 4 * MIB, "{summary}");
    assert!(fs::read(root(&env).join("clip")).unwrap() == bytes);
    assert_eq!(tree(&root(&env)), set(&["clip"]));
}

#[test]
fn a_get_that_was_killed_goes_on_where_it_stopped() {
    let env = with_volume();
    let bytes = noise(24 * MIB);
    fs::write(root(&env).join("clip"), &bytes).unwrap();
    let killed = limited(&env, "ulimit -f 16384", "volume get v clip");
    assert_eq!(killed.code, -1, "{killed:?}");
    assert!(!env.project().join("clip").exists());

    let ran = env.vdeploy("volume get v clip").exits(0);
    assert!(ran.stderr.contains("resumed)"), "{}", ran.stderr);
    assert!(fs::read(env.project().join("clip")).unwrap() == bytes);
    assert_eq!(tree(&env.project()), set(&["clip"]));
}

#[test]
fn a_part_of_something_else_is_not_trusted() {
    let env = with_volume();
    env.write("clip", noise(24 * MIB));
    limited(&env, "ulimit -f 16384", "volume put v clip");
    // Another file of that name now, and shorter; and somebody wrote into the part.
    let mut bytes = noise(6 * MIB + 1);
    bytes[10] ^= 1;
    env.write("clip", &bytes);
    let part = tree(&root(&env)).into_iter().find(|path| path.contains("/part-")).unwrap();
    let part = fs::File::options().write(true).open(root(&env).join(part)).unwrap();
    part.write_all_at(b"garbage", 3 * MIB).unwrap();
    drop(part);
    let summary = env.vdeploy("volume put v clip --json").exits(0).json();
    // All but the two blocks that differ, if the part got that far.
    assert!(summary["resumed_bytes"].as_u64().unwrap() <= 4 * MIB + 1, "{summary}");
    assert!(fs::read(root(&env).join("clip")).unwrap() == bytes);
}

#[test]
fn a_disk_that_takes_no_more_is_one_clear_error_and_nothing_half_visible() {
    let env = with_volume();
    env.write("clips/a", noise(MIB));
    env.write("clips/big", noise(8 * MIB));
    // With the signal ignored, the limit is an error of the write.
    let ran = limited(&env, "trap '' XFSZ; ulimit -f 4096", "volume put v clips").exits(1);
    assert!(ran.stderr.contains("big`"), "{}", ran.stderr);
    assert!(!root(&env).join("clips/big").exists());
    env.vdeploy("volume put v clips").exits(0);
    assert_eq!(fs::metadata(root(&env).join("clips/big")).unwrap().len(), 8 * MIB);
}

#[test]
fn ctrl_c_ends_a_put_that_waits_for_its_input() {
    let env = with_volume();
    let mut put = env
        .command(["volume", "put", "v", "-", "clip"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = put.stdin.take().unwrap();
    stdin.write_all(b"half").unwrap();
    // Once it has read, it listens to Ctrl-C too.
    let staged = || tree(&root(&env)).iter().any(|path| path.ends_with("stream"));
    while !staged() {
        std::thread::yield_now();
    }
    let pid = put.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = put.wait().unwrap();
    let mut stderr = String::new();
    put.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None), "{stderr}");
    assert!(tree(&root(&env)).is_empty());
}

#[test]
fn a_sparse_file_of_4_gib_stays_sparse_and_takes_no_memory() {
    let env = with_volume();
    let sparse = fs::File::create(env.project().join("sparse")).unwrap();
    sparse.set_len(4 << 30).unwrap();
    sparse.write_all_at(b"data", 3 << 30).unwrap();
    let mut put =
        env.command(["volume", "put", "v", "sparse"]).stderr(Stdio::null()).spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", put.id()));
    let mut peak_kib = 0;
    while put.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        peak_kib = kib.unwrap_or(peak_kib);
    }
    assert!(put.wait().unwrap().success());
    assert!(peak_kib > 0 && peak_kib <= 100 * 1024, "peak memory was {peak_kib} KiB");
    let there = fs::metadata(root(&env).join("sparse")).unwrap();
    assert_eq!(there.len(), 4 << 30);
    assert!(there.blocks() * 512 < MIB, "{} blocks on disk", there.blocks());
    let mut data = [0; 4];
    let file = fs::File::open(root(&env).join("sparse")).unwrap();
    file.read_exact_at(&mut data, 3 << 30).unwrap();
    assert_eq!(&data, b"data");
}
