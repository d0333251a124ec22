//! The projects in examples/, as a reader would use them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::env::{TestEnv, ran, repository};

/// A program of the workspace, built beside `vdeploy`.
pub fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_vdeploy")).with_file_name(name);
    assert!(path.is_file(), "build it: `cargo build --workspace --bins`");
    path
}

/// A copy of [`program`] without what debuggers read: images of tests are made, kept and pushed in half the
/// time.
pub fn stripped(name: &str) -> PathBuf {
    let whole = program(name);
    let stripped = whole.with_file_name("stripped").join(name);
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    if modified(&stripped) < modified(&whole) {
        fs::create_dir_all(stripped.parent().unwrap()).unwrap();
        // Others may make it at the same time.
        let mut own = tempfile::Builder::new();
        own.permissions(fs::Permissions::from_mode(0o755));
        let own = own.tempfile_in(stripped.parent().unwrap()).unwrap();
        let strip = Command::new("strip").arg("-o").args([own.path(), &whole]).status().unwrap();
        assert!(strip.success());
        own.persist(&stripped).unwrap();
    }
    stripped
}

/// A copy of an example, to deploy without touching it.
pub fn example(env: &TestEnv, name: &str) {
    for file in walkdir::WalkDir::new(repository().join("examples").join(name)) {
        let file = file.unwrap();
        let path = file.path().strip_prefix(repository().join("examples").join(name)).unwrap();
        if file.file_type().is_file() && !path.starts_with("target") {
            env.write(path.to_str().unwrap(), fs::read(file.path()).unwrap());
        }
    }
}

/// A clip of so many seconds.
fn clip(env: &TestEnv, name: &str, seconds: u32) -> PathBuf {
    let path = env.project().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let source = format!("testsrc2=s=64x48:r=5:d={seconds}");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &source, "-pix_fmt", "yuv420p"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    path
}

#[test]
fn a_rust_program_maps_a_function_over_a_folder() {
    let env = TestEnv::new();
    example(&env, "transcode");
    env.vdeploy("deploy -y").exits(0);
    for (name, seconds) in [("clips/a.mp4", 1), ("clips/b.mp4", 2), ("clips/c.mp4", 3)] {
        clip(&env, name, seconds);
    }
    let mut command = Command::new(program("example-client"));
    command
        .arg("clips")
        .current_dir(env.project())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("VDEPLOY_HOME", env.vdeploy_home())
        .env("VDEPLOY_WORKER", program("vdeploy-runtime"));
    let done = ran(command.output().unwrap()).exits(0);
    let mut lengths: Vec<u64> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|clip| clip["duration_seconds"].as_f64().unwrap() as u64)
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 2, 3]);
    assert!(done.stderr.ends_with("3 of 3 done\n"), "{}", done.stderr);
    // Without anything that could run a call.
    command.env("VDEPLOY_WORKER", "/nowhere/vdeploy-runtime");
    let lost = ran(command.output().unwrap()).exits(1);
    assert!(
        lost.stderr.starts_with("error: there is no worker program at `/nowhere/vdeploy-runtime`"),
        "{}",
        lost.stderr
    );
}

#[test]
fn a_handler_in_rust_is_deployed_and_calls_others() {
    let env = TestEnv::new();
    example(&env, "rust-handler");
    let binary = env.project().join("target/release/rust-handler");
    fs::create_dir_all(binary.parent().unwrap()).unwrap();
    fs::copy(program("rust-handler"), &binary).unwrap();
    env.vdeploy("deploy -y").exits(0);
    let clips = json!({ "clips": [clip(&env, "a.mp4", 1), clip(&env, "b.mp4", 2)] });
    let done = env.run(["call", "longest", "--args", &clips.to_string()]).exits(0).json();
    assert!(done["clip"].as_str().unwrap().ends_with("b.mp4"), "{done}");
    assert_eq!(done["seconds"], json!(2.0));
    let wrong = env.run(["call", "longest", "--args", "clisp=[]"]).exits(2);
    assert!(wrong.stderr.contains("did you mean `clips`"), "{}", wrong.stderr);
    let missing = env.run(["call", "longest", "--args", r#"clips=["gone.mp4"]"#]).exits(5);
    assert!(missing.stderr.contains("call 0 of `probe` failed"), "{}", missing.stderr);
}

#[test]
fn a_handler_in_python_is_deployed_as_it_is() {
    let env = TestEnv::new();
    example(&env, "python-handler");
    clip(&env, "clip.mp4", 2);
    env.vdeploy("deploy -y").exits(0);
    let ran = env.vdeploy("call thumbnails --args input=clip.mp4 count=2").exits(0);
    let names = json!(["thumbnail-001.jpg", "thumbnail-002.jpg"]);
    assert_eq!(ran.json()["thumbnails"], names);
}

/// The whole way of examples/reel-studio: found, marked, followed, cut, packaged.
#[test]
fn a_portrait_stream_is_made_of_a_match() {
    let env = TestEnv::new();
    example(&env, "reel-studio");
    let examples = repository().join("examples");
    let mut clip = Command::new(examples.join("detect/match"));
    assert!(clip.arg("whole.mp4").current_dir(env.project()).status().unwrap().success());
    let cut = "-v error -i whole.mp4 -t 2 -crf 16 match.mp4".split(' ');
    let cut = Command::new("ffmpeg").args(cut).current_dir(env.project()).status();
    assert!(cut.unwrap().success());
    env.vdeploy("deploy -y").exits(0);
    let model = examples.join("detect/model/shapes.onnx");
    env.run(["volume", "put", "models", model.to_str().unwrap()]).exits(0);
    env.vdeploy("volume put footage match.mp4").exits(0);
    let mut call = env.command(["call", "reel", "--args", "@reel.json"]);
    let done = ran(call.env("VDEPLOY_ONNXRUNTIME", "tract").output().unwrap()).exits(0).json();
    assert_eq!(done["output"], "vol://reels/match", "{done}");
    // Two clips of 25 and 20 frames, of which the last 5 of one are the first 5 of the other.
    assert_eq!(done["steps"][3]["result"]["reel"]["verified"]["frames_out"], 40, "{done}");
    env.vdeploy("volume get reels match .").exits(0);
    let stream = env.project().join("match/master.m3u8");
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-count_packets", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=width,height,nb_read_packets"])
        .arg(stream)
        .output()
        .unwrap();
    let probed = String::from_utf8(probed.stdout).unwrap();
    assert!(probed.starts_with("202,360,40"), "{probed}");
}

#[test]
fn the_rust_template_is_the_example() {
    let env = TestEnv::new();
    env.vdeploy("init rust-handler reel").exits(0);
    let made = |path| fs::read_to_string(env.project().join("reel").join(path)).unwrap();
    assert!(made("Cargo.toml").contains("name = \"reel\""));
    assert!(made("vdeploy.toml").contains("binary = \"target/release/reel\""));
    let unbuilt = env.vdeploy("plan --manifest reel").exits(2);
    assert!(unbuilt.stderr.contains("target/release/reel"), "{}", unbuilt.stderr);
    let cargo = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env.project().join("reel"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
}
