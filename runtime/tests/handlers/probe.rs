use serde_json::json;

use crate::rig::Rig;

#[tokio::test]
async fn a_clip_is_described() {
    let rig = Rig::new();
    let input = rig.clip(
        "in.mov",
        "-f lavfi -i testsrc2=s=320x180:r=30000/1001:d=1 -f lavfi -i anullsrc=cl=5.1:d=1 \
         -c:v libx264 -pix_fmt yuv420p -vf setsar=4/3 -c:a aac -metadata title=Hello \
         -metadata:s:a:0 language=eng -shortest",
    );
    let said = rig.run("probe", json!({ "input": input, "count_frames": true })).await.unwrap();
    assert_eq!((&said["width"], &said["height"]), (&json!(320), &json!(180)));
    assert_eq!(said["fps"], 29.97);
    assert_eq!(said["frame_count"], 30);
    assert_eq!((&said["video_codec"], &said["audio_codec"]), (&json!("h264"), &json!("aac")));
    assert_eq!(said["tags"]["title"], "Hello");
    let [video, audio] = said["streams"].as_array().unwrap().as_slice() else { panic!("{said}") };
    assert_eq!(video["sar"], "4/3");
    assert_eq!(video["vfr"], false);
    assert_eq!(video["interlaced"], false);
    assert_eq!(audio["channel_layout"], "5.1");
    assert_eq!(audio["language"], "eng");
}

#[tokio::test]
async fn pictures_and_sound_are_described_too() {
    let rig = Rig::new();
    let jpeg = rig.clip("a.jpg", "-f lavfi -i testsrc2=s=64x32:d=1 -frames:v 1");
    let said = rig.run("probe", json!({ "input": jpeg })).await.unwrap();
    assert_eq!((&said["width"], &said["video_codec"]), (&json!(64), &json!("mjpeg")));
    let sound = rig.clip("a.flac", "-f lavfi -i sine=d=1");
    let said = rig.run("probe", json!({ "input": sound })).await.unwrap();
    assert_eq!((&said["width"], &said["audio_codec"]), (&json!(null), &json!("flac")));
}
