//! `chunked` against one pass: the same frames at the same times, the same sound, and no worse
//! pictures where chunks meet.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv};

fn world() -> TestEnv {
    let env = TestEnv::new();
    for handler in ["chunked", "transcode"] {
        env.publish(handler, Entry::Builtin { handler: handler.into() }, |_| {});
    }
    env
}

/// An ffmpeg that is killed the first time that `pattern` is in its arguments.
fn killed_once(env: &TestEnv, pattern: &str) -> PathBuf {
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in {pattern}) mkdir \"$0.done\" 2>/dev/null && kill -9 $$;; esac\n\
         exec ffmpeg \"$@\"\n"
    );
    let path = env.write("bin/ffmpeg", script);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn ffmpeg(env: &TestEnv, words: &str) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(words.split_whitespace())
        .current_dir(env.project())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {words}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn call(env: &TestEnv, function: &str, args: &Value) -> Ran {
    env.run(["call", function, "--args", &args.to_string()])
}

/// When each frame is shown, decoded.
fn times(env: &TestEnv, file: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries"])
        .args(["frame=best_effort_timestamp_time", "-of", "csv=p=0", file])
        .current_dir(env.project())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Side data of a frame has lines of its own.
    let lines = text.lines().map(|line| line.trim_end_matches(','));
    lines.filter(|line| line.parse::<f64>().is_ok()).map(str::to_owned).collect()
}

/// A hash of the packets of the sound, and of their times.
fn sound(env: &TestEnv, file: &str) -> String {
    ffmpeg(env, &format!("-i {file} -map 0:a -c copy -f framemd5 -"))
}

/// SSIM of each frame against the source.
fn ssim(env: &TestEnv, file: &str, source: &str) -> Vec<f64> {
    let graph = "[0:v]settb=1/1000000,setpts=N*1000[a];[1:v]settb=1/1000000,setpts=N*1000[b];\
                 [a][b]ssim=f=-";
    let text = ffmpeg(env, &format!("-i {file} -i {source} -lavfi {graph} -f null -"));
    let all = text.lines().filter_map(|line| line.split_once("All:")?.1.split(' ').next());
    all.map(|value| value.parse().unwrap()).collect()
}

/// Transcodes `clip` in one pass and in chunks, and compares.
fn compare(clip: &str, make: &str, with: Value) {
    let env = world();
    let to = Path::new(clip).extension().unwrap().to_str().unwrap();
    let to = if ["mkv", "mov"].contains(&to) { to } else { "mp4" };
    ffmpeg(&env, &format!("{make} {clip}"));
    let mut args = with.clone();
    let one = format!("one.{to}");
    args["input"] = clip.into();
    args["output"] = one.clone().into();
    call(&env, "transcode", &args).exits(0);
    let many = format!("many.{to}");
    let args = json!({ "input": clip, "output": many, "with": with, "workers": 3 });
    let result = call(&env, "chunked", &args).exits(0).json();
    let chunks: Vec<usize> = serde_json::from_value(result["chunks"].clone()).unwrap();
    assert_eq!(chunks.len(), 3, "{clip}: {result}");
    let (expected, found) = (times(&env, &one), times(&env, &many));
    assert_eq!(found.len(), chunks.iter().sum::<usize>(), "{clip}: {result}");
    assert_eq!(found, expected, "{clip}");
    if make.contains("sine") {
        assert_eq!(sound(&env, &many), sound(&env, &one), "{clip}");
    }
    let (pass, joined) = (ssim(&env, &one, clip), ssim(&env, &many, clip));
    assert_eq!(pass.len(), joined.len(), "{clip}");
    let seams = chunks.iter().scan(0, |at, frames| {
        *at += frames;
        Some(*at)
    });
    for seam in seams.take(2) {
        for frame in seam - 12..(seam + 12).min(joined.len()) {
            let (one, many) = (pass[frame], joined[frame]);
            assert!(many >= one - 0.005, "{clip}: frame {frame}, seam {seam}: {many} < {one}");
        }
    }
}

const X264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p";

fn plain(rate: &str, seconds: u32) -> String {
    format!(
        "-f lavfi -i testsrc2=s=160x90:r={rate}:d={seconds} -f lavfi -i sine=d={seconds} \
         -c:a aac -shortest {X264}"
    )
}

fn fast() -> Value {
    json!({ "preset": "veryfast", "hardware": "off" })
}

#[test]
fn closed_and_open_groups_of_pictures() {
    compare("closed.mp4", &format!("{} -g 25 -flags +cgop", plain("25", 5)), fast());
    let open = "-x264-params open-gop=1:keyint=25:min-keyint=25:scenecut=0:bframes=3:b-adapt=0";
    compare("open.mp4", &format!("{} {open}", plain("25", 5)), fast());
    compare("open.mkv", &format!("{} {open}", plain("25", 5)), fast());
}

#[test]
fn odd_groups_of_pictures_and_b_frames() {
    compare("odd.mp4", &format!("{} -g 37 -bf 4", plain("24", 5)), fast());
    compare("none.mp4", &format!("{} -g 1000 -bf 0", plain("25", 5)), fast());
    compare("intra.mkv", &format!("{} -g 1", plain("25", 4)), fast());
    compare("deep.mp4", &format!("{} -g 250 -bf 8", plain("24000/1001", 5)), fast());
    compare("pyramid.mkv", &format!("{} -g 50 -bf 5 -b_strategy 2", plain("25", 5)), fast());
}

#[test]
fn broadcast_rates() {
    compare("ntsc.mp4", &plain("30000/1001", 5), fast());
    compare("film.mov", &plain("24000/1001", 5), fast());
    compare("sixty.mp4", &plain("60000/1001", 3), fast());
    compare("ntsc.mkv", &format!("{} -g 15", plain("30000/1001", 5)), fast());
}

#[test]
fn variable_rates() {
    let vfr = "-vf select='not(eq(mod(n\\,7)\\,3))' -fps_mode vfr";
    compare("vfr.mp4", &format!("{} {vfr} -g 20", plain("30", 6)), fast());
    let slow = "-vf setpts='if(gt(N\\,60)\\,PTS+(N-60)*0.01/TB\\,PTS)' -fps_mode vfr";
    compare("slowing.mp4", &format!("{} {slow}", plain("25", 5)), fast());
    compare("vfr.mkv", &format!("{} {vfr}", plain("30", 6)), fast());
}

#[test]
fn late_starts_and_other_codecs() {
    compare("late.mp4", &format!("{} -output_ts_offset 3", plain("25", 5)), fast());
    let silent = format!("-f lavfi -i testsrc2=s=160x90:r=25:d=5 {X264} -g 12");
    compare("silent.mp4", &silent, fast());
    let mpeg2 = "-f lavfi -i testsrc2=s=160x90:r=25:d=5 -f lavfi -i sine=d=5 -c:v mpeg2video \
                 -g 12 -bf 2 -q:v 3 -c:a mp2";
    compare("mpeg2.mkv", mpeg2, fast());
    let x265 = json!({ "preset": "ultrafast", "hardware": "off", "codec": "hevc" });
    compare("hevc.mp4", &plain("25", 4), x265);
}

#[test]
fn real_pictures_keep_their_quality_at_seams() {
    // Noise over a moving gradient: what encoders look ahead for.
    let make = format!(
        "-f lavfi -i testsrc2=s=320x180:r=25:d=8 -f lavfi -i sine=d=8 -vf noise=alls=8:allf=t \
         -c:a aac {X264} -crf 14 -g 60"
    );
    compare("noisy.mp4", &make, json!({ "preset": "medium", "hardware": "off" }));
}

#[test]
fn a_short_video_is_one_piece_and_the_table_says_why() {
    let env = world();
    ffmpeg(&env, &format!("{} a.mp4", plain("25", 4)));
    let explained = call(&env, "chunked", &json!({ "input": "a.mp4", "explain": true }));
    let explained = explained.exits(0).json();
    assert_eq!(explained["output"], Value::Null);
    assert_eq!(explained["model"]["basis"], "assumed");
    let choices = explained["choices"].as_array().unwrap();
    assert_eq!(choices[0]["workers"], 1);
    assert_eq!(choices[0]["chosen"], true);
    assert_eq!(std::fs::read_dir(env.project()).unwrap().count(), 1, "nothing was made");
    let args = json!({ "input": "a.mp4", "output": "b.mp4", "with": fast() });
    let result = call(&env, "chunked", &args).exits(0).json();
    assert_eq!((&result["chunks"], &result["encoder"]), (&json!([100]), &json!("libx264")));
    assert!(env.project().join("b.mp4").is_file());
}

#[test]
fn a_transport_stream_is_one_piece_and_says_so() {
    let env = world();
    ffmpeg(&env, &format!("{} a.ts", plain("25", 4)));
    let args = json!({ "input": "a.ts", "output": "b.mp4", "with": fast(), "workers": 3 });
    let result = call(&env, "chunked", &args).exits(0).json();
    assert_eq!(result["chunks"], json!([100]));
    assert!(result["notes"][0].as_str().unwrap().contains("no index"), "{result}");
}

#[test]
fn what_was_measured_is_the_next_choice() {
    let env = world();
    ffmpeg(&env, &format!("{} a.mp4", plain("25", 6)));
    let args = json!({ "input": "a.mp4", "output": "b.mp4", "with": fast(), "workers": 2 });
    call(&env, "chunked", &args).exits(0);
    let args = json!({ "input": "a.mp4", "with": fast(), "goal": "cheapest", "explain": true,
                       "price_per_second": 0.01 });
    let explained = call(&env, "chunked", &args).exits(0).json();
    assert_eq!(explained["model"]["basis"], "measured");
    assert!(explained["model"]["seconds_per_frame"].as_f64().unwrap() > 0.0);
    let chosen = &explained["choices"][0];
    assert_eq!((&chosen["workers"], &chosen["chosen"]), (&json!(1), &json!(true)));
    assert!(chosen["price"].as_f64().unwrap() > 0.0);
}

#[test]
fn wrong_arguments_are_refused() {
    let env = world();
    ffmpeg(&env, &format!("{} a.mp4", plain("25", 1)));
    let refused = |args: Value| call(&env, "chunked", &args).exits(5).stderr;
    let probe = refused(json!({ "input": "a.mp4", "handler": "probe" }));
    assert!(probe.contains("`probe` can't work on a part of a video"), "{probe}");
    let output = refused(json!({ "input": "a.mp4", "output": "a.xyz" }));
    assert!(output.contains("doesn't say which format is wanted"), "{output}");
    let with = refused(json!({ "input": "a.mp4", "workers": 2, "with": { "crf": 99 } }));
    assert!(with.contains("isn't between 0 and 51"), "{with}");
}

#[test]
fn a_chunk_that_fails_is_tried_again_and_no_other() {
    let env = world();
    ffmpeg(&env, &format!("{} -g 10 a.mp4", plain("25", 8)));
    // Only chunks after the first begin to read at a keyframe.
    let broken = killed_once(&env, "*' -ss '*libx264*");
    let args = json!({ "input": "a.mp4", "output": "b.mp4", "workers": 4, "with": fast() });
    let mut command = env.command(["call", "chunked", "--args", &args.to_string()]);
    let output = command.env("VDEPLOY_FFMPEG", &broken).output().unwrap();
    let result = crate::env::ran(output).exits(0).json();
    assert!(env.project().join("bin/ffmpeg.done").exists(), "nothing was killed");
    assert_eq!(result["verified"]["frames_out"], 200, "{result}");
    let mut attempts: Vec<_> =
        parts(&env).iter().map(|call| call["attempts"].as_array().unwrap().len()).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 1, 1, 1, 2], "the sound and four chunks");
    call(&env, "transcode", &json!({ "input": "a.mp4", "output": "c.mp4", "preset": "veryfast" }))
        .exits(0);
    assert_eq!(times(&env, "b.mp4"), times(&env, "c.mp4"));
    assert_eq!(sound(&env, "b.mp4"), sound(&env, "c.mp4"));
}

/// Has `handler` work on a clip in one pass and in chunks; every frame has to look the same.
fn same_pictures(handler: &str, with: Value) {
    let env = world();
    env.publish(handler, Entry::Builtin { handler: handler.into() }, |_| {});
    ffmpeg(&env, &format!("{} -g 20 in.mp4", plain("25", 6)));
    let mut with = with;
    (with["preset"], with["crf"], with["hardware"]) = ("ultrafast".into(), 8.into(), "off".into());
    let mut args = with.clone();
    (args["input"], args["output"]) = ("in.mp4".into(), "one.mp4".into());
    call(&env, handler, &args).exits(0);
    let args = json!({ "input": "in.mp4", "output": "many.mp4", "workers": 3, "handler": handler,
                       "with": with });
    let result = call(&env, "chunked", &args).exits(0).json();
    assert_eq!(result["chunks"].as_array().unwrap().len(), 3, "{result}");
    assert_eq!(times(&env, "many.mp4"), times(&env, "one.mp4"));
    assert_eq!(sound(&env, "many.mp4"), sound(&env, "one.mp4"));
    let alike = ssim(&env, "many.mp4", "one.mp4");
    assert_eq!(alike.len(), 150);
    let worst = alike.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(worst.1 > 0.97, "{handler}: frame {} is like one pass by {}", worst.0, worst.1);
}

#[test]
fn drawings_go_on_over_seams() {
    same_pictures(
        "overlay",
        json!({
            "dim": 0.5,
            "texts": [{ "text": "Over the seam", "size": 14, "start": 1.5, "end": 4.5 }],
            "highlights": [{ "shape": "ellipse", "interpolation": "spline", "keyframes": [
                { "at": 0, "x": 0, "y": 0, "width": 40, "height": 30 },
                { "at": 3, "x": 100, "y": 40, "width": 50, "height": 40 },
                { "at": 6, "x": 10, "y": 50, "width": 40, "height": 30 }] }],
        }),
    );
}

#[test]
fn effects_go_on_over_seams() {
    // Denoising looks at the frames before.
    let chain = json!([{ "effect": "denoise" }, { "effect": "color", "contrast": 1.2 }]);
    same_pictures("effects", json!({ "chain": chain }));
    let env = world();
    ffmpeg(&env, &format!("{} -g 20 in.mp4", plain("25", 4)));
    let args = json!({ "input": "in.mp4", "output": "out.mp4", "workers": 2, "handler": "effects",
                       "with": { "chain": [{ "effect": "stabilise" }] } });
    let refused = call(&env, "chunked", &args).exits(5).stderr;
    assert!(refused.contains("`stabilise` has to see the whole video"), "{refused}");
}

#[test]
fn views_move_over_seams() {
    let keyframes = json!([{ "at": 0, "x": "20%" }, { "at": 6, "x": "80%", "zoom": 1.5 }]);
    same_pictures(
        "framing",
        json!({ "aspect": "9:16", "crop": { "keyframes": keyframes, "interpolation": "ease" } }),
    );
    let env = world();
    ffmpeg(&env, &format!("{} -g 20 in.mp4", plain("25", 4)));
    for with in [json!({ "speed": 2 }), json!({ "start": 1 }), json!({ "end": 2 })] {
        let args = json!({ "input": "in.mp4", "output": "out.mp4", "workers": 2, "with": with,
                           "handler": "framing" });
        let refused = call(&env, "chunked", &args).exits(5).stderr;
        assert!(refused.contains("parts are counted in frames"), "{refused}");
    }
    assert!(!env.project().join("out.mp4").exists());
}

/// Calls of chunks that were made, by the attempt they succeeded in.
fn parts(env: &TestEnv) -> Vec<Value> {
    let calls = env.vdeploy("calls ls -n 0 --json").exits(0).json();
    let is_part = |call: &&Value| !call["args"]["part"].is_null();
    calls.as_array().unwrap().iter().filter(is_part).cloned().collect()
}

#[test]
fn killed_half_way_it_goes_on_with_what_is_missing() {
    let env = world();
    ffmpeg(&env, &format!("{} -g 10 a.mp4", plain("25", 24)));
    let args = json!({ "input": "a.mp4", "output": "b.mp4", "workers": 6,
                       "with": { "preset": "medium", "hardware": "off" } });
    // The fourth outcome to be recorded ends the executor before it is.
    let mut command = env.command(["call", "chunked", "--detach", "--args", &args.to_string()]);
    let output = command.stderr(Stdio::null()).output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let mut wait = env.command(["calls", "get", &id, "--wait"]);
    wait.env("VDEPLOY_FAILPOINT", "outcome:4").stdout(Stdio::null()).stderr(Stdio::null());
    let _ = wait.status().unwrap();
    let before = parts(&env);
    let done = before.iter().filter(|call| call["state"] == "succeeded").count();
    let call = env.run(["calls", "get", &id, "--wait", "--json"]).exits(0).json();
    assert_eq!(call["state"], "succeeded", "{call}");
    let after = parts(&env);
    let finished: Vec<_> = after.iter().filter(|call| call["state"] == "succeeded").collect();
    assert_eq!(finished.len(), 7, "the sound and six chunks were each finished once: {after:?}");
    assert!(done <= 7);
    assert_eq!(times(&env, "b.mp4").len(), 600);
}
