//! What is made of what was found: a reel that follows the ball, marks, and boxes on the video.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::python::python;
use super::{HIDDEN, ball_at, call, lines, match_clip, shapes, world};
use crate::env::{TestEnv, repository};
use crate::hls::browser;
use crate::picture::Frames;

/// The ball is orange.
fn is_ball([red, green, blue]: [u8; 3]) -> bool {
    red > 180 && green < 140 && blue < 110
}

fn pipeline(env: &TestEnv, steps: Value) -> Value {
    let args = json!({ "input": "in.mp4", "output": "out.mp4", "steps": steps });
    let mut command = env.command(["call", "pipeline", "--force", "--args", &args.to_string()]);
    let ran = command.env("VDEPLOY_ONNXRUNTIME", "tract").output().unwrap();
    crate::env::ran(ran).exits(0).json()
}

#[test]
fn detect_and_framing_follow_the_ball_in_one_call() {
    let env = world();
    match_clip(&env, "in.mp4", 1.52);
    let steps = json!([
        { "handler": "detect", "args": { "input": "${input}", "model": shapes(), "follow": "ball" } },
        { "handler": "framing", "args": { "input": "${input}", "output": "${output}", "aspect": "9:16",
            "crop": "${detect.follow.crop}", "preset": "ultrafast", "crf": 6 } },
    ]);
    let done = pipeline(&env, steps);
    let follow = &done["steps"][0]["result"]["follow"];
    // For a while all of it is hidden.
    assert!(follow["interpolated"].as_u64().unwrap() >= 3, "{follow}");
    assert_eq!(follow["positions"].as_array().unwrap().len(), 38, "{follow}");
    for position in follow["positions"].as_array().unwrap() {
        let frame = position["frame"].as_u64().unwrap() as usize;
        let (x, y) = ball_at(frame);
        let off = (position["x"].as_f64().unwrap() - x).hypot(position["y"].as_f64().unwrap() - y);
        // Of a ball that is half hidden, the middle of the other half is found.
        let most = if HIDDEN.contains(&frame) { 14.0 } else { 3.0 };
        assert!(off < most, "{position} is off by {off}");
    }
    let size = (102, 180);
    let frames = Frames::of(&env.project().join("out.mp4"), size);
    assert_eq!(frames.len(), 38);
    for frame in (8..38).filter(|frame| !HIDDEN.contains(frame)) {
        let (left, _, right, _) = frames.bounds(frame, is_ball).expect("the ball is in view");
        let off = (left + right) as f64 / 2.0 - size.0 as f64 / 2.0;
        assert!(off.abs() < 20.0, "frame {frame}: the ball is off by {off}");
    }
}

#[test]
fn overlay_marks_the_ball() {
    let env = world();
    match_clip(&env, "in.mp4", 0.6);
    let steps = json!([
        { "handler": "detect", "args": { "input": "${input}", "model": shapes(), "follow": "ball" } },
        { "handler": "overlay", "args": { "input": "${input}", "output": "${output}",
            "highlights": ["${detect.follow.highlight}"], "preset": "ultrafast", "crf": 6 } },
    ]);
    pipeline(&env, steps);
    let frames = Frames::of(&env.project().join("out.mp4"), (320, 180));
    let marker = |[red, green, blue]: [u8; 3]| red > 200 && green > 160 && blue < 120;
    for frame in [2, 8, 13] {
        let (left, top, right, bottom) = frames.bounds(frame, marker).expect("the mark");
        let (x, y) = ball_at(frame);
        let off = ((left + right) as f64 / 2.0 - x).hypot((top + bottom) as f64 / 2.0 - y);
        assert!(off < 4.0, "frame {frame}: the mark is off by {off}");
    }
}

#[test]
fn boxes_are_drawn_on_the_frames_they_are_of() {
    let env = world();
    match_clip(&env, "in.mp4", 0.6);
    let args = json!({ "input": "in.mp4", "model": shapes(), "track": true, "output": "found.jsonl",
                       "annotated": "drawn.mp4", "preset": "ultrafast", "crf": 4 });
    let result = call(&env, &args).exits(0).json();
    assert_eq!(result["annotated"]["verified"]["frames_out"], 15);
    assert_eq!(result["objects"], 2);
    let found = lines(&env.project().join("found.jsonl"));
    assert!(found.iter().all(|record| record["detections"].as_array().unwrap().len() == 2));
    let frames = Frames::of(&env.project().join("drawn.mp4"), (320, 180));
    // Of the ball's class, around the ball: a frame late would be off by six.
    let yellow = |[red, green, blue]: [u8; 3]| red > 200 && green > 170 && blue < 110;
    for frame in [0, 5, 11, 14] {
        let (x, y) = ball_at(frame);
        let (left, _, right, bottom) = frames.bounds(frame, yellow).expect("a box");
        let near = |found: usize, wanted: f64| (found as f64 - wanted).abs() <= 3.0;
        assert!(near(left, x - 13.0), "frame {frame}: {left} for {}", x - 13.0);
        assert!(near(bottom, y + 13.0), "frame {frame}: {bottom} for {}", y + 13.0);
        // The label is wider than the ball.
        assert!(right as f64 >= x + 10.0, "frame {frame}: {right}");
    }
    // The file says the same as the result, so that it can be drawn again without the model.
    let again = json!({ "input": "in.mp4", "detections": ["found.jsonl"], "track": true,
                        "output": "again.jsonl" });
    call(&env, &again).exits(0);
    let text = |name: &str| fs::read_to_string(env.project().join(name)).unwrap();
    assert_eq!(text("found.jsonl"), text("again.jsonl"));
}

/// The example as a reader would use it.
#[test]
fn the_reel_of_the_example_follows_the_ball_and_plays_in_chromium() {
    let env = TestEnv::new();
    let example = repository().join("examples/detect");
    for name in ["vdeploy.toml", "follow.json", "model/shapes.onnx"] {
        env.write(name, fs::read(example.join(name)).unwrap());
    }
    let made = Command::new(example.join("match")).current_dir(env.project()).status().unwrap();
    assert!(made.success());
    env.vdeploy("deploy -y").exits(0);
    env.vdeploy("volume put models model/shapes.onnx").exits(0);
    let mut command = env.command(["call", "follow", "--args", "@follow.json"]);
    // Whoever is faster: what both find is compared elsewhere.
    let library = python().map_or("tract".into(), |(_, library)| library);
    let ran = command.env("VDEPLOY_ONNXRUNTIME", library).output().unwrap();
    let done = crate::env::ran(ran).exits(0).json();
    let frames = Frames::of(&env.project().join("reel.mp4"), (202, 360));
    assert_eq!(frames.len(), 150);
    // It is in view in all frames but those in which it is behind the post.
    let seen = (0..150).filter(|frame| frames.bounds(*frame, is_ball).is_some()).count();
    assert!(seen >= 140, "seen in {seen} of 150 frames: {}", done["steps"][0]["result"]["follow"]);
    let Some(played) = browser::file(&env, "reel.mp4") else { return };
    assert_eq!((&played["ended"], &played["gaps"]), (&json!(true), &json!(0)), "{played}");
    assert!(played["time"].as_f64().is_some_and(|time| (time - 6.0).abs() < 0.2), "{played}");
}
