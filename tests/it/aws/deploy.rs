//! Deploying to `aws`, again, changed, mended, back, and gone.

use insta::assert_snapshot;

use super::standin::{Aws, SECRETS};
use super::{MANIFEST, project};
use crate::env::{Ran, TestEnv};

/// What a deployed app has, without what only hashes tell apart.
fn kinds(aws: &Aws) -> String {
    let all = aws.everything();
    let shown = all.iter().filter(|line| !line.starts_with("object"));
    let mut lines: Vec<String> = shown.map(|line| without_hashes(line)).collect();
    lines.dedup();
    lines.join("\n")
}

fn without_hashes(line: &str) -> String {
    let is_hash = |part: &str| {
        part.len() >= 6
            && part.bytes().all(|b| b.is_ascii_hexdigit())
            && part.contains(|c: char| c.is_ascii_digit())
    };
    line.split('-')
        .map(|part| if is_hash(part) { "HASH" } else { part })
        .collect::<Vec<_>>()
        .join("-")
}

fn last_line(ran: &Ran) -> &str {
    ran.stderr.trim_end().lines().last().unwrap_or_default()
}

fn deployed() -> Option<(TestEnv, Aws)> {
    let env = project();
    let aws = Aws::start(&env)?;
    let secret = "secret create storage TOKEN=hunter2-of-the-test";
    aws.vdeploy(&env, secret).exits(0);
    aws.vdeploy(&env, "deploy -y").exits(0);
    Some((env, aws))
}

#[test]
fn an_app_comes_to_an_account_changes_there_and_goes_without_a_trace() {
    let env = project();
    let Some(aws) = Aws::start(&env) else { return };
    let missing = aws.vdeploy(&env, "deploy -y").exits(1);
    assert!(missing.stderr.contains("vdeploy secret create storage TOKEN=-"), "{}", missing.stderr);
    aws.vdeploy(&env, "secret create storage TOKEN=hunter2-of-the-test").exits(0);
    let plan = aws.vdeploy(&env, "plan --detailed-exitcode").exits(3);
    assert!(plan.stdout.contains("batch (it needs a GPU)"), "{}", plan.stdout);
    assert!(plan.stdout.contains("g4dn.xlarge"), "{}", plan.stdout);
    assert!(plan.stdout.contains("secretsmanager:GetSecretValue on arn:aws"), "{}", plan.stdout);
    assert_eq!(aws.everything(), ["secret vdeploy/main/storage"]);

    let first = aws.vdeploy(&env, "deploy -y").exits(0);
    assert_snapshot!(last_line(&first), @"Deployed `reel` version 1: 22 added, 0 changed, 0 destroyed.");
    assert_snapshot!(kinds(&aws), @r"
    bucket vdeploy-us-east-1-HASH
    queue vdeploy-main-reel-cpu
    queue vdeploy-main-reel-t4-l4-spot
    compute vdeploy-main-reel-cpu-HASH
    compute vdeploy-main-reel-l4-spot-HASH
    compute vdeploy-main-reel-t4-spot-HASH
    definition vdeploy-main-reel-encode:1
    definition vdeploy-main-reel-nightly:1
    definition vdeploy-main-reel-thumbs:1
    lambda vdeploy-main-reel-short
    role vdeploy-main-reel-function
    role vdeploy-main-reel-machine
    role vdeploy-main-reel-schedule
    role vdeploy-main-reel-start
    profile vdeploy-main-reel-machine
    template vdeploy-main-reel-80gib
    log_group /vdeploy/main/reel/encode
    log_group /vdeploy/main/reel/nightly
    log_group /vdeploy/main/reel/short
    log_group /vdeploy/main/reel/thumbs
    schedule vdeploy-main-reel-nightly
    secret vdeploy/main/storage
    ");
    let again = aws.vdeploy(&env, "deploy -y").exits(0);
    assert!(again.stderr.contains("No changes."), "{}", again.stderr);

    env.write("vdeploy.toml", MANIFEST.replace("cpu = 4", "cpu = 3"));
    let changed = aws.vdeploy(&env, "deploy -y").exits(0);
    assert_snapshot!(last_line(&changed), @"Deployed `reel` version 2: 0 added, 1 changed, 0 destroyed.");
    let definitions = |line: &&String| line.starts_with("definition vdeploy-main-reel-encode");
    assert_eq!(aws.everything().iter().filter(definitions).count(), 2, "the one before stays");
    assert!(published(&aws, "encode").contains("vdeploy-main-reel-encode:2"));

    let back = aws.vdeploy(&env, "app rollback -y").exits(0);
    assert!(last_line(&back).contains("version 3"), "{}", back.stderr);
    assert!(published(&aws, "encode").contains(r#""cpu": 4.0"#));
    let history = aws.vdeploy(&env, "app history --json").exits(0).json();
    assert_eq!(history[2]["rollback_to"], 1);

    let destroyed = aws.vdeploy(&env, "destroy -y").exits(0);
    assert!(last_line(&destroyed).starts_with("Destroyed `reel`"), "{}", destroyed.stderr);
    assert_eq!(aws.everything(), ["secret vdeploy/main/storage"]);
    let nothing = aws.vdeploy(&env, "destroy -y").exits(0);
    assert!(nothing.stderr.contains("Nothing to destroy"), "{}", nothing.stderr);
}

fn published(aws: &Aws, function: &str) -> String {
    aws.boto3(&format!(
        "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         key = 'vdeploy/environments/main/apps/reel/functions/{function}.json'\n\
         print(json.dumps(json.load(s3.get_object(Bucket=bucket, Key=key)['Body'])))"
    ))
}

#[test]
fn what_was_changed_outside_is_put_back() {
    let Some((env, aws)) = deployed() else { return };
    aws.boto3(
        "batch = client('batch')\n\
         for ce in batch.describe_compute_environments()['computeEnvironments']:\n    \
             batch.update_compute_environment(computeEnvironment=ce['computeEnvironmentName'], computeResources={'maxvCpus': 1})\n\
         batch.update_job_queue(jobQueue='vdeploy-main-reel-t4-l4-spot', state='DISABLED')\n\
         batch.deregister_job_definition(jobDefinition='vdeploy-main-reel-nightly:1')\n\
         client('iam').put_role_policy(RoleName='vdeploy-main-reel-function', PolicyName='vdeploy', PolicyDocument='{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"s3:*\", \"Resource\": \"*\"}]}')\n\
         client('logs').put_retention_policy(logGroupName='/vdeploy/main/reel/short', retentionInDays=1)\n\
         client('logs').delete_log_group(logGroupName='/vdeploy/main/reel/encode')\n\
         client('lambda').delete_alias(FunctionName='vdeploy-main-reel-short', Name='live')\n\
         client('scheduler').delete_schedule(Name='vdeploy-main-reel-nightly')\n\
         s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         s3.delete_public_access_block(Bucket=bucket)\n",
    );
    let rules = "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
        for rule in s3.get_bucket_lifecycle_configuration(Bucket=bucket)['Rules']:\n    \
            print(rule.get('AbortIncompleteMultipartUpload'))";
    assert!(aws.boto3(rules).contains("'DaysAfterInitiation': 7"), "uploads nobody completes go");
    let plan = aws.vdeploy(&env, "plan").exits(0).stdout;
    for id in [
        "compute.t4-spot",
        "queue.t4-l4-spot",
        "function.nightly",
        "role.function",
        "log_group.short",
        "function.short",
        "bucket.vdeploy",
    ] {
        let mended = plan.lines().find(|line| line.contains(&format!("~ {id}")));
        let mended = mended.unwrap_or_else(|| panic!("{id} isn't mended:\n{plan}"));
        assert!(mended.contains("changed outside of vdeploy"), "{mended}");
    }
    for id in ["log_group.encode", "schedule.nightly"] {
        let made = plan.lines().find(|line| line.contains(&format!("+ {id}")));
        let made = made.unwrap_or_else(|| panic!("{id} isn't made:\n{plan}"));
        assert!(made.contains("removed outside of vdeploy"), "{made}");
    }
    aws.vdeploy(&env, "deploy -y").exits(0);
    let after = aws.vdeploy(&env, "plan --detailed-exitcode");
    assert_eq!(after.code, 0, "{}", after.stdout);
}

#[test]
fn files_keep_a_bucket_until_they_are_given_up_and_what_is_brought_along_stays() {
    let env = TestEnv::new();
    let Some(aws) = Aws::start(&env) else { return };
    aws.boto3(
        "client('s3').create_bucket(Bucket='studio-archive')\n\
         trust = json.dumps({'Version': '2012-10-17', 'Statement': []})\n\
         client('iam').create_role(RoleName='studio', AssumeRolePolicyDocument=trust)\n",
    );
    let before = aws.everything();
    let manifest = MANIFEST
        .replace("[target.aws]", "[target.aws]\nbucket = \"studio-archive\"\nrole = \"studio\"")
        .replace("secrets = [\"storage\"]\n", "")
        .replace("[secret.storage]\nkeys = [\"TOKEN\"]\n", "");
    env.write("vdeploy.toml", manifest);
    env.write("code/thumbs.txt", "one");
    let plan = aws.vdeploy(&env, "plan").exits(0).stdout;
    assert!(plan.contains("bucket `studio-archive`, role `studio`: is yours"), "{plan}");
    assert!(!plan.contains("role.function"), "{plan}");
    aws.vdeploy(&env, "deploy -y").exits(0);
    aws.boto3(
        "client('s3').put_object(Bucket='studio-archive', Key='vdeploy/environments/main/volumes/footage/a.mov', Body=b'x')",
    );
    let kept = aws.vdeploy(&env, "destroy -y").exits(0);
    assert!(kept.stderr.contains("it holds files and is kept"), "{}", kept.stderr);
    let without_objects = |all: Vec<String>| {
        all.into_iter().filter(|line| !line.starts_with("object")).collect::<Vec<_>>()
    };
    assert_eq!(without_objects(aws.everything()), before);
    let objects = aws.everything().join("\n");
    assert!(objects.contains("volumes/footage/a.mov"), "{objects}");
}

#[test]
fn a_lost_state_is_no_reason_to_leave_things_behind() {
    let Some((env, aws)) = deployed() else { return };
    aws.boto3(
        "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\n\
         s3.delete_object(Bucket=bucket, Key='vdeploy/environments/main/state/reel/state.json')",
    );
    let nothing = aws.vdeploy(&env, "destroy -y").exits(0);
    assert!(nothing.stderr.contains("Nothing to destroy"), "{}", nothing.stderr);
    aws.vdeploy(&env, "destroy -y --sweep").exits(0);
    let left = aws.everything();
    let expected = |line: &&String| {
        !line.starts_with("object") && !line.starts_with("bucket") && !line.starts_with("secret")
    };
    assert_eq!(left.iter().filter(expected).count(), 0, "{left:#?}");
}

#[test]
fn a_sweep_takes_nothing_of_an_app_whose_name_begins_alike() {
    let env = TestEnv::new();
    let Some(aws) = Aws::start(&env) else { return };
    let app = |name: &str, function: &str| {
        format!(
            "[app]\nname = \"{name}\"\n[image.own]\nuri = \"r/x:1\"\n[function.{function}]\n\
             handler = \"echo\"\nimage = \"own\"\nschedule = \"0 6 * * *\"\n"
        )
    };
    env.write("vdeploy.toml", app("reel-studio", "nightly"));
    aws.vdeploy(&env, "deploy -y").exits(0);
    let before = aws.everything();
    env.write("vdeploy.toml", app("reel", "studio-nightly"));
    let refused = aws.vdeploy(&env, "deploy -y").exits(4);
    assert!(refused.stderr.contains("isn't this app's"), "{}", refused.stderr);
    aws.vdeploy(&env, "destroy -y --sweep").exits(0);
    let kept = |line: &String| !line.contains("/state/reel/");
    assert_eq!(aws.everything().into_iter().filter(kept).collect::<Vec<_>>(), before);
    env.write("vdeploy.toml", app("reel-studio", "nightly"));
    let plan = aws.vdeploy(&env, "plan --detailed-exitcode");
    assert_eq!(plan.code, 0, "{}", plan.stdout);
}

#[test]
fn nothing_that_is_shown_or_kept_tells_a_secret_or_an_account() {
    let Some((env, aws)) = deployed() else { return };
    let mut shown = String::new();
    for line in [
        "plan --json",
        "app show --json",
        "state list --json",
        "state show function.encode",
        "secret list",
        "app history --json",
    ] {
        let ran = aws.vdeploy(&env, line).exits(0);
        shown.extend([line, &ran.stdout, &ran.stderr]);
    }
    env.write("vdeploy.toml", MANIFEST.replace("cpu = 4", "cpu = 2"));
    let planned = aws.vdeploy(&env, "plan --out plan.json").exits(0);
    shown += &std::fs::read_to_string(env.project().join("plan.json")).unwrap();
    aws.ask("deny?action=batch:RegisterJobDefinition");
    let refused = aws.vdeploy(&env, "deploy -y --json");
    shown.extend([planned.stdout, planned.stderr, refused.stdout, refused.stderr]);
    shown += &aws.boto3(
        "s3 = client('s3')\nbucket = s3.list_buckets()['Buckets'][0]['Name']\nprint(bucket)\n\
         for entry in s3.list_objects_v2(Bucket=bucket)['Contents']:\n    \
             print(entry['Key'], s3.get_object(Bucket=bucket, Key=entry['Key'])['Body'].read().decode())",
    );
    assert!(shown.contains("state/reel/state.json"), "the state is among it");
    for secret in SECRETS {
        let at = shown.find(secret);
        assert!(at.is_none(), "{secret}: {}", &shown[at.unwrap_or(0).saturating_sub(300)..]);
    }
}
