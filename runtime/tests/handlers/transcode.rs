use serde_json::json;

use crate::rig::{Rig, ffprobe, video};

const CLIP: &str = "-f lavfi -i testsrc2=s=640x360:r=25:d=2 -f lavfi -i sine=d=2 -c:v libx264 \
                    -preset ultrafast -pix_fmt yuv420p -c:a aac";

#[tokio::test]
async fn a_plain_transcode_is_verified() {
    let rig = Rig::new();
    let input = rig.clip("in.mp4", CLIP);
    let result = rig
        .run(
            "transcode",
            json!({ "input": input, "output": rig.text("out.mp4"), "height": 180,
                    "preset": "ultrafast", "hardware": "off" }),
        )
        .await
        .unwrap();
    assert_eq!(result["encoder"], "libx264");
    assert_eq!(result["fallback"], json!(null));
    let verified = &result["verified"];
    assert_eq!(verified["frames_in"], 50);
    assert_eq!(verified["frames_out"], 50);
    assert_eq!((&verified["width"], &verified["height"]), (&json!(320), &json!(180)));
    assert_eq!(verified["audio"], json!(["aac"]));
    let probe = ffprobe(rig.path("out.mp4"));
    assert_eq!(video(&probe)["nb_read_frames"], "50");
    assert_eq!(rig.files(), ["in.mp4", "out.mp4"]);
    let progress = rig.progress.lock().unwrap();
    assert!(progress.iter().any(|p| p.frames == Some(50) && p.fraction == Some(1.0)));
}
