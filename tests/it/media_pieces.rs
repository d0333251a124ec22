//! The awkward files of `media.rs` through the handlers that take videos apart and put them
//! together, judged by ffprobe and a full decode. What is expected is in `media_pieces.tsv`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::TestEnv;
use crate::media::{Part, failed, folder, judged, judged_as_copied};

const EXPECTED: &str = include_str!("media_pieces.tsv");

/// How many tests share the files, so that they run at the same time.
const SHARDS: usize = 7;

/// Each handler, what it is asked for besides its input, and where its result goes.
fn asked(file: &Path) -> [(&'static str, Value, &'static str); 7] {
    let coding = json!({ "preset": "ultrafast", "hardware": "off" });
    let with = |mut args: Value| {
        for (key, value) in coding.as_object().unwrap() {
            args[key] = value.clone();
        }
        args
    };
    let small = json!([{ "height": 90, "name": "small" }]);
    [
        ("ladder", with(json!({ "input": file, "rungs": small })), "out"),
        ("hls", with(json!({ "input": file, "rungs": small })), "out"),
        ("clips", with(json!({ "clips": [{ "input": file, "end": 0.5 }] })), "out.mp4"),
        ("concat", with(json!({ "inputs": [file, file] })), "out.mp4"),
        ("chunked", json!({ "input": file, "workers": 2, "with": coding }), "out.mp4"),
        ("audio", json!({ "input": file, "speech": true }), "out.wav"),
        ("frames", json!({ "input": file, "count": 2, "height": 90 }), "out"),
    ]
}

macro_rules! shards {
    ($($name:ident $rest:ident $index:literal),*) => { $(
        #[test]
        fn $name() {
            shard(Part::First, $index);
        }

        #[test]
        #[ignore = "`make media`: minutes"]
        fn $rest() {
            shard(Part::Rest, $index);
        }
    )* };
}

shards!(first_0 rest_0 0, first_1 rest_1 1, first_2 rest_2 2, first_3 rest_3 3, first_4 rest_4 4, first_5 rest_5 5, first_6 rest_6 6);

fn shard(part: Part, index: usize) {
    let Some(folder) = folder() else { return };
    let env = TestEnv::new();
    for (handler, ..) in asked(&folder) {
        env.publish(handler, Entry::Builtin { handler: handler.into() }, |_| {});
    }
    let mut differences = String::new();
    for line in part.shard(EXPECTED, (index, SHARDS)) {
        let name = line.split('\t').next().unwrap();
        let path = folder.join(name);
        let mut found = name.to_owned();
        for (handler, args, output) in asked(&path) {
            write!(found, "\t{}", made(&env, handler, args, (&path, output))).unwrap();
        }
        if found != line {
            writeln!(differences, "expected\n{line}\nfound\n{found}").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// What became of the file, in one line. Nothing that the handler says of it is believed.
fn made(env: &TestEnv, handler: &str, mut args: Value, (path, output): (&Path, &str)) -> String {
    let output = env.project().join(output);
    args["output"] = output.to_str().into();
    let ran = env.run(["call", handler, "--args", &args.to_string()]);
    if ran.code != 0 {
        assert!(!output.exists(), "a failed call left `{}`", output.display());
        return failed(&ran, path);
    }
    let line = match handler {
        "ladder" => judged(&output.join("small.mp4")),
        "hls" => streamed(&output),
        "audio" => heard(&output),
        "frames" => pictures(&output),
        "clips" | "concat" => judged_as_copied(&output),
        _ => judged(&output),
    };
    match output.is_dir() {
        true => std::fs::remove_dir_all(output).unwrap(),
        false => std::fs::remove_file(output).unwrap(),
    }
    line
}

/// Frames and packets of sound that come out of a stream, played by its master playlist.
fn streamed(stream: &Path) -> String {
    let count = |kind: &str, what: &str| {
        let entry = format!("stream=nb_read_{what}");
        let args = ["-select_streams", kind, &format!("-count_{what}"), "-show_entries", &entry];
        said(&stream.join("master.m3u8"), &args)
    };
    format!("frames {}, packets of sound {}", count("v", "frames"), count("a", "packets"))
}

fn heard(file: &Path) -> String {
    said(file, &["-show_entries", "stream=codec_name,sample_rate,channels,duration"])
}

fn pictures(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "png")).collect();
    files.sort();
    let sizes = files.iter().map(|file| said(file, &["-show_entries", "stream=width,height"]));
    sizes.collect::<Vec<_>>().join(" ")
}

/// What ffprobe says in one line; it must have nothing to complain of.
fn said(file: &Path, args: &[&str]) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(args)
        .arg(file)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{}: {errors}", file.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = text.lines().map(|line| line.trim_end_matches(',')).collect();
    lines.retain(|line| !line.is_empty());
    lines.dedup();
    lines.join(" ")
}
