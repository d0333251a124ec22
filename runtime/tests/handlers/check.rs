use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test]
async fn this_machine_is_described_as_it_is() {
    let rig = Rig::new();
    let said = rig.run("check", json!({})).await.unwrap();
    assert!(said["ffmpeg"]["version"].as_str().is_some_and(|v| v.starts_with(char::is_numeric)));
    assert_eq!(said["encoders"][0], json!({ "codec": "h264", "encoder": "libx264" }));
    let has_gpu = std::path::Path::new("/dev/nvidia0").exists();
    assert_eq!(said["no_gpu"] == Value::Null, has_gpu);
}

#[tokio::test]
async fn without_ffmpeg_it_says_how_to_get_it() {
    let mut rig = Rig::new();
    rig.tools.ffmpeg = rig.path("bin/ffmpeg");
    let said = rig.run("check", json!({})).await.unwrap();
    assert_eq!(said["ready"], false);
    assert_eq!(said["ffmpeg"]["version"], Value::Null);
    assert_eq!(said["encoders"][0]["encoder"], Value::Null);
    assert!(said["missing"][0]["hint"].as_str().unwrap().contains("apt-get install ffmpeg"));
}
