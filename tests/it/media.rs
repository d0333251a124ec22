//! Real, awkward files through `probe` and `transcode`, judged by ffprobe and a full decode.
//!
//! The files lie in `shared/media` beside a checkout and are not part of the repository; where
//! they aren't, these tests say so and pass. What is expected of each is in `media_expected.tsv`,
//! by the file's SHA-256.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv, repository};

const EXPECTED: &str = include_str!("media_expected.tsv");
const PICTURES: &str = crate::media_pictures::EXPECTED;

/// How many tests share the files, so that they run at the same time.
const SHARDS: usize = 8;

macro_rules! shards {
    ($($name:ident $index:literal),*) => { $(
        #[test]
        fn $name() {
            shard($index);
        }
    )* };
}

shards!(files_0 0, files_1 1, files_2 2, files_3 3, files_4 4, files_5 5, files_6 6, files_7 7);

/// Every file is in the table, and every line of the table has its file.
#[test]
fn the_table_covers_every_file() {
    let Some(folder) = folder() else { return };
    let known: Vec<_> = lines().map(|line| line.name).collect();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_media = !["md", "tsv", "txt"].iter().any(|ending| name.ends_with(ending));
        assert!(!is_media || known.contains(&name.as_str()), "nothing is expected of `{name}`");
    }
    for name in &known {
        assert!(folder.join(name).is_file(), "`{name}` is expected and isn't there");
    }
    let files =
        |part: Part| part.shard(PICTURES, (0, 1)).map(|line| line.split('\t').next().unwrap());
    let listed: Vec<_> = files(Part::First).chain(files(Part::Rest)).collect();
    let missing: Vec<_> = known.iter().filter(|name| !listed.contains(name)).collect();
    assert!(missing.is_empty(), "`media_pictures.tsv` lacks {missing:?}");
}

struct Line {
    sha256: &'static str,
    name: &'static str,
    probe: &'static str,
    transcode: &'static str,
}

fn lines() -> impl Iterator<Item = Line> {
    EXPECTED.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let [sha256, name, probe, transcode] =
            line.split('\t').collect::<Vec<_>>().try_into().expect("four columns");
        Line { sha256, name, probe, transcode }
    })
}

/// What splits a table: the lines before it are for `make test`, those after it for `make media`.
const REST: &str = "# the rest, by `make media`\n";

/// Which files of a table a test is about.
#[derive(Clone, Copy)]
pub enum Part {
    /// The most awkward ones.
    First,
    /// All others.
    Rest,
}

impl Part {
    /// The lines of `table` that belong to shard `index` of `shards`.
    pub fn shard(
        self,
        table: &'static str,
        (index, shards): (usize, usize),
    ) -> impl Iterator<Item = &'static str> {
        let (first, rest) = table.split_once(REST).expect("a table has two parts");
        let lines = match self {
            Part::First => first,
            Part::Rest => rest,
        };
        lines.lines().filter(|line| !line.starts_with('#')).skip(index).step_by(shards)
    }
}

/// The folder of files: beside the checkout, or further up.
pub fn folder() -> Option<PathBuf> {
    let found = repository().ancestors().map(|up| up.join("shared/media")).find(|dir| dir.is_dir());
    if found.is_none() {
        eprintln!("skipped: there is no folder `shared/media`");
    }
    found
}

fn shard(index: usize) {
    let Some(folder) = folder() else { return };
    let env = TestEnv::new();
    for handler in ["probe", "transcode"] {
        env.publish(handler, Entry::Builtin { handler: handler.into() }, |_| {});
    }
    let mut differences = String::new();
    for line in lines().skip(index).step_by(SHARDS) {
        let path = folder.join(line.name);
        let sha256 = hash(&path);
        let probe = probed(&env, &path);
        let transcode = transcoded(&env, &path);
        if (sha256.as_str(), probe.as_str(), transcode.as_str())
            != (line.sha256, line.probe, line.transcode)
        {
            let Line { sha256: hash, name, probe: was, transcode: became } = line;
            writeln!(differences, "expected\n{hash}\t{name}\t{was}\t{became}").unwrap();
            writeln!(differences, "found\n{sha256}\t{name}\t{probe}\t{transcode}").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

fn hash(path: &Path) -> String {
    let digest = Sha256::digest(std::fs::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `probe` says, in one line.
fn probed(env: &TestEnv, path: &Path) -> String {
    let args = json!({ "input": path, "count_frames": true });
    let ran = env.run(["call", "probe", "--args", &args.to_string()]);
    if ran.code != 0 {
        return failed(&ran, path);
    }
    let said = ran.json();
    let text = |key: &str| said[key].as_str().unwrap_or("-").to_owned();
    let number = |key: &str| match &said[key] {
        Value::Null => "-".to_owned(),
        number => number.to_string(),
    };
    let video = said["streams"].as_array().unwrap().iter().find(|s| s["type"] == "video");
    let hdr = video.and_then(|video| video["hdr"].as_str()).unwrap_or("-");
    format!(
        "{}x{} {} fps, turned {}, {} frames, {}, {}, {hdr}",
        number("width"),
        number("height"),
        number("fps"),
        number("rotation"),
        number("frame_count"),
        text("video_codec"),
        text("audio_codec"),
    )
}

/// What became of the file, in one line. Nothing that `transcode` says of it is believed.
fn transcoded(env: &TestEnv, path: &Path) -> String {
    let output = env.project().join("out.mp4");
    let args = json!({ "input": path, "output": output, "quality": "480p", "preset": "ultrafast",
                       "hardware": "off" });
    let ran = env.run(["call", "transcode", "--args", &args.to_string()]);
    if ran.code != 0 {
        assert!(!output.exists(), "a failed call left `{}`", output.display());
        return failed(&ran, path);
    }
    let line = judged(&output);
    std::fs::remove_file(output).unwrap();
    line
}

/// The first line of an error and its first cause, without paths.
pub fn failed(ran: &Ran, path: &Path) -> String {
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    let error = ran.stderr.lines().skip_while(|line| !line.starts_with("error:"));
    let lines: Vec<_> = error.take(2).map(str::trim).collect();
    lines.join("; ").replace(&path.display().to_string(), "FILE")
}

pub fn judged(output: &Path) -> String {
    let (probe, errors) = ffprobe(output);
    assert!(errors.is_empty(), "{}: {errors}", output.display());
    let (line, shape) = described(&probe);
    assert_eq!(shape, "1:1", "{probe}");
    line
}

/// What became of packets that went over as they are: pixels have the shape that they had, and
/// damage stays.
pub fn judged_as_copied(output: &Path) -> String {
    let (probe, errors) = ffprobe(output);
    let (line, shape) = described(&probe);
    let shape = if shape == "1:1" { String::new() } else { format!(", pixels {shape}") };
    line + &shape + if errors.is_empty() { "" } else { ", damaged" }
}

/// A file in one line, and the shape of its pixels.
fn described(probe: &Value) -> (String, String) {
    let streams = probe["streams"].as_array().unwrap();
    let kind = |kind: &'static str| streams.iter().filter(move |s| s["codec_type"] == kind);
    let [video] = kind("video").collect::<Vec<_>>().try_into().expect("one video stream");
    let turned = video["side_data_list"].as_array().into_iter().flatten();
    assert!(turned.clone().all(|data| data["rotation"].as_i64().unwrap_or(0) == 0), "{video}");
    let audio: Vec<_> = kind("audio").filter_map(|s| s["codec_name"].as_str()).collect();
    let subtitles = kind("subtitle").count();
    let text = |key: &str| video[key].as_str().unwrap_or("-").to_owned();
    let shape = video["sample_aspect_ratio"].as_str().unwrap_or("1:1").to_owned();
    let line = format!(
        "{} frames, {:.2} s, {}x{}, {}, {}, audio {}, {subtitles} subtitles",
        text("nb_read_frames"),
        text("duration").parse::<f64>().unwrap(),
        video["width"],
        video["height"],
        text("pix_fmt"),
        text("color_transfer"),
        if audio.is_empty() { "-".into() } else { audio.join("+") },
    );
    (line, shape)
}

/// What ffprobe finds while it decodes every stream, and what it complains of.
fn ffprobe(path: &Path) -> (Value, String) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_streams", "-count_frames"])
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {errors}", path.display());
    (serde_json::from_slice(&output.stdout).unwrap(), errors)
}
