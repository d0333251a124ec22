//! `ladder`: several sizes out of one decode, judged by ffprobe.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::TestEnv;

fn ladder() -> TestEnv {
    let env = TestEnv::new();
    env.publish("ladder", Entry::Builtin { handler: "ladder".into() }, |_| {});
    env
}

/// A clip out of ffmpeg's own sources.
fn clip(env: &TestEnv, name: &str, args: &[&str]) -> PathBuf {
    let path = env.project().join(name);
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(args)
        .args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    path
}

/// What ffprobe says of each packet of the picture, or of the stream.
fn ffprobe(path: &Path, args: &[&str]) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-select_streams", "v:0"])
        .args(args)
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Times of keyframes, of all frames in order, and bytes of the picture.
fn packets(path: &Path) -> (Vec<String>, Vec<f64>, u64) {
    let said = ffprobe(path, &["-show_entries", "packet=pts_time,flags,size"]);
    let packets = said["packets"].as_array().unwrap();
    let time = |packet: &Value| packet["pts_time"].as_str().unwrap().to_owned();
    let keyframes = packets.iter().filter(|p| p["flags"].as_str().unwrap().starts_with('K'));
    let keyframes = keyframes.map(time).collect();
    let mut times: Vec<f64> = packets.iter().map(|p| time(p).parse().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    let size = |packet: &Value| packet["size"].as_str().unwrap().parse::<u64>().unwrap();
    (keyframes, times, packets.iter().map(size).sum())
}

#[test]
fn all_sizes_have_the_same_frames_and_keyframes_and_what_is_said_of_them_is_true() {
    let env = ladder();
    let source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=320x180:r=30000/1001:d=3",
        "-f",
        "lavfi",
        "-i",
        "sine=d=3",
        "-c:a",
        "aac",
    ];
    clip(&env, "in.mp4", &source);
    let args = json!({
        "input": "in.mp4", "output": "out", "preset": "ultrafast", "keyframe_seconds": 1,
        "rungs": [
            { "height": 180, "bitrate": "400k" },
            { "height": 90 },
            { "height": 90, "codec": "hevc", "crf": 32, "name": "small" },
            "720p",
        ],
    });
    let ran = env.run(["call", "ladder", "--args", &args.to_string()]).exits(0);
    let said = ran.json();
    let rungs = said["rungs"].as_array().unwrap();
    let names: Vec<_> = rungs.iter().map(|rung| rung["file"].as_str().unwrap()).collect();
    assert_eq!(names, ["180p.mp4", "90p.mp4", "small.mp4"]);
    assert!(
        said["notes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|note| note.as_str().unwrap().contains("720p"))
    );
    let (keyframes, times, _) = packets(&env.project().join("out/180p.mp4"));
    assert_eq!(keyframes.len(), 3, "{keyframes:?}");
    assert_eq!(times.len(), 90);
    for rung in rungs {
        let path = env.project().join("out").join(rung["file"].as_str().unwrap());
        let (own_keyframes, own_times, bytes) = packets(&path);
        assert_eq!((&own_keyframes, &own_times), (&keyframes, &times), "{rung}");
        let stream = &ffprobe(&path, &["-show_streams", "-count_frames"])["streams"][0];
        assert_eq!((&stream["width"], &stream["height"]), (&rung["width"], &rung["height"]));
        assert_eq!(stream["nb_read_frames"], "90");
        let average = rung["average_bitrate"].as_f64().unwrap();
        assert!((average - bytes as f64 * 8.0 / 3.003).abs() < average * 0.01, "{rung}");
        assert!(rung["peak_bitrate"].as_f64().unwrap() >= average, "{rung}");
        assert_eq!(rung["verified"]["frames_out"], 90);
        assert_eq!(rung["verified"]["audio"], json!(["aac"]));
    }
}

#[test]
fn a_rate_that_varies_has_its_keyframes_at_the_same_frames_too() {
    let env = ladder();
    // Every third frame of a part is missing.
    let vary = "select='not(between(n,20,60)*not(mod(n,3)))',scale=160:90";
    let source =
        ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=4", "-vf", vary, "-fps_mode", "vfr"];
    clip(&env, "in.mkv", &source);
    let args = json!({
        "input": "in.mkv", "output": "out", "preset": "ultrafast", "keyframe_seconds": 1,
        "rungs": [{ "height": 90 }, { "height": 44 }],
    });
    env.run(["call", "ladder", "--args", &args.to_string()]).exits(0);
    let (keyframes, times, _) = packets(&env.project().join("out/90p.mp4"));
    assert_eq!(packets(&env.project().join("out/44p.mp4")).0, keyframes);
    assert!(keyframes.len() == 4 && times.len() < 100, "{keyframes:?}, {}", times.len());
}

#[test]
fn what_is_wrong_with_a_rendition_is_said_of_that_one() {
    let env = ladder();
    clip(&env, "in.mp4", &["-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2"]);
    let error = |rung: Value, code: i32| {
        let args = json!({ "input": "in.mp4", "rungs": ["720p", rung] });
        let ran = env.run(["call", "ladder", "--args", &args.to_string()]).exits(code);
        ran.stderr[ran.stderr.find("error:").expect("an error")..].to_owned()
    };
    insta::assert_snapshot!(error(json!({ "heigth": 480 }), 2), @r"
    error: there is no argument `rungs.1.heigth`
    hint: did you mean `height`?
    ");
    insta::assert_snapshot!(error(json!("721p"), 2), @r"
    error: argument `rungs.1` can't be `721p`
    hint: did you mean `720p`?
    ");
    // The schema has nothing against this one.
    insta::assert_snapshot!(error(json!({ "bitrate": "5" }), 5), @r"
    error: argument `rungs.1` is wrong
      cause: `5` isn't a bit rate; expected bits per second such as `5M` or `800k`
    ");
}

#[test]
fn nothing_is_left_of_a_call_that_fails() {
    let env = ladder();
    env.write("in.mp4", "no video");
    for (args, message) in [
        (json!({ "input": "in.mp4", "output": "out" }), "isn't a video"),
        (json!({ "input": "in.mp4", "output": "out", "rungs": [] }), "rungs"),
    ] {
        let ran = env.run(["call", "ladder", "--args", &args.to_string()]);
        assert!(ran.code != 0 && ran.stderr.contains(message), "{ran:?}");
    }
    assert!(!env.project().join("out").exists());
}
