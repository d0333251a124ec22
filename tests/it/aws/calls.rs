//! Calls on `aws`: jobs and functions run by a stand-in, and what is kept of them in the bucket.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vdeploy_runtime::aws::layout::{
    BatchEngine, Engine, Keys, LambdaEngine, default_bucket, exit, variables,
};
use vdeploy_runtime::catalog::{FORMAT, Published};
use vdeploy_runtime::clock::now;
use vdeploy_runtime::function::{Entry, FunctionSpec};

use super::standin::{ACCOUNT, Aws, REGION, worker};
use crate::env::{Ran, TestEnv, eventually, repository, sh, signal};
use crate::examples::stripped;

/// Programs of this machine serve as jobs and as functions.
pub(super) const PROCESSES: &str = "process";

pub(super) fn bucket() -> String {
    default_bucket(ACCOUNT, REGION)
}

/// A stand-in with a bucket, a queue, and a job definition whose jobs are served here.
pub(super) fn standin(env: &TestEnv, jobs: &str) -> Option<Aws> {
    standin_of(env, jobs, &worker())
}

/// The same with another worker program.
pub(super) fn standin_of(env: &TestEnv, jobs: &str, worker: &Path) -> Option<Aws> {
    let variables = [("STANDIN_JOBS", OsStr::new(jobs)), ("VDEPLOY_WORKER", worker.as_os_str())];
    let aws = Aws::start_with(env, &variables)?;
    prepare(&aws, "none", &worker.display().to_string());
    Some(aws)
}

/// Variables of a stand-in whose jobs run in containers of an engine: from where those are, this
/// machine's own address is another.
pub(super) fn contained(engine: &OsStr) -> [(&'static str, &OsStr); 3] {
    [
        ("STANDIN_JOBS", OsStr::new("docker")),
        ("DOCKER_HOST", engine),
        ("STANDIN_INSIDE", OsStr::new("10.0.2.2")),
    ]
}

/// Makes what a deploy would: job definitions of `image` in which `worker` is found.
fn prepare(aws: &Aws, image: &str, worker: &str) {
    let rules: Vec<Value> = exit::RULES
        .iter()
        .map(|(field, pattern, again)| {
            let field = match field {
                exit::Field::StatusReason => "onStatusReason",
                exit::Field::Reason => "onReason",
                exit::Field::ExitCode => "onExitCode",
            };
            json!({ field: pattern, "action": if *again { "RETRY" } else { "EXIT" } })
        })
        .collect();
    let setup = json!({
        "bucket": bucket(),
        "rules": rules,
        "environment": [
            { "name": variables::BUCKET, "value": bucket() },
            { "name": variables::SECRETS, "value": r#"{"storage": ["TOKEN"], "r2": ["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"]}"# },
        ],
        "worker": worker,
        "image": image,
    });
    aws.boto3(&format!(
        r#"
setup = json.loads({setup:?})
client("s3").create_bucket(Bucket=setup["bucket"])
role = client("iam").create_role(RoleName="service", AssumeRolePolicyDocument=json.dumps({{"Version": "2012-10-17", "Statement": []}}))["Role"]["Arn"]
subnet = client("ec2").describe_subnets()["Subnets"][0]
group = client("ec2").describe_security_groups()["SecurityGroups"][0]["GroupId"]
client("iam").create_instance_profile(InstanceProfileName="machines")
profile = client("iam").get_instance_profile(InstanceProfileName="machines")["InstanceProfile"]["Arn"]
batch = client("batch")
batch.create_compute_environment(computeEnvironmentName="machines", type="MANAGED", serviceRole=role, state="ENABLED",
    computeResources=dict(type="EC2", minvCpus=0, maxvCpus=64, instanceTypes=["optimal"], instanceRole=profile,
                          subnets=[subnet["SubnetId"]], securityGroupIds=[group]))
batch.create_job_queue(jobQueueName="queue", priority=1, state="ENABLED",
    computeEnvironmentOrder=[dict(order=1, computeEnvironment="machines")])
secret = client("secretsmanager").create_secret(Name="vdeploy/main/storage", SecretString=json.dumps(dict(
    TOKEN="hunter2-of-the-test", R2_ACCESS_KEY_ID="AKIATEST", R2_SECRET_ACCESS_KEY="hunter2-of-r2")))["ARN"]
for name, command in (("calls", [setup["worker"], "batch"]), ("broken", ["false"])):
    batch.register_job_definition(jobDefinitionName=name, type="container",
        retryStrategy=dict(attempts=5, evaluateOnExit=setup["rules"]),
        containerProperties=dict(image=setup["image"], command=command, environment=setup["environment"],
            secrets=[dict(name=key, valueFrom=f"{{secret}}:{{key}}::") for key in ("TOKEN", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY")],
            resourceRequirements=[dict(type="VCPU", value="1"), dict(type="MEMORY", value="1024")]))
"#,
        setup = setup.to_string(),
    ));
}

/// The Docker daemon of tests; none, with a line that says why, where there can't be one.
pub(super) fn docker() -> Option<String> {
    let up = Command::new(repository().join("tests/standin/docker")).arg("up").output().unwrap();
    let said = String::from_utf8_lossy(&up.stdout).into_owned();
    if !up.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&up.stderr).trim());
        return None;
    }
    Some(said.lines().find_map(|line| line.strip_prefix("DOCKER_HOST="))?.to_owned())
}

pub(super) fn batch(definition: &str) -> Engine {
    Engine::Batch(BatchEngine {
        queue: "queue".into(),
        job_definition: format!("{definition}:1"),
        log_group: "/aws/batch/job".into(),
        price_per_hour: Some(3.6),
    })
}

/// Publishes a function as a deploy would.
pub(super) fn publish(
    aws: &Aws,
    name: &str,
    entry: Entry,
    engine: Engine,
    change: impl FnOnce(&mut FunctionSpec),
) {
    let mut function: FunctionSpec =
        serde_json::from_value(json!({ "app": "demo", "name": name, "entry": entry })).unwrap();
    if let Entry::Builtin { handler } = &function.entry {
        let handler = vdeploy_runtime::handlers::builtin().describe(handler);
        function.schema = handler.map(|handler| handler.args);
    }
    change(&mut function);
    let published = Published { format: FORMAT, version: 1, deployed_at: now(), function, engine };
    let (key, body) = (Keys::of("main").function("demo", name), json!(published).to_string());
    let bucket = bucket();
    aws.boto3(&format!(
        "client('s3').put_object(Bucket={bucket:?}, Key={key:?}, Body={body:?}.encode())"
    ));
}

pub(super) fn clip(env: &TestEnv, name: &str) {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=s=160x90:r=25:d=1", "-c:v", "libx264"])
        .args(["-preset", "ultrafast", "-pix_fmt", "yuv420p", name])
        .current_dir(env.project())
        .status();
    assert!(made.unwrap().success());
}

pub(super) fn frames(path: PathBuf) -> String {
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets"])
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(probed.stdout).unwrap().trim().to_owned()
}

/// A function that transcodes, as a job.
fn publish_transcode(aws: &Aws) {
    let entry = Entry::Builtin { handler: "transcode".into() };
    publish(aws, "transcode", entry, batch("calls"), |_| {});
}

fn state(ran: &Ran) -> String {
    ran.json()["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_clip_of_a_volume_is_transcoded_by_a_job_and_its_outcome_is_kept() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    publish_transcode(&aws);
    clip(&env, "clip.mp4");
    aws.vdeploy(&env, "volume create footage").exits(0);
    aws.vdeploy(&env, "volume put footage clip.mp4 raw/").exits(0);
    let call = "call transcode --args input=vol://footage/raw/clip.mp4 \
                output=vol://footage/out/small.mp4 preset=ultrafast";
    let called = aws.vdeploy(&env, call).exits(0);
    assert_eq!(called.json()["verified"]["frames_out"], 25, "{}", called.stdout);
    aws.vdeploy(&env, "volume get footage out/small.mp4 .").exits(0);
    assert_eq!(frames(env.project().join("small.mp4")), "25");

    let again = aws.vdeploy(&env, call).exits(5);
    assert!(again.stderr.contains("already exists"), "{}", again.stderr);
    let bucket = bucket();
    let input = Keys::of("main").volume("footage");
    let by_address = format!(
        "call transcode --args input=s3://{bucket}/{input}raw/clip.mp4 \
         output=s3://{bucket}/other/small.mp4 preset=ultrafast"
    );
    let called = aws.vdeploy(&env, &by_address).exits(0).json();
    assert_eq!(called["output"], format!("s3://{bucket}/other/small.mp4"));
    let listed = aws.vdeploy(&env, "calls ls --json").exits(0).json();
    let states = [0, 1, 2].map(|call| listed[call]["state"].as_str().unwrap());
    assert_eq!(states, ["succeeded", "failed", "succeeded"]);
    assert!(listed[2]["cost"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_clip_is_transcoded_by_a_job_in_a_container_that_was_made_here() {
    let Some(host) = docker() else { return };
    let env = TestEnv::new();
    let dockerfile = "FROM vdeploy-standin:ffmpeg\nCOPY vdeploy-runtime /usr/local/bin/\n";
    let dockerfile = env.write("image/Dockerfile", dockerfile);
    let context = dockerfile.parent().unwrap();
    std::fs::copy(stripped("vdeploy-runtime"), context.join("vdeploy-runtime")).unwrap();
    let build = Command::new("docker")
        .args(["build", "--quiet", "--tag", "vdeploy-test:calls"])
        .arg(context)
        .env("DOCKER_HOST", &host)
        .output();
    assert!(build.unwrap().status.success());
    let Some(aws) = Aws::start_with(&env, &contained(OsStr::new(&host))) else { return };
    prepare(&aws, "vdeploy-test:calls", "vdeploy-runtime");
    publish_transcode(&aws);
    clip(&env, "clip.mp4");
    let call = "call transcode --args input=clip.mp4 output=small.mp4 preset=ultrafast";
    aws.vdeploy(&env, call).exits(0);
    assert_eq!(frames(env.project().join("small.mp4")), "25");
}

#[test]
fn files_of_this_machine_go_along_with_a_call_and_come_back() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    publish_transcode(&aws);
    clip(&env, "clip.mp4");
    let call = "call transcode --args input=clip.mp4 preset=ultrafast output=out/small.mp4";
    aws.vdeploy(&env, call).exits(0);
    assert_eq!(frames(env.project().join("out/small.mp4")), "25");
    let refused = aws.vdeploy(&env, call).exits(2);
    assert!(refused.stderr.contains("already exists"), "{}", refused.stderr);
}

#[test]
fn a_map_is_one_array_whose_failed_and_killed_jobs_are_tried_again() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    // The door of a job is the parent of the worker that runs this.
    let script = r#"
        read -r input
        case "$input:$VDEPLOY_ATTEMPT" in
          '{"n":7}:1') echo 'not yet' >&2; exit 1 ;;
          '{"n":13}:1') kill -9 $(awk '/^PPid/ { print $2 }' /proc/$PPID/status); sleep 60 ;;
        esac
        echo "{\"got\": $input, \"attempt\": $VDEPLOY_ATTEMPT}"
    "#;
    publish(&aws, "each", sh(script), batch("calls"), |function| {
        function.retries.max = 2;
        function.retries.initial_delay_seconds = 0.01;
    });
    let inputs: String = (0..50).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    env.write("inputs.jsonl", inputs);
    let mapped = aws.vdeploy(&env, "map each --inputs inputs.jsonl --ordered").exits(0);
    let lines: Vec<Value> =
        mapped.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 50);
    for (n, line) in lines.iter().enumerate() {
        let attempt = if n == 7 || n == 13 { 2 } else { 1 };
        assert_eq!(line["result"], json!({ "got": { "n": n }, "attempt": attempt }), "{line}");
    }
    assert_eq!(aws.requests()["batch:submitjob"], 1, "{}", aws.requests());
    let killed = lines[13]["call"].as_str().unwrap();
    let record = aws.vdeploy(&env, &format!("calls get {killed} --json")).exits(0).json();
    assert_eq!(record["attempts"][0]["failure"]["kind"], "worker_lost", "{record}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_running_call_is_cancelled_and_one_that_waits_says_why() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    publish(&aws, "slow", sh("cat >/dev/null; echo started >&2; sleep 60"), batch("calls"), |_| {});
    let call = aws.vdeploy(&env, "call slow --detach").exits(0).stdout.trim().to_owned();
    let log = || aws.vdeploy(&env, &format!("calls logs {call}")).exits(0).stdout;
    eventually(|| log().contains("started"));
    let get = || aws.vdeploy(&env, &format!("calls get {call} --json")).exits(0);
    assert_eq!(state(&get()), "running");
    aws.vdeploy(&env, &format!("calls cancel {call}")).exits(0);
    assert_eq!(state(&get()), "cancelled");
}

#[test]
fn a_job_that_dies_or_never_starts_says_why() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    publish(&aws, "broken", sh("true"), batch("broken"), |_| {});
    let died = aws.vdeploy(&env, "call broken").exits(5);
    assert!(died.stderr.contains("ended with 1 and without an outcome"), "{}", died.stderr);

    let env = TestEnv::new();
    let Some(aws) = standin(&env, "none") else { return };
    publish(&aws, "waits", sh("true"), batch("calls"), |_| {});
    let call = aws.vdeploy(&env, "call waits --detach").exits(0).stdout.trim().to_owned();
    let got = aws.vdeploy(&env, &format!("calls get {call}")).exits(0);
    assert!(got.stderr.contains("queue `queue` is getting a machine"), "{}", got.stderr);
    aws.vdeploy(&env, &format!("calls cancel {call}")).exits(0);
}

#[test]
fn secrets_reach_a_job_and_nothing_that_is_kept() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    let script = "cat >/dev/null; echo \"token $TOKEN\" >&2; printf '{\"length\": %d}' ${#TOKEN}";
    publish(&aws, "secretive", sh(script), batch("calls"), |function| {
        function.secrets = vec!["storage".into()];
    });
    let called = aws.vdeploy(&env, "call secretive").exits(0);
    assert_eq!(called.json()["length"], 19);
    let logs = aws.vdeploy(&env, "logs secretive").exits(0);
    assert!(logs.stdout.contains("token ***"), "{}", logs.stdout);
    let bucket = bucket();
    let everything = aws.boto3(&format!(
        "s3 = client('s3')\nfor o in s3.list_objects_v2(Bucket={bucket:?})['Contents']:\n    \
         print(s3.get_object(Bucket={bucket:?}, Key=o['Key'])['Body'].read().decode('utf-8', 'replace'))"
    ));
    assert!(everything.contains("token ***"));
    assert!(!everything.contains("hunter2"));
}

#[test]
fn a_function_of_lambda_answers_retries_and_dies_like_any_other() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    let bucket = bucket();
    aws.boto3(&format!(
        r#"
role = client("iam").create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps({{"Version": "2012-10-17", "Statement": []}}))["Role"]["Arn"]
functions = client("lambda")
functions.create_function(FunctionName="short", PackageType="Image", Code=dict(ImageUri="123456789012.dkr.ecr.us-east-1.amazonaws.com/none:1"), Role=role,
    Timeout=30, Publish=True, Environment=dict(Variables={{"VDEPLOY_BUCKET": {bucket:?}, "VDEPLOY_ENVIRONMENT": "main"}}))
functions.create_alias(FunctionName="short", Name="live", FunctionVersion="1")
"#
    ));
    let lambda = LambdaEngine {
        function: "short".into(),
        alias: "live".into(),
        concurrency: Some(2),
        price_per_hour: None,
    };
    let script = r#"
        input=$(head -c 100); cat >/dev/null
        case "$input:$VDEPLOY_ATTEMPT" in *again*:1) exit 1 ;; esac
        echo "{\"attempt\": $VDEPLOY_ATTEMPT}"
    "#;
    publish(&aws, "short", sh(script), Engine::Lambda(lambda), |function| {
        function.retries.max = 1;
        function.retries.initial_delay_seconds = 0.01;
    });
    assert_eq!(aws.vdeploy(&env, "call short").exits(0).json(), json!({ "attempt": 1 }));
    let again = aws.vdeploy(&env, "call short --args text=again").exits(0);
    assert_eq!(again.json(), json!({ "attempt": 2 }));
    env.write("inputs.jsonl", "{}\n".repeat(6));
    let mapped = aws.vdeploy(&env, "map short --inputs inputs.jsonl").exits(0);
    assert_eq!(mapped.stdout.lines().count(), 6);
    let large = format!(r#"{{"text": "{}"}}"#, "x".repeat(7 << 20));
    env.write("large.json", large);
    aws.vdeploy(&env, "call short --args @large.json").exits(0);
}

#[test]
fn a_machine_that_is_taken_away_leaves_a_checkpoint_for_the_next() {
    let env = TestEnv::new();
    // The jobs of this test are started by itself.
    let Some(aws) = standin(&env, "none") else { return };
    let script = r#"
        cat >/dev/null
        if [ -n "$VDEPLOY_CHECKPOINT" ]; then echo "{\"from\": $VDEPLOY_CHECKPOINT}"; exit 0; fi
        echo '{"checkpoint": 41}' > "$VDEPLOY_EVENTS"
        echo stored >&2
        sleep 60
    "#;
    publish(&aws, "long", sh(script), batch("calls"), |_| {});
    let call = aws.vdeploy(&env, "call long --detach").exits(0).stdout.trim().to_owned();
    let job = || {
        let mut job = Command::new(worker());
        job.arg("batch").envs(aws.variables()).env(variables::BUCKET, bucket());
        job.env(variables::ENVIRONMENT, "main").env(variables::GROUP, &call);
        job.stdin(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut first = job();
    eventually(|| {
        let key = Keys::of("main").group(&call).checkpoint(0);
        let bucket = bucket();
        let list = format!(
            "print(client('s3').list_objects_v2(Bucket={bucket:?}, Prefix={key:?})['KeyCount'])"
        );
        aws.boto3(&list).trim() == "1"
    });
    signal(&first, rustix::process::Signal::TERM);
    assert_eq!(first.wait().unwrap().code(), Some(i32::from(exit::AGAIN)));
    assert_eq!(job().wait().unwrap().code(), Some(i32::from(exit::DONE)));
    let record = aws.vdeploy(&env, &format!("calls get {call} --json")).exits(0).json();
    assert_eq!(record["outcome"]["result"], json!({ "from": 41 }), "{record}");
    assert_eq!(record["attempts"][1]["attempt"], 2, "{record}");
}
