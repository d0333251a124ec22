//! `framing` through the binary, judged by pixels of every frame, counts and the pitch of sound.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv};
use crate::picture::{Frames, clip, clip_with_sound};

/// Frame `n` is grey of brightness `4 n`.
const COUNTER: &str = "nullsrc=s=64x64:r=25:d=2,geq=lum=16+4*N:cb=128:cr=128";

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.publish("framing", Entry::Builtin { handler: "framing".into() }, |_| {});
    env
}

fn call(env: &TestEnv, mut args: Value) -> Ran {
    args["input"] = "in.mp4".into();
    args["output"] = "out.mp4".into();
    args["preset"] = "ultrafast".into();
    args["crf"] = 4.into();
    args["hardware"] = "off".into();
    env.run(["call", "framing", "--force", "--args", &args.to_string()])
}

fn frames(env: &TestEnv, size: (usize, usize)) -> Frames {
    Frames::of(&env.project().join("out.mp4"), size)
}

/// Which frame of [`COUNTER`] a frame of the result is.
fn number(frames: &Frames, frame: usize) -> usize {
    let grey = f64::from(frames.pixel(frame, 32, 32)[1]);
    (grey * 219.0 / 255.0 / 4.0).round() as usize
}

fn numbers(frames: &Frames) -> Vec<usize> {
    (0..frames.len()).map(|frame| number(frames, frame)).collect()
}

/// The decoded sound: seconds, and how often a second it swings.
fn heard(path: &Path) -> (f64, f64) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"])
        .output()
        .expect("ffmpeg starts");
    let samples: Vec<i16> =
        output.stdout.chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    let rises = samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
    let seconds = samples.len() as f64 / 48_000.0;
    (seconds, rises as f64 / seconds)
}

#[test]
fn a_window_follows_its_keyframes_in_every_frame() {
    let env = env();
    // A line that is 4 pixels wide, and 4 pixels further with each frame.
    let line = "color=c=0x808080:s=320x180:r=25:d=2[a];color=c=red:s=4x180:r=25:d=2[b];\
                [a][b]overlay=x=54+4*n:format=rgb";
    clip(&env, "in.mp4", line);
    let follow = json!([{ "at": 0, "x": 60 }, { "at": 1.96, "x": 256 }]);
    for (bounds, size) in [(json!({}), (102, 180)), (json!({ "width": 180 }), (180, 320))] {
        let mut args = bounds;
        args["aspect"] = "9:16".into();
        args["crop"] = json!({ "keyframes": follow });
        let ran = call(&env, args).exits(0).json();
        assert_eq!(ran["verified"]["frames_out"], 50);
        let frames = frames(&env, size);
        let is_red = |rgb: [u8; 3]| rgb[0] > 170 && rgb[1] < 110;
        for frame in 0..50 {
            let (left, _, right, _) = frames.bounds(frame, is_red).expect("the line");
            let off = (left + right) as f64 / 2.0 - size.0 as f64 / 2.0;
            // Being a frame late would be twice as much.
            assert!(
                off.abs() <= size.0 as f64 / 51.0,
                "frame {frame} of {size:?}: the line is off by {off}"
            );
        }
    }
}

#[test]
fn a_zoom_goes_from_keyframe_to_keyframe() {
    let env = env();
    let square = "color=c=black:s=320x180:r=25:d=1[a];color=c=white:s=40x40:r=25:d=1[b];\
                  [a][b]overlay=x=220:y=40:format=rgb";
    clip(&env, "in.mp4", square);
    let keys = json!([
        { "at": 0.2, "x": 160, "y": 90, "zoom": 1 },
        { "at": 0.6, "x": 240, "y": 60, "zoom": 2 },
    ]);
    let crop = json!({ "keyframes": keys, "interpolation": "spline" });
    call(&env, json!({ "crop": crop })).exits(0);
    let frames = frames(&env, (320, 180));
    let white = |rgb: [u8; 3]| rgb[1] > 128;
    let near = |frame: usize, wanted: [usize; 4]| {
        let (left, top, right, bottom) = frames.bounds(frame, white).expect("the square");
        let found = [left, top, right, bottom];
        let close = found.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 2);
        assert!(close, "frame {frame}: {found:?}, not {wanted:?}");
    };
    near(0, [220, 40, 260, 80]);
    near(5, [220, 40, 260, 80]);
    near(15, [120, 50, 200, 130]);
    near(24, [120, 50, 200, 130]);
    let sides: Vec<_> = (5..=15)
        .map(|frame| frames.bounds(frame, white).map(|(left, _, right, _)| right - left))
        .collect();
    assert!(sides.is_sorted(), "{sides:?}");
}

#[test]
fn a_part_is_exact_to_the_frame() {
    let env = env();
    clip_with_sound(&env, "in.mp4", COUNTER);
    let ran = call(&env, json!({ "start": 0.4, "end": 1.2 })).exits(0).json();
    assert_eq!(ran["verified"]["frames_out"], 20);
    assert_eq!(numbers(&frames(&env, (64, 64))), (10..30).collect::<Vec<_>>());
    let (seconds, _) = heard(&env.project().join("out.mp4"));
    assert!((seconds - 0.8).abs() < 0.03, "{seconds} s of sound");
    // Times between frames, and an end beyond the end.
    call(&env, json!({ "start": 0.41, "end": 0.45 })).exits(0);
    assert_eq!(numbers(&frames(&env, (64, 64))), [11]);
    call(&env, json!({ "start": 1.92, "end": 9 })).exits(0);
    assert_eq!(numbers(&frames(&env, (64, 64))), [48, 49]);
}

#[test]
fn twice_as_fast_has_half_the_frames_and_the_same_pitch() {
    let env = env();
    clip_with_sound(&env, "in.mp4", COUNTER);
    let ran = call(&env, json!({ "speed": 2 })).exits(0).json();
    assert_eq!(ran["verified"]["frames_out"], 25);
    for (index, number) in numbers(&frames(&env, (64, 64))).into_iter().enumerate() {
        assert!(number.abs_diff(2 * index) <= 1, "frame {index} shows {number}");
    }
    let (seconds, pitch) = heard(&env.project().join("out.mp4"));
    assert!((seconds - 1.0).abs() < 0.06, "{seconds} s of sound");
    assert!((pitch - 440.0).abs() < 15.0, "{pitch} Hz");
    let ran = call(&env, json!({ "speed": 0.4, "mute": true, "end": 1 })).exits(0).json();
    assert!((62..=63).contains(&ran["verified"]["frames_out"].as_u64().unwrap()), "{ran}");
    assert_eq!(ran["verified"]["audio"], json!([]));
}

#[test]
fn a_ramp_takes_picture_and_sound_along() {
    let env = env();
    clip_with_sound(&env, "in.mp4", COUNTER);
    let ramp = json!([{ "at": 0.5, "speed": 1 }, { "at": 1.5, "speed": 3 }]);
    call(&env, json!({ "ramp": ramp })).exits(0);
    // 0.5 s, then ln 3 / 2 s, then 0.5 s at three times the speed.
    let whole = 0.5 + 3_f64.ln() / 2.0 + 0.5 / 3.0;
    let frames = frames(&env, (64, 64));
    assert!((frames.len() as f64 - whole * 25.0).abs() <= 1.0, "{} frames", frames.len());
    for (index, number) in numbers(&frames).into_iter().enumerate() {
        let t = index as f64 / 25.0;
        // The inverse: what was at input time s is shown at t.
        let s = match t {
            t if t < 0.5 => t,
            t if t < 0.5 + 3_f64.ln() / 2.0 => 0.5 + ((2.0 * (t - 0.5)).exp() - 1.0) / 2.0,
            t => 1.5 + (t - 0.5 - 3_f64.ln() / 2.0) * 3.0,
        };
        let off = (number as f64 - s * 25.0).abs();
        assert!(off <= 2.0, "frame {index} shows {number}, not {}", s * 25.0);
    }
    let (seconds, pitch) = heard(&env.project().join("out.mp4"));
    assert!((seconds - whole).abs() < 0.08, "{seconds} s of sound, not {whole}");
    assert!((pitch - 440.0).abs() < 20.0, "{pitch} Hz");
}

#[test]
fn bars_and_blur_fill_the_rest() {
    let env = env();
    clip(&env, "in.mp4", "color=c=0x3060a0:s=320x180:r=25:d=0.4");
    let portrait = |fit: &str| json!({ "aspect": "9:16", "width": 180, "fit": fit });
    let mut pad = portrait("pad");
    pad["color"] = "#ff0000".into();
    call(&env, pad).exits(0);
    let frames_of = |size| frames(&env, size);
    let padded = frames_of((180, 320));
    padded.shows(0, (90, 160), [0x30, 0x60, 0xa0]);
    padded.shows(9, (90, 20), [255, 0, 0]);
    padded.shows(9, (90, 300), [255, 0, 0]);
    clip(
        &env,
        "in.mp4",
        "color=c=white:s=320x180:r=25:d=0.4[a];color=c=black:s=160x180:r=25:d=0.4[b];[a][b]overlay=format=rgb",
    );
    call(&env, portrait("blur")).exits(0);
    let blurred = frames_of((180, 320));
    assert_eq!(blurred.len(), 10);
    // In the middle the edge is sharp, above it is soft.
    blurred.shows(0, (84, 160), [0; 3]);
    blurred.shows(0, (96, 160), [255; 3]);
    for x in [84, 96] {
        let grey = blurred.pixel(0, x, 20)[1];
        assert!((70..=185).contains(&grey), "{grey} at {x}");
    }
}

#[test]
fn the_rate_changes_by_repeating_and_dropping() {
    let env = env();
    clip(&env, "in.mp4", COUNTER);
    let ran = call(&env, json!({ "fps": 10 })).exits(0).json();
    assert_eq!(ran["verified"]["frames_out"], 20);
    assert!((ran["verified"]["duration_seconds"].as_f64().unwrap() - 2.0).abs() < 0.01);
}

#[test]
fn wrong_arguments_are_named() {
    let env = env();
    clip(&env, "in.mp4", "color=c=gray:s=64x64:r=25:d=0.2");
    let error = |args: Value| {
        let ran = call(&env, args);
        assert!([2, 5].contains(&ran.code), "{ran:?}");
        assert!(!env.project().join("out.mp4").exists());
        let start = ran.stderr.find("error:").expect("an error");
        env.redact(ran.stderr[start..].lines().next().unwrap())
    };
    insta::assert_snapshot!(error(json!({ "start": 3 })), @"error: `start` is 3 s, and the video has 0.200 s");
    insta::assert_snapshot!(error(json!({ "start": 0.081, "end": 0.09 })), @"error: no frame of the video is between `start` and `end`");
    insta::assert_snapshot!(error(json!({ "aspect": "16x9" })), @"error: argument `aspect` can't be `16x9`");
    insta::assert_snapshot!(error(json!({ "fit": "pad", "crop": { "keyframes": [{ "x": 1 }] } })), @"error: `crop` needs `fit=crop`: the others cut nothing off");
}
