//! `overlay` through the binary, judged by pixels, by OCR and by the packets of the sound.

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv};
use crate::picture::{Frames, clip, clip_with_sound, ffmpeg, read, sound};

const BLUE: &str = "color=c=0x3060a0:s=320x180:r=25:d=2";
const BLUE_RGB: [u8; 3] = [0x30, 0x60, 0xa0];

fn env() -> TestEnv {
    let env = TestEnv::new();
    env.publish("overlay", Entry::Builtin { handler: "overlay".into() }, |_| {});
    env
}

fn call(env: &TestEnv, mut args: Value) -> Ran {
    args["input"] = args.get("input").cloned().unwrap_or_else(|| "in.mp4".into());
    args["output"] = "out.mp4".into();
    args["preset"] = "ultrafast".into();
    args["crf"] = 4.into();
    args["hardware"] = "off".into();
    env.run(["call", "overlay", "--force", "--args", &args.to_string()])
}

fn frames(env: &TestEnv) -> Frames {
    Frames::of(&env.project().join("out.mp4"), (320, 180))
}

#[test]
fn texts_can_be_read_and_are_there_when_they_should_be() {
    let env = env();
    let input = clip_with_sound(&env, "in.mp4", BLUE);
    let said = "Stop: {b}it's 100%\\N, done";
    let ran = call(
        &env,
        json!({ "texts": [
            { "text": said, "size": 24, "box": "#000000", "start": 0.4, "end": 1.2 },
            { "text": "ON", "size": 60, "color": "#ff0000", "outline_width": 0, "bold": true,
              "x": 10, "y": 10, "align": "top_left" },
        ] }),
    )
    .exits(0)
    .json();
    assert_eq!(ran["verified"]["frames_out"], 50);
    assert_eq!(ran["verified"]["audio"], json!(["aac"]));
    let output = env.project().join("out.mp4");
    assert_eq!(sound(&input), sound(&output), "the sound was touched");
    let frames = frames(&env);
    let red = |rgb: [u8; 3]| rgb[0] > 200 && rgb[1] < 40 && rgb[2] < 40;
    let placed = &ran["texts"][1];
    let (left, top, ..) = frames.bounds(20, red).expect("red letters");
    let near = |a: usize, key: &str| a.abs_diff(placed[key].as_u64().unwrap() as usize) <= 2;
    assert!(near(left, "x") && near(top, "y"), "{left} {top} {placed}");
    // The box of the first text is black from frame 10 to frame 29.
    let first = &ran["texts"][0];
    let at = |key: &str| first[key].as_u64().unwrap() as usize;
    let corner = (at("x") + 3, at("y") + 3);
    for (frame, there) in [(9, false), (10, true), (29, true), (30, false)] {
        frames.shows(frame, corner, if there { [0; 3] } else { BLUE_RGB });
    }
    if let Some(words) = read(&env, &output, 20) {
        for word in ["stop:", "{b}", "it", "100%", "\\n", "done"] {
            assert!(words.contains(word), "`{word}` isn't in {words:?}");
        }
    }
}

#[test]
fn every_script_is_drawn_or_said_to_be_missing() {
    let env = env();
    clip(&env, "in.mp4", "color=c=0x3060a0:s=320x180:r=25:d=0.2");
    let texts: Vec<_> = ["مرحبا بالعالم", "हिन्दी", "你好", "😀"]
        .iter()
        .zip(["top", "left", "right", "bottom"])
        .map(|(text, align)| json!({ "text": text, "align": align }))
        .collect();
    let ran = call(&env, json!({ "texts": texts })).exits(0).json();
    assert_eq!(ran["texts"].as_array().unwrap().len(), 4);
    // Shaped Arabic joins its letters: it is narrower than the letters apart.
    let apart: String = "مرحبا".chars().flat_map(|c| [c, '\u{200c}']).collect();
    let texts = json!([{ "text": "مرحبا", "size": 60 }, { "text": apart, "size": 60 }]);
    let ran = call(&env, json!({ "texts": texts })).exits(0).json();
    let width = |index: usize| ran["texts"][index]["width"].as_u64().unwrap();
    assert!(width(0) < width(1), "{ran}");
}

#[test]
fn images_have_their_place_size_and_opacity() {
    let env = env();
    clip(&env, "in.mp4", BLUE);
    let logo = env.project().join("logo.png");
    let half = "color=c=red:s=40x20,format=rgba,geq=r=255:g=0:b=0:a='if(lt(X,20),255,0)'";
    crate::picture::ffmpeg(&["-f", "lavfi", "-i", half, "-frames:v", "1", logo.to_str().unwrap()]);
    call(
        &env,
        json!({ "images": [
            { "image": "logo.png", "x": 20, "y": 30, "align": "top_left" },
            { "image": "logo.png", "width": 80, "x": 100, "y": 30, "align": "top_left",
              "opacity": 0.5 },
            { "image": "logo.png", "width": 80, "x": 240, "y": 100, "align": "center",
              "rotate": 90, "start": 1 },
        ] }),
    )
    .exits(0);
    let frames = frames(&env);
    assert_eq!(frames.len(), 50);
    let red = [255, 0, 0];
    let mixed = [0x98, 0x30, 0x50];
    frames.shows(0, (30, 40), red);
    frames.shows(0, (50, 40), BLUE_RGB);
    frames.shows(0, (12, 40), BLUE_RGB);
    frames.shows(0, (120, 50), mixed);
    frames.shows(0, (160, 50), BLUE_RGB);
    // Turned clockwise, its left half is above.
    frames.shows(24, (240, 80), BLUE_RGB);
    frames.shows(25, (240, 80), red);
    frames.shows(25, (240, 120), BLUE_RGB);
    frames.shows(25, (215, 100), BLUE_RGB);
}

#[test]
fn a_region_is_where_its_keyframes_say_in_every_frame() {
    let env = env();
    clip(&env, "in.mp4", BLUE);
    let keys = json!([
        { "at": 0, "x": 10, "y": 20, "width": 60, "height": 40 },
        { "at": 1, "x": 190, "y": 60, "width": 100, "height": 80 },
    ]);
    call(
        &env,
        json!({ "highlights": [{ "keyframes": keys, "color": "#ff0000", "thickness": 4 }] }),
    )
    .exits(0);
    let frames = frames(&env);
    assert_eq!(frames.len(), 50);
    for frame in 0..50 {
        let t = (frame as f64 / 25.0).min(1.0);
        let (x, y) = (10.0 + 180.0 * t, 20.0 + 40.0 * t);
        let (right, bottom) = (x + 60.0 + 40.0 * t, y + 40.0 + 40.0 * t);
        let is_red = |rgb: [u8; 3]| rgb[0] > 150 && rgb[1] < 70;
        let found = frames.bounds(frame, is_red).expect("a red box");
        let found = [found.0, found.1, found.2, found.3].map(|side| side as f64);
        let near = found.iter().zip([x, y, right, bottom]).all(|(a, b)| (a - b).abs() <= 2.0);
        assert!(near, "frame {frame}: {found:?}, not {:?}", [x, y, right, bottom]);
        let middle = ((x + right) as usize / 2, (y + bottom) as usize / 2);
        frames.shows(frame, middle, BLUE_RGB);
    }
}

#[test]
fn outside_the_regions_it_is_dark_and_inside_as_bright_as_before() {
    let env = env();
    clip(&env, "in.mp4", "color=c=0xa0a0a0:s=320x180:r=25:d=1");
    let ellipse = json!([
        { "at": 0, "x": 20, "y": 20, "width": 60, "height": 60 },
        { "at": 0.8, "x": 20, "y": 20, "width": 120, "height": 120 },
    ]);
    let still = json!([{ "x": 220, "y": 40, "width": 60, "height": 60 }]);
    call(
        &env,
        json!({ "dim": 0.5, "highlights": [
            { "shape": "ellipse", "keyframes": ellipse, "thickness": 0, "end": 0.9 },
            { "keyframes": still, "thickness": 0, "start": 0.4, "end": 0.9 },
        ] }),
    )
    .exits(0);
    let frames = frames(&env);
    let (bright, dark) = ([0xa0; 3], [0x50; 3]);
    frames.shows(0, (50, 50), bright);
    frames.shows(0, (100, 100), dark);
    frames.shows(0, (24, 24), dark);
    frames.shows(20, (100, 100), bright);
    frames.shows(20, (26, 26), dark);
    frames.shows(9, (250, 70), dark);
    frames.shows(10, (250, 70), bright);
    frames.shows(20, (215, 70), dark);
    frames.shows(23, (215, 70), bright);
    frames.shows(23, (5, 170), bright);
}

/// Cut off between frames that aren't coded in the order in which they are shown: the last packet
/// is shown before others, and filters take its time for the end.
#[test]
fn a_region_that_grows_adds_no_frames_at_the_end_of_a_file_that_was_cut_off() {
    let env = env();
    let (whole, cut) = (env.project().join("whole.mp4"), env.project().join("in.flv"));
    let (whole, cut) = (whole.to_str().unwrap(), cut.to_str().unwrap());
    let source = "testsrc=s=320x180:r=30:d=2";
    ffmpeg(&["-f", "lavfi", "-i", source, "-c:v", "libx264", "-bf", "3", "-g", "30", whole]);
    ffmpeg(&["-i", whole, "-c", "copy", "-frames:v", "53", cut]);
    let grows = json!({ "shape": "ellipse", "keyframes": [
        { "at": 0, "x": 10, "y": 10, "width": 20, "height": 20 },
        { "at": 1, "x": 100, "y": 20, "width": 80, "height": 40 },
    ] });
    let args = json!({ "input": "in.flv", "highlights": [grows], "dim": 0.5 });
    let ran = call(&env, args).exits(0).json();
    assert_eq!((&ran["verified"]["frames_in"], frames(&env).len()), (&json!(53), 53));
}

#[test]
fn wrong_arguments_are_named() {
    let env = env();
    clip(&env, "in.mp4", "color=c=gray:s=64x64:r=25:d=0.2");
    let error = |args: Value| {
        let ran = call(&env, args);
        assert_eq!(ran.code, 5, "{ran:?}");
        assert!(!env.project().join("out.mp4").exists());
        let start = ran.stderr.find("error:").expect("an error");
        env.redact(ran.stderr[start..].lines().next().unwrap())
    };
    insta::assert_snapshot!(error(json!({})), @"error: there is nothing to draw");
    insta::assert_snapshot!(error(json!({ "images": [{ "image": "in.mp4" }] })), @"error: `[ROOT]/project/in.mp4` isn't a picture");
    insta::assert_snapshot!(error(json!({ "texts": [{ "text": "x", "font": "a,b" }] })), @"error: `texts.0.font` isn't the name of a font family");
    insta::assert_snapshot!(error(json!({ "texts": [{ "text": "x", "x": 900 }] })), @"error: the text `x` can't be seen");
    insta::assert_snapshot!(error(json!({ "texts": [{ "text": "x", "font_file": "in.mp4" }] })), @"error: `[ROOT]/project/in.mp4` isn't a font");
}
