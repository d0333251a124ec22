//! Pushing to a registry, and pulling back by digest.

use std::io::Write;
use std::process::Stdio;

use super::docked;
use crate::env::ran;

#[test]
fn an_image_is_pushed_with_a_login_and_pulled_back_by_its_digest() {
    let Some(docked) = docked() else { return };
    docked.manifest("[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\n");
    let push = |password: &str| {
        let mut command = docked.command([
            "image",
            "push",
            "box",
            "127.0.0.1:5001/team/box:v1",
            "--username",
            "tester",
        ]);
        let mut push = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(push.stdin.take().unwrap(), "{password}").unwrap();
        ran(push.wait_with_output().unwrap())
    };
    let refused = push("wrong").exits(1);
    assert!(refused.stderr.contains("refuses the login"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("wrong"), "{}", refused.stderr);
    let pushed = push("s3cret").exits(0);
    let by_digest = pushed.stdout.trim();
    assert!(by_digest.starts_with("127.0.0.1:5001/team/box@sha256:"), "{by_digest}");
    assert_eq!(push("s3cret").exits(0).stdout.trim(), by_digest, "layers are there already");
    docked.daemon.docker("login --username tester --password s3cret 127.0.0.1:5001");
    docked.daemon.docker(&format!("pull --quiet {by_digest}"));
    docked.daemon.docker(&format!("rmi {by_digest}"));
}
