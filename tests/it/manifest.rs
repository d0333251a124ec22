//! `vdeploy.toml` through the command: where it is looked for, and what is said about mistakes.

use std::path::Path;

use crate::env::{Ran, TestEnv, repository};

const RIGHT: &str = "[app]\nname = \"reel\"\n[function.echo]\nhandler = \"echo\"\n";
const WRONG: &str = "[app]\nname = \"reel\"\n[function.echo]\nhandler = \"ehco\"\ncpu = \"2\"\n";

#[test]
fn every_mistake_is_shown_at_its_place() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", WRONG);
    let ran = plain(&env, &["plan"]).exits(2);
    assert_eq!(ran.stdout, "");
    insta::assert_snapshot!(ran.stderr, @r#"
    error: no handler is named `ehco`
     --> vdeploy.toml:4:11
      |
    4 | handler = "ehco"
      |           ^^^^^^
      |
      = hint: did you mean `echo`?

    error: `cpu` must be a number
     --> vdeploy.toml:5:7
      |
    5 | cpu = "2"
      |       ^^^ this is a string
      |
      = hint: write it without quotes: `cpu = 2`

    error: manifest `vdeploy.toml` has 2 mistakes
    "#);
}

#[test]
fn symbols_depend_on_the_locale() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", WRONG);
    assert!(env.vdeploy("plan").exits(2).stderr.contains('╭'));
    assert!(plain(&env, &["plan"]).exits(2).stderr.is_ascii());
}

#[test]
fn mistakes_are_data_with_json() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", WRONG);
    let ran = env.vdeploy("plan --json").exits(2);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    insta::assert_json_snapshot!(error["error"], @r#"
    {
      "message": "manifest `vdeploy.toml` has 2 mistakes",
      "causes": [],
      "hints": [],
      "exit": 2,
      "problems": [
        {
          "message": "no handler is named `ehco`",
          "line": 4,
          "column": 11,
          "hint": "did you mean `echo`?"
        },
        {
          "message": "`cpu` must be a number",
          "line": 5,
          "column": 7,
          "hint": "write it without quotes: `cpu = 2`"
        }
      ]
    }
    "#);
}

#[test]
fn the_manifest_is_found_in_a_folder_above() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", RIGHT);
    env.write("clips/today/note.txt", "");
    let mut command = env.command(["plan"]);
    let ran =
        crate::env::ran(command.current_dir(env.project().join("clips/today")).output().unwrap());
    assert!(ran.exits(0).stdout.contains("function.echo will be created"));
}

#[test]
fn a_manifest_is_named_as_a_file_or_its_folder() {
    let env = TestEnv::new();
    env.write("apps/reel/vdeploy.toml", RIGHT);
    env.write("apps/other.toml", RIGHT.replace("reel", "other"));
    let plan = |path: &str| env.run(["plan", "--manifest", path]).exits(0).stdout;
    assert!(plan("apps/reel").starts_with("reel in environment"));
    assert!(plan("apps/other.toml").starts_with("other in environment"));
}

#[test]
fn a_manifest_that_is_not_there() {
    let env = TestEnv::new();
    let ran = env.vdeploy("plan").exits(2);
    assert_eq!(
        ran.stderr,
        "error: no `vdeploy.toml` here or in a folder above\n\
         hint: start a project: `vdeploy init`\n\
         hint: or name a manifest: `--manifest PATH`\n"
    );
    let ran = env.vdeploy("plan --manifest nowhere").exits(2);
    assert!(ran.stderr.starts_with("error: there is no manifest `nowhere`\n"), "{}", ran.stderr);
}

#[test]
fn a_manifest_that_is_not_text() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", b"name = \"\xff\"");
    let ran = env.vdeploy("plan").exits(2);
    assert!(ran.stderr.starts_with("error: manifest `vdeploy.toml` isn't UTF-8 text\n"));
}

#[test]
fn a_wrong_manifest_changes_nothing() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", WRONG);
    env.vdeploy("deploy -y").exits(2);
    assert_eq!(std::fs::read_dir(env.vdeploy_home()).unwrap().count(), 0);
}

#[test]
fn the_design_example_plans() {
    let env = TestEnv::new();
    env.run([
        "secret",
        "create",
        "r2-credentials",
        "R2_ENDPOINT_URL=https://r2.example.com",
        "R2_ACCESS_KEY_ID=id",
        "R2_SECRET_ACCESS_KEY=key",
    ])
    .exits(0);
    let planned = plan_of(&env, &repository().join("tests/fixtures/design"));
    for resource in [
        "volume.footage",
        "image.cpu",
        "image.cuda",
        "image.python",
        "function.blur",
        "function.render_overlay",
        "function.transcode",
    ] {
        assert!(planned.contains(&format!("+ {resource} will be created")), "{planned}");
    }
    assert!(
        planned.contains("8 to add, 0 to change, 0 to destroy, 1 to use as it is"),
        "{planned}"
    );
}

#[test]
fn every_example_plans() {
    let env = TestEnv::new();
    for example in std::fs::read_dir(repository().join("examples")).unwrap() {
        let manifest = example.unwrap().path().join("vdeploy.toml");
        // A program that calls functions has none.
        let Ok(text) = std::fs::read(&manifest) else { continue };
        let folder = manifest.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let name = |file: &str| format!("{folder}/{file}");
        env.write(&name("vdeploy.toml"), text);
        for code in walkdir::WalkDir::new(manifest.parent().unwrap().join("handlers")) {
            let Ok(code) = code else { continue };
            if code.file_type().is_file() {
                let file = code.path().strip_prefix(manifest.parent().unwrap()).unwrap();
                env.write(&name(file.to_str().unwrap()), std::fs::read(code.path()).unwrap());
            }
        }
        build(&env.project().join(folder));
        let planned = plan_of(&env, &env.project().join(folder));
        assert!(planned.contains("0 to destroy"), "{planned}");
    }
}

#[test]
fn every_template_plans() {
    let env = TestEnv::new();
    for template in env.vdeploy("init --list --json").exits(0).json().as_array().unwrap() {
        let name = template["name"].as_str().unwrap();
        env.run(["init", name, name]).exits(0);
        build(&env.project().join(name));
        let planned = plan_of(&env, &env.project().join(name));
        assert!(planned.starts_with(&format!("{name} in environment `main`")), "{planned}");
    }
}

/// Puts the program of a project in Rust where its manifest expects it.
fn build(folder: &Path) {
    let built = Path::new(env!("CARGO_BIN_EXE_vdeploy")).with_file_name("rust-handler");
    let release = folder.join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::copy(built, release.join("rust-handler")).unwrap();
}

fn plan_of(env: &TestEnv, folder: &Path) -> String {
    env.run(["plan".as_ref(), "--manifest".as_ref(), folder.as_os_str()]).exits(0).stdout
}

/// Runs in a locale that shows ASCII only.
fn plain(env: &TestEnv, args: &[&str]) -> Ran {
    crate::env::ran(env.command(args).env("LANG", "C").output().unwrap())
}
