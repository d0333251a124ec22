//! `concat` and `clips`: that every frame at every seam is the right one, whether packets went over
//! or all was coded anew.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{call, called, decoded, level, make, number, numbered, samples, streams, world};
use crate::env::TestEnv;

const X264: &str = "-c:v libx264 -preset ultrafast -sc_threshold 0 -pix_fmt yuv420p";

/// Eight seconds whose frames carry their number, with a tone that is heard in every odd second.
fn game(env: &TestEnv, name: &str, coding: &str) -> PathBuf {
    let tone = "aevalsrc=0.5*sin(2764*t)*mod(floor(t)\\,2):s=48000:d=8";
    make(env, name, &format!("-f lavfi -i {} -f lavfi -i {tone} {coding} -c:a aac", numbered(8)))
}

/// The numbers that the frames of a video carry.
fn shown(path: &Path) -> Vec<u64> {
    let pixels = decoded(path, "-map 0:v:0 -fps_mode passthrough -f rawvideo -pix_fmt rgb24");
    pixels.chunks_exact(160 * 96 * 3).map(|frame| number(frame, 160, 96)).collect()
}

fn ranges(ranges: &[std::ops::Range<u64>]) -> Vec<u64> {
    ranges.iter().cloned().flatten().collect()
}

/// Times of packets in the order they are shown, in milliseconds; decoding times only grow.
fn times(path: &Path) -> Vec<i64> {
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "packet=pts_time,dts_time"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ms = |text: &str| (text.trim_matches(',').parse::<f64>().unwrap() * 1000.0).round() as i64;
    let pairs: Vec<_> =
        text.lines().filter_map(|line| line.split_once(',')).map(|(p, d)| (ms(p), ms(d))).collect();
    assert!(pairs.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{pairs:?}");
    let mut shown: Vec<_> = pairs.into_iter().map(|(pts, _)| pts).collect();
    shown.sort_unstable();
    shown
}

#[test]
fn clips_are_cut_to_the_frame_with_most_packets_copied() {
    let env = world("clips");
    for (name, coding) in [
        ("bframes.mp4", format!("{X264} -bf 3 -g 50")),
        ("pyramid.mov", "-c:v libx264 -preset fast -sc_threshold 0 -pix_fmt yuv420p -g 40".into()),
        ("plain.mp4", format!("{X264} -bf 0 -g 25")),
    ] {
        let game = game(&env, name, &coding);
        let output = env.project().join(format!("reel-{name}"));
        let clips = json!([
            { "input": game, "start_frame": 30, "end_frame": 170 },
            { "input": game, "start": 0.4, "end": 4.0 },
            { "input": game, "start_frame": 101, "end_frame": 104 },
        ]);
        let said =
            called(&env, "clips", &json!({ "clips": clips, "output": output, "verify": "full" }));
        assert_eq!(shown(&output), ranges(&[30..170, 10..100, 101..104]), "{name}");
        assert!(said["reel"]["frames_copied"].as_u64().unwrap() > 100, "{said}");
        assert_eq!(said["reel"]["verified"]["method"], "decoded");
        let expected: Vec<i64> = (0..233).map(|frame| frame * 40).collect();
        let times = times(&output);
        assert!(
            times.iter().zip(&expected).all(|(a, b)| (a - times[0] - b).abs() <= 1),
            "{times:?}"
        );
    }
}

#[test]
fn sound_is_cut_where_the_picture_is() {
    let env = world("clips");
    let game = game(&env, "a.mp4", &format!("{X264} -g 50"));
    for reencode in [false, true] {
        let output = env.project().join(format!("reel-{reencode}.mp4"));
        // Half a second of silence, then half of tone; then the same the other way round.
        let clips = json!([{ "input": game, "start": 2.5, "end": 3.5 }, { "input": game, "start": 5.5, "end": 6.5 }]);
        called(
            &env,
            "clips",
            &json!({ "clips": clips, "output": output, "reencode": reencode, "preset": "ultrafast" }),
        );
        let heard = samples(&output, 48_000);
        assert!((heard.len() as f64 / 48_000.0 - 2.0).abs() < 0.05, "{}", heard.len());
        let half = |from: f64| {
            level(&heard[(from * 48_000.0) as usize..((from + 0.4) * 48_000.0) as usize])
        };
        let levels = [half(0.05), half(0.55), half(1.05), half(1.55)];
        assert!(
            levels[0] < 0.02 && levels[1] > 0.3 && levels[2] > 0.3 && levels[3] < 0.02,
            "{levels:?}"
        );
    }
}

#[test]
fn what_cannot_be_copied_is_coded_anew_and_as_exact() {
    let env = world("clips");
    let open = "-x264-params open-gop=1:bframes=3:b-adapt=0:keyint=40";
    for (name, coding) in [
        ("open.mp4", format!("{X264} {open}")),
        ("clip.mkv", format!("{X264} -bf 2 -g 30")),
        ("hevc.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=50 -pix_fmt yuv420p".into()),
    ] {
        let game = game(&env, name, &coding);
        let output = env.project().join(format!("{name}-reel.mp4"));
        let clips = json!([{ "input": game, "start_frame": 45, "end_frame": 130 }, { "input": game, "start_frame": 3, "end_frame": 9 }]);
        let said = called(&env, "clips", &json!({ "clips": clips, "output": output, "preset": "ultrafast" }));
        assert_eq!(shown(&output), ranges(&[45..130, 3..9]), "{name}: {said}");
        assert!(said["reel"]["why_encoded"].is_string(), "{said}");
        let expected: Vec<i64> = (0..91).map(|frame| frame * 40).collect();
        assert_eq!(times(&output), expected);
    }
}

#[test]
fn uneven_frames_keep_their_times() {
    let env = world("clips");
    let words = format!(
        "-f lavfi -i {},select=lt(mod(n\\,7)\\,4) -fps_mode vfr {X264} -bf 2 -g 20",
        numbered(8)
    );
    let uneven = make(&env, "uneven.mp4", &words);
    let kept: Vec<u64> = (0..200).filter(|n| n % 7 < 4).collect();
    let output = env.project().join("reel.mp4");
    let clips = json!([{ "input": uneven, "start_frame": 13, "end_frame": 70 }]);
    let said = called(&env, "clips", &json!({ "clips": clips, "output": output }));
    assert!(said["reel"]["frames_copied"].as_u64().unwrap() >= 20, "{said}");
    assert_eq!(shown(&output), kept[13..70]);
    let expected: Vec<i64> =
        kept[13..70].iter().map(|n| (*n as i64 - kept[13] as i64) * 40).collect();
    let times = times(&output);
    assert!(times.iter().zip(&expected).all(|(a, b)| (a - times[0] - b).abs() <= 1), "{times:?}");
}

#[test]
fn clips_fade_into_each_other_and_are_files_of_their_own() {
    let env = world("clips");
    let game = game(&env, "a.mp4", &format!("{X264} -g 50"));
    let (output, folder) = (env.project().join("reel.mp4"), env.project().join("clips"));
    let clips = json!([
        { "input": game, "start_frame": 0, "end_frame": 50, "name": "goal" },
        { "input": game, "start_frame": 100, "end_frame": 150 },
        { "input": game, "start_frame": 20, "end_frame": 60 },
    ]);
    let said = called(
        &env,
        "clips",
        &json!({
        "clips": clips, "output": output, "folder": folder, "fade": 0.4, "preset": "ultrafast" }),
    );
    let frames = shown(&output);
    assert_eq!(frames.len(), 50 + 50 + 40 - 20, "{said}");
    assert!(frames[..40].iter().copied().eq(0..40), "{frames:?}");
    assert!(frames[50..80].iter().copied().eq(110..140), "{frames:?}");
    assert!((samples(&output, 48_000).len() as f64 / 48_000.0 - 4.8).abs() < 0.06);
    assert!(shown(&folder.join("goal.mp4")).into_iter().eq(0..50));
    assert!(shown(&folder.join("clip-002.mp4")).into_iter().eq(100..150));
    assert_eq!(said["clips"][1]["how"]["frames_copied"], 50);
}

#[test]
fn captions_are_drawn_over_their_clips_only() {
    let env = world("clips");
    let black =
        make(&env, "black.mp4", &format!("-f lavfi -i color=black:s=320x180:r=25:d=2 {X264}"));
    let output = env.project().join("reel.mp4");
    let caption = json!({ "text": "{GOAL} \\N 50%: it's", "size": "20%", "align": "bottom" });
    let clips = json!([
        { "input": black, "end": 0.4 },
        { "input": black, "end": 0.4, "caption": caption },
    ]);
    called(&env, "clips", &json!({ "clips": clips, "output": output, "preset": "ultrafast" }));
    let pixels = decoded(&output, "-fps_mode passthrough -f rawvideo -pix_fmt gray");
    let bright = |frame: usize, rows: std::ops::Range<usize>| {
        let from = frame * 320 * 180;
        let pixels = &pixels[from + rows.start * 320..from + rows.end * 320];
        pixels.iter().filter(|pixel| **pixel > 200).count()
    };
    assert_eq!(pixels.len(), 20 * 320 * 180);
    assert_eq!(bright(9, 0..180), 0);
    assert!(bright(10, 90..180) > 200 && bright(19, 90..180) > 200 && bright(15, 0..90) == 0);
}

#[test]
fn videos_that_match_are_joined_without_coding_them() {
    let env = world("concat");
    let (a, b) = (
        game(&env, "a.mp4", &format!("{X264} -g 50")),
        game(&env, "b.mp4", &format!("{X264} -g 50")),
    );
    let output = env.project().join("o.mp4");
    let said = called(&env, "concat", &json!({ "inputs": [a, b, a], "output": output }));
    assert_eq!((&said["frames_copied"], &said["encoder"]), (&json!(600), &json!("copy")));
    assert_eq!(shown(&output), ranges(&[0..200, 0..200, 0..200]));
    let heard = samples(&output, 48_000);
    assert!((heard.len() as f64 / 48_000.0 - 24.0).abs() < 0.05, "{}", heard.len());
    // No gap and no click at the seam: silence until the ninth second begins to sound.
    let second = |at: usize| level(&heard[at * 48_000 + 2_000..(at + 1) * 48_000 - 2_000]);
    assert!(second(8) < 0.01 && second(9) > 0.3 && second(7) > 0.3 && second(16) < 0.01);
}

#[test]
fn videos_of_all_kinds_are_brought_to_one_size_rate_and_sound() {
    let env = world("concat");
    let first = game(&env, "a.mp4", &format!("{X264} -t 2"));
    let other = make(
        &env,
        "b.webm",
        "-f lavfi -i color=white:s=120x120:r=30:d=1 -c:v libvpx-vp9 -deadline realtime -cpu-used 8",
    );
    let old = make(
        &env,
        "c.mkv",
        "-f lavfi -i color=red:s=320x192:r=50:d=1 -f lavfi -i sine=d=1:r=22050 -c:v mpeg4 -c:a mp3",
    );
    let output = env.project().join("o.mp4");
    let said = called(
        &env,
        "concat",
        &json!({ "inputs": [first, other, old], "output": output, "preset": "ultrafast" }),
    );
    assert!(said["why_encoded"].as_str().unwrap().contains("coded differently"), "{said}");
    let [video] = streams(&output, "video").try_into().unwrap();
    assert_eq!(
        (&video["width"], &video["height"], &video["r_frame_rate"]),
        (&json!(160), &json!(96), &json!("25/1"))
    );
    let pixels = decoded(&output, "-map 0:v -fps_mode passthrough -f rawvideo -pix_fmt rgb24");
    let frames: Vec<_> = pixels.chunks_exact(160 * 96 * 3).collect();
    assert_eq!(frames.len(), 50 + 25 + 25);
    assert_eq!(times(&output), (0..100).map(|frame| frame * 40).collect::<Vec<i64>>());
    let at = |frame: usize, x: usize, y: usize| &frames[frame][(y * 160 + x) * 3..][..3];
    assert!(
        at(60, 80, 48).iter().all(|v| *v > 230) && at(60, 10, 48).iter().all(|v| *v < 30),
        "bars beside"
    );
    assert!(at(90, 80, 48)[0] > 200 && at(90, 80, 48)[1] < 60);
    let heard = samples(&output, 48_000);
    assert!((heard.len() as f64 / 48_000.0 - 4.0).abs() < 0.05);
    assert!(level(&heard[100_000..140_000]) < 1e-3 && level(&heard[150_000..185_000]) > 0.02);
}

#[test]
fn wrong_wishes_are_answered_with_what_would_be_right() {
    let env = world("clips");
    let game = make(&env, "a.mp4", &format!("-f lavfi -i {} {X264}", numbered(2)));
    let mut said = String::new();
    let mut wrong = |args: Value| said += &env.redact(&call(&env, "clips", &args).exits(5).stderr);
    wrong(json!({ "clips": [] }));
    wrong(json!({ "clips": [{ "input": game, "start": 1.5, "end": 0.5 }] }));
    wrong(json!({ "clips": [{ "input": game, "end": 9 }] }));
    wrong(json!({ "clips": [{ "input": game, "name": "../a" }] }));
    wrong(json!({ "clips": [{ "input": game, "end": 0.2 }, { "input": game }], "fade": 1 }));
    wrong(json!({ "clips": [{ "input": game }], "output": "reel.gif" }));
    insta::assert_snapshot!(said, @"
    error: `clips` names no clip
    error: clip 1 has no frames: 38 to 13
      cause: `[ROOT]/project/a.mp4` lasts 2.000 s, 50 frames
    error: clip 1 ends at 9 s
      cause: `[ROOT]/project/a.mp4` lasts 2.000 s, 50 frames
    error: `../a` isn't a plain name for a file
    error: part 1 is too short to fade over 1.00 s on both sides
      cause: it lasts 0.20 s
    hint: use shorter fades: `fade=0.2`
    error: `[ROOT]/project/reel.gif` doesn't say which format is wanted
      cause: `.gif` is none of .mp4, .m4v, .mov, .mkv and .webm
    hint: name an output that ends in `.mp4`
    ");
}

#[test]
fn colours_stay_where_parts_code_them_differently() {
    let env = world("concat");
    let green = [0x20, 0xc0, 0x20];
    let part = |name: &str, matrix: &str| {
        let tags =
            format!("setparams=colorspace={matrix}:color_primaries={matrix}:color_trc={matrix}");
        let source = "color=c=0x20c020:s=160x96:r=25:d=0.4";
        let filters = format!("scale=out_color_matrix={matrix}:out_range=tv,{tags},format=yuv420p");
        make(&env, name, &format!("-f lavfi -i {source} -vf {filters} {X264} -qp 4"))
    };
    let (sd, hd) = (part("sd.mp4", "smpte170m"), part("hd.mp4", "bt709"));
    for (inputs, matrix) in [([&hd, &sd], "bt709"), ([&sd, &hd], "smpte170m")] {
        let output = env.project().join(format!("{matrix}-joined.mp4"));
        let args = json!({ "inputs": inputs, "output": output, "preset": "ultrafast", "crf": 4 });
        called(&env, "concat", &args);
        assert_eq!(streams(&output, "video")[0]["color_space"], matrix);
        let filter = format!("-vf scale=in_color_matrix={matrix}");
        let pixels = decoded(&output, &format!("{filter} -f rawvideo -pix_fmt rgb24"));
        let frames: Vec<_> = pixels.chunks_exact(160 * 96 * 3).collect();
        assert_eq!(frames.len(), 20);
        for (number, frame) in frames.iter().enumerate() {
            let middle = &frame[(48 * 160 + 80) * 3..][..3];
            let far = middle.iter().zip(green).any(|(found, meant)| found.abs_diff(meant) > 10);
            assert!(!far, "frame {number} of {matrix} is {middle:?}");
        }
    }
}
