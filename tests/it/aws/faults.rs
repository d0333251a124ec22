//! What may happen to a deployment: requests fail, it dies, another one comes.

use super::standin::Aws;
use super::{MANIFEST, project};
use crate::env::{TestEnv, ran};

/// A small app: what dies often is deployed often.
const SMALL: &str = r#"
[app]
name = "small"

[image.own]
uri = "registry.example/small:1"

[volume.footage]

[function.job]
handler = "probe"
image = "own"
engine = "batch"
schedule = "0 6 * * *"
volumes = { "/footage" = "footage" }

[function.short]
handler = "echo"
image = "own"
"#;

fn small() -> TestEnv {
    let env = TestEnv::new();
    env.write("vdeploy.toml", SMALL);
    env
}

#[test]
fn requests_that_fail_are_made_again() {
    let env = project();
    let Some(aws) = Aws::start(&env) else { return };
    aws.vdeploy(&env, "secret create storage TOKEN=x").exits(0);
    aws.ask("faults?share=0.1");
    let deployed = aws.vdeploy(&env, "deploy -y");
    let again = if deployed.code == 0 { deployed } else { aws.vdeploy(&env, "deploy -y") };
    again.exits(0);
    aws.ask("faults?share=0");
    let plan = aws.vdeploy(&env, "plan --detailed-exitcode");
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    aws.ask("faults?share=0.1");
    let destroyed = aws.vdeploy(&env, "destroy -y");
    let again = if destroyed.code == 0 { destroyed } else { aws.vdeploy(&env, "destroy -y") };
    again.exits(0);
    aws.ask("faults?share=0");
    assert_eq!(aws.everything(), ["secret vdeploy/main/storage"]);
}

/// Places where a deployment may die.
const DEATHS: [&str; 11] = [
    "before-intent",
    "after-intent",
    "before-step",
    "role-made",
    "compute-made",
    "queue-made",
    "lambda-made",
    "function-made",
    "after-step",
    "before-record",
    "after-record",
];

/// Places where a destruction may.
const ENDS: [&str; 4] = ["before-step", "function-ended", "after-step", "after-record"];

fn dies(aws: &Aws, env: &TestEnv, failpoint: &str, line: &str) {
    let mut dying = aws.command(env, line);
    let died = ran(dying.env("VDEPLOY_FAILPOINT", failpoint).output().unwrap());
    assert_eq!(died.code, -1, "no death at {failpoint} in `{line}`: {}", died.stderr);
}

#[test]
fn every_death_is_recovered_from_and_nothing_is_doubled_or_left() {
    let env = small();
    let Some(aws) = Aws::start(&env) else { return };
    aws.vdeploy(&env, "deploy -y -e whole").exits(0);
    for failpoint in DEATHS {
        dies(&aws, &env, failpoint, &format!("deploy -y -e {failpoint}"));
        aws.vdeploy(&env, &format!("deploy -y -e {failpoint}")).exits(0);
        let plan = aws.vdeploy(&env, &format!("plan --detailed-exitcode -e {failpoint}"));
        assert_eq!(plan.code, 0, "{failpoint}: {}", plan.stdout);
    }
    let all = aws.everything();
    let of = |environment: &str| {
        let names = [format!("vdeploy-{environment}-"), format!("/{environment}/")];
        all.iter().filter(|line| names.iter().any(|name| line.contains(name.as_str()))).count()
    };
    for failpoint in DEATHS {
        assert_eq!(of(failpoint), of("whole"), "{failpoint}: {all:#?}");
    }
    for (failpoint, environment) in ENDS.iter().zip(DEATHS) {
        dies(&aws, &env, failpoint, &format!("destroy -y -e {environment}"));
    }
    for environment in DEATHS {
        aws.vdeploy(&env, &format!("destroy -y -e {environment}")).exits(0);
    }
    dies(&aws, &env, "before-close", "destroy -y -e whole");
    aws.vdeploy(&env, "destroy -y -e whole").exits(0);
    assert_eq!(aws.everything(), Vec::<String>::new());
}

#[test]
fn of_two_deployments_one_wins_and_the_other_hears_of_it() {
    let env = small();
    let Some(aws) = Aws::start(&env) else { return };
    aws.vdeploy(&env, "deploy -y").exits(0);
    env.write(
        "vdeploy.toml",
        SMALL.replace("timeout", "x").replace("echo\"", "echo\"\nmemory = \"3GiB\""),
    );
    let bucket = aws.everything().into_iter().find(|line| line.starts_with("bucket ")).unwrap();
    let bucket = bucket.trim_start_matches("bucket ");
    let host = "elsewhere";
    aws.boto3(&format!(
        "note = {{'holder': {{'user': 'ada', 'host': '{host}', 'pid': 7, 'operation': 'deploy', \
         'since': '2026-01-01T00:00:00Z'}}, 'machine': None, 'mark': 'x'}}\n\
         client('s3').put_object(Bucket='{bucket}', Key='vdeploy/environments/main/lock.json', \
         Body=json.dumps(note), ContentType='application/json')"
    ));
    let held = aws.vdeploy(&env, "deploy -y").exits(1);
    assert!(held.stderr.contains("`deploy` by ada@elsewhere, process 7"), "{}", held.stderr);
    assert!(held.stderr.contains("vdeploy state unlock --force"), "{}", held.stderr);
    aws.vdeploy(&env, "state unlock").exits(1);
    let broken = aws.vdeploy(&env, "state unlock --force").exits(0);
    assert!(
        broken.stderr.contains("broke the lock of `deploy` by ada@elsewhere"),
        "{}",
        broken.stderr
    );
    let both: Vec<_> = (0..2)
        .map(|_| {
            let mut command = aws.command(&env, "deploy -y");
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let both: Vec<_> =
        both.into_iter().map(|child| ran(child.wait_with_output().unwrap())).collect();
    let won = both.iter().filter(|ran| ran.code == 0).count();
    assert!(won >= 1, "{both:#?}");
    for lost in both.iter().filter(|ran| ran.code != 0) {
        assert!(lost.stderr.contains("locked by another operation"), "{}", lost.stderr);
    }
    let plan = aws.vdeploy(&env, "plan --detailed-exitcode");
    assert_eq!(plan.code, 0, "{}", plan.stdout);
}

#[test]
fn a_compute_environment_that_is_never_valid_says_why() {
    let env = project();
    let Some(aws) = Aws::start(&env) else { return };
    aws.vdeploy(&env, "secret create storage TOKEN=x").exits(0);
    aws.ask("ce-invalid?reason=CLIENT_ERROR%20-%20You%20have%20exceeded%20your%20vCPU%20limit");
    let failed = aws.vdeploy(&env, "deploy -y").exits(4);
    let why = "didn't become valid: CLIENT_ERROR - You have exceeded your vCPU limit";
    assert!(failed.stderr.contains(why), "{}", failed.stderr);
    aws.ask("ce-invalid");
    aws.vdeploy(&env, "destroy -y").exits(0);
    assert_eq!(aws.everything(), ["secret vdeploy/main/storage"], "{MANIFEST}");
}
