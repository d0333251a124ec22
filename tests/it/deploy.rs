//! Deploying, going back, destroying.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::env::{TestEnv, ran};

const MANIFEST: &str = r#"
[app]
name = "reel"

[volume.footage]

[function.echo]
handler = "echo"
cpu = 1

[function.blur]
command = ["cat", "handlers/blur.txt"]
source = ["handlers/"]
"#;

fn project() -> TestEnv {
    let env = TestEnv::new();
    env.write("vdeploy.toml", MANIFEST);
    env.write("handlers/blur.txt", "one");
    env
}

fn main_environment(env: &TestEnv) -> std::path::PathBuf {
    env.vdeploy_home().join("environments/main")
}

fn published(env: &TestEnv, function: &str) -> serde_json::Value {
    let path = main_environment(env).join(format!("apps/reel/functions/{function}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn deployed_code(env: &TestEnv) -> String {
    let hash = published(env, "blur")["function"]["source"].as_str().unwrap().to_owned();
    let copy = main_environment(env).join("sources").join(hash);
    std::fs::read_to_string(copy.join("handlers/blur.txt")).unwrap()
}

#[test]
fn a_deployment_says_what_it_did_and_the_next_that_there_is_nothing_to_do() {
    let env = project();
    let first = env.vdeploy("deploy -y").exits(0);
    assert_eq!(first.stdout, "");
    let last = first.stderr.lines().last().unwrap();
    assert_snapshot!(last, @r"Deployed `reel` version 1: 4 added, 0 changed, 0 destroyed.");
    let again = env.vdeploy("deploy -y").exits(0);
    assert_snapshot!(again.stderr, @r"No changes. `reel` is as the manifest says (4 resources).");
    let json = env.vdeploy("deploy -y --json").exits(0).json();
    assert_eq!(json["applied"]["version"], serde_json::Value::Null);
}

#[test]
fn what_handlers_take_is_recorded_with_them() {
    let env = TestEnv::new();
    let describe = r#"[{"name": "blur", "about": "", "args": {"title": "mine"}, "output": {}}]"#;
    let binary = env.write("bin/handlers", format!("#!/bin/sh\necho '{describe}'\n"));
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    env.write("args.json", r#"{"title": "from a file"}"#);
    let own = "[function.own]\nbinary = \"bin/handlers\"\nhandler = \"blur\"\n";
    let file = "[function.file]\ncommand = [\"cat\"]\nargs = \"args.json\"\n";
    env.write("vdeploy.toml", format!("[app]\nname = \"reel\"\n{own}{file}"));
    env.vdeploy("deploy -y").exits(0);
    assert_eq!(published(&env, "own")["function"]["schema"]["title"], "mine");
    assert_eq!(published(&env, "file")["function"]["schema"]["title"], "from a file");
    env.write("vdeploy.toml", format!("[app]\nname = \"reel\"\n{}", own.replace("blur", "blr")));
    let unknown = env.vdeploy("plan").exits(2);
    assert!(unknown.stderr.contains("has no handler `blr`; it has `blur`"), "{}", unknown.stderr);
    env.write("bin/handlers", "#!/bin/sh\nexit 3\n");
    let silent = env.vdeploy("plan").exits(2);
    assert!(silent.stderr.contains("ended with exit status: 3"), "{}", silent.stderr);
}

#[test]
fn nothing_is_changed_without_a_yes() {
    let env = project();
    let refused = env.vdeploy("deploy").exits(1);
    assert!(refused.stderr.contains("`-y`"), "{}", refused.stderr);
    assert!(!main_environment(&env).join("apps").exists());
}

#[test]
fn what_is_deployed_is_a_copy_and_an_earlier_version_comes_back_with_its_code() {
    let env = project();
    env.vdeploy("deploy -y").exits(0);
    env.write("handlers/blur.txt", "two");
    assert_eq!(deployed_code(&env), "one");
    env.write("vdeploy.toml", MANIFEST.replace("cpu = 1", "cpu = 2"));
    env.vdeploy("deploy -y").exits(0);
    assert_eq!(deployed_code(&env), "two");
    std::fs::remove_dir_all(env.project().join("handlers")).unwrap();
    env.vdeploy("app rollback -y").exits(0);
    assert_eq!(deployed_code(&env), "one");
    assert_eq!(published(&env, "echo")["version"], 3);
    assert_eq!(published(&env, "echo")["function"]["resources"]["cpu"], 1.0);
    let history = env.vdeploy("app history --json").exits(0).json();
    assert_eq!(history[2]["rollback_to"], 1);
    env.vdeploy("app rollback 2 -y").exits(0);
    assert_eq!(deployed_code(&env), "two");
    let unknown = env.vdeploy("app rollback 9 -y").exits(1);
    assert!(unknown.stderr.contains("no version `9`"), "{}", unknown.stderr);
}

#[test]
fn destroy_leaves_nothing_behind_but_what_it_did_not_make() {
    let env = project();
    env.vdeploy("volume create archive").exits(0);
    env.write("vdeploy.toml", format!("{MANIFEST}\n[volume.archive]\n"));
    env.vdeploy("deploy -y").exits(0);
    env.write("handlers/blur.txt", "two");
    env.vdeploy("deploy -y").exits(0);
    env.vdeploy("destroy -y").exits(0);
    let main = main_environment(&env);
    assert!(!main.join("apps/reel").exists());
    assert!(!main.join("sources").exists());
    assert!(!main.join("volumes/footage").exists());
    assert!(main.join("volumes/archive").exists());
    let nothing = env.vdeploy("destroy -y").exits(0);
    assert!(nothing.stderr.contains("Nothing to destroy"), "{}", nothing.stderr);
    env.vdeploy("deploy -y").exits(0);
    assert_eq!(published(&env, "echo")["version"], 3);
}

#[test]
fn a_volume_with_files_stays_unless_its_data_is_given_up() {
    let env = project();
    env.vdeploy("deploy -y").exits(0);
    let footage = main_environment(&env).join("volumes/footage");
    std::fs::write(footage.join("clip.mov"), "x").unwrap();
    let kept = env.vdeploy("destroy -y").exits(0);
    assert!(kept.stderr.contains("it holds files and is kept"), "{}", kept.stderr);
    assert!(footage.join("clip.mov").exists());
    env.vdeploy("deploy -y").exits(0);
    env.vdeploy("destroy -y --delete-data").exits(0);
    assert!(!footage.exists());
}

#[test]
fn two_apps_share_an_environment_without_taking_each_others_things() {
    let env = project();
    env.vdeploy("deploy -y").exits(0);
    let other = MANIFEST.replace("\"reel\"", "\"other\"");
    env.write("other/vdeploy.toml", other);
    env.write("other/handlers/blur.txt", "one");
    env.vdeploy("deploy -y --manifest other").exits(0);
    let apps = env.vdeploy("app ls --json").exits(0).json();
    assert_eq!(apps.as_array().unwrap().len(), 2);
    env.vdeploy("destroy reel -y --delete-data").exits(0);
    assert!(main_environment(&env).join("volumes/footage").exists());
    env.vdeploy("plan --detailed-exitcode --manifest other").exits(0);
}

#[test]
fn what_failed_is_said_the_rest_is_done_and_the_same_command_mends_it() {
    let env = project();
    let in_the_way = main_environment(&env).join("apps/reel/functions/.echo.json.new");
    std::fs::create_dir_all(&in_the_way).unwrap();
    let partly = env.vdeploy("deploy -y").exits(4);
    assert!(partly.stderr.contains("function.echo failed"), "{}", partly.stderr);
    assert!(partly.stderr.contains("cause:"), "{}", partly.stderr);
    assert!(partly.stderr.contains("Deployed `reel` in part: 3 added"), "{}", partly.stderr);
    std::fs::remove_dir(in_the_way).unwrap();
    env.vdeploy("deploy -y").exits(0);
    env.vdeploy("plan --detailed-exitcode").exits(0);
}

#[test]
fn ctrl_c_finishes_the_step_in_hand_and_frees_the_lock() {
    let env = TestEnv::new();
    let functions: String =
        (0..3000).map(|i| format!("[function.f{i}]\nhandler = \"echo\"\n")).collect();
    env.write("vdeploy.toml", format!("[app]\nname = \"big\"\n{functions}"));
    let mut child = env
        .command(["deploy", "-y"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_line(&mut child, "function.f0 created");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = ran(child.wait_with_output().unwrap()).exits(130);
    assert!(output.stderr.contains("go on with the same command"), "{}", output.stderr);
    env.vdeploy("deploy -y -q").exits(0);
    env.vdeploy("plan --detailed-exitcode").exits(0);
}

/// Reads stderr up to a line that ends so.
fn wait_for_line(child: &mut std::process::Child, end: &str) {
    use std::io::{BufRead, BufReader};
    let mut reader = BufReader::with_capacity(1, child.stderr.as_mut().unwrap());
    let mut line = String::new();
    while !line.trim_end().ends_with(end) {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "no line ends with `{end}`");
    }
}

#[test]
fn a_second_operation_hears_who_holds_the_lock() {
    let env = project();
    let lock = main_environment(&env).join("state.lock");
    let mut held = hold(&lock);
    held.write_all(
        br#"{"user":"ada","host":"vm","pid":7,"operation":"deploy","since":"2026-01-02T03:04:05Z"}"#,
    )
    .unwrap();
    let refused = env.vdeploy("deploy -y").exits(1);
    assert_snapshot!(refused.stderr, @r"
    error: the state is locked by another operation
      cause: `deploy` by ada@vm, process 7, since 2026-01-02T03:04:05Z
    hint: wait for it to end
    hint: if it hangs, end it with `kill 7` on `vm`, or break its lock: `vdeploy state unlock --force`
    ");
    env.vdeploy("plan").exits(0);
    env.vdeploy("state unlock").exits(1);
    env.vdeploy("state unlock --force").exits(0);
    env.vdeploy("deploy -y").exits(0);
}

fn hold(lock: &Path) -> std::fs::File {
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let file = std::fs::File::create(lock).unwrap();
    file.try_lock().unwrap();
    file
}
