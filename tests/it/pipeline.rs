//! Several handlers as one call, and the webhook that says how it went.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;
use vdeploy_runtime::webhook::signature;

use crate::env::{Ran, TestEnv};

const KEY: &str = "hunter2-for-webhooks";

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.run(["secret", "create", "hook", &format!("HOOK_KEY={KEY}")]).exits(0);
    for handler in ["pipeline", "notify"] {
        env.publish(handler, Entry::Builtin { handler: handler.into() }, |function| {
            function.secrets = vec!["hook".into()];
        });
    }
    let made = Command::new("ffmpeg")
        .args("-v error -y -f lavfi -i testsrc2=s=160x90:r=25:d=1 -pix_fmt yuv420p".split(' '))
        .arg(env.project().join("in.mp4"))
        .status()
        .unwrap();
    assert!(made.success());
    env
}

fn call(env: &TestEnv, function: &str, args: &Value) -> Ran {
    env.run(["call", function, "--args", &args.to_string()])
}

/// A message that a receiver got.
struct Message {
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Answers requests with these responses, one after the other. Returns its address and what it got.
fn receiver(responses: Vec<String>) -> (String, Receiver<Message>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (got, messages) = channel();
    thread::spawn(move || {
        for response in responses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut lines = reader.by_ref().lines().map(Result::unwrap);
            assert!(lines.next().unwrap().starts_with("POST /"));
            let headers: Vec<_> = lines
                .take_while(|line| !line.is_empty())
                .filter_map(|line| {
                    let (key, value) = line.split_once(": ")?;
                    Some((key.to_owned(), value.to_owned()))
                })
                .collect();
            let message = Message { headers, body: String::new() };
            let mut body = vec![0; message.header("content-length").parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let _ = got.send(Message { body: String::from_utf8(body).unwrap(), ..message });
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    (address, messages)
}

fn answer(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\
         connection: close\r\n\r\n"
    )
}

#[test]
fn steps_get_what_came_before_and_the_webhook_is_signed_and_tried_again() {
    let env = world();
    let (address, messages) = receiver(vec![answer("503 Busy"), answer("204 Taken")]);
    let args = json!({
        "input": "in.mp4",
        "output": "out.mp4",
        "steps": [
            { "handler": "probe", "args": { "input": "${input}" } },
            { "name": "small", "handler": "transcode",
              "args": { "input": "${input}", "output": "small.mp4", "height": 48,
                        "preset": "ultrafast", "hardware": "off" } },
            { "handler": "transcode",
              "args": { "input": "${small}", "output": "${output}",
                        "width": "${probe.width}", "height": "${probe.height}",
                        "preset": "ultrafast", "hardware": "off" } },
        ],
        "webhook": { "url": format!("http://{address}/done?token=1"), "secret": "HOOK_KEY",
                     "retry_seconds": 0.01 },
    });
    let result = call(&env, "pipeline", &args).exits(0).json();
    let out = env.project().join("out.mp4");
    assert_eq!(result["output"], out.to_str().unwrap());
    assert_eq!(result["webhook"]["delivered"], true, "{result}");
    let last = &result["steps"][2]["result"]["verified"];
    assert_eq!((&last["width"], &last["height"]), (&json!(160), &json!(90)));
    let mut names: Vec<_> = std::fs::read_dir(env.project())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["in.mp4", "out.mp4"], "what is between is the call's own");
    let (first, second) = (messages.recv().unwrap(), messages.recv().unwrap());
    assert_eq!(first.header("vdeploy-delivery"), second.header("vdeploy-delivery"));
    for message in [first, second] {
        let signed = message.header("vdeploy-signature");
        let seconds = signed.strip_prefix("t=").unwrap().split(',').next().unwrap();
        let seconds = seconds.parse().unwrap();
        assert_eq!(signed, signature(KEY.as_bytes(), seconds, &message.body));
        let said = message.json();
        assert_eq!((&said["status"], &said["function"]), (&json!("succeeded"), &json!("pipeline")));
        assert!(!message.body.contains(KEY));
    }
}

#[test]
fn a_step_that_fails_ends_it_and_is_told() {
    let env = world();
    let (address, messages) = receiver(vec![answer("200 OK")]);
    let args = json!({
        "steps": [
            { "handler": "probe", "args": { "input": env.project().join("gone.mp4") } },
            { "handler": "echo", "args": {} },
        ],
        "webhook": { "url": format!("http://{address}/") },
    });
    let failed = call(&env, "pipeline", &args).exits(5);
    assert!(failed.stderr.contains("step `probe` failed"), "{}", failed.stderr);
    let said = messages.recv().unwrap().json();
    assert_eq!(said["status"], "failed");
    assert_eq!(said["error"]["message"], "step `probe` failed");
    let calls = env.vdeploy("calls ls -n 0 --json").exits(0).json();
    assert_eq!(calls.as_array().unwrap().len(), 2, "the second step wasn't called");
}

#[test]
fn a_redirect_to_this_machine_is_not_followed_unless_allowed() {
    let env = world();
    let (inner, taken) = receiver(vec![answer("200 OK")]);
    let target = format!("http://{inner}/internal");
    let (address, messages) = receiver(vec![redirect(&target), redirect(&target)]);
    let mut args =
        json!({ "webhook": { "url": format!("http://{address}/") }, "body": { "a": 1 } });
    let refused = call(&env, "notify", &args).exits(5);
    assert!(refused.stderr.contains("isn't a public address"), "{}", refused.stderr);
    assert!(taken.try_recv().is_err(), "something connected");
    args["webhook"]["allow_private_redirects"] = true.into();
    let delivered = call(&env, "notify", &args).exits(0).json();
    assert_eq!(delivered, json!({ "status": 200, "tries": 1, "signed": false }));
    assert_eq!(taken.recv().unwrap().json(), json!({ "a": 1 }));
    assert_eq!(messages.iter().take(2).count(), 2);
}

#[test]
fn what_cannot_work_is_said_before_the_first_step() {
    let env = world();
    let refused = |args: Value| call(&env, "pipeline", &args).exits(5).stderr;
    let twice = json!([{ "handler": "echo" }, { "handler": "echo" }]);
    assert!(refused(json!({ "steps": twice })).contains("is the second that is named `echo`"));
    let neither = refused(json!({ "steps": [{ "args": {} }] }));
    assert!(neither.contains("step 1 needs a `handler` or a `function`"), "{neither}");
    let later = json!([{ "handler": "echo", "args": { "a": "${later}" } }]);
    assert!(refused(json!({ "steps": later })).contains("nothing is named `later`"));
    let secret = json!({ "webhook": { "url": "http://127.0.0.1:9/", "secret": "GONE" } });
    let missing = call(&env, "notify", &secret).exits(5).stderr;
    assert!(missing.contains("the secret `GONE` isn't there"), "{missing}");
}

#[test]
fn the_manifest_declares_steps_and_calls_name_the_rest() {
    let env = world();
    let manifest = |step: &str| {
        format!(
            r#"[app]
name = "reels"
[function.publish]
handler = "pipeline"
[function.publish.with]
steps = [
    {{ handler = "probe", args = {{ input = "${{input}}" }} }},
    {{ handler = "{step}", args = {{ input = "${{input}}", output = "${{output}}", height = 48, preset = "ultrafast" }} }},
]
"#
        )
    };
    env.write("vdeploy.toml", manifest("transcode"));
    env.vdeploy("deploy -y").exits(0);
    let given = json!({ "input": "in.mp4", "output": "out.mp4" });
    let result = call(&env, "reels/publish", &given).exits(0).json();
    assert_eq!(result["steps"][1]["result"]["verified"]["height"], 48, "{result}");
    // What a call says counts more.
    let other = json!({ "steps": [{ "handler": "echo", "args": { "n": 1 } }] });
    let result = call(&env, "reels/publish", &other).exits(0).json();
    assert_eq!(result["steps"][0]["result"], json!({ "n": 1 }));
    env.vdeploy("plan --detailed-exitcode").exits(0);
    env.write("vdeploy.toml", manifest("echo"));
    let plan = env.vdeploy("plan --detailed-exitcode").exits(3);
    assert!(plan.stdout.contains("publish"), "{}", plan.stdout);
    env.write("vdeploy.toml", manifest("echo").replace("steps =", "stesp ="));
    let wrong = env.vdeploy("plan").exits(2).stderr;
    assert!(wrong.contains("`with`: there is no argument `stesp`"), "{wrong}");
    assert!(wrong.contains("did you mean `steps`?"), "{wrong}");
}
