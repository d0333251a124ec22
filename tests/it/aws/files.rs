//! Files of calls on `aws`: of this machine, which go along by their content, and of mounted buckets.

use vdeploy_runtime::function::{BucketMount, Entry};

use super::calls::{PROCESSES, batch, bucket, clip, frames, publish, standin};
use super::standin::Aws;
use crate::env::{TestEnv, eventually};
use crate::volume::{noise, within};

fn transcode(aws: &Aws) {
    let entry = Entry::Builtin { handler: "transcode".into() };
    publish(aws, "transcode", entry, batch("calls"), |_| {});
}

/// Keys of files that went along with calls.
fn sent(aws: &Aws) -> Vec<String> {
    let bucket = bucket();
    let listed = aws.boto3(&format!(
        "for o in client('s3').list_objects_v2(Bucket={bucket:?}, \
         Prefix='vdeploy/files/')['Contents']:\n    print(o['Key'])"
    ));
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn files_of_a_map_go_along_once_and_outputs_come_back() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    transcode(&aws);
    clip(&env, "clip.mp4");
    let line = |height: u32| {
        format!(
            "{{\"input\": \"clip.mp4\", \"height\": {height}, \"preset\": \"ultrafast\", \
             \"output\": \"out/{height}.mp4\"}}\n"
        )
    };
    env.write("inputs.jsonl", [90, 80, 70].map(line).concat());
    let map = "map transcode --inputs inputs.jsonl";
    let mapped = aws.vdeploy(&env, map).exits(0);
    assert_eq!(mapped.stdout.lines().count(), 3);
    for height in [90, 80, 70] {
        assert_eq!(frames(env.project().join(format!("out/{height}.mp4"))), "25");
        let named = env.project().join(format!("out/{height}.mp4"));
        assert!(mapped.stdout.contains(named.to_str().unwrap()), "{}", mapped.stdout);
    }
    let inputs = |aws: &Aws| sent(aws).iter().filter(|key| key.contains("/content/")).count();
    assert_eq!((inputs(&aws), sent(&aws).len()), (1, 4), "{:?}", sent(&aws));
    let refused = aws.vdeploy(&env, map).exits(2);
    assert!(refused.stderr.contains("already exists"), "{}", refused.stderr);

    // The same map again has nothing to do and nothing to bring.
    let id = mapped.stdout.lines().next().unwrap().split('"').nth(3).unwrap().to_owned();
    let again = aws.vdeploy(&env, &format!("{map} --map-id {id}")).exits(0);
    assert_eq!(again.stdout.lines().count(), 3);
    assert_eq!(aws.requests()["batch:submitjob"], 1);

    // The same content under another call is there already.
    aws.vdeploy(&env, "call transcode --args input=clip.mp4 output=b.mp4 height=60").exits(0);
    assert_eq!(inputs(&aws), 1, "{:?}", sent(&aws));
}

#[test]
fn a_job_reaches_a_mounted_bucket_by_the_credentials_of_its_secret() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    aws.boto3("client('s3').create_bucket(Bucket='videos')");
    let entry = Entry::Builtin { handler: "transcode".into() };
    let library = BucketMount {
        bucket: "videos".into(),
        prefix: "raw/".into(),
        endpoint: Some(aws.address.clone()),
        region: None,
        secret: Some("r2".into()),
        read_only: false,
    };
    publish(&aws, "transcode", entry, batch("calls"), |function| {
        function.buckets = [("library".to_owned(), library)].into();
    });
    clip(&env, "clip.mp4");
    let clip = env.project().join("clip.mp4");
    aws.boto3(&format!("client('s3').upload_file({clip:?}, 'videos', 'raw/clip.mp4')"));
    let call = "call transcode --args input=bucket://library/clip.mp4 \
                output=bucket://library/out/small.mp4 preset=ultrafast";
    let called = aws.vdeploy(&env, call).exits(0).json();
    assert_eq!(called["output"], "bucket://library/out/small.mp4", "{called}");
    let small = env.project().join("small.mp4");
    aws.boto3(&format!("client('s3').download_file('videos', 'raw/out/small.mp4', {small:?})"));
    assert_eq!(frames(small), "25");
}

/// A clip of some megabytes.
pub(super) fn large_clip(env: &TestEnv, seconds: u32, quantizer: u32) -> u64 {
    let path = env.project().join("large.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=s=640x360:r=25:d={seconds},noise=alls=60:allf=t"))
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25"])
        .args(["-qp", &quantizer.to_string()])
        .args(["-pix_fmt", "yuv420p"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    path.metadata().unwrap().len()
}

/// Bytes that have come out of buckets.
pub(super) fn brought(aws: &Aws) -> u64 {
    aws.requests()["s3:bytes"].as_u64().unwrap_or(0)
}

#[test]
fn of_a_file_that_is_looked_at_only_parts_are_brought() {
    let env = TestEnv::new();
    let Some(aws) = standin(&env, PROCESSES) else { return };
    publish(&aws, "probe", Entry::Builtin { handler: "probe".into() }, batch("calls"), |_| {});
    transcode(&aws);
    let size = large_clip(&env, 4, 8);
    assert!(size > 20 << 20, "{size}");
    aws.vdeploy(&env, "volume create footage").exits(0);
    aws.vdeploy(&env, "volume put footage large.mp4").exits(0);
    let before = brought(&aws);
    let probed = aws.vdeploy(&env, "call probe --args input=vol://footage/large.mp4").exits(0);
    assert_eq!((&probed.json()["width"], &probed.json()["bytes"]), (&640.into(), &size.into()));
    let parts = brought(&aws) - before;
    assert!(parts < size * 3 / 4, "{parts} of {size} bytes were brought");

    // Counting frames reads all of it.
    let counted = "call probe --args input=vol://footage/large.mp4 count_frames=true";
    assert_eq!(aws.vdeploy(&env, counted).exits(0).json()["frame_count"], 100);
    let missing = aws.vdeploy(&env, "call probe --args input=vol://footage/none.mp4").exits(5);
    assert!(missing.stderr.contains("can't read input `vol://footage/none.mp4`"));

    // A playlist is one wherever it is.
    env.write("list.m3u8", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n");
    aws.vdeploy(&env, "volume put footage list.m3u8").exits(0);
    let refused = aws.vdeploy(&env, "call probe --args input=vol://footage/list.m3u8").exits(5);
    assert!(refused.stderr.contains("isn't a video that can be read"), "{}", refused.stderr);
}

/// Bytes of a part of an upload, and of a range of a download.
const PART: u64 = 8 << 20;

/// A volume in a bucket, and a file of five parts that isn't in it yet.
fn with_volume(env: &TestEnv) -> Option<(Aws, Vec<u8>)> {
    let aws = standin(env, PROCESSES)?;
    let bytes = noise(5 * PART + 3);
    env.write("clip", &bytes);
    aws.vdeploy(env, "volume create footage").exits(0);
    Some((aws, bytes))
}

/// The sizes of what arrived of uploads that nobody completed, in any order: the last part of a file is
/// small and may come before others.
fn parts_of_uploads(aws: &Aws) -> Vec<u64> {
    let sizes = aws.boto3(&format!(
        "s3 = client('s3')\nfor u in s3.list_multipart_uploads(Bucket={bucket:?}).get('Uploads', []):\n    \
         parts = s3.list_parts(Bucket={bucket:?}, Key=u['Key'], UploadId=u['UploadId'])\n    \
         print(*[part['Size'] for part in parts.get('Parts', [])])",
        bucket = bucket()
    ));
    sizes.split_whitespace().map(|size| size.parse().unwrap()).collect()
}

#[test]
fn a_put_that_was_killed_goes_on_where_it_stopped() {
    let env = TestEnv::new();
    let Some((aws, bytes)) = with_volume(&env) else { return };
    aws.ask("hold?puts=2");
    let mut put = aws.command(&env, "volume put footage clip --quiet").spawn().unwrap();
    eventually(|| parts_of_uploads(&aws).len() == 2);
    let arrived: u64 = parts_of_uploads(&aws).iter().sum();
    put.kill().unwrap();
    put.wait().unwrap();
    aws.ask("hold?puts=-1");
    assert_eq!(aws.vdeploy(&env, "volume ls -r footage").exits(0).stdout, "", "a part is no file");

    let summary = aws.vdeploy(&env, "volume put footage clip --json").exits(0).json();
    // What was on its way when the put died may have arrived since.
    assert!(summary["resumed_bytes"].as_u64().unwrap() >= arrived, "{summary} {arrived}");
    assert!(parts_of_uploads(&aws).is_empty(), "nothing of it is left");
    aws.vdeploy(&env, "volume get footage clip back").exits(0);
    assert!(std::fs::read(env.project().join("back")).unwrap() == bytes);
}

#[test]
fn a_get_that_was_killed_goes_on_where_it_stopped() {
    let env = TestEnv::new();
    let Some((aws, bytes)) = with_volume(&env) else { return };
    aws.vdeploy(&env, "volume put footage clip").exits(0);
    // Writing beyond the first three parts is what it dies of.
    let get = aws.command(&env, "volume get footage clip back");
    let killed = within(&get, "ulimit -f 49152");
    assert_eq!(killed.code, -1, "{killed:?}");
    assert!(!env.project().join("back").exists());

    aws.vdeploy(&env, "volume get footage clip back").exits(0);
    assert!(std::fs::read(env.project().join("back")).unwrap() == bytes);
}
