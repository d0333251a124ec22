//! Handlers that take videos apart and put them together, judged by ffprobe and by what can be
//! seen and heard in their results.

mod audio;
mod frames;
mod reels;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv};

/// A world with one handler deployed.
fn world(handler: &str) -> TestEnv {
    let env = TestEnv::new();
    env.publish(handler, Entry::Builtin { handler: handler.into() }, |_| {});
    env
}

/// Makes a file of ffmpeg's own sources; words are split at spaces.
fn make(env: &TestEnv, name: &str, words: &str) -> PathBuf {
    let path = env.project().join(name);
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(words.split_whitespace())
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success(), "ffmpeg {words}");
    path
}

fn call(env: &TestEnv, handler: &str, args: &Value) -> Ran {
    env.run(["call", handler, "--args", &args.to_string()])
}

/// A source of 160x96 at 25 frames per second whose frames carry their number: ten stripes are its
/// bits, the lowest first, black or white.
fn numbered(seconds: u32) -> String {
    format!(
        "nullsrc=s=160x96:r=25:d={seconds},\
         geq=lum=if(bitand(N\\,pow(2\\,floor(X/16)))\\,235\\,16):cb=128:cr=128"
    )
}

/// The number that a frame of RGB carries, also when it was turned on its side, to the left.
fn number(frame: &[u8], width: usize, height: usize) -> u64 {
    let bit = |index: usize| {
        let (along, above) = (index * 16 + 8, (9 - index) * 16 + 8);
        let (x, y) = if width > height { (along, height / 2) } else { (width / 2, above) };
        u64::from(frame[(y * width + x) * 3] > 128) << index
    };
    (0..10).map(bit).sum()
}

/// What a call returned.
#[track_caller]
fn called(env: &TestEnv, handler: &str, args: &Value) -> Value {
    call(env, handler, args).exits(0).json()
}

/// What ffprobe says, with packets counted.
fn ffprobe(path: &Path) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_format", "-show_streams", "-count_packets"])
        .arg(path)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The streams of one kind.
fn streams(path: &Path, kind: &str) -> Vec<Value> {
    let probe = ffprobe(path);
    let all = probe["streams"].as_array().unwrap().iter();
    all.filter(|stream| stream["codec_type"] == kind).cloned().collect()
}

/// What a file is when it is decoded: bytes of `format`, after `filters`.
fn decoded(path: &Path, words: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(words.split_whitespace())
        .arg("-")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The samples of a file's sound in one channel, from -1 to 1.
fn samples(path: &Path, rate: u32) -> Vec<f32> {
    let bytes = decoded(path, &format!("-map 0:a:0 -ac 1 -ar {rate} -f f32le"));
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// How loud samples are on average (root mean square).
fn level(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}
