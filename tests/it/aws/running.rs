//! A deployed app whose functions run: what a deploy gives them, and what calls them by itself.

use serde_json::Value;

use super::standin::Aws;
use crate::env::{TestEnv, eventually};

const APP: &str = r#"
[app]
name = "kept"

[image.own]
uri = "registry.example/own:1"

[secret.storage]
keys = ["TOKEN"]

[function.job]
command = ["sh", "-c", 'cat >/dev/null; echo "it is $TOKEN" >&2; printf "{\"length\": %d}" ${#TOKEN}']
image = "own"
engine = "batch"
secrets = ["storage"]
schedule = "0 6 * * *"

[function.short]
command = ["sh", "-c", 'cat >/dev/null; echo "it is $TOKEN" >&2; printf "{\"length\": %d, \"way\": \"one\"}" ${#TOKEN}']
image = "own"
secrets = ["storage"]
schedule = "30 * * * *"
"#;

fn deployed() -> Option<(TestEnv, Aws)> {
    let env = TestEnv::new();
    env.write("vdeploy.toml", APP);
    let aws = Aws::serving(&env)?;
    aws.vdeploy(&env, "secret create storage TOKEN=hunter2-of-the-test").exits(0);
    aws.vdeploy(&env, "deploy -y").exits(0);
    Some((env, aws))
}

/// Calls that ended well, the last first: what each returned, by function.
fn results(env: &TestEnv, aws: &Aws) -> Vec<(String, Value)> {
    let listed = aws.vdeploy(env, "calls ls --json").exits(0).json();
    let listed = listed.as_array().unwrap().iter().filter(|call| call["state"] == "succeeded");
    let result = |call: &Value| {
        let id = call["id"].as_str().unwrap();
        let got = aws.vdeploy(env, &format!("calls get {id} --json")).exits(0).json();
        (call["function"].as_str().unwrap().to_owned(), got["outcome"]["result"].clone())
    };
    listed.map(result).collect()
}

#[test]
fn secrets_reach_jobs_and_functions_and_none_of_their_settings() {
    let Some((env, aws)) = deployed() else { return };
    for function in ["job", "short"] {
        let called = aws.vdeploy(&env, &format!("call {function}")).exits(0);
        assert_eq!(called.json()["length"], 19, "{}", called.stdout);
        let logs = aws.vdeploy(&env, &format!("logs {function}")).exits(0);
        assert!(logs.stdout.contains("it is ***"), "{}", logs.stdout);
    }
    let settings = aws.boto3(
        "print(client('batch').describe_job_definitions(status='ACTIVE'))\n\
         print(client('lambda').get_function(FunctionName='vdeploy-main-kept-short'))\n",
    );
    assert!(settings.contains("VDEPLOY_SECRETS"), "{settings}");
    assert!(!settings.contains("hunter2"), "{settings}");
    // What is set later is what the next machine gets.
    aws.vdeploy(&env, "secret create storage TOKEN=short --force").exits(0);
    assert_eq!(aws.vdeploy(&env, "call job").exits(0).json()["length"], 5);
}

#[test]
fn a_schedule_calls_the_version_that_is_deployed() {
    let Some((env, aws)) = deployed() else { return };
    let fire = |function: &str| aws.ask(&format!("fire?schedule=vdeploy-main-kept-{function}"));
    let way = |wanted: &str, calls: usize| {
        let found = results(&env, &aws);
        let of = |name: &str| {
            let of_it = found.iter().filter(|(function, _)| function == name);
            of_it.map(|(_, result)| result.clone()).collect::<Vec<_>>()
        };
        let (job, short) = (of("job"), of("short"));
        (job.len(), short.len()) == (calls, calls) && short[0]["way"] == wanted
    };
    let fired = [fire("job"), fire("short")];
    eventually(|| way("one", 1));
    assert!(fired[0].contains("\"job\"") && fired[1].contains("202"), "{fired:?}");
    let longer = APP.replace("\"one\\\"", "\"two\\\"").replace("%d}", "%d, \\\"new\\\": true}");
    env.write("vdeploy.toml", longer);
    aws.vdeploy(&env, "deploy -y").exits(0);
    fire("job");
    fire("short");
    eventually(|| way("two", 2));
    aws.vdeploy(&env, "app rollback -y").exits(0);
    fire("job");
    fire("short");
    eventually(|| way("one", 3));
    let last = results(&env, &aws);
    let last = last.iter().find(|(function, _)| function == "job").unwrap();
    assert_eq!(last.1["new"], Value::Null, "the job of the version that was gone back to");
}
