//! Files beyond the target: in mounted buckets, in S3 and on the web.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;

use serde_json::json;

use crate::aws::standin::{Aws, REGION};
use crate::env::{Ran, TestEnv, ran};

/// The SHA-256 of the text `frames`.
const FRAMES: &str = "594cfd2607d4f09e1ce6241203e418cacfed545063792bc5eab7afaadbf0c4e0";

/// An app on this machine whose library is a bucket of the stand-in's.
fn project(aws: &Aws) -> TestEnv {
    let env = TestEnv::new();
    let manifest = format!(
        r#"
[app]
name = "reel"

[secret.r2]
keys = ["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"]

[bucket.library]
url = "s3://videos/raw"
endpoint = "{address}"
secret = "r2"

[bucket.archive]
url = "s3://videos"
endpoint = "{address}"
secret = "r2"
read_only = true

[function.transcode]
handler = "transcode"

[function.copy]
command = ["sh", "-c", '''
read -r args
from=$(echo "$args" | sed 's/.*"input":"\([^"]*\)".*/\1/')
to=$(echo "$args" | sed 's/.*"output":"\([^"]*\)".*/\1/')
[ "$to" = "$args" ] || cp "$from" "$to"
env | grep -c R2_ >&2
printf '{{"from": "%s", "said": "%s"}}' "$from" "$(cat "$from")"
''']
args = "copy.schema.json"

[function.fetch]
command = ["sh", "-c", '''
read -r args
from=$(echo "$args" | sed 's/.*"input":"\([^"]*\)".*/\1/')
printf '{{"said": "%s"}}' "$(cat "$from")"
''']
args = "copy.schema.json"
downloads = {{ private = true, max_size = "1KiB" }}
"#,
        address = aws.address
    );
    env.write("vdeploy.toml", manifest);
    let file = |format: &str| json!({ "type": "string", "format": format });
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["input"],
        "properties": { "input": file("input-file"), "output": file("output-file") } });
    env.write("copy.schema.json", schema.to_string());
    env.vdeploy("secret create r2 R2_ACCESS_KEY_ID=AKIATEST R2_SECRET_ACCESS_KEY=hunter2-of-r2")
        .exits(0);
    aws.boto3("client('s3').create_bucket(Bucket='videos')");
    env.vdeploy("deploy -y").exits(0);
    env
}

/// A stand-in for the store, which ends with the test.
fn store() -> Option<(TestEnv, Aws)> {
    let own = TestEnv::new();
    let aws = Aws::start(&own)?;
    Some((own, aws))
}

fn put(aws: &Aws, key: &str, body: &str) {
    aws.boto3(&format!("client('s3').put_object(Bucket='videos', Key={key:?}, Body={body:?})"));
}

fn get(aws: &Aws, key: &str) -> String {
    let read = format!("get_object(Bucket='videos', Key={key:?})['Body'].read().decode()");
    aws.boto3(&format!("print(client('s3').{read})")).trim().to_owned()
}

#[test]
fn a_clip_of_a_mounted_bucket_is_transcoded_into_it() {
    let Some((_own, aws)) = store() else { return };
    let env = project(&aws);
    let clip = env.project().join("clip.mp4");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=s=160x90:r=25:d=1", "-c:v", "libx264"])
        .args(["-preset", "ultrafast", "-pix_fmt", "yuv420p"])
        .arg(&clip)
        .status();
    assert!(made.unwrap().success());
    aws.boto3(&format!("client('s3').upload_file({clip:?}, 'videos', 'raw/in/clip.mp4')"));
    let call = "call transcode --args input=bucket://library/in/clip.mp4 \
                output=bucket://library/out/small.mp4 preset=ultrafast";
    let called = env.vdeploy(call).exits(0).json();
    assert_eq!(called["output"], "bucket://library/out/small.mp4", "{called}");
    assert_eq!(called["verified"]["frames_out"], 25, "{called}");
    let small = env.project().join("small.mp4");
    aws.boto3(&format!("client('s3').download_file('videos', 'raw/out/small.mp4', {small:?})"));
    let probed = env.vdeploy("call transcode --args input=small.mp4 output=again.mp4").exits(0);
    assert_eq!(probed.json()["verified"]["frames_in"], 25);
    let again = env.vdeploy(call).exits(5);
    assert!(again.stderr.contains("already exists"), "{}", again.stderr);
}

#[test]
fn programs_get_files_of_buckets_and_no_credentials() {
    let Some((_own, aws)) = store() else { return };
    let env = project(&aws);
    put(&aws, "raw/a.txt", "frames");
    let call = "call copy --args input=bucket://library/a.txt output=bucket://library/b.txt";
    let called = env.vdeploy(call).exits(0);
    assert_eq!(called.json(), json!({ "from": "bucket://library/a.txt", "said": "frames" }));
    assert_eq!(get(&aws, "raw/b.txt"), "frames");
    let log = env.vdeploy("logs copy").exits(0).stdout;
    assert!(log.contains('0') && !log.contains("hunter2"), "{log}");

    let missing = env.vdeploy("call copy --args input=bucket://library/none.txt").exits(5);
    assert!(missing.stderr.contains("bucket://library/none.txt"), "{}", missing.stderr);
    let unknown = env.vdeploy("call copy --args input=bucket://libary/a.txt").exits(2);
    assert!(unknown.stderr.contains("no bucket `libary`"), "{}", unknown.stderr);
    let refused = "call copy --args input=bucket://archive/raw/a.txt output=bucket://archive/c";
    let refused = env.vdeploy(refused).exits(2);
    assert!(refused.stderr.contains("bucket `archive` is read-only"), "{}", refused.stderr);
    env.vdeploy("call copy --args input=bucket://archive/raw/a.txt output=c.txt").exits(0);
    assert_eq!(std::fs::read_to_string(env.project().join("c.txt")).unwrap(), "frames");
    let left = walkdir::WalkDir::new(env.vdeploy_home()).into_iter().flatten();
    let left = left.filter(|entry| entry.file_name() == "brought").count();
    assert_eq!(left, 0);
}

#[test]
fn objects_of_s3_are_reached_with_the_callers_own_credentials() {
    let Some((_own, aws)) = store() else { return };
    let env = project(&aws);
    put(&aws, "raw/a.txt", "frames");
    let with_credentials = |line: &str| -> Ran {
        let mut command = env.command(line.split_whitespace());
        command.envs(aws.variables()).env("VDEPLOY_TARGET", "local").env("AWS_REGION", REGION);
        ran(command.output().unwrap())
    };
    let call = "call copy --args input=s3://videos/raw/a.txt output=s3://videos/out/a.txt";
    with_credentials(call).exits(0);
    assert_eq!(get(&aws, "out/a.txt"), "frames");
    let again = with_credentials(call).exits(5);
    assert!(again.stderr.contains("`s3://videos/out/a.txt` already exists"), "{}", again.stderr);
    with_credentials(&call.replace("call copy", "call copy --force")).exits(0);
}

/// A server of the web that answers every request with `answer`; its address.
fn web(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            // Who refuses what comes hangs up early.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

fn page(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn files_of_the_web_are_downloaded_within_bounds() {
    let Some((_own, aws)) = store() else { return };
    let env = project(&aws);
    let server = web(page("frames"));
    let called = env.vdeploy(&format!("call fetch --args input={server}/a.txt")).exits(0);
    assert_eq!(called.json(), json!({ "said": "frames" }));
    env.vdeploy(&format!("call fetch --args input={server}/a.txt#sha256={FRAMES}")).exits(0);
    let pinned = format!("call fetch --args input={server}/a.txt#sha256={}", "0".repeat(64));
    let wrong = env.vdeploy(&pinned).exits(5);
    assert!(wrong.stderr.contains(&format!("its SHA-256 is {FRAMES}")), "{}", wrong.stderr);
    let large = web(page(&"x".repeat(2000)));
    let large = env.vdeploy(&format!("call fetch --args input={large}/a.txt")).exits(5);
    assert!(large.stderr.contains("larger than 1024 bytes"), "{}", large.stderr);

    // Other functions reach public addresses only, and nothing that can be read on the way.
    let refused = env.vdeploy(&format!("call copy --args input={server}/a.txt")).exits(2);
    assert!(refused.stderr.contains("isn't encrypted"), "{}", refused.stderr);
    let private = server.replace("http:", "https:");
    let refused = env.vdeploy(&format!("call copy --args input={private}/a.txt")).exits(5);
    assert!(refused.stderr.contains("isn't a public address"), "{}", refused.stderr);
    let written = env.vdeploy(&format!("call fetch --args input=vdeploy.toml output={server}/a"));
    assert!(written.exits(2).stderr.contains("nothing can be written to"));
}

#[test]
fn a_download_that_hangs_ends_with_its_call() {
    let Some((_own, aws)) = store() else { return };
    let env = project(&aws);
    let server = web("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf".into());
    let cut = env.vdeploy(&format!("call fetch --args input={server}/a.txt")).exits(5);
    assert!(cut.stderr.contains("can't download"), "{}", cut.stderr);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let line = format!("call fetch --args input={address}/a.txt");
    let child = env.command(line.split_whitespace()).stderr(std::process::Stdio::null()).spawn();
    let mut child = child.unwrap();
    let _asked = listener.accept().unwrap();
    crate::env::interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
