//! `effects` through the binary, judged by pixels.

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv};
use crate::picture::{Frames, clip, clip_with_sound, ffmpeg, sound};

/// Left half red, right half white.
const HALVES: &str = "color=c=white:s=128x72:r=25:d=0.4[a];color=c=0xc02020:s=64x72:r=25:d=0.4[b];\
                      [a][b]overlay=format=rgb";

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.publish("effects", Entry::Builtin { handler: "effects".into() }, |_| {});
    env
}

fn call(env: &TestEnv, chain: &Value) -> Ran {
    let args = json!({ "input": "in.mp4", "output": "out.mp4", "preset": "ultrafast", "crf": 4,
                       "hardware": "off", "chain": chain });
    env.run(["call", "effects", "--force", "--args", &args.to_string()])
}

fn changed(env: &TestEnv, chain: &Value) -> Frames {
    call(env, chain).exits(0);
    Frames::of(&env.project().join("out.mp4"), (128, 72))
}

#[test]
fn colours_change_as_asked() {
    let env = env();
    let input = clip_with_sound(&env, "in.mp4", HALVES);
    let grey = changed(&env, &json!([{ "effect": "greyscale" }]));
    assert_eq!(grey.len(), 10);
    let [r, g, b] = grey.pixel(5, 20, 30);
    assert!(r.abs_diff(g) < 4 && g.abs_diff(b) < 4, "{r} {g} {b}");
    assert_eq!(sound(&input), sound(&env.project().join("out.mp4")));
    let dark = changed(&env, &json!([{ "effect": "color", "brightness": -0.5 }]));
    assert!(dark.pixel(0, 100, 30)[1].abs_diff(120) < 20, "{:?}", dark.pixel(0, 100, 30));
    // A table that swaps red and blue.
    let entries: Vec<_> =
        (0..8).map(|i| format!("{} {} {}", i >> 2 & 1, i >> 1 & 1, i & 1)).collect();
    env.write("swap.cube", format!("TITLE \"swap\"\nLUT_3D_SIZE 2\n{}\n", entries.join("\n")));
    let swapped = changed(&env, &json!([{ "effect": "lut", "file": "swap.cube" }]));
    swapped.shows(3, (20, 30), [0x20, 0x20, 0xc0]);
    swapped.shows(3, (100, 30), [255; 3]);
}

#[test]
fn edges_blur_and_sharpness_change_edges() {
    let env = env();
    let disc =
        "nullsrc=s=128x72:r=25:d=0.2,geq=lum=16+219*lt(hypot(X-64\\,Y-36)\\,25):cb=128:cr=128";
    clip(&env, "in.mp4", disc);
    let edges = changed(&env, &json!([{ "effect": "edges" }]));
    let mut found = 0;
    for (x, y) in (0..128 * 72).map(|i| (i % 128, i / 128)) {
        let radius = (x as f64 - 64.0).hypot(y as f64 - 36.0);
        let bright = edges.pixel(0, x, y)[1] > 128;
        assert!(!bright || (radius - 25.0).abs() < 3.0, "an edge at {x}, {y}");
        found += usize::from(bright);
    }
    assert!(found > 80, "{found} pixels of edges");
    clip(&env, "in.mp4", HALVES);
    let green = |frames: &Frames| frames.pixel(0, 58, 36)[1];
    let plain = Frames::of(&env.project().join("in.mp4"), (128, 72));
    assert!(green(&plain) < 45);
    let blurred = changed(&env, &json!([{ "effect": "blur", "sigma": 6 }]));
    assert!((50..130).contains(&green(&blurred)), "{}", green(&blurred));
    blurred.shows(0, (4, 36), [0xc0, 0x20, 0x20]);
    let back = json!([{ "effect": "blur", "sigma": 2 }, { "effect": "sharpen", "strength": 3 }]);
    let soft = changed(&env, &json!([{ "effect": "blur", "sigma": 2 }]));
    let sharp = changed(&env, &back);
    let steep = |frames: &Frames| {
        i32::from(frames.pixel(0, 66, 36)[1]) - i32::from(frames.pixel(0, 61, 36)[1])
    };
    assert!(steep(&sharp) > steep(&soft), "{} {}", steep(&sharp), steep(&soft));
}

#[test]
fn noise_goes() {
    let env = env();
    clip(&env, "in.mp4", "color=c=0x808080:s=128x72:r=25:d=0.6,noise=alls=14:allf=t");
    let roughness = |frames: &Frames| {
        let pixels = (0..128 * 72).map(|i| i64::from(frames.pixel(10, i % 128, i / 128)[1]));
        let values: Vec<_> = pixels.collect();
        let mean = values.iter().sum::<i64>() / values.len() as i64;
        values.iter().map(|v| (v - mean).pow(2)).sum::<i64>() / values.len() as i64
    };
    let before = roughness(&Frames::of(&env.project().join("in.mp4"), (128, 72)));
    for chain in [
        json!([{ "effect": "denoise", "strength": 2 }]),
        json!([{ "effect": "denoise", "thorough": true, "strength": 3 }]),
    ] {
        let after = roughness(&changed(&env, &chain));
        assert!(after * 2 < before, "{chain}: {before} became {after}");
    }
}

#[test]
fn a_green_screen_is_replaced() {
    let env = env();
    let actor = "color=c=0x00ff00:s=128x72:r=25:d=0.4[a];color=c=red:s=40x40:r=25:d=0.4[b];\
                 [a][b]overlay=x=44:y=16:format=rgb";
    clip(&env, "in.mp4", actor);
    let plain = changed(&env, &json!([{ "effect": "chroma_key", "background": "#3060a0" }]));
    assert_eq!(plain.len(), 10);
    plain.shows(0, (10, 10), [0x30, 0x60, 0xa0]);
    plain.shows(9, (64, 36), [255, 0, 0]);
    let beach = env.project().join("beach.png");
    let halves = "color=c=yellow:s=72x72,format=rgb24,drawbox=w=36:c=blue:t=fill";
    ffmpeg(&["-f", "lavfi", "-i", halves, "-frames:v", "1", beach.to_str().unwrap()]);
    let chain =
        json!([{ "effect": "chroma_key", "image": "beach.png" }, { "effect": "greyscale" }]);
    let grey = changed(&env, &chain);
    let (left, right) = (grey.pixel(0, 8, 5)[1], grey.pixel(0, 120, 5)[1]);
    assert!(left < 60 && right > 180, "{left} {right}");
}

#[test]
fn shaking_is_taken_out() {
    let env = env();
    // A picture that jumps by up to 6 pixels to each side.
    let shaky = "testsrc2=s=160x104:r=25:d=2,trim=end_frame=1,loop=49:1,setpts=N/25/TB,\
                 crop=128:72:16+6*sin(n*2.1):16+6*cos(n*1.7)";
    clip(&env, "in.mp4", shaky);
    let restless = |frames: &Frames| {
        let one = |frame: usize| {
            let pixels = (0..96 * 40).map(|i| (16 + i % 96, 16 + i / 96));
            let change = |(x, y)| {
                u64::from(frames.pixel(frame, x, y)[1].abs_diff(frames.pixel(frame + 1, x, y)[1]))
            };
            pixels.map(change).sum::<u64>()
        };
        (5..44).map(one).sum::<u64>()
    };
    let before = restless(&Frames::of(&env.project().join("in.mp4"), (128, 72)));
    let steady = changed(&env, &json!([{ "effect": "stabilise", "smoothing": 0.6 }]));
    assert_eq!(steady.len(), 50);
    let after = restless(&steady);
    assert!(after * 10 < before * 8, "{before} became {after}");
}

#[test]
fn interlaced_frames_become_whole() {
    let env = env();
    let fields = "testsrc2=s=128x72:r=50:d=0.8,tinterlace=interleave_top";
    clip(&env, "in.mp4", fields);
    assert_eq!(changed(&env, &json!([{ "effect": "deinterlace" }])).len(), 20);
}

#[test]
fn wrong_chains_are_named() {
    let env = env();
    clip(&env, "in.mp4", HALVES);
    env.write("bad.cube", "LUT_3D_SIZE 2\n0 0 zero\n");
    let error = |chain: Value| {
        let ran = call(&env, &chain);
        assert!([2, 5].contains(&ran.code), "{ran:?}");
        assert!(!env.project().join("out.mp4").exists());
        let start = ran.stderr.find("error:").expect("an error");
        env.redact(ran.stderr[start..].lines().next().unwrap())
    };
    insta::assert_snapshot!(error(json!([])), @"error: `chain` has 0 effects, not 1 to 32");
    insta::assert_snapshot!(error(json!([{ "effect": "lut", "file": "bad.cube" }])), @"error: `[ROOT]/project/bad.cube` isn't a colour table");
    insta::assert_snapshot!(error(json!([{ "effect": "lut", "file": "in.mp4" }])), @"error: `[ROOT]/project/in.mp4` isn't a colour table");
    insta::assert_snapshot!(error(json!([{ "effect": "drawtext=textfile=/etc/passwd" }])), @"error: argument `chain.0.effect` can't be `drawtext=textfile=/etc/passwd`");
    insta::assert_snapshot!(error(json!([{ "effect": "blur", "sigma": "3,movie=x" }])), @r#"error: argument `chain.0.sigma` is wrong: "3,movie=x" is not of type "number""#);
    insta::assert_snapshot!(error(json!([{ "effect": "greyscale" }, { "effect": "blur", "sgima": 3 }])), @"error: there is no argument `chain.1.sgima` of effect `blur`");
    insta::assert_snapshot!(error(json!([{ "effect": "chroma_key", "color": "grean" }])), @"error: argument `chain.0.color` can't be `grean`");
}
