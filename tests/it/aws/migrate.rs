//! `vdeploy state migrate`: the state of an account, in its bucket and on this machine.

use super::standin::Aws;
use crate::env::{TestEnv, ran};

const APP: &str = r#"
[app]
name = "moved"

[image.own]
uri = "registry.example/own:1"

[function.one]
handler = "echo"
image = "own"

[target.aws]
"#;

fn here() -> String {
    format!("{APP}state = \"local\"\n")
}

fn deployed() -> Option<(TestEnv, Aws)> {
    let env = TestEnv::new();
    env.write("vdeploy.toml", APP);
    let aws = Aws::start(&env)?;
    aws.vdeploy(&env, "deploy -y").exits(0);
    Some((env, aws))
}

/// Keys of the bucket that are about the app's state.
fn states(aws: &Aws) -> Vec<String> {
    let all = aws.everything();
    all.into_iter().filter(|line| line.contains("/state/moved/")).collect()
}

#[test]
fn a_state_comes_to_this_machine_goes_on_there_and_comes_back() {
    let Some((env, aws)) = deployed() else { return };
    let moved = aws.vdeploy(&env, "state migrate --to local -y").exits(0);
    assert_eq!(moved.stdout, "moved\n");
    assert!(moved.stderr.contains("`state = \"local\"`"), "{}", moved.stderr);
    assert!(states(&aws).is_empty());
    env.write("vdeploy.toml", here());
    let plan = aws.vdeploy(&env, "plan --detailed-exitcode");
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    env.write("vdeploy.toml", here().replace("\"echo\"", "\"echo\"\nmemory = \"3GiB\""));
    let changed = aws.vdeploy(&env, "deploy -y").exits(0);
    assert!(changed.stderr.contains("version 2: 0 added, 1 changed"), "{}", changed.stderr);
    assert!(states(&aws).is_empty(), "what is kept here isn't kept there");

    let dies = |place: &str| {
        let mut dying = aws.command(&env, &format!("state migrate --to {place} -y"));
        assert_eq!(ran(dying.env("VDEPLOY_FAILPOINT", "state-copied").output().unwrap()).code, -1);
    };
    dies("bucket");
    aws.vdeploy(&env, "state migrate --to bucket -y").exits(0);
    env.write("vdeploy.toml", APP);
    let history = aws.vdeploy(&env, "app history --json").exits(0).json();
    assert_eq!(history.as_array().unwrap().len(), 2, "{history}");
    aws.vdeploy(&env, "app rollback -y").exits(0);
    let none = aws.vdeploy(&env, "state migrate --to bucket -y").exits(0);
    assert!(none.stderr.contains("there was no state to move"), "{}", none.stderr);
    aws.vdeploy(&env, "destroy -y").exits(0);
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn nothing_newer_is_replaced_and_nothing_locked_is_touched() {
    let Some((env, aws)) = deployed() else { return };
    let keep = "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
                key = 'vdeploy/environments/main/state/moved/state.json'\n";
    let old = aws.boto3(&format!(
        "{keep}print(s3.get_object(Bucket=bucket, Key=key)['Body'].read().decode())"
    ));
    aws.vdeploy(&env, "state migrate --to local -y").exits(0);
    env.write("vdeploy.toml", here().replace("\"echo\"", "\"echo\"\nmemory = \"3GiB\""));
    aws.vdeploy(&env, "deploy -y").exits(0);
    // Somebody brings back what the bucket held before.
    aws.boto3(&format!(
        "{keep}s3.put_object(Bucket=bucket, Key=key, Body={:?}.encode())",
        old.trim()
    ));
    let newer = aws.vdeploy(&env, "state migrate --to local -y").exits(1);
    assert!(newer.stderr.contains("is newer: step"), "{}", newer.stderr);
    assert_eq!(states(&aws).len(), 1, "nothing was forgotten");
    let other = "state = json.loads(s3.get_object(Bucket=bucket, Key=key)['Body'].read())\n\
                 state['lineage'] = 'other'\n\
                 s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(state).encode())\n";
    aws.boto3(&format!("{keep}{other}"));
    let other = aws.vdeploy(&env, "state migrate --to bucket -y").exits(1);
    assert!(other.stderr.contains("is of another deployment"), "{}", other.stderr);

    let lock = "note = {'holder': {'user': 'ada', 'host': 'elsewhere', 'pid': 7, \
                'operation': 'deploy', 'since': '2026-01-01T00:00:00Z'}, 'machine': None, 'mark': 'x'}\n\
                s3.put_object(Bucket=bucket, Key='vdeploy/environments/main/lock.json', \
                Body=json.dumps(note), ContentType='application/json')";
    aws.boto3(&format!("{keep}{lock}"));
    for place in ["bucket", "local"] {
        let held = aws.vdeploy(&env, &format!("state migrate --to {place} -y")).exits(1);
        assert!(held.stderr.contains("`deploy` by ada@elsewhere, process 7"), "{}", held.stderr);
    }
    let local = aws.command(&env, "state migrate --to bucket -y --target local").output();
    let local = ran(local.unwrap()).exits(2);
    assert!(local.stderr.contains("--target aws"), "{}", local.stderr);
}
