//! What the machine does to a transcode: programs that are missing, disks that are full, calls
//! that are cancelled.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use vdeploy_runtime::wire::FailureKind;

use crate::rig::Rig;

const LONG: &str = "-f lavfi -i testsrc2=s=640x360:r=50:d=60 -c:v libx264 -preset ultrafast \
                    -pix_fmt yuv420p";

/// An ffmpeg that does something first, and is the real one then.
fn wrapped(rig: &Rig, first: &str) -> PathBuf {
    let path = rig.path("ffmpeg");
    std::fs::write(&path, format!("#!/bin/sh\n{first}\nexec ffmpeg \"$@\"\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_missing_ffmpeg_says_how_to_install_it() {
    let mut rig = Rig::new();
    let input = rig.clip("in.mp4", "-f lavfi -i testsrc2=s=64x64:d=1 -pix_fmt yuv420p");
    rig.tools.ffmpeg = rig.path("bin/ffmpeg");
    let args = json!({ "input": input, "output": rig.text("out.mp4") });
    let failure = rig.run("transcode", args.clone()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Machine);
    assert_eq!(failure.message, "`ffmpeg` isn't installed");
    assert!(failure.hint.unwrap().contains("sudo apt-get install ffmpeg"));
    assert!(!failure.retryable);
    rig.tools.ffmpeg = "ffmpeg".into();
    rig.tools.ffprobe = rig.path("bin/ffprobe");
    let failure = rig.run("transcode", args).await.unwrap_err();
    assert_eq!(failure.message, "`ffprobe` isn't installed");
    assert_eq!(rig.files(), ["in.mp4"]);
}

#[tokio::test]
async fn a_disk_that_fills_up_leaves_nothing() {
    let mut rig = Rig::new();
    let input = rig.clip("in.mp4", "-f lavfi -i testsrc2=s=640x360:d=4 -pix_fmt yuv420p");
    // Some kilobytes, and then no more: what a full disk does, without a disk of our own.
    rig.tools.ffmpeg = wrapped(&rig, "ulimit -f 64");
    let args = json!({ "input": input, "output": rig.text("out.mp4"), "preset": "ultrafast",
                       "crf": 5, "hardware": "off" });
    let failure = rig.run("transcode", args).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Output, "{failure:?}");
    assert!(failure.hint.unwrap().contains("another disk"));
    assert_eq!(rig.files(), ["ffmpeg", "in.mp4"]);
}

#[tokio::test]
async fn cancelling_ends_ffmpeg_and_removes_what_it_wrote() {
    let mut rig = Rig::new();
    let input = rig.clip("in.mp4", LONG);
    rig.tools.ffmpeg = wrapped(&rig, "echo $$ > \"$0.pid\"");
    let args = json!({ "input": input, "output": rig.text("out.mp4"), "preset": "slow",
                       "hardware": "off" });
    let run = rig.run("transcode", args);
    let cancel = async {
        until(|| rig.progress.lock().unwrap().iter().any(|p| p.frames > Some(0))).await;
        rig.cancel.cancel();
    };
    let (result, ()) = tokio::join!(run, cancel);
    assert_eq!(result.unwrap_err().kind, FailureKind::Cancelled);
    assert!(!is_running(&rig));
    assert_eq!(rig.files(), ["ffmpeg", "ffmpeg.pid", "in.mp4"]);
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_ffmpeg_along() {
    let mut rig = Rig::new();
    let input = rig.clip("in.mp4", LONG);
    rig.tools.ffmpeg = wrapped(&rig, "echo $$ > \"$0.pid\"");
    let args = json!({ "input": input, "output": rig.text("out.mp4"), "preset": "slow",
                       "hardware": "off" });
    tokio::select! {
        result = rig.run("transcode", args) => panic!("it ended: {result:?}"),
        () = until(|| rig.progress.lock().unwrap().iter().any(|p| p.frames > Some(0))) => {}
    }
    assert!(!is_running(&rig));
    assert_eq!(rig.files(), ["ffmpeg", "ffmpeg.pid", "in.mp4"]);
}

#[tokio::test]
async fn required_hardware_that_is_not_there_fails_before_any_work() {
    if std::path::Path::new("/dev/nvidia0").exists() {
        return;
    }
    let rig = Rig::new();
    let input = rig.clip("in.mp4", "-f lavfi -i testsrc2=s=64x64:d=1 -pix_fmt yuv420p");
    let args = json!({ "input": input, "output": rig.text("out.mp4"), "hardware": "required" });
    let failure = rig.run("transcode", args).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Machine);
    assert_eq!(failure.causes, ["no NVIDIA GPU on this machine"]);
    assert!(!rig.progress.lock().unwrap().iter().any(|p| p.frames.is_some()));
    assert_eq!(rig.files(), ["in.mp4"]);
}

async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "it never came to it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The ffmpeg of this rig still lives; the last trial's or the real run's, whichever came last.
fn is_running(rig: &Rig) -> bool {
    let pid = std::fs::read_to_string(rig.path("ffmpeg.pid")).unwrap();
    std::path::Path::new("/proc").join(pid.trim()).exists()
}
