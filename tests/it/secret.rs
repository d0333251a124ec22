//! Secrets: kept, checked by plans, and never seen.

use std::io::Write;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::env::{Ran, TestEnv, ran};

const VALUE: &str = "hunter2-very-secret";

fn with_stdin(env: &TestEnv, args: &[&str], text: &str) -> Ran {
    let mut child = env
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    ran(child.wait_with_output().unwrap())
}

#[test]
fn a_plan_names_what_lacks_and_the_command_that_mends_it() {
    let env = TestEnv::new();
    env.write(
        "vdeploy.toml",
        "[app]\nname = \"reel\"\n[secret.r2]\nkeys = [\"R2_KEY\", \"R2_URL\"]\n\
         [function.echo]\nhandler = \"echo\"\nsecrets = [\"r2\"]\n",
    );
    assert_snapshot!(env.vdeploy("plan").exits(1).stderr, @r"
    error: the app needs secrets that environment `main` doesn't have
      cause: there is no secret `r2`
    hint: enter it with `vdeploy secret create r2 R2_KEY=- R2_URL=-`
    ");
    with_stdin(&env, &["secret", "create", "r2", "R2_KEY=-"], VALUE).exits(0);
    assert_snapshot!(env.vdeploy("deploy -y").exits(1).stderr, @r"
    error: the app needs secrets that environment `main` doesn't have
      cause: secret `r2` lacks `R2_URL`
    hint: enter it with `vdeploy secret create r2 R2_URL=- --merge`
    ");
    env.vdeploy("secret create r2 R2_URL=https://example.com --merge").exits(0);
    let done = env.vdeploy("deploy -y --json").exits(0);
    assert!(!done.stdout.contains(VALUE) && !done.stderr.contains(VALUE));
    no_file_but_the_secret_holds_the_value(&env);
    env.vdeploy("destroy -y").exits(0);
    assert_eq!(env.vdeploy("secret list --json").exits(0).json()[0]["name"], "r2");
}

fn no_file_but_the_secret_holds_the_value(env: &TestEnv) {
    let holds = |path: &std::path::Path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes())
    };
    let holding: Vec<_> = walkdir::WalkDir::new(env.vdeploy_home())
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file() && holds(entry.path()))
        .map(|entry| entry.file_name().to_owned())
        .collect();
    assert_eq!(holding, ["r2.json"]);
}

#[test]
fn values_come_from_files_and_lists_show_keys_only() {
    let env = TestEnv::new();
    env.write(".env", format!("# c\nexport A='{VALUE}'\nB=2\n"));
    env.write("more.json", "{\"C\": \"3\", \"D\": 4}");
    env.vdeploy("secret create all --from-dotenv .env --from-json more.json E=5").exits(0);
    let list = env.vdeploy("secret list").exits(0);
    assert!(list.stdout.contains("A, B, C, D, E"), "{}", list.stdout);
    assert!(!list.stdout.contains(VALUE));
    env.vdeploy("secret delete all").exits(1);
    env.vdeploy("secret delete all -y").exits(0);
    assert_eq!(env.vdeploy("secret list --json").exits(0).stdout, "[]\n");
}

#[test]
fn mistakes_are_answered_without_repeating_values() {
    let env = TestEnv::new();
    env.vdeploy("secret create x A=1").exits(0);
    assert_snapshot!(env.vdeploy("secret create x A=2").exits(1).stderr, @r"
    error: secret `x` already exists
    hint: replace it with `vdeploy secret create x --force …`
    ");
    let keyless = env.run(["secret", "create", "y", VALUE]).exits(2);
    assert!(!keyless.stderr.contains(VALUE), "{}", keyless.stderr);
    env.write("bad.json", format!("{{\"A\": \"{VALUE}\", }}"));
    let bad = env.vdeploy("secret create y --from-json bad.json").exits(2);
    assert!(!bad.stderr.contains(VALUE), "{}", bad.stderr);
    env.write("bad.env", format!("A=1\n{VALUE}\n"));
    let bad = env.vdeploy("secret create y --from-dotenv bad.env").exits(2);
    assert!(bad.stderr.contains("line 2") && !bad.stderr.contains(VALUE), "{}", bad.stderr);
    let typo = env.vdeploy("secret delete xx").exits(1);
    assert!(typo.stderr.contains("did you mean `x`?"), "{}", typo.stderr);
}
