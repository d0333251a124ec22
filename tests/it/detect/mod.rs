//! `detect` through the binary: where things are found on pictures whose contents are known, by
//! which models, in which frames, and what is said of everything that can't be.

mod loading;
mod python;
mod reels;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv, repository};
use crate::picture::clip;

/// A world with the handlers that the tests of this folder call, and computing without a library.
fn world() -> TestEnv {
    let env = TestEnv::new();
    for handler in ["detect", "framing", "overlay", "pipeline"] {
        env.publish(handler, Entry::Builtin { handler: handler.into() }, |_| {});
    }
    env
}

/// The model of the example.
fn shapes() -> PathBuf {
    repository().join("examples/detect/model/shapes.onnx")
}

/// A model with random weights.
fn random(name: &str) -> PathBuf {
    repository().join("tests/fixtures/detect").join(format!("{name}.onnx"))
}

/// A ball of 26 pixels that goes right by 6 and down by 2 pixels a frame, and a box that stays. From
/// frame 18 to 31 the ball is behind something grey, from 23 to 26 all of it.
fn match_clip(env: &TestEnv, name: &str, seconds: f64) -> PathBuf {
    // The filter counts frames from 1.
    let of = |color: &str, size: &str| format!("color=c={color}:s={size}:r=25:d={seconds}");
    let round =
        "format=rgba,geq=r=r(X\\,Y):g=g(X\\,Y):b=b(X\\,Y):a=255*lte(hypot(X-12.5\\,Y-12.5)\\,13)";
    let source = format!(
        "{}[grass];{}[square];{},{round}[ball];{}[wall];\
         [grass][square]overlay=x=250:y=20:format=rgb[a];\
         [a][ball]overlay=x=11+6*n:y=45+2*n:format=rgb[b];[b][wall]overlay=x=150:format=rgb",
        of("0x408042", "320x180"),
        of("0x284bd7", "40x50"),
        of("0xeb5f1e", "26x26"),
        of("0x808080", "50x180"),
    );
    clip(env, name, &source)
}

/// Frames in which some of the ball is hidden.
const HIDDEN: std::ops::Range<usize> = 17..33;

/// Where the ball's centre is.
fn ball_at(frame: usize) -> (f64, f64) {
    (30.0 + 6.0 * frame as f64, 60.0 + 2.0 * frame as f64)
}

fn call(env: &TestEnv, args: &Value) -> Ran {
    detect(env, args, "tract")
}

/// A call, computed by tract or by the library of this name.
fn detect(env: &TestEnv, args: &Value, library: impl AsRef<std::ffi::OsStr>) -> Ran {
    let mut command = env.command(["call", "detect", "--force", "--args", &args.to_string()]);
    crate::env::ran(command.env("VDEPLOY_ONNXRUNTIME", library).output().expect("vdeploy starts"))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The corners of the only thing of this label on a frame.
#[track_caller]
fn corners(record: &Value, label: &str) -> [f64; 4] {
    let found = record["detections"].as_array().unwrap().iter();
    let of: Vec<_> = found.filter(|found| found["label"] == label).collect();
    assert_eq!(of.len(), 1, "{record}");
    serde_json::from_value(of[0]["box"].clone()).unwrap()
}

#[track_caller]
fn near(found: [f64; 4], wanted: [f64; 4], most: f64) {
    let off = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off <= most, "{found:?}, not {wanted:?}");
}

fn around((x, y): (f64, f64), width: f64, height: f64) -> [f64; 4] {
    [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0]
}

#[test]
fn one_frame_by_its_number_or_its_time() {
    let env = world();
    match_clip(&env, "in.mp4", 1.0);
    let args = json!({ "input": "in.mp4", "model": shapes(), "frame_number": 10 });
    let result = call(&env, &args).exits(0).json();
    let record = &result["frames"][0];
    assert_eq!((record["frame"].as_u64(), record["seconds"].as_f64()), (Some(10), Some(0.4)));
    near(corners(record, "ball"), around(ball_at(10), 26.0, 26.0), 1.5);
    near(corners(record, "box"), [250.0, 20.0, 290.0, 70.0], 1.5);
    assert_eq!((&result["video_width"], &result["video_height"]), (&json!(320), &json!(180)));
    assert_eq!((&result["fps"], &result["video_frames"]), (&json!(25.0), &json!(25)));
    assert_eq!(result["model"]["runtime"], "tract");
    assert_eq!(result["model"]["classes"], json!(["ball", "box"]));
    assert!(result["notes"][0].as_str().unwrap().starts_with("computed by tract"), "{result}");
    assert_eq!(result["fallback"], "no NVIDIA GPU on this machine");

    let timed = json!({ "input": "in.mp4", "model": shapes(), "time": 0.41 });
    assert_eq!(call(&env, &timed).exits(0).json()["frames"], result["frames"]);
    let only = json!({ "input": "in.mp4", "model": shapes(), "frame_number": 10,
                       "classes": ["box"], "max_detections": 1 });
    let found = call(&env, &only).exits(0).json();
    assert_eq!(found["frames"][0]["detections"].as_array().unwrap().len(), 1);
    corners(&found["frames"][0], "box");
}

#[test]
fn every_frame_of_a_range_is_what_it_is_alone() {
    let env = world();
    match_clip(&env, "in.mp4", 2.0);
    let args = |more: Value| {
        let mut args = json!({ "input": "in.mp4", "model": shapes(), "output": "out.jsonl" });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    let found = |more: Value| {
        let result = call(&env, &args(more)).exits(0).json();
        let lines = lines(&env.project().join("out.jsonl"));
        assert_eq!(result["frames_done"], lines.len(), "{result}");
        assert_eq!(result["frames"], json!(lines));
        lines
    };
    let whole = found(json!({}));
    assert_eq!(whole.len(), 50);
    assert!(whole.iter().enumerate().all(|(at, record)| record["frame"] == at));
    for (at, record) in whole.iter().enumerate().filter(|(at, _)| !HIDDEN.contains(at)) {
        if at < 40 {
            near(corners(record, "ball"), around(ball_at(at), 26.0, 26.0), 1.5);
        }
    }
    let part = found(json!({ "start_frame": 7, "end": 1.52, "every": 4 }));
    assert_eq!(part, whole[7..38].iter().step_by(4).cloned().collect::<Vec<_>>());
    assert_eq!(found(json!({ "start": 1.9 })), whole[48..]);
    // However many are computed at once, in one call or in several, and by another who counts them.
    let parts = found(json!({ "parts": 3 }));
    assert_eq!(parts, whole);
}

#[test]
fn ranges_of_several_calls_are_one_pass() {
    let env = world();
    match_clip(&env, "in.mp4", 2.0);
    let whole = json!({ "input": "in.mp4", "model": shapes(), "output": "whole.jsonl",
                        "follow": "ball", "max_gap": 1.0 });
    let whole = call(&env, &whole).exits(0).json();
    let inputs: String = [(0, 13), (13, 20), (20, 50)]
        .map(|(from, until)| {
            json!({ "input": "in.mp4", "model": shapes(), "start_frame": from,
                    "end_frame": until, "output": format!("part-{from}.jsonl") })
            .to_string()
                + "\n"
        })
        .concat();
    env.write("inputs.jsonl", inputs);
    let map = env
        .command(["map", "detect", "--inputs", "inputs.jsonl", "--ordered"])
        .env("VDEPLOY_ONNXRUNTIME", "tract")
        .output()
        .unwrap();
    let map = crate::env::ran(map).exits(0);
    // Each worker loads the model once.
    let warm = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["result"]["model"]["warm"] == true
    };
    assert!(map.stdout.lines().any(warm), "{}", map.stdout);

    let joined = json!({ "input": "in.mp4", "detections": ["part-20.jsonl", "part-0.jsonl", "part-13.jsonl"],
                         "output": "joined.jsonl", "follow": "ball", "max_gap": 1.0 });
    let joined = call(&env, &joined).exits(0).json();
    let text = |name: &str| fs::read_to_string(env.project().join(name)).unwrap();
    assert_eq!(text("whole.jsonl"), text("joined.jsonl"));
    for key in ["objects", "detections", "frames"] {
        assert_eq!(joined[key], whole[key], "{key}");
    }
    for key in ["positions", "crop", "highlight", "ids", "seen", "interpolated"] {
        assert_eq!(joined["follow"][key], whole["follow"][key], "{key}");
    }
    assert_eq!(joined["model"], Value::Null);
}

#[test]
fn boxes_are_on_the_video_as_it_is_shown() {
    let env = world();
    let flat = match_clip(&env, "flat.mp4", 0.4);
    let turned = env.project().join("turned.mp4");
    let turn = ["-i", flat.to_str().unwrap(), "-c", "copy", "-metadata:s:v", "rotate=90"];
    crate::picture::ffmpeg(turn.iter().chain(&[turned.to_str().unwrap()]));
    let stretched = env.project().join("stretched.mp4");
    let stretch = ["-i", flat.to_str().unwrap(), "-vf", "scale=160:180,setsar=2", "-qp", "4"];
    crate::picture::ffmpeg(stretch.iter().chain(&[stretched.to_str().unwrap()]));

    let args = |input: &str| json!({ "input": input, "model": shapes(), "frame_number": 5 });
    let result = call(&env, &args("turned.mp4")).exits(0).json();
    assert_eq!((&result["video_width"], &result["video_height"]), (&json!(180), &json!(320)));
    let (x, y) = ball_at(5);
    near(corners(&result["frames"][0], "ball"), around((y, 320.0 - x), 26.0, 26.0), 2.5);

    let result = call(&env, &args("stretched.mp4")).exits(0).json();
    assert_eq!((&result["video_width"], &result["video_height"]), (&json!(320), &json!(180)));
    near(corners(&result["frames"][0], "ball"), around((x, y), 26.0, 26.0), 2.5);
    assert!(result["notes"].to_string().contains("aren't square"), "{result}");
}

/// What is said of a call that fails: the error and its cause. Nothing is left behind.
#[track_caller]
fn error(env: &TestEnv, args: &Value) -> String {
    let ran = call(env, args);
    assert!([2, 5].contains(&ran.code), "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    assert!(!env.project().join("out.jsonl").exists());
    let start = ran.stderr.find("error:").unwrap_or_else(|| panic!("{ran:?}"));
    let text = env.redact(&ran.stderr[start..]);
    let text = text.replace(&repository().display().to_string(), "[REPO]");
    text.lines().take(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_file_that_is_no_model_is_one_clear_error() {
    let env = world();
    match_clip(&env, "in.mp4", 0.2);
    let model = fs::read(shapes()).unwrap();
    env.write("truncated.onnx", &model[..model.len() / 2]);
    env.write("text.onnx", "this is no model");
    env.write("empty.onnx", "");
    let error = |args: Value| error(&env, &args);
    let with = |model: &str| json!({ "input": "in.mp4", "model": model, "output": "out.jsonl", "frame_number": 0 });
    insta::assert_snapshot!(error(with("truncated.onnx")), @"
error: `[ROOT]/project/truncated.onnx` isn't an ONNX model
  cause: it ends too early, or isn't ONNX at all: failed to decode Protobuf message: ModelProto.graph: buffer underflow
");
    insta::assert_snapshot!(error(with("text.onnx")), @"
error: `[ROOT]/project/text.onnx` isn't an ONNX model
  cause: it ends too early, or isn't ONNX at all: failed to decode Protobuf message: ModelProto.metadata_props: invalid wire type: EndGroup (expected LengthDelimited)
");
    insta::assert_snapshot!(error(with("empty.onnx")), @"
error: `[ROOT]/project/empty.onnx` isn't an ONNX model
  cause: it is empty
");
    insta::assert_snapshot!(error(with("missing.onnx")), @"
error: can't read input `[ROOT]/project/missing.onnx`
  cause: No such file or directory (os error 2)
");
    insta::assert_snapshot!(error(with("in.mp4")), @"
error: `[ROOT]/project/in.mp4` isn't an ONNX model
  cause: it ends too early, or isn't ONNX at all: failed to decode Protobuf message: invalid tag value: 0
");
    for name in ["opset", "dynamic", "nan", "classifier"] {
        let path = random(&format!("bad-{name}"));
        fs::copy(path, env.project().join(format!("{name}.onnx"))).unwrap();
    }
    insta::assert_snapshot!(error(with("opset.onnx")), @"
error: `[ROOT]/project/opset.onnx` isn't a model that can be used here
  cause: its operators are of opset 99, which doesn't exist yet
");
    insta::assert_snapshot!(error(with("dynamic.onnx")), @"
error: `[ROOT]/project/dynamic.onnx` isn't a model that can be used here
  cause: the size of its pictures isn't fixed: `images` is [1, 3, ?, ?]
");
    insta::assert_snapshot!(error(with("nan.onnx")), @"
error: the model `[ROOT]/project/nan.onnx` can't be computed
  cause: 882 of its 882 numbers are not finite
");
    insta::assert_snapshot!(error(with("classifier.onnx")), @"
error: `[ROOT]/project/classifier.onnx` isn't a model that can be used here
  cause: its output `output0` is [1, 1000], and its metadata names 3 classes
");
}

#[test]
fn what_can_not_be_done_is_one_clear_error() {
    let env = world();
    match_clip(&env, "in.mp4", 0.2);
    crate::picture::ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "sine=d=0.2",
        env.project().join("sound.mp4").to_str().unwrap(),
    ]);
    let error = |args: Value| error(&env, &args);
    let model = shapes();
    let args = |more: Value| {
        let mut args = json!({ "input": "in.mp4", "model": model, "output": "out.jsonl" });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    insta::assert_snapshot!(error(args(json!({ "frame_number": 5 }))), @"
error: there is no frame 5 in `[ROOT]/project/in.mp4`
  cause: it has 5, counted from 0
");
    insta::assert_snapshot!(error(args(json!({ "time": 0.2 }))), @"
error: there is no frame at 0.2 s in `[ROOT]/project/in.mp4`
  cause: it lasts 0.200 s
");
    insta::assert_snapshot!(error(args(json!({ "start_frame": 3, "end_frame": 3 }))), @"
error: no frame of `[ROOT]/project/in.mp4` is in the range
  cause: it begins with frame 3, and ends before frame 3
");
    insta::assert_snapshot!(error(args(json!({ "input": "sound.mp4" }))), @"
error: `[ROOT]/project/sound.mp4` has no video, only audio
  cause: this needs a video stream
");
    insta::assert_snapshot!(error(args(json!({ "classes": ["goal"] }))), @"
error: the model has no class `goal`
hint: it knows: ball, box
");
    insta::assert_snapshot!(error(args(json!({ "sha256": "0".repeat(64) }))), @"
error: `[REPO]/examples/detect/model/shapes.onnx` isn't the model that was pinned
  cause: its SHA-256 is ade2c3d6a0dde3497a5769719cdb52dde0bfe5cfb0616bc7a3072afd2fc56584, not 0000000000000000000000000000000000000000000000000000000000000000
");
    insta::assert_snapshot!(error(args(json!({ "hardware": "required" }))), @"
error: a GPU is required to detect, and can't be used
  cause: no NVIDIA GPU on this machine
");
    insta::assert_snapshot!(error(json!({ "input": "in.mp4", "output": "out.jsonl" })), @"
error: there is nothing to detect with
hint: name a model: `model=yolo11n.onnx`
");
    env.write("found.jsonl", "{\"frame\":9,\"seconds\":0,\"detections\":[]}\n");
    insta::assert_snapshot!(error(json!({ "input": "in.mp4", "detections": ["found.jsonl"], "output": "out.jsonl" })), @"
error: the detections aren't those of `[ROOT]/project/in.mp4`
  cause: they have frame 9, and it has 5
");
}

#[test]
fn a_video_without_frames_is_said_to_have_none() {
    let env = world();
    let path = match_clip(&env, "in.mp4", 0.4);
    // A header without media, as an upload that broke off has it.
    crate::picture::ffmpeg(&[
        "-i",
        path.to_str().unwrap(),
        "-c",
        "copy",
        "-frames:v",
        "0",
        "-f",
        "matroska",
        env.project().join("none.mkv").to_str().unwrap(),
    ]);
    let args = json!({ "input": "none.mkv", "model": shapes() });
    let ran = call(&env, &args).exits(5);
    let start = ran.stderr.find("error:").unwrap();
    insta::assert_snapshot!(env.redact(ran.stderr[start..].lines().next().unwrap()), @"error: `[ROOT]/project/none.mkv` isn't a video that can be read");
}
