//! What AWS won't let one do: the error names it and what helps.

use super::project;
use super::standin::Aws;
use crate::env::{Ran, TestEnv, ran};

fn plan_with(aws: &Aws, env: &TestEnv, change: &[(&str, Option<&str>)]) -> Ran {
    let mut command = aws.command(env, "plan");
    for (name, value) in change {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    ran(command.output().unwrap())
}

#[test]
fn credentials_that_are_missing_expired_or_too_weak_are_told_apart() {
    let env = project();
    let Some(aws) = Aws::start(&env) else { return };
    let none = [("AWS_ACCESS_KEY_ID", None), ("AWS_SECRET_ACCESS_KEY", None)];
    let missing = plan_with(&aws, &env, &none).exits(1);
    assert!(missing.stderr.contains("set `AWS_PROFILE`"), "{}", missing.stderr);
    aws.ask("deny?action=sts:GetCallerIdentity&code=ExpiredToken");
    let expired = aws.vdeploy(&env, "plan").exits(1);
    assert!(expired.stderr.contains("`aws sso login`"), "{}", expired.stderr);
    aws.ask("deny");
    aws.vdeploy(&env, "secret create storage TOKEN=x").exits(0);
    aws.ask("deny?action=batch:CreateJobQueue");
    let denied = aws.vdeploy(&env, "deploy -y").exits(4);
    assert!(
        denied.stderr.contains("not authorized to perform: batch:CreateJobQueue"),
        "{}",
        denied.stderr
    );
    assert!(denied.stderr.contains("allow `batch:CreateJobQueue`"), "{}", denied.stderr);
    assert!(denied.stderr.contains("function.encode skipped: it needs"), "{}", denied.stderr);
    aws.ask("deny");
    aws.vdeploy(&env, "deploy -y").exits(0);
}

#[test]
fn a_quota_that_is_used_up_is_named_with_what_helps() {
    let env = TestEnv::new();
    env.write(
        "vdeploy.toml",
        "[app]\nname = \"reel\"\n[image.own]\nuri = \"r/x:1\"\n[function.encode]\n\
         handler = \"transcode\"\nimage = \"own\"\nengine = \"batch\"\n",
    );
    let Some(aws) = Aws::start(&env) else { return };
    for (environment, action, code, message) in [
        ("one", "iam:CreateRole", "LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000"),
        ("two", "ec2:CreateLaunchTemplate", "LaunchTemplateLimitExceeded", "There are 5000."),
        ("three", "logs:CreateLogGroup", "LimitExceededException", "Resource limit exceeded."),
    ] {
        let said = message.replace(' ', "%20");
        aws.ask(&format!("deny?action={action}&code={code}&message={said}"));
        let refused = aws.vdeploy(&env, &format!("deploy -y -e {environment}")).exits(4);
        assert!(refused.stderr.contains(&format!("{code}: {message}")), "{}", refused.stderr);
        assert!(refused.stderr.contains("Service Quotas"), "{}", refused.stderr);
        aws.ask("deny");
        aws.vdeploy(&env, &format!("deploy -y -e {environment}")).exits(0);
    }
}

#[test]
fn a_region_or_bucket_that_is_wrong_is_named() {
    let env = project();
    let Some(aws) = Aws::start(&env) else { return };
    let none = plan_with(&aws, &env, &[("AWS_REGION", None)]).exits(1);
    assert!(none.stderr.contains("name the region"), "{}", none.stderr);
    aws.boto3("client('s3').create_bucket(Bucket='studio-west', CreateBucketConfiguration={'LocationConstraint': 'us-west-2'})");
    let manifest =
        super::MANIFEST.replace("[target.aws]", "[target.aws]\nbucket = \"studio-west\"");
    env.write("vdeploy.toml", manifest.clone());
    let elsewhere = aws.vdeploy(&env, "deploy -y").exits(1);
    assert!(
        elsewhere.stderr.contains("bucket `studio-west` is in region `us-west-2`"),
        "{}",
        elsewhere.stderr
    );
    env.write("vdeploy.toml", manifest.replace("studio-west", "studio-nowhere"));
    let missing = aws.vdeploy(&env, "deploy -y").exits(1);
    assert!(missing.stderr.contains("there is no bucket `studio-nowhere`"), "{}", missing.stderr);
}

#[test]
fn what_no_machine_of_aws_can_do_is_refused_at_its_line() {
    let env = TestEnv::new();
    let Some(aws) = Aws::start(&env) else { return };
    let app = "[app]\nname = \"reel\"\n[image.own]\nuri = \"r/x:1\"\n[function.encode]\nhandler = \"transcode\"\n";
    for (says, expected) in [
        ("gpu = \"A100\"\nhardware = \"required\"\nimage = \"own\"", "`A100` has no video encoder"),
        ("gpu = \"T4\"\ncodecs = [\"av1\"]\nimage = \"own\"", "`T4` doesn't encode AV1"),
        ("gpu = \"A10G\"\ncodecs = [\"av1\"]\nimage = \"own\"", "`A10G` doesn't encode AV1"),
        (
            "gpu = \"L4\"\nengine = \"lambda\"\nimage = \"own\"",
            "Lambda can't run it: it needs a GPU",
        ),
        ("memory = \"40TiB\"\nimage = \"own\"", "no machine of AWS that is known here has"),
        ("cpu = 1", "a function needs an image on AWS"),
    ] {
        env.write("vdeploy.toml", format!("{app}{says}\n"));
        let refused = aws.vdeploy(&env, "plan").exits(2);
        assert!(refused.stderr.contains(expected), "{says}: {}", refused.stderr);
    }
    env.write("vdeploy.toml", format!("{app}gpu = \"L4\"\ncodecs = [\"av1\"]\nimage = \"own\"\n"));
    let cost = aws.vdeploy(&env, "cost --minutes 600 --json").exits(0).json();
    assert_eq!(cost[0]["machine"], "g6.xlarge");
    assert!(cost[0]["dollars"].as_f64() < cost[1]["dollars"].as_f64(), "{cost}");
}

#[test]
fn a_volume_without_a_bucket_to_be_in_says_what_makes_one() {
    let env = TestEnv::new();
    let Some(aws) = Aws::start(&env) else { return };
    let refused = aws.vdeploy(&env, "volume create footage").exits(1);
    assert!(refused.stderr.contains("the first `vdeploy deploy`"), "{}", refused.stderr);
}
