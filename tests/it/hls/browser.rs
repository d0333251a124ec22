//! Streams in a real browser: Chromium's own player, and hls.js.
//!
//! The page plays to the end and tells a little server what it saw. Where there is no Chromium or
//! no hls.js, these tests say so and pass; `tests/tools` installs both.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use crate::env::{TestEnv, repository};

/// A page, how it was played, or why it couldn't be.
const PAGE: &str = r#"<!doctype html><video id="v" muted playsinline></video>
<script src="/hls.min.js"></script>
<script>
const v = document.getElementById('v');
let began = false, waits = 0, levels = [], widths = [];
const report = (more) => fetch('/report', { method: 'POST', body: JSON.stringify({
  waits, levels, widths, time: v.currentTime, duration: v.duration, gaps: v.buffered.length - 1,
  frames: v.getVideoPlaybackQuality().totalVideoFrames, ...more }) });
v.addEventListener('playing', () => { began = true; });
v.addEventListener('waiting', () => { if (began && !v.ended) waits++; });
v.addEventListener('resize', () => { widths.push(v.videoWidth); });
v.addEventListener('ended', () => report({ ended: true }));
v.addEventListener('error', () => report({ error: v.error.message }));
SCRIPT
</script>"#;

const NATIVE: &str =
    "v.src = '/out/master.m3u8'; v.play().catch((e) => report({ error: `${e}` }));";

/// Starts with the smallest, and asks for the largest once something plays.
const HLS_JS: &str = "
const hls = new Hls({ startLevel: 0, maxBufferLength: 2, maxMaxBufferLength: 2,
  enableWorker: false });
hls.on(Hls.Events.LEVEL_SWITCHED, (_, data) => { levels.push(data.level); });
hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) report({ error: data.details }); });
hls.on(Hls.Events.MANIFEST_PARSED, () => { hls.currentLevel = 0; v.play(); });
v.addEventListener('playing', () => { hls.loadLevel = hls.levels.length - 1; }, { once: true });
hls.loadSource('/out/master.m3u8'); hls.attachMedia(v);";

/// What Chromium's own player saw of the stream in `out`; none where there is no Chromium.
pub fn chromium(env: &TestEnv) -> Option<Value> {
    fs::write(env.project().join("hls.min.js"), "").unwrap();
    play(env, NATIVE)
}

/// What hls.js saw of it, changing from the smallest rendition to the largest; none where it or
/// Chromium isn't there.
pub fn hls_js(env: &TestEnv) -> Option<Value> {
    let script = repository().join("target/npm/node_modules/hls.js/dist/hls.min.js");
    if fs::copy(&script, env.project().join("hls.min.js")).is_err() {
        skipped("there is no hls.js");
        return None;
    }
    play(env, HLS_JS)
}

/// What Chromium saw of a file of the project; none where there is no Chromium.
pub fn file(env: &TestEnv, name: &str) -> Option<Value> {
    fs::write(env.project().join("hls.min.js"), "").unwrap();
    play(env, &NATIVE.replace("out/master.m3u8", name))
}

fn play(env: &TestEnv, script: &str) -> Option<Value> {
    fs::write(env.project().join("play.html"), PAGE.replace("SCRIPT", script)).unwrap();
    let (port, reports) = serve(env.project());
    let profile = tempfile::tempdir().unwrap();
    let Some(_browser) =
        Browser::open(&format!("http://127.0.0.1:{port}/play.html"), profile.path())
    else {
        skipped("there is no Chromium");
        return None;
    };
    Some(reports.recv_timeout(Duration::from_secs(100)).expect("the page reports"))
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}; `tests/tools` installs it");
}

/// A browser that ends with its owner.
struct Browser(Child);

impl Browser {
    fn open(url: &str, profile: &Path) -> Option<Self> {
        let quiet = [
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            "--mute-audio",
        ];
        let started = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--remote-debugging-port=0"])
            .args(quiet)
            .arg("--autoplay-policy=no-user-gesture-required")
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        started.ok().map(Browser)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves a folder on a port of its own, and passes on what is posted to it. Ends with the test.
fn serve(folder: PathBuf) -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, reports) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (folder, sender) = (folder.clone(), sender.clone());
            std::thread::spawn(move || answer(stream, &folder, &sender));
        }
    });
    (port, reports)
}

/// One request, and the end of the connection.
fn answer(mut stream: TcpStream, folder: &Path, reports: &Sender<Value>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let (mut length, mut range) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "" => break,
            "content-length" => length = value.trim().parse().ok()?,
            "range" => range = value.trim().strip_prefix("bytes=").map(str::to_owned),
            _ => {}
        }
    }
    let path = request.split(' ').nth(1)?.trim_start_matches('/');
    if request.starts_with("POST") {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        reports.send(serde_json::from_slice(&body).ok()?).ok()?;
    }
    let (status, kind, body) = match fs::read(folder.join(path)) {
        Ok(bytes) => part(bytes, range.as_deref(), path),
        Err(_) => ("404 Not Found", String::from("text/plain"), Vec::new()),
    };
    let size = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\
         Accept-Ranges: bytes\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).ok()
}

/// The part of a file that was asked for, and what is said of it.
fn part(bytes: Vec<u8>, range: Option<&str>, path: &str) -> (&'static str, String, Vec<u8>) {
    let kind = match path.rsplit('.').next().unwrap_or_default() {
        "m3u8" => "application/vnd.apple.mpegurl",
        "m4s" | "mp4" => "video/mp4",
        "ts" => "video/mp2t",
        "vtt" => "text/vtt",
        "js" => "text/javascript",
        _ => "text/html",
    };
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return ("200 OK", kind.into(), bytes);
    };
    let size = bytes.len();
    let first: usize = first.parse().unwrap_or(0).min(size);
    let end = last.parse().map_or(size, |last: usize| last + 1).min(size).max(first);
    let said = format!("{kind}\r\nContent-Range: bytes {first}-{}/{size}", end.saturating_sub(1));
    ("206 Partial Content", said, bytes[first..end].to_vec())
}
