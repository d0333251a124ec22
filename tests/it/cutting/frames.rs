//! `frames`: that the frame that was asked for is the one that comes, whatever the video is like.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use vdeploy_runtime::function::Entry;

use super::{call, called, decoded, make, numbered, streams, world};
use crate::env::TestEnv;

/// What `.npy` says it holds, and its data.
fn array(path: &Path) -> (String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
    (header.trim_end().to_owned(), bytes[10 + length..].to_vec())
}

/// The numbers of frames in an array of bytes in rows of pixels.
fn numbers(data: &[u8], width: usize, height: usize) -> Vec<u64> {
    data.chunks_exact(width * height * 3).map(|frame| super::number(frame, width, height)).collect()
}

fn fetched(env: &TestEnv, input: &Path, choose: Value) -> (Vec<u64>, Value) {
    let output = env.project().join("o.npy");
    let mut args = json!({ "input": input, "output": output });
    args.as_object_mut().unwrap().extend(choose.as_object().unwrap().clone());
    let said = called(env, "frames", &args);
    let (_, data) = array(&output);
    std::fs::remove_file(&output).unwrap();
    let side = |name: &str| said[name].as_u64().unwrap() as usize;
    (numbers(&data, side("width"), side("height")), said)
}

/// Videos of all kinds whose frames carry their number.
fn clips(env: &TestEnv) -> Vec<PathBuf> {
    let source = |codec: &str| format!("-f lavfi -i {} {codec}", numbered(8));
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let clips = [
        ("bframes.mp4", source(&format!("{x264} -bf 3 -g 50"))),
        (
            "open.mp4",
            source(&format!(
                "{x264} -x264-params open-gop=1:bframes=3:b-adapt=0:keyint=40:scenecut=0"
            )),
        ),
        ("bframes.ts", source(&format!("{x264} -bf 3 -g 50"))),
        ("intra.mkv", source(&format!("{x264} -bf 2 -g 30"))),
        (
            "hevc.mp4",
            source(
                "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=40 -pix_fmt yuv420p",
            ),
        ),
        ("vp9.webm", source("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 60")),
        ("packed.avi", source("-c:v mpeg4 -bf 2 -g 40 -q:v 3")),
    ];
    clips.iter().map(|(name, words)| make(env, name, words)).collect()
}

#[test]
fn random_frames_are_the_right_ones_in_the_order_asked_for() {
    let env = world("frames");
    let wanted = [150, 3, 199, 0, 77, 120, 49, 50, 51, 3, 198];
    for clip in clips(&env) {
        let (numbers, said) = fetched(&env, &clip, json!({ "indices": wanted }));
        assert_eq!(numbers, wanted, "{}", clip.display());
        assert_eq!(said["frames_in"], 200, "{}", clip.display());
        if clip.extension().unwrap() == "mp4" {
            assert!(said["runs"].as_u64().unwrap() >= 2, "it jumps: {said}");
        }
    }
}

#[test]
fn frames_of_uneven_and_turned_video_are_the_right_ones() {
    let env = world("frames");
    // Three of seven frames are left out; the others keep their times.
    let uneven = make(
        &env,
        "uneven.mp4",
        &format!(
            "-f lavfi -i {},select=lt(mod(n\\,7)\\,4) -fps_mode vfr -c:v libx264 -preset ultrafast -bf 2 -g 20 -pix_fmt yuv420p",
            numbered(8)
        ),
    );
    let kept: Vec<u64> = (0..200).filter(|n| n % 7 < 4).collect();
    let (numbers, said) = fetched(&env, &uneven, json!({ "indices": [0, 5, 60, 100, 114] }));
    assert_eq!(numbers, [kept[0], kept[5], kept[60], kept[100], kept[114]]);
    let seconds = said["frames"][1]["seconds"].as_f64().unwrap();
    assert!((seconds - kept[5] as f64 / 25.0).abs() < 0.001, "{said}");
    // At 5.2 s frame 130 would be shown, were it not left out.
    assert_eq!(fetched(&env, &uneven, json!({ "times": [5.2] })).0, [129]);

    let upright = make(
        &env,
        "upright.mp4",
        &format!(
            "-f lavfi -i {} -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p",
            numbered(4)
        ),
    );
    let turned = make(
        &env,
        "turned.mp4",
        &format!("-i {} -c copy -metadata:s:v rotate=90", upright.display()),
    );
    let (numbers, said) = fetched(&env, &turned, json!({ "indices": [99, 30] }));
    assert_eq!((&said["width"], &said["height"]), (&json!(96), &json!(160)));
    assert_eq!(numbers, [99, 30]);
}

#[test]
fn frames_are_chosen_by_rate_scene_number_and_key() {
    let env = world("frames");
    let clip = make(
        &env,
        "a.mp4",
        &format!(
            "-f lavfi -i {} -c:v libx264 -preset ultrafast -g 40 -sc_threshold 0 -pix_fmt yuv420p",
            numbered(4)
        ),
    );
    let numbers = |choose| fetched(&env, &clip, choose).0;
    assert_eq!(numbers(json!({ "fps": 2 })), [0, 12, 25, 37, 50, 62, 75, 87]);
    assert_eq!(numbers(json!({ "every": 30 })), [0, 30, 60, 90]);
    assert_eq!(numbers(json!({ "count": 4 })), [12, 37, 62, 87]);
    assert_eq!(numbers(json!({ "keyframes": true })), [0, 40, 80]);

    let scenes = make(
        &env,
        "scenes.mp4",
        "-f lavfi -i color=red:s=160x96:r=25:d=1 -f lavfi -i \
        testsrc2=s=160x96:r=25:d=1 -f lavfi -i color=white:s=160x96:r=25:d=1 -filter_complex \
        [0][1][2]concat=n=3 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
    let said = called(&env, "frames", &json!({ "input": scenes, "scenes": 0.3 }));
    let found: Vec<_> =
        said["frames"].as_array().unwrap().iter().map(|f| f["index"].clone()).collect();
    assert_eq!(found, [0, 25, 50]);
}

#[test]
fn arrays_say_what_they_hold() {
    let env = world("frames");
    let clip = make(
        &env,
        "red.mp4",
        "-f lavfi -i color=0xff8000:s=64x32:r=10:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv444p",
    );
    let of = |more: Value| {
        let output = env.project().join("o.npy");
        let mut args = json!({ "input": clip, "output": output, "indices": [9, 2] });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let said = called(&env, "frames", &args);
        let (header, data) = array(&output);
        std::fs::remove_file(&output).unwrap();
        (header, data, said["array"].clone())
    };
    let near = |value: u8, expected: u8| value.abs_diff(expected) <= 3;
    let (header, data, said) = of(json!({}));
    assert!(header.contains("'descr': '|u1'") && header.contains("(2, 32, 64, 3)"), "{header}");
    assert!(near(data[0], 255) && near(data[1], 128) && near(data[2], 0), "{:?}", &data[..3]);
    assert_eq!(said["channels"], "rgb");
    let (header, data, _) = of(json!({ "layout": "chw", "channels": "bgr" }));
    assert!(header.contains("(2, 3, 32, 64)"), "{header}");
    assert!(near(data[0], 0) && near(data[32 * 64], 128) && near(data[2 * 32 * 64], 255));
    let (header, data, _) = of(json!({ "dtype": "f32" }));
    assert!(header.contains("'descr': '<f4'"), "{header}");
    let first = f32::from_le_bytes(data[..4].try_into().unwrap());
    assert!((first - 1.0).abs() < 0.02, "{first}");

    let folder = env.project().join("batches");
    called(
        &env,
        "frames",
        &json!({ "input": clip, "output": folder, "every": 1, "format": "npy", "batch": 4 }),
    );
    let shapes = ["batch-00000.npy", "batch-00001.npy", "batch-00002.npy"]
        .map(|name| array(&folder.join(name)).0);
    assert!(shapes[0].contains("(4, 32") && shapes[2].contains("(2, 32"), "{shapes:?}");
}

#[test]
fn pictures_sheets_and_previews_are_written() {
    let env = world("frames");
    let clip = make(
        &env,
        "a.mp4",
        &format!(
            "-f lavfi -i {} -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p",
            numbered(4)
        ),
    );
    let project = env.project();
    for (format, extension) in [("png", "png"), ("jpeg", "jpg"), ("webp", "webp")] {
        let folder = project.join(format);
        called(
            &env,
            "frames",
            &json!({ "input": clip, "output": folder, "indices": [80, 7], "format": format }),
        );
        let mut names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            [format!("frame-000007.{extension}"), format!("frame-000080.{extension}")]
                .map(Into::into) as [std::ffi::OsString; 2]
        );
        let pixels = decoded(
            &folder.join(format!("frame-000080.{extension}")),
            "-f rawvideo -pix_fmt rgb24",
        );
        assert_eq!(numbers(&pixels, 160, 96), [80]);
    }
    let one = project.join("thumb.jpg");
    called(&env, "frames", &json!({ "input": clip, "output": one, "times": [2.0], "width": 80 }));
    assert_eq!(decoded(&one, "-f rawvideo -pix_fmt rgb24").len(), 80 * 48 * 3);

    let sprite = project.join("sprite");
    called(
        &env,
        "frames",
        &json!({ "input": clip, "output": sprite, "fps": 1, "sheet": "sprite", "columns": 2, "format": "png", "width": 160 }),
    );
    insta::assert_snapshot!(std::fs::read_to_string(sprite.join("sprite.vtt")).unwrap(), @"
    WEBVTT

    00:00:00.000 --> 00:00:01.000
    sprite-0.png#xywh=0,0,160,96

    00:00:01.000 --> 00:00:02.000
    sprite-0.png#xywh=160,0,160,96

    00:00:02.000 --> 00:00:03.000
    sprite-0.png#xywh=0,96,160,96

    00:00:03.000 --> 00:00:04.000
    sprite-0.png#xywh=160,96,160,96
    ");
    let pixels =
        decoded(&sprite.join("sprite-0.png"), "-vf crop=160:96:160:96 -f rawvideo -pix_fmt rgb24");
    assert_eq!(numbers(&pixels, 160, 96), [75], "the fourth cell shows the fourth second");

    let contact = project.join("contact.png");
    called(
        &env,
        "frames",
        &json!({ "input": clip, "output": contact, "count": 5, "sheet": "contact", "width": 160 }),
    );
    let pixels = decoded(&contact, "-vf crop=160:96:172:6 -f rawvideo -pix_fmt rgb24");
    assert_eq!(numbers(&pixels, 160, 96), [30]);
}

#[test]
fn pictures_become_a_video_again() {
    let env = world("frames");
    env.publish("sequence", Entry::Builtin { handler: "sequence".into() }, |_| {});
    let words =
        format!("-f lavfi -i {} -c:v libx264 -preset ultrafast -pix_fmt yuv420p", numbered(1));
    let clip = make(&env, "a.mp4", &words);
    for format in ["png", "jpeg", "webp"] {
        let (folder, output) =
            (env.project().join(format), env.project().join(format!("{format}.mp4")));
        called(
            &env,
            "frames",
            &json!({ "input": clip, "output": folder, "every": 2, "format": format }),
        );
        std::fs::write(folder.join("notes.txt"), "not a picture").unwrap();
        let args =
            json!({ "input": folder, "output": output, "fps": 29.97, "preset": "ultrafast" });
        let said = called(&env, "sequence", &args);
        assert_eq!((&said["pictures"], &said["verified"]["frames_out"]), (&json!(13), &json!(13)));
        let [video] = streams(&output, "video").try_into().unwrap();
        assert_eq!(video["r_frame_rate"], "30000/1001", "{format}");
        let pixels = decoded(&output, "-f rawvideo -pix_fmt rgb24");
        let expected: Vec<u64> = (0..25).step_by(2).collect();
        assert_eq!(numbers(&pixels, 160, 96), expected, "{format}");
    }
    let empty = env.project().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let said = call(&env, "sequence", &json!({ "input": empty })).exits(5).stderr;
    assert!(said.contains("has no pictures"), "{said}");
}

#[test]
fn wrong_wishes_are_answered_with_what_would_be_right() {
    let env = world("frames");
    let clip = make(
        &env,
        "a.mp4",
        "-f lavfi -i testsrc2=s=160x96:r=25:d=1 -c:v libx264 -preset ultrafast",
    );
    let mut said = String::new();
    for args in [
        json!({ "input": clip }),
        json!({ "input": clip, "indices": [25] }),
        json!({ "input": clip, "times": [1.5] }),
        json!({ "input": clip, "count": 3, "output": env.project().join("a.png") }),
        json!({ "input": clip, "count": 3, "sheet": "sprite", "output": env.project().join("a.png") }),
    ] {
        said += &env.redact(&call(&env, "frames", &args).exits(5).stderr);
    }
    insta::assert_snapshot!(said, @"
    error: exactly one of `indices`, `times`, `fps`, `every`, `count`, `scenes` and `keyframes` chooses the frames
    hint: take ten, evenly spread: `count=10`
    error: there is no frame 25 in `[ROOT]/project/a.mp4`
      cause: it has 25, counted from 0
    error: there is no frame at 1.5 s in `[ROOT]/project/a.mp4`
      cause: it lasts 1.000 s
    error: 3 frames don't go into one picture
    hint: name an output without an extension for a folder, or use `sheet=contact`
    error: a sprite is a folder: sheets and a WebVTT file
    hint: name an output without an extension
    ");
    let left: Vec<_> =
        std::fs::read_dir(env.project()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["a.mp4"], "nothing is left behind");
}
