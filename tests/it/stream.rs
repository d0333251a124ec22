//! Recording and sending streams, with ffmpeg or a small HTTP server at the other end.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use vdeploy_runtime::function::Entry;

use crate::env::{Ran, TestEnv};

fn world() -> TestEnv {
    let env = TestEnv::new();
    env.publish("stream", Entry::Builtin { handler: "stream".into() }, |_| {});
    let clip = "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -f lavfi -i sine=d=2 -c:v libx264 -g 10 \
                -preset ultrafast -pix_fmt yuv420p -c:a aac in.mp4";
    assert!(ffmpeg(&env, clip).wait().unwrap().success());
    env
}

fn ffmpeg(env: &TestEnv, words: &str) -> Child {
    Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(words.split_whitespace())
        .current_dir(env.project())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn call(env: &TestEnv, args: &Value) -> Ran {
    env.run(["call", "stream", "--args", &args.to_string()])
}

/// A port that is free now, for a server that can't say which one it took.
fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    // SRT is on top of UDP.
    drop(UdpSocket::bind(("127.0.0.1", port)));
    port
}

/// Frames that can be decoded from files, one after the other.
fn frames(env: &TestEnv, files: &[PathBuf]) -> u64 {
    let each = files.iter().map(|file| {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", "v", "-count_frames", "-of", "csv=p=0"])
            .args(["-show_entries", "stream=nb_read_frames"])
            .arg(file)
            .current_dir(env.project())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.trim().trim_end_matches(',').parse::<u64>().unwrap()
    });
    each.sum()
}

fn segments(result: &Value) -> Vec<PathBuf> {
    let segments = result["segments"].as_array().unwrap();
    segments.iter().map(|segment| segment["location"].as_str().unwrap().into()).collect()
}

#[test]
fn rtmp_is_recorded_in_segments() {
    let env = world();
    let url = format!("rtmp://127.0.0.1:{}/live/key", free_port());
    let mut server = ffmpeg(&env, &format!("-i in.mp4 -c copy -f flv -listen 1 {url}"));
    // The connection is made again until the server is there.
    let args = json!({ "from": url, "output": "rec", "segment_seconds": 0.8, "seconds": 1.9,
                       "reconnects": 50, "reconnect_seconds": 0.1 });
    let result = call(&env, &args).exits(0).json();
    let files = segments(&result);
    assert!(files.len() >= 2, "{result}");
    assert!(frames(&env, &files) >= 45, "{result}");
    assert_eq!(std::fs::read_dir(env.project().join("rec")).unwrap().count(), files.len());
    let _ = server.kill();
    let _ = server.wait();
}

#[test]
fn srt_is_recorded() {
    let env = world();
    let url = format!("srt://127.0.0.1:{}", free_port());
    let listen = format!("-re -i in.mp4 -c copy -f mpegts {url}?mode=listener");
    let mut server = ffmpeg(&env, &listen);
    let args = json!({ "from": url, "output": "rec", "seconds": 1, "reconnects": 50,
                       "reconnect_seconds": 0.1 });
    let result = call(&env, &args).exits(0).json();
    assert!(frames(&env, &segments(&result)) >= 10, "{result}");
    let _ = server.kill();
    let _ = server.wait();
}

/// Serves one viewer by RTSP, with RTP in the same connection (RFC 2326, 10.12), until it leaves;
/// ffmpeg packs `in.mp4`, over and over. Returns the URL.
fn rtsp(env: &TestEnv) -> String {
    let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = |socket: &UdpSocket| format!("rtp://{}", socket.local_addr().unwrap());
    let pack = |more: &str| {
        ffmpeg(env, &format!("-re -stream_loop -1 -i in.mp4 -an -c copy -f rtp {more}"))
    };
    // What is packed for the description alone isn't part of the stream.
    let describe = format!("-t 0.1 -sdp_file in.sdp {}", to(&socket()));
    assert!(pack(&describe).wait().unwrap().success());
    let sdp = std::fs::read_to_string(env.project().join("in.sdp")).unwrap();
    let sdp = format!("{}a=control:track\r\n", sdp.trim_start_matches("SDP:\n"));
    let packets = socket();
    let mut packer = pack(&to(&packets));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://127.0.0.1:{}/live", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(request)) = lines.next() {
            let method = request.split(' ').next().unwrap().to_owned();
            let headers = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty());
            let number = headers.filter_map(|line| Some(line.strip_prefix("CSeq: ")?.to_owned()));
            let number = number.last().unwrap_or_default();
            let (more, body) = match method.as_str() {
                "DESCRIBE" => ("Content-Type: application/sdp\r\n", sdp.as_str()),
                "SETUP" => ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", ""),
                _ => ("Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""),
            };
            let length = body.len();
            let head = format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n{more}");
            write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
            if method == "PLAY" {
                break;
            }
        }
        let mut packet = [0; 65_536];
        while let Ok(length) = packets.recv(&mut packet) {
            let head = [b'$', 0, (length >> 8) as u8, length as u8];
            if stream.write_all(&head).and_then(|()| stream.write_all(&packet[..length])).is_err() {
                break;
            }
        }
        let _ = packer.kill();
        let _ = packer.wait();
    });
    url
}

#[test]
fn rtsp_is_recorded() {
    let env = world();
    let url = rtsp(&env);
    let args = json!({ "from": url, "output": "rec", "seconds": 1.5 });
    let result = call(&env, &args).exits(0).json();
    assert!(frames(&env, &segments(&result)) >= 20, "{result}");
}

#[test]
fn a_file_is_sent_at_the_speed_of_its_video() {
    let env = world();
    let url = format!("rtmp://127.0.0.1:{}/live/key", free_port());
    let mut receiver = ffmpeg(&env, &format!("-listen 1 -i {url} -c copy got.mkv"));
    let args = json!({ "input": "in.mp4", "to": url, "reconnects": 50, "reconnect_seconds": 0.1 });
    let result = call(&env, &args).exits(0).json();
    assert!(result["seconds"].as_f64().unwrap() > 1.8, "{result}");
    receiver.wait().unwrap();
    assert!(frames(&env, &["got.mkv".into()]) >= 48);
}

/// Serves the files of the project; returns its address.
fn web(env: &TestEnv) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let folder = env.project();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            thread::spawn(move || {
                let mut stream = stream;
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let name = first.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
                let body = std::fs::read(folder.join(name)).unwrap_or_default();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&body);
            });
        }
    });
    address
}

#[test]
fn hls_is_recorded_to_its_end() {
    let env = world();
    let hls = "-i in.mp4 -c copy -f hls -hls_time 0.8 -hls_list_size 0 list.m3u8";
    assert!(ffmpeg(&env, hls).wait().unwrap().success());
    let from = format!("http://{}/list.m3u8", web(&env));
    let result = call(&env, &json!({ "from": from, "output": "rec" })).exits(0).json();
    assert_eq!(frames(&env, &segments(&result)), 50, "{result}");
    assert_eq!(result["reconnects"], 0);
}

#[test]
fn a_playlist_reads_no_file_of_this_machine() {
    let env = world();
    let canary = env.project().join("canary.ts");
    assert!(ffmpeg(&env, "-i in.mp4 -c copy canary.ts").wait().unwrap().success());
    let from = format!("http://{}/list.m3u8", web(&env));
    for prefix in ["file://", "file:", "subfile,,start,0,end,0,,:", "concat:"] {
        let list = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{prefix}{}\n#EXT-X-ENDLIST\n",
            canary.display()
        );
        env.write("list.m3u8", list);
        let args = json!({ "from": from, "output": "rec", "reconnects": 0 });
        call(&env, &args).exits(5);
        assert!(!env.project().join("rec").exists(), "{prefix}: something was recorded");
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let env = world();
    let refused = |args: Value| call(&env, &args).exits(5).stderr;
    assert!(refused(json!({})).contains("give either `from`, or `input` and `to`"));
    assert!(refused(json!({ "from": "file:///etc/passwd" })).contains("isn't a stream"));
    let nobody = format!("rtmp://127.0.0.1:{}/live/secret-key", free_port());
    let lost = refused(json!({ "from": nobody, "reconnects": 1, "reconnect_seconds": 0.01 }));
    assert!(lost.contains("lost `rtmp://127.0.0.1"), "{lost}");
    assert!(!lost.contains("secret-key"), "{lost}");
}
