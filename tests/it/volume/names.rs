//! Names, links and paths that lead elsewhere.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::{root, set, tree, with_volume};

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
        ("ls v --target aws", 2, "no region of AWS is named"),
    ];
    for (line, code, message) in cases {
        let ran = env.vdeploy(&format!("volume {line}")).exits(code);
        assert!(ran.stderr.contains(message), "{line}: {}", ran.stderr);
        assert!(tree(&root(&env)).is_empty(), "{line}");
    }
}
