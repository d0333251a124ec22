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

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
