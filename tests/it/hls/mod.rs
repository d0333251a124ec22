//! `hls`: streams of awkward little clips, each held against the rules that players' makers give.

pub mod browser;
mod checker;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use self::checker::Stream;
use crate::env::{TestEnv, repository};

/// Frames per second that come out right in no decimal.
const NTSC: &str = "30000/1001";

fn hls() -> TestEnv {
    let env = TestEnv::new();
    env.publish("hls", Entry::Builtin { handler: "hls".into() }, |_| {});
    env
}

/// A clip out of ffmpeg's own sources.
fn clip(env: &TestEnv, name: &str, args: &[&str]) -> PathBuf {
    let path = env.project().join(name);
    let status = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).arg(&path).status();
    assert!(status.unwrap().success());
    path
}

fn picture(rate: &str, seconds: u32) -> String {
    format!("testsrc2=s=160x90:r={rate}:d={seconds}")
}

const H264: [&str; 6] = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"];

/// A stream of `in.mp4` or whatever `args` say, checked against all rules.
fn streamed(env: &TestEnv, mut args: Value) -> (Value, Stream) {
    let small = json!([{ "height": 90 }, { "height": 44 }]);
    for (key, value) in [
        ("input", json!("in.mp4")),
        ("output", json!("out")),
        ("preset", json!("ultrafast")),
        ("segment_seconds", json!(2)),
        ("rungs", small),
    ] {
        if args.get(key).is_none() {
            args[key] = value;
        }
    }
    let said = env.run(["call", "hls", "--args", &args.to_string()]).exits(0).json();
    let stream = checker::check(&env.project().join("out"));
    (said, stream)
}

/// The seconds of a clip's picture, as ffprobe finds them by decoding.
fn frames(path: &Path) -> usize {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-count_frames"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().trim_end_matches(',').parse().unwrap()
}

#[test]
fn picture_and_sound_are_apart_and_cut_at_the_same_moments() {
    let env = hls();
    let (video, sound) = (picture(NTSC, 7), "sine=d=7");
    let input = ["-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", sound, "-c:a", "aac"];
    clip(&env, "in.mp4", &[&input[..], &H264[..]].concat());
    let (said, stream) = streamed(&env, json!({}));
    assert_eq!((stream.pictures.len(), stream.sounds.len()), (2, 1));
    for rendition in &stream.pictures {
        assert_eq!(rendition.frames, 210);
        let seconds: f64 = rendition.segments.iter().sum();
        assert!((seconds - 210.0 * 1001.0 / 30000.0).abs() < 1001.0 / 30000.0, "{seconds}");
        // 60 frames of 29.97 a second, every one of them but the last.
        assert!(
            rendition.segments[..3].iter().all(|length| (length - 2.002).abs() < 1e-6),
            "{rendition:?}"
        );
    }
    assert_eq!(said["segments"], 4);
    let hidden: Vec<_> = std::fs::read_dir(env.project().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(hidden, [] as [String; 0]);
}

#[test]
fn a_silent_video_has_no_sound_group() {
    let env = hls();
    let video = picture("25", 5);
    clip(&env, "in.mp4", &[&["-f", "lavfi", "-i", &video][..], &H264[..]].concat());
    let (said, stream) = streamed(&env, json!({ "thumbnails": false }));
    assert!(stream.sounds.is_empty() && said["audio"] == json!([]));
    assert!(said["poster"].is_null() && !env.project().join("out/poster.jpg").exists());
}

#[test]
fn sound_that_ends_early_or_starts_late_lasts_as_long_as_the_picture() {
    let env = hls();
    let video = picture("25", 5);
    let input = [
        "-f",
        "lavfi",
        "-i",
        &video,
        "-itsoffset",
        "0.8",
        "-f",
        "lavfi",
        "-i",
        "sine=d=2",
        "-c:a",
        "libmp3lame",
    ];
    clip(&env, "in.mkv", &[&input[..], &H264[..]].concat());
    let (_, stream) = streamed(&env, json!({ "input": "in.mkv", "rungs": [{ "height": 90 }] }));
    let seconds: f64 = stream.sounds[0].segments.iter().sum();
    assert!((seconds - 5.0).abs() < 0.04, "{seconds}");
}

#[test]
fn frames_at_uneven_times_all_stay() {
    let env = hls();
    let video = picture("25", 6);
    let vary = "select='not(between(n,20,90)*not(mod(n,3)))'";
    let input = ["-f", "lavfi", "-i", &video, "-vf", vary, "-fps_mode", "vfr"];
    let source = clip(&env, "in.mkv", &[&input[..], &H264[..]].concat());
    let (_, stream) = streamed(&env, json!({ "input": "in.mkv" }));
    assert_eq!(stream.pictures[0].frames, frames(&source));
}

#[test]
fn a_turned_video_is_upright_and_its_boxes_are_turned() {
    let env = hls();
    let video = picture("24", 3);
    clip(&env, "flat.mp4", &[&["-f", "lavfi", "-i", &video][..], &H264[..]].concat());
    let flat = env.project().join("flat.mp4");
    let turn = ["-i", flat.to_str().unwrap(), "-c", "copy", "-metadata:s:v", "rotate=90"];
    clip(&env, "in.mp4", &turn);
    let (_, stream) = streamed(&env, json!({ "rungs": ["720p"] }));
    assert_eq!(stream.pictures[0].size, (90, 160));
}

#[test]
fn subtitles_and_languages_come_along() {
    let env = hls();
    let srt = "1\n00:00:01,000 --> 00:00:03,500\nHello \"there\"\n\n\
               2\n00:00:04,000 --> 00:00:04,500\nBye\n";
    let srt = env.write("in.srt", srt);
    let video = picture("25", 5);
    let input = [
        "-f",
        "lavfi",
        "-i",
        &video,
        "-f",
        "lavfi",
        "-i",
        "sine=d=5",
        "-f",
        "lavfi",
        "-i",
        "sine=d=5:f=880",
        "-i",
        srt.to_str().unwrap(),
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
        "-map",
        "3",
        "-c:a",
        "aac",
        "-metadata:s:a:0",
        "language=eng",
        "-metadata:s:a:1",
        "language=fra",
        "-metadata:s:s:0",
        "language=deu",
    ];
    clip(&env, "in.mkv", &[&input[..], &H264[..]].concat());
    let args = json!({ "input": "in.mkv", "rungs": [{ "height": 90 }] });
    let (said, stream) = streamed(&env, args);
    assert_eq!(said["audio"], json!(["English", "French"]));
    assert_eq!(stream.sounds.len(), 2);
    assert_eq!(said["subtitles"], json!(["German"]));
    let text = |segment: &str| {
        std::fs::read_to_string(env.project().join("out/subtitles").join(segment)).unwrap()
    };
    // Shown from 1 s to 3.5 s, so in the first two segments of 2 s.
    assert!(text("segment_00001.vtt").contains("Hello \"there\""));
    assert!(text("segment_00002.vtt").contains("Hello"));
    assert!(!text("segment_00003.vtt").contains("Hello"));
    assert!(text("segment_00003.vtt").contains("Bye"));
}

#[test]
fn transport_streams_obey_the_same_rules() {
    let env = hls();
    let (video, sound) = (picture(NTSC, 5), "sine=d=5");
    let input = ["-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", sound, "-c:a", "aac"];
    clip(&env, "in.mp4", &[&input[..], &H264[..]].concat());
    // As others ask for it: sizes and rates by number, segments by their seconds.
    let rungs = json!([
        { "name": "high", "width": 160, "height": 90, "bitrate": "500k" },
        { "name": "low", "width": 78, "height": 44, "bitrate": "200k" },
    ]);
    let args = json!({ "segments": "ts", "rungs": rungs, "audio_bitrate": "96k" });
    let (said, stream) = streamed(&env, args);
    assert_eq!(stream.pictures[0].frames, 150);
    assert!(said["dash_manifest"].is_null());
    assert!(env.project().join("out/high/segment_00001.ts").exists());
}

#[test]
fn newer_codecs_are_named_exactly() {
    let env = hls();
    let video = "testsrc2=s=192x108:r=25:d=4";
    clip(&env, "in.mp4", &[&["-f", "lavfi", "-i", video][..], &H264[..]].concat());
    let rungs = json!([
        { "height": 108, "codec": "av1", "crf": 50 },
        { "height": 108, "codec": "hevc" },
        { "height": 64 },
    ]);
    let (said, _) = streamed(&env, json!({ "rungs": rungs }));
    let codecs: Vec<_> = said["renditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rendition| rendition["codec"].as_str().unwrap()[..5].to_owned())
        .collect();
    assert_eq!(codecs, ["av01.", "hvc1.", "avc1."]);
}

#[test]
fn a_stream_appears_whole_or_not_at_all_and_never_over_another() {
    let env = hls();
    env.write("in.mp4", "no video");
    let args = json!({ "input": "in.mp4", "output": "out" });
    let ran = env.run(["call", "hls", "--args", &args.to_string()]).exits(5);
    assert!(ran.stderr.contains("isn't a video"), "{ran:?}");
    assert!(!env.project().join("out").exists());
    let video = picture("25", 2);
    clip(&env, "in.mp4", &[&["-f", "lavfi", "-i", &video][..], &H264[..]].concat());
    env.write("out/mine.txt", "mine");
    let ran = env.run(["call", "hls", "--args", &args.to_string()]).exits(5);
    assert!(ran.stderr.contains("already exists"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(env.project().join("out/mine.txt")).unwrap(), "mine");
}

/// A stream to play: small, with sound, of several segments.
fn playable(args: Value) -> TestEnv {
    let env = hls();
    let video = picture(NTSC, 6);
    let input = ["-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", "sine=d=6", "-c:a", "aac"];
    clip(&env, "in.mp4", &[&input[..], &["-bf", "2"], &H264[..]].concat());
    streamed(&env, args);
    env
}

/// Played to the end, without waiting, and without a gap in what was loaded.
fn smooth(played: &Value) {
    assert_eq!(played["ended"], true, "{played}");
    assert_eq!((&played["waits"], &played["gaps"]), (&json!(0), &json!(0)), "{played}");
    let (time, duration) = (played["time"].as_f64().unwrap(), played["duration"].as_f64().unwrap());
    assert!((time - duration).abs() < 0.1 && (duration - 6.006).abs() < 0.1, "{played}");
}

#[test]
fn chromium_plays_it_to_the_end() {
    let env = playable(json!({ "preset": "veryfast" }));
    let Some(played) = browser::chromium(&env) else { return };
    smooth(&played);
}

#[test]
fn hls_js_changes_between_renditions() {
    // Most segments are still to be loaded when it is told to change.
    let env = playable(json!({ "preset": "veryfast", "segment_seconds": 1 }));
    let Some(played) = browser::hls_js(&env) else { return };
    smooth(&played);
    assert_eq!(played["levels"].as_array().unwrap().last(), Some(&json!(1)), "{played}");
    assert_eq!(played["widths"], json!([78, 160]), "{played}");
}

#[test]
fn hls_js_plays_transport_streams() {
    let env = playable(json!({ "segments": "ts", "preset": "veryfast" }));
    let Some(played) = browser::hls_js(&env) else { return };
    smooth(&played);
    assert_eq!(played["widths"], json!([78, 160]), "{played}");
}

/// Files as people have them: VFR and turned, with edit lists, several tracks, subtitles, times
/// that don't start at zero, lengths that are wrong. They lie beside a checkout, if at all.
#[test]
fn real_files_become_streams_that_obey_the_rules() {
    let found = repository().ancestors().map(|up| up.join("shared/media")).find(|dir| dir.is_dir());
    let Some(folder) = found else {
        eprintln!("skipped: there is no folder `shared/media`");
        return;
    };
    let env = hls();
    for name in [
        "rot180_vfr_720p.mp4",
        "subs_srt_1080x720.mkv",
        "pts_starts_at_10s_sar.mp4",
        "h264_444_editlist_1fps.mp4",
        "fragmented_bogus_duration.mp4",
    ] {
        println!("{name}");
        streamed(&env, json!({ "input": folder.join(name), "rungs": [{ "height": 144 }] }));
        std::fs::remove_dir_all(env.project().join("out")).unwrap();
    }
}
