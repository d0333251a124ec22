//! Models: from an address with a pin, and by a library.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{call, corners, detect, match_clip, random, shapes, world};

/// Serves one file to whoever asks, and counts them.
fn serve(bytes: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/models/shapes.onnx", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let request = BufReader::new(stream.try_clone().unwrap());
            let _ = request.lines().map_while(Result::ok).find(String::is_empty);
            count.fetch_add(1, Ordering::Relaxed);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                bytes.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
        }
    });
    (address, asked)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_address_is_pinned_and_asked_once() {
    let env = world();
    match_clip(&env, "in.mp4", 0.2);
    let bytes = std::fs::read(shapes()).unwrap();
    let pin = sha256(&bytes);
    let (address, asked) = serve(bytes);
    let args = |pin: Option<&str>| json!({ "input": "in.mp4", "model": address, "sha256": pin, "frame_number": 0 });
    let without = json!({ "input": "in.mp4", "model": address, "frame_number": 0 });
    let ran = call(&env, &without).exits(5);
    assert!(ran.stderr.contains("needs a `sha256`"), "{}", ran.stderr);
    assert_eq!(asked.load(Ordering::Relaxed), 0);

    let wrong = call(&env, &args(Some(&"0".repeat(64)))).exits(5);
    assert!(wrong.stderr.contains("isn't the model that was pinned"), "{}", wrong.stderr);
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    for _ in 0..2 {
        let result = call(&env, &args(Some(&pin))).exits(0).json();
        corners(&result["frames"][0], "ball");
        assert_eq!(result["model"]["sha256"], pin);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    // What was kept and then damaged is brought again.
    let kept = env.vdeploy_home().join(format!("cache/models/{pin}.onnx"));
    std::fs::write(&kept, "damaged").unwrap();
    call(&env, &args(Some(&pin))).exits(0);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn exports_are_told_apart() {
    let env = world();
    match_clip(&env, "in.mp4", 0.2);
    for (name, layout) in
        [("v5", "yolov5"), ("v8", "yolov8/v11"), ("v11", "yolov8/v11"), ("end2end", "end-to-end")]
    {
        let args = json!({ "input": "in.mp4", "model": random(name), "frame_number": 1 });
        let result = call(&env, &args).exits(0).json();
        assert_eq!(result["model"]["layout"], layout);
        assert_eq!(result["model"]["classes"], json!(["person", "ball", "referee's flag"]));
        assert_eq!(
            (&result["model"]["width"], &result["model"]["height"]),
            (&json!(96), &json!(64))
        );
        let found = result["frames"][0]["detections"].as_array().unwrap();
        assert!(!found.is_empty(), "{name}");
        for detection in found {
            let [left, top, right, bottom]: [f64; 4] =
                serde_json::from_value(detection["box"].clone()).unwrap();
            assert!(0.0 <= left && left <= right && right <= 320.0, "{detection}");
            assert!(0.0 <= top && top <= bottom && bottom <= 180.0, "{detection}");
        }
    }
}

#[test]
fn a_library_that_was_named_and_is_none_is_a_failure() {
    let env = world();
    match_clip(&env, "in.mp4", 0.2);
    let named = env.write("libonnxruntime.so", "no library");
    let args: Value = json!({ "input": "in.mp4", "model": shapes(), "frame_number": 0 });
    let ran = detect(&env, &args, &named).exits(5);
    assert!(ran.stderr.contains("can't use the ONNX Runtime"), "{}", ran.stderr);
    assert!(ran.stderr.contains("VDEPLOY_ONNXRUNTIME"), "{}", ran.stderr);
}
