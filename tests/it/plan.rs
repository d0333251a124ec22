//! What `vdeploy plan` says, and that it changes nothing.

use insta::assert_snapshot;

use crate::env::TestEnv;

const MANIFEST: &str = r#"
[app]
name = "reel"

[image.python]
kind = "python"

[volume.footage]

[function.echo]
handler = "echo"

[function.blur]
command = ["cat", "handlers/blur.txt"]
source = ["handlers/"]
volumes = { "/videos" = "footage" }
timeout = "10m"
"#;

fn project() -> TestEnv {
    let env = TestEnv::new();
    env.write("vdeploy.toml", MANIFEST);
    env.write("handlers/blur.txt", "{}");
    env
}

#[test]
fn a_first_plan_shows_everything_and_changes_nothing() {
    let env = project();
    let plan = env.vdeploy("plan").exits(0);
    assert_snapshot!(plan.stdout, @r#"
    reel in environment `main` on target `local`

      + source.3613728d1e98 will be created
            files = 1
            size  = "2B"

      + image.python will be created
            kind = "python"

      + volume.footage will be created

      + function.blur will be created
            command         = ["cat","handlers/blur.txt"]
            timeout         = "10m"
            volumes./videos = "footage"
            source          = "3613728d1e98af8ceb273ae73a15d81c"

      + function.echo will be created
            handler = "echo"
            schema  = "c8b159eba1533571013e920616b3a943"

    Plan: 5 to add, 0 to change, 0 to destroy.
    "#);
    assert_eq!(std::fs::read_dir(env.vdeploy_home()).unwrap().count(), 0);
    env.vdeploy("plan --detailed-exitcode").exits(3);
}

#[test]
fn a_change_shows_what_was_and_what_will_be() {
    let env = project();
    env.vdeploy("deploy -y").exits(0);
    let same = env.vdeploy("plan --detailed-exitcode").exits(0);
    assert_snapshot!(same.stdout, @r"No changes. `reel` is as the manifest says (5 resources).");
    let changed = MANIFEST.replace("\"10m\"", "\"20m\"").replace("\"python\"", "\"cpu\"");
    env.write("vdeploy.toml", changed.replace("[function.echo]\nhandler = \"echo\"\n", ""));
    assert_snapshot!(env.vdeploy("plan").exits(0).stdout, @r#"
    reel in environment `main` on target `local`; 2 resources unchanged

    -/+ image.python will be replaced (forces replacement: another base makes another image)
            kind = "python" -> "cpu"

      ~ function.blur will be updated in place
            timeout = "10m" -> "20m"
            (3 unchanged settings hidden)

      - function.echo will be destroyed

    Plan: 1 to add, 1 to change, 2 to destroy.
    "#);
}

#[test]
fn json_is_the_plan_itself() {
    let env = project();
    let plan = env.vdeploy("plan --json").exits(0).json();
    assert_eq!(plan["summary"]["add"], 5);
    assert_eq!(plan["release"]["version"], 1);
    let ids: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|s| &s["id"]).collect();
    assert_eq!(ids.len(), 5);
    assert_eq!(ids[4], "function.echo");
}

#[test]
fn what_was_changed_or_removed_behind_its_back_is_noticed_and_mended() {
    let env = project();
    env.vdeploy("deploy -y").exits(0);
    let main = env.vdeploy_home().join("environments/main");
    std::fs::remove_file(main.join("apps/reel/functions/echo.json")).unwrap();
    std::fs::write(main.join("apps/reel/functions/blur.json"), "").unwrap();
    std::fs::remove_dir(main.join("volumes/footage")).unwrap();
    let source = std::fs::read_dir(main.join("sources")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(source.join("handlers/blur.txt")).unwrap();
    let plan = env.vdeploy("plan --json").exits(0).json();
    let reasons: Vec<_> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            format!("{} {}", s["id"].as_str().unwrap().split('.').next().unwrap(), s["reason"])
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "source \"changed_outside\"",
            "volume \"removed_outside\"",
            "function \"changed_outside\"",
            "function \"removed_outside\"",
        ]
    );
    env.vdeploy("deploy -y").exits(0);
    env.vdeploy("plan --detailed-exitcode").exits(0);
    assert!(source.join("handlers/blur.txt").is_file());
}

#[test]
fn a_saved_plan_is_applied_once_and_never_when_stale() {
    let env = project();
    env.vdeploy("plan --out first.plan").exits(0);
    env.vdeploy("deploy --plan first.plan").exits(0);
    env.vdeploy("plan --detailed-exitcode").exits(0);
    let stale = env.vdeploy("deploy --plan first.plan").exits(1);
    assert_snapshot!(stale.stderr, @r"
    error: saved plan `first.plan` is stale
      cause: the state was changed by another operation after the plan was made
    hint: plan again: `vdeploy plan --out first.plan`
    ");
}

#[test]
fn a_saved_plan_that_was_touched_or_whose_code_changed_is_refused() {
    let env = project();
    env.vdeploy("plan --out first.plan").exits(0);
    let text = std::fs::read_to_string(env.project().join("first.plan")).unwrap();
    env.write("touched.plan", text.replace("footage", "foo"));
    let touched = env.vdeploy("deploy --plan touched.plan").exits(1);
    assert!(touched.stderr.contains("it was changed after it was written"), "{}", touched.stderr);
    env.write("no.plan", "{}");
    env.vdeploy("deploy --plan no.plan").exits(1);
    env.write("handlers/blur.txt", "other");
    let changed = env.vdeploy("deploy --plan first.plan").exits(4);
    assert!(changed.stderr.contains("its files changed since the plan"), "{}", changed.stderr);
}

#[test]
fn files_that_are_not_there_are_named_with_their_function() {
    let env = project();
    std::fs::remove_file(env.project().join("handlers/blur.txt")).unwrap();
    std::fs::remove_dir(env.project().join("handlers")).unwrap();
    let missing = env.vdeploy("plan").exits(2);
    assert_snapshot!(missing.stderr, @r"
    error: function `blur` can't be deployed (in `vdeploy.toml`, line 13)
      cause: `handlers/` isn't there
    hint: create `handlers/` beside the manifest, or correct its name there
    ");
    env.write("handlers/blur.txt", "");
    env.write("args.json", "{\"type\": 3}");
    env.write("vdeploy.toml", MANIFEST.replace("timeout", "args = \"args.json\"\ntimeout"));
    let schema = env.vdeploy("plan").exits(2);
    assert!(schema.stderr.contains("`args.json` isn't a JSON Schema"), "{}", schema.stderr);
}
