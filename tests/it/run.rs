//! `vdeploy run` and `vdeploy check`, and the way from `init` to a result.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::env::TestEnv;

const APP: &str = r#"
[app]
name = "demo"

[function.shout]
command = ["sh", "handlers/shout.sh"]
source = ["handlers/"]
"#;

fn project() -> TestEnv {
    let env = TestEnv::new();
    env.write("vdeploy.toml", APP);
    env.write("handlers/shout.sh", "tr a-z A-Z");
    env
}

#[test]
fn a_function_runs_from_the_manifest_and_leaves_nothing_deployed() {
    let env = project();
    let ran = env.vdeploy("run shout --args say=hello").exits(0);
    assert_eq!(ran.json(), json!({ "SAY": "HELLO" }));
    assert_eq!(env.vdeploy("app ls --json").exits(0).json(), json!([]));
    let sources = env.vdeploy_home().join("environments/main/sources");
    assert!(!sources.exists(), "the copy of its code is gone");
}

#[test]
fn a_deployed_copy_is_what_calls_run_and_run_runs_what_is_there_now() {
    let env = project();
    env.vdeploy("deploy -y").exits(0);
    env.write("handlers/shout.sh", "tr a-z b-za");
    assert_eq!(
        env.vdeploy("call shout --args say=hello").exits(0).json(),
        json!({ "SAY": "HELLO" })
    );
    assert_eq!(
        env.vdeploy("run shout --args say=hello").exits(0).json(),
        json!({ "tbz": "ifmmp" })
    );
    assert_eq!(
        env.vdeploy("call shout --args say=hello").exits(0).json(),
        json!({ "SAY": "HELLO" })
    );
}

#[test]
fn a_handler_of_ones_own_binary_is_described_copied_and_run() {
    let env = TestEnv::new();
    let program = Path::new(env!("CARGO_BIN_EXE_vdeploy")).with_file_name("vdeploy-runtime");
    std::fs::copy(program, env.project().join("own-worker")).unwrap();
    env.write(
        "vdeploy.toml",
        "[app]\nname = \"own\"\n[function.look]\nhandler = \"probe\"\nbinary = \"own-worker\"\n",
    );
    env.vdeploy("deploy -y").exits(0);
    std::fs::remove_file(env.project().join("own-worker")).unwrap();
    clip(&env, "clip.mp4");
    let ran = env.vdeploy("call look --args input=clip.mp4").exits(0);
    assert_eq!(ran.json()["width"], 160);
    let wrong = env.vdeploy("call look --args inptu=clip.mp4").exits(2);
    assert!(wrong.stderr.contains("did you mean `input`"), "{}", wrong.stderr);
}

#[test]
fn a_function_that_the_manifest_lacks_is_answered_with_the_nearest() {
    let ran = project().vdeploy("run shuot").exits(2);
    assert_eq!(
        ran.stderr,
        "error: the manifest of `demo` has no function `shuot`\nhint: did you mean `shout`?\n"
    );
}

#[test]
fn a_python_project_goes_from_init_to_a_result() {
    let env = TestEnv::new();
    env.vdeploy("init python-handler .").exits(0);
    clip(&env, "clip.mp4");
    env.vdeploy("deploy -y").exits(0);
    let ran = env.vdeploy("call thumbnails --args input=clip.mp4 count=3").exits(0);
    assert_eq!(ran.json()["thumbnails"].as_array().map(Vec::len), Some(3), "{}", ran.stdout);
}

#[test]
fn a_video_project_goes_from_init_to_a_checked_transcode() {
    let env = TestEnv::new();
    env.vdeploy("init video .").exits(0);
    clip(&env, "clip.mp4");
    env.vdeploy("deploy -y").exits(0);
    env.vdeploy("volume put footage clip.mp4 clip.mp4").exits(0);
    let ran = env
        .vdeploy("call transcode --args input=vol://footage/clip.mp4 height=64 preset=ultrafast --output small.mp4")
        .exits(0);
    let result = ran.json();
    assert_eq!(result["verified"]["frames_out"], 25);
    assert_eq!(result["verified"]["height"], 64);
    assert!(env.project().join("small.mp4").exists());
    env.vdeploy("destroy -y").exits(0);
    let kept = env.vdeploy("volume ls footage").exits(0);
    assert_eq!(kept.stdout, "clip.mp4\n", "files in a volume outlive the app");
}

#[test]
fn check_tries_what_this_machine_can_do() {
    let env = TestEnv::new();
    let report = env.vdeploy("check --json").exits(0).json();
    assert_eq!(report["ready"], true);
    let encoders = report["encoders"].as_array().unwrap();
    assert!(encoders.iter().any(|e| e["codec"] == "h264" && e["encoder"] == "libx264"), "{report}");
    let mut command = env.command(["check", "--json"]);
    let output = command.env("VDEPLOY_FFMPEG", "/nowhere/ffmpeg").output().unwrap();
    let ran = crate::env::ran(output).exits(1);
    assert!(ran.json()["missing"][0]["hint"].as_str().unwrap().contains("apt-get install ffmpeg"));
}

/// One second of a test picture.
fn clip(env: &TestEnv, name: &str) {
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1"])
        .args(["-c:v", "libx264", "-preset", "ultrafast"])
        .arg(env.project().join(name))
        .status()
        .unwrap();
    assert!(status.success());
}
