//! Mutated clips through `probe` and `transcode`: each ends in success that holds up, or in one
//! clear error, and leaves nothing behind.
//!
//! `make test` runs a few dozen; `make fuzz` thousands. `VDEPLOY_FUZZ_SEED` and
//! `VDEPLOY_FUZZ_CASES` say which: the same seed makes the same clips.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use vdeploy_runtime::wire::{Failure, FailureKind};

use crate::rig::{Rig, ffmpeg};

/// Cases of one format in `make test`.
const CASES: u64 = 6;

/// A guard against hanging, far from what any case takes.
const LIMIT: Duration = Duration::from_secs(120);

const PICTURE: &str = "-f lavfi -i testsrc2=s=96x64:r=25:d=1 -f lavfi -i sine=d=1";

/// A clip that mutations are made of.
const CLIPS: &[(&str, &str)] = &[
    ("a.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac"),
    ("a.mkv", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a libopus -ac 2"),
    ("a.ts", "-c:v mpeg2video -c:a mp2"),
    ("a.avi", "-c:v mpeg4 -c:a mp3"),
    ("a.webm", "-c:v libvpx -c:a libvorbis -ac 2"),
    ("a.mov", "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le"),
];

/// Decoders of sound that transcoding copies.
const COPIED: &[&str] = &["aac", "opus", "mp3", "mp3float", "vorbis", "mp2", "mp2float"];

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What uploads suffer: bits turned, ends lost, pieces lost, doubled, emptied or swapped, and sizes
/// and counts that lie.
fn mutate(clip: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = clip.to_vec();
    for _ in 0..random.random_range(1..=4) {
        if bytes.len() < 64 {
            break;
        }
        let at = random.random_range(0..bytes.len() - 32);
        // Headers are where a change does most.
        let at = if random.random_bool(0.4) { at % 1024.min(bytes.len() - 32) } else { at };
        let length = random.random_range(1..=32);
        match random.random_range(0..8) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes.truncate(at.max(16)),
            2 => drop(bytes.drain(at..at + length)),
            3 => bytes[at..at + length].fill(0),
            4 => bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes()),
            5 => bytes[at..at + length].iter_mut().for_each(|byte| *byte = random.random()),
            6 => {
                let piece = bytes[at..at + length].to_vec();
                let to = random.random_range(0..bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                let middle = random.random_range(0..bytes.len());
                bytes.rotate_left(middle);
            }
        }
    }
    bytes
}

async fn case(rig: &Rig, name: &str, what: &str) {
    let input = rig.text(name);
    let probed = within(what, rig.run("probe", json!({ "input": input }))).await;
    if let Err(failure) = &probed {
        clear(failure, what);
    }
    let output = rig.path("out.mp4");
    let args = json!({ "input": input, "output": output, "preset": "ultrafast", "height": 48,
                       "hardware": "off" });
    match within(what, rig.run("transcode", args)).await {
        Ok(result) => holds_up(&result, &output, what),
        Err(failure) => {
            clear(&failure, what);
            assert!(!output.exists(), "{what}: a failed call left its output");
        }
    }
    let _ = std::fs::remove_file(output);
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(LIMIT, work).await;
    ended.unwrap_or_else(|_| panic!("{what}: it takes longer than {LIMIT:?}"))
}

/// One line that names the file, of a kind that says whose fault it is.
fn clear(failure: &Failure, what: &str) {
    assert!(!failure.message.is_empty() && !failure.message.contains('\n'), "{what}: {failure:?}");
    assert_ne!(failure.kind, FailureKind::Handler, "{what}: {failure:?}");
    assert_ne!(failure.kind, FailureKind::Timeout, "{what}: {failure:?}");
    assert!(!failure.causes.iter().any(|cause| cause.contains("panicked")), "{what}: {failure:?}");
}

/// The result decodes without a complaint, to as many frames as were promised.
fn holds_up(result: &Value, output: &Path, what: &str) {
    let decoded = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", "v", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=nb_read_frames"])
        .arg(output)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&decoded.stderr);
    // Sound goes over as packets: what was broken in it still is.
    let of_sound =
        |line: &&str| COPIED.iter().any(|codec| line.starts_with(&format!("[{codec} @")));
    let said: String = said.lines().filter(|line| !of_sound(line)).collect();
    assert!(decoded.status.success() && said.is_empty(), "{what}: {said}");
    let frames = String::from_utf8_lossy(&decoded.stdout);
    let promised = result["verified"]["frames_out"].to_string();
    assert_eq!(frames.trim().trim_end_matches(','), promised, "{what}: {result}");
}

async fn format(index: usize) {
    let rig = Rig::new();
    let (name, coding) = CLIPS[index];
    let clip = rig.clip(name, &format!("{PICTURE} {coding}"));
    let clip = std::fs::read(clip).unwrap();
    let seed = number("VDEPLOY_FUZZ_SEED", 1);
    for case_number in 0..number("VDEPLOY_FUZZ_CASES", CASES) {
        let mut random = StdRng::seed_from_u64(seed << 40 | (index as u64) << 32 | case_number);
        let mutated = format!("mutated-{name}");
        std::fs::write(rig.path(&mutated), mutate(&clip, &mut random)).unwrap();
        let what = format!("seed {seed}, case {case_number} of `{name}`");
        case(&rig, &mutated, &what).await;
    }
    let mut left = rig.files();
    left.sort();
    assert_eq!(left, [name.to_owned(), format!("mutated-{name}")], "something was left behind");
}

macro_rules! formats {
    ($($test:ident $index:literal),*) => { $(
        #[tokio::test]
        async fn $test() {
            format($index).await;
        }
    )* };
}

formats!(mp4 0, mkv 1, ts 2, avi 3, webm 4, mov 5);

/// Picks what a header may claim at most.
#[tokio::test]
async fn limits_hold_whatever_a_header_claims() {
    let rig = Rig::new();
    let refused = |name: &'static str| {
        let args = json!({ "input": rig.text(name), "output": rig.text("out.mp4") });
        let run = rig.run("transcode", args);
        async move { run.await.unwrap_err() }
    };
    // 400 million pixels, in 40 bytes.
    std::fs::write(rig.path("wide.y4m"), "YUV4MPEG2 W20000 H20000 F25:1 C420jpeg\nFRAME\nxx")
        .unwrap();
    let wide = refused("wide.y4m").await;
    assert_eq!(wide.kind, FailureKind::InvalidInput, "{wide:?}");
    // More streams than a file may have: those beyond are not opened.
    let tracks = "-map 0:a ".repeat(140);
    ffmpeg(
        &format!("-y -f lavfi -i sine=r=8000:d=0.1 {tracks} -c:a pcm_s16le"),
        &[&rig.text("many.mkv")],
    );
    let many = rig.run("probe", json!({ "input": rig.text("many.mkv") })).await;
    if let Ok(said) = &many {
        assert!(said["streams"].as_array().unwrap().len() <= 128);
    }
    assert!(!PathBuf::from(rig.text("out.mp4")).exists());
}
