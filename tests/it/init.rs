//! `vdeploy init`, and what else the program writes about itself.

use std::path::Path;

use crate::env::{TestEnv, repository};

#[test]
fn a_new_project_has_a_manifest_named_after_its_folder() {
    let env = TestEnv::new();
    let ran = env.run(["init", "video", "My Reel"]).exits(0);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("next: `cd 'My Reel'`, then `vdeploy plan`"), "{}", ran.stderr);
    let manifest = read(&env.project().join("My Reel/vdeploy.toml"));
    assert!(manifest.contains("name = \"my-reel\""), "{manifest}");
    assert!(manifest.starts_with("#:schema ./vdeploy.schema.json\n"), "{manifest}");
    let schema = env.project().join("My Reel/vdeploy.schema.json");
    assert_eq!(read(&schema), env.vdeploy("schema").exits(0).stdout);
}

#[test]
fn the_default_is_a_video_app_in_this_folder() {
    let env = TestEnv::new();
    let made = env.vdeploy("init --json").exits(0).json();
    assert_eq!(made["app"], "project");
    assert_eq!(made["files"][0], "vdeploy.toml");
    assert!(read(&env.project().join("vdeploy.toml")).contains("[function.transcode]"));
}

#[test]
fn nothing_is_overwritten() {
    let env = TestEnv::new();
    env.write("app/handlers/thumbnails.py", "mine");
    let ran = env.vdeploy("init python-handler app").exits(2);
    assert_eq!(
        ran.stderr,
        "error: `app/handlers/thumbnails.py` already exists\n\
         hint: nothing was written; name another folder: `vdeploy init TEMPLATE DIR`\n"
    );
    assert_eq!(read(&env.project().join("app/handlers/thumbnails.py")), "mine");
    assert!(!env.project().join("app/vdeploy.toml").exists());
}

#[test]
fn a_project_that_can_not_be_written_is_not_half_written() {
    let env = TestEnv::new();
    env.write("app/handlers", "a file where a folder has to be");
    let ran = env.vdeploy("init python-handler app").exits(1);
    assert!(ran.stderr.starts_with("error: can't write `app/handlers/thumbnails.py`\n"));
    assert!(!env.project().join("app/vdeploy.toml").exists());
}

#[test]
fn the_python_template_works_as_it_is() {
    let env = TestEnv::new();
    make_clip(&env.project().join("clip.mp4"));
    env.vdeploy("init python-handler app").exits(0);
    env.vdeploy("deploy -y --manifest app").exits(0);
    let ran = env.vdeploy("call thumbnails --args input=clip.mp4 count=3").exits(0);
    let names = ["thumbnail-001.jpg", "thumbnail-002.jpg", "thumbnail-003.jpg"];
    assert_eq!(ran.json()["thumbnails"], serde_json::json!(names));
    let calls = env.vdeploy("calls ls --json").exits(0).json();
    let progress = &calls[0]["attempts"][0]["progress"];
    // The first is always kept, later ones from time to time.
    assert_eq!(progress["phase"], "processing", "{progress}");
    assert!(names.map(serde_json::Value::from).contains(&progress["message"]), "{progress}");
    env.write("notes.mp4", "not a video");
    let ran = env.vdeploy("call thumbnails --args input=notes.mp4").exits(5);
    assert!(ran.stderr.contains("isn't a video"), "{}", ran.stderr);
}

#[test]
fn the_video_template_works_as_it_is() {
    let env = TestEnv::new();
    make_clip(&env.project().join("clip.mp4"));
    env.vdeploy("init video app").exits(0);
    env.vdeploy("deploy -y --manifest app").exits(0);
    env.vdeploy("volume put footage clip.mp4").exits(0);
    let probed = env.vdeploy("call probe --args input=vol://footage/clip.mp4").exits(0).json();
    assert_eq!((&probed["width"], &probed["height"]), (&64.into(), &48.into()));
    let ran = env
        .vdeploy("call transcode --args input=vol://footage/clip.mp4 width=32 --output small.mp4")
        .exits(0);
    assert_eq!(ran.json()["verified"]["frames_out"], 10);
    assert!(env.project().join("small.mp4").is_file());
}

#[test]
fn templates_are_listed_and_typos_corrected() {
    let env = TestEnv::new();
    let listed = env.vdeploy("init --list --json").exits(0).json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert_eq!(names[..2], ["video", "python-handler"]);
    let ran = env.vdeploy("init vidoe").exits(2);
    assert_eq!(ran.stderr, "error: no template is named `vidoe`\nhint: did you mean `video`?\n");
    let ran = env.vdeploy("init reels").exits(2);
    assert!(ran.stderr.contains("`vdeploy init video reels`"), "{}", ran.stderr);
}

#[test]
fn every_command_has_a_man_page_and_a_completion() {
    let env = TestEnv::new();
    env.vdeploy("man pages").exits(0);
    let completions = env.vdeploy("completions bash").exits(0).stdout;
    for command in ["init", "schema", "call", "volume"] {
        assert!(env.project().join(format!("pages/vdeploy-{command}.1")).is_file(), "{command}");
        assert!(completions.contains(&format!("vdeploy__subcmd__{command}")), "{command}");
    }
    assert!(env.vdeploy("man").exits(0).stdout.contains(".TH vdeploy 1"));
}

#[test]
fn the_schema_in_the_repository_is_up_to_date() {
    let printed = TestEnv::new().vdeploy("schema").exits(0).stdout;
    let checked_in = read(&repository().join("templates/vdeploy.schema.json"));
    assert_eq!(printed, checked_in, "run `vdeploy schema > templates/vdeploy.schema.json`");
}

/// Two seconds, ten frames, 64 by 48.
fn make_clip(path: &Path) {
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=2"])
        .args(["-pix_fmt", "yuv420p"])
        .arg(path)
        .status()
        .expect("ffmpeg starts");
    assert!(made.success());
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
