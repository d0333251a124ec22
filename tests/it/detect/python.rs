//! The same numbers as a Python pipeline of onnxruntime and OpenCV, on real clips.
//!
//! The reference gets the frames that ffmpeg decodes. OpenCV 5 decodes the same pixels of clips that say
//! their colours; HD that doesn't is BT.709 here, as for players, and BT.601 there, and the scores of
//! what is found differ as far as those colours do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{detect, lines, match_clip, random, shapes, world};
use crate::env::{TestEnv, repository};

/// The Python that `tests/python` makes, and the library of its ONNX Runtime.
pub(super) fn python() -> Option<(PathBuf, PathBuf)> {
    let venv = repository().join("target/venv");
    let python = venv.join("bin/python");
    let find = walkdir::WalkDir::new(venv.join("lib")).into_iter().flatten();
    let library = find.map(walkdir::DirEntry::into_path).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so"))
    });
    let found = library.filter(|_| python.exists()).map(|library| (python, library));
    if found.is_none() {
        eprintln!("skipped: there is no onnxruntime; `tests/python` installs it");
    }
    found
}

/// Real clips, where a folder of them is beside the repository, and one that is made.
fn clips(env: &TestEnv) -> Vec<PathBuf> {
    let media = repository().join("../shared/media");
    let real = ["juggle_720p24_noaudio.mp4", "vp9_odd_161x121.webm", "rot90_iphone_portrait.MOV"];
    let real = real.map(|name| media.join(name)).into_iter().filter(|path| path.exists());
    std::iter::once(match_clip(env, "match.mp4", 0.8)).chain(real).collect()
}

/// How a call is compared.
struct Compared<'a> {
    python: &'a Path,
    library: &'a Path,
    model: PathBuf,
    confidence: f64,
}

impl Compared<'_> {
    /// The largest differences of boxes and scores, and how many boxes there were.
    fn on(&self, env: &TestEnv, clip: &Path, frames: usize) -> (f64, f64, usize) {
        let output = env.project().join("ours.jsonl");
        let args = json!({ "input": clip, "model": self.model, "output": output, "end_frame": frames,
                           "confidence": self.confidence, "iou": 0.6 });
        let result = detect(env, &args, self.library).exits(0).json();
        let size = [&result["video_width"], &result["video_height"]].map(Value::to_string);
        let theirs = self.reference(clip, &size);
        let mut worst = (0.0_f64, 0.0_f64, 0);
        for (ours, theirs) in lines(&output).iter().zip(theirs) {
            let context =
                || format!("{} frame {}: {ours}\n{theirs}", clip.display(), ours["frame"]);
            let list = |record: &Value| record["detections"].as_array().unwrap().clone();
            let (ours_list, mut rest) = (list(ours), list(&theirs));
            assert_eq!(ours_list.len(), rest.len(), "{}", context());
            for found in &ours_list {
                let far = |other: &Value| far(found, other);
                let (at, off) = (0..rest.len())
                    .filter(|at| rest[*at]["class"] == found["class"])
                    .map(|at| (at, far(&rest[at])))
                    .min_by(|a, b| (a.1.0 + a.1.1 * 1e3).total_cmp(&(b.1.0 + b.1.1 * 1e3)))
                    .unwrap_or_else(|| panic!("{}", context()));
                rest.remove(at);
                assert!(off.0 <= 1.0 && off.1 <= 1e-3, "{off:?} {}", context());
                worst = (worst.0.max(off.0), worst.1.max(off.1), worst.2 + 1);
            }
        }
        worst
    }

    fn reference(&self, clip: &Path, [width, height]: &[String; 2]) -> Vec<Value> {
        let mut decoder = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(clip)
            .args(["-map", "0:v:0", "-fps_mode", "passthrough"])
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-frames:v", "16", "-"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Command::new(self.python)
            .arg(repository().join("tests/it/detect/reference.py"))
            .arg(&self.model)
            .args(["-", width, height, &self.confidence.to_string(), "0.6"])
            .stdin(decoder.stdout.take().unwrap())
            .output()
            .unwrap();
        decoder.wait().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// How far two boxes and their scores are apart.
fn far(one: &Value, other: &Value) -> (f64, f64) {
    let sides =
        |value: &Value| -> [f64; 4] { serde_json::from_value(value["box"].clone()).unwrap() };
    let off = sides(one).iter().zip(sides(other)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    (off, (one["score"].as_f64().unwrap() - other["score"].as_f64().unwrap()).abs())
}

#[test]
fn boxes_and_scores_are_those_of_onnxruntime_and_opencv() {
    let Some((python, library)) = python() else { return };
    let env = world();
    for clip in clips(&env) {
        let mut all = 0;
        for (model, confidence) in [
            (shapes(), 0.05),
            (random("v5"), 0.25),
            (random("v8"), 0.25),
            (random("v11"), 0.25),
            (random("end2end"), 0.25),
        ] {
            let name = model.file_stem().unwrap().to_string_lossy().into_owned();
            let compared = Compared { python: &python, library: &library, model, confidence };
            let (pixels, score, count) = compared.on(&env, &clip, 16);
            let clip = clip.file_name().unwrap().to_string_lossy();
            eprintln!("{clip}, {name}: {count} boxes, off by {pixels:.3} pixels and {score:.5}");
            all += count;
        }
        assert!(all > 100, "{}: {all} boxes", clip.display());
    }
}

#[test]
fn tract_and_onnx_runtime_find_the_same() {
    let Some((_, library)) = python() else { return };
    let env = world();
    match_clip(&env, "match.mp4", 0.4);
    for model in [shapes(), random("v5"), random("v8"), random("v11"), random("end2end")] {
        let args = json!({ "input": "match.mp4", "model": model, "threads": 2 });
        let by_library = detect(&env, &args, &library).exits(0).json();
        let by_tract = detect(&env, &args, "tract").exits(0).json();
        assert_eq!(by_library["model"]["runtime"], "onnxruntime");
        assert_eq!(by_library["notes"], json!([]));
        let list = |result: &Value| -> Vec<Value> {
            let records = result["frames"].as_array().unwrap().iter();
            records.flat_map(|record| record["detections"].as_array().unwrap().clone()).collect()
        };
        let (ours, theirs) = (list(&by_library), list(&by_tract));
        assert_eq!(ours.len(), theirs.len(), "{}", model.display());
        for (one, other) in ours.iter().zip(&theirs) {
            let (pixels, score) = far(one, other);
            assert!(pixels <= 0.05 && score <= 2e-4, "{one} {other}");
        }
    }
}
