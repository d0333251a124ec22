//! Files that aren't what they seem get one clear line, and leave nothing behind.

use std::net::TcpListener;

use serde_json::json;
use vdeploy_runtime::wire::{Failure, FailureKind};

use crate::rig::{Rig, ffmpeg};

const CLIP: &str = "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -c:v libx264 -preset ultrafast \
                    -pix_fmt yuv420p";

/// Transcodes a file that can't be, and checks that nothing was left behind.
async fn refused(rig: &Rig, input: &str) -> Failure {
    let before = rig.files();
    let args = json!({ "input": input, "output": rig.text("out.mp4"), "preset": "ultrafast" });
    let failure = rig.run("transcode", args).await.unwrap_err();
    assert_eq!(rig.files(), before, "something was left behind");
    assert!(!failure.retryable || failure.kind == FailureKind::Output, "{failure:?}");
    failure
}

#[tokio::test]
async fn playlists_and_scripts_open_no_file_and_no_connection() {
    let rig = Rig::new();
    let canary = rig.clip("canary.mp4", CLIP);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("http://{}/a.ts", server.local_addr().unwrap());
    let scripts = [
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{canary}\n#EXT-X-ENDLIST\n"),
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n"),
        format!("ffconcat version 1.0\nfile '{canary}'\n"),
        format!("ffconcat version 1.0\nfile '{url}'\n"),
        format!(
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period><AdaptationSet><Representation id=\"1\" mimeType=\"video/mp4\"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>"
        ),
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n".into(),
    ];
    for name in ["list.mp4", "list.m3u8", "list.txt", "list.ffconcat", "list.mpd", "list.sdp"] {
        for script in &scripts {
            std::fs::write(rig.path(name), script).unwrap();
            let failure = refused(&rig, &rig.text(name)).await;
            assert_eq!(failure.kind, FailureKind::InvalidInput, "{name}: {failure:?}");
            assert!(failure.causes[0].contains("never followed"), "{name}: {failure:?}");
            let probe = rig.run("probe", json!({ "input": rig.text(name) })).await.unwrap_err();
            assert_eq!(probe.message, failure.message);
        }
    }
    let seen = server.accept().unwrap_err();
    assert_eq!(seen.kind(), std::io::ErrorKind::WouldBlock, "something connected");
}

/// A file that nobody may read, and a server that nobody may call.
struct Bait {
    canary: String,
    server: TcpListener,
}

impl Bait {
    fn new(rig: &Rig) -> Bait {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        Bait { canary: rig.clip("canary.mp4", CLIP), server }
    }

    fn url(&self) -> String {
        format!("http://{}/a.png", self.server.local_addr().unwrap())
    }

    /// Files that name both, as playlists, drawings, subtitles and tables can.
    fn files(&self) -> Vec<(&'static str, String)> {
        let (canary, url) = (&self.canary, self.url());
        let playlist = format!("#EXTM3U\n#EXTINF:2,\n{canary}\n#EXTINF:2,\n{url}\n");
        let drawing = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\">\
             <image href=\"file://{canary}\"/><image href=\"{url}\"/></svg>"
        );
        vec![
            ("a.png", playlist.clone()),
            ("a.ttf", playlist),
            ("a.wav", format!("ffconcat version 1.0\nfile '{canary}'\nfile '{url}'\n")),
            ("a.svg", drawing.clone()),
            ("a.jpg", drawing),
            (
                "a.ass",
                format!(
                    "[Script Info]\nScriptType: v4.00+\n[Fonts]\nfontname: {canary}\n[Graphics]\n\
                     filename: {url}\n[Events]\nDialogue: 0,0:00:00.00,0:00:02.00,,,0,0,0,,\
                     {{\\img({canary})}}{{\\fn{url}}}a\n"
                ),
            ),
            (
                "a.srt",
                format!("1\n00:00:00,000 --> 00:00:02,000\n<img src=\"{url}\"><i>{canary}</i>\n"),
            ),
            ("a.cube", format!("LUT_3D_SIZE 2\nTITLE \"{canary}\"\n#include {canary}\n{url}\n")),
        ]
    }

    /// Nobody connected, and nothing of the canary is in what was made.
    fn untouched(&self, what: &str) {
        let seen = self.server.accept().unwrap_err();
        assert_eq!(seen.kind(), std::io::ErrorKind::WouldBlock, "{what}: something connected");
    }
}

#[tokio::test]
async fn no_file_of_any_argument_opens_another_or_a_connection() {
    let rig = Rig::new();
    let bait = Bait::new(&rig);
    let input = &rig.clip("in.mp4", CLIP);
    for (name, text) in bait.files() {
        std::fs::write(rig.path(name), text).unwrap();
        let (file, output) = (&rig.text(name), &rig.text("out.mp4"));
        let calls = [
            ("transcode", json!({ "input": file, "output": output })),
            ("overlay", json!({ "input": input, "output": output, "images": [{ "image": file }] })),
            (
                "overlay",
                json!({ "input": input, "output": output,
                                "texts": [{ "text": "a", "font_file": file }] }),
            ),
            (
                "effects",
                json!({ "input": input, "output": output,
                                "chain": [{ "effect": "lut", "file": file }] }),
            ),
            ("audio", json!({ "input": input, "output": output, "mix": [{ "input": file }] })),
            ("concat", json!({ "inputs": [input, file], "output": output })),
        ];
        for (handler, args) in calls {
            let failure = rig.run(handler, args).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::InvalidInput, "{handler} {name}: {failure:?}");
            bait.untouched(handler);
        }
    }
    assert!(!rig.path("out.mp4").exists());
}

/// What is drawn and what subtitles say is text, whatever it looks like.
#[tokio::test]
async fn texts_and_subtitle_tracks_are_nothing_but_text() {
    let rig = Rig::new();
    let bait = Bait::new(&rig);
    let (canary, url) = (&bait.canary, bait.url());
    let words = format!("{{\\fn{canary}}}{{\\img({url})}} {url} {canary}");
    let subtitles = format!("1\n00:00:00,000 --> 00:00:02,000\n{words}\n");
    std::fs::write(rig.path("a.srt"), subtitles).unwrap();
    let with = format!("-f lavfi -i testsrc2=s=320x180:r=25:d=2 -i {}", rig.text("a.srt"));
    let coding = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let input = rig.clip("in.mkv", &format!("{with} {coding} -c:s ass"));
    let output = rig.text("out.mp4");
    let drawn = json!({ "input": input, "output": output, "preset": "ultrafast",
                        "texts": [{ "text": words, "size": 8 }] });
    rig.run("overlay", drawn).await.unwrap();
    bait.untouched("overlay");
    let stream = json!({ "input": input, "output": rig.text("hls"), "preset": "ultrafast",
                         "rungs": [{ "height": 90 }] });
    rig.run("hls", stream).await.unwrap();
    bait.untouched("hls");
}

#[tokio::test]
async fn what_is_too_large_or_too_long_is_refused() {
    let rig = Rig::new();
    // A file with a hole takes no room.
    let large = std::fs::File::create(rig.path("large.mp4")).unwrap();
    large.set_len(2 << 40).unwrap();
    let failure = refused(&rig, &rig.text("large.mp4")).await;
    assert_eq!(failure.kind, FailureKind::InvalidInput);
    assert_eq!(failure.causes, ["it has 2048 GiB, and inputs may have 1024 GiB"]);
    // Four frames, a day from each to the next.
    let days = "-f lavfi -i testsrc2=s=64x64:r=25:d=0.16 -vf setpts=N*86400/TB -fps_mode passthrough \
                -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let input = rig.clip("days.mkv", days);
    let failure = refused(&rig, &input).await;
    assert_eq!(failure.kind, FailureKind::InvalidInput, "{failure:?}");
    assert!(failure.causes.iter().any(|cause| cause.contains("48 hours")), "{failure:?}");
}

#[tokio::test]
async fn a_pattern_is_a_name() {
    let rig = Rig::new();
    ffmpeg("-y -f lavfi -i testsrc2=s=64x64:d=0.2", &["-f", "image2", &rig.text("%d.png")]);
    let failure = refused(&rig, &rig.text("%d.png")).await;
    assert!(failure.message.starts_with("can't read input"), "{failure:?}");
    std::fs::copy(rig.path("1.png"), rig.path("frame%d.png")).unwrap();
    assert_eq!(refused(&rig, &rig.text("frame%d.png")).await.kind, FailureKind::InvalidInput);
}

#[tokio::test]
async fn what_is_no_video_says_what_it_is() {
    let rig = Rig::new();
    let clip = rig.clip("in.mp4", CLIP);
    std::fs::write(rig.path("text.mp4"), "not a video").unwrap();
    std::fs::write(rig.path("empty.mp4"), "").unwrap();
    let whole = std::fs::read(&clip).unwrap();
    std::fs::write(rig.path("cut.mp4"), &whole[..whole.len() / 2]).unwrap();
    rig.clip("sound.m4a", "-f lavfi -i sine=d=1 -c:a aac");
    rig.clip("picture.png", "-f lavfi -i testsrc2=s=64x64:d=1 -frames:v 1");
    rig.clip("none.mp4", &format!("{CLIP} -frames:v 0"));
    let mut said = String::new();
    let names =
        ["text.mp4", "empty.mp4", "cut.mp4", "sound.m4a", "picture.png", "none.mp4", "gone.mp4"];
    for name in names {
        let failure = refused(&rig, &rig.text(name)).await;
        assert_eq!(failure.kind, FailureKind::InvalidInput, "{name}");
        let line = format!("{}: {}\n", failure.message, failure.causes[0]);
        said.push_str(&line.replace(&rig.text(""), ""));
    }
    insta::assert_snapshot!(said, @r#"`text.mp4` isn't a video that can be read: it is text
`empty.mp4` isn't a video that can be read: it is empty
`cut.mp4` isn't a video that can be read: it begins like an MP4, but its index (`moov`) is missing: an incomplete upload
`sound.m4a` has no video, only audio: this needs a video stream
`picture.png` is a picture, not a video: its format is `png_pipe`
`none.mp4` has no video: no stream of it is video with a known size
can't read input `gone.mp4`: No such file or directory (os error 2)"#);
}

#[tokio::test]
async fn a_truncated_video_is_no_success() {
    let rig = Rig::new();
    let clip = rig.clip("in.mp4", &format!("{CLIP} -movflags +faststart"));
    let whole = std::fs::read(&clip).unwrap();
    std::fs::write(rig.path("cut.mp4"), &whole[..whole.len() / 2]).unwrap();
    let failure = refused(&rig, &rig.text("cut.mp4")).await;
    assert_eq!(failure.kind, FailureKind::InvalidInput);
    assert!(failure.message.ends_with("is truncated or damaged"), "{failure:?}");
    assert!(failure.causes[0].starts_with("its header promises 50 frames (2.0 s), and"));
    // Somebody may want what is there all the same.
    let args = json!({ "input": rig.text("cut.mp4"), "output": rig.text("out.mp4"),
                       "verify": "off", "preset": "ultrafast" });
    let result = rig.run("transcode", args).await.unwrap();
    assert_eq!(result["verified"], json!(null));
    assert!(rig.path("out.mp4").is_file());
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_refused() {
    let rig = Rig::new();
    let input = rig.clip("in.mp4", CLIP);
    let wrong = [
        json!({ "output": rig.text("out.xyz") }),
        json!({ "output": rig.text("out") }),
        json!({ "output": rig.text("out.webm"), "codec": "h264" }),
        json!({ "quality": "720p", "height": 100 }),
        json!({ "crf": 99 }),
        json!({ "bitrate": "fast" }),
        json!({ "nonsense": true }),
        json!({ "codec": "h263" }),
    ];
    for mut args in wrong {
        args["input"] = input.clone().into();
        let failure = rig.run("transcode", args.clone()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidArgs, "{args}: {failure:?}");
    }
    assert_eq!(rig.files(), ["in.mp4"]);
}

#[tokio::test]
async fn an_output_that_exists_is_kept() {
    let mut rig = Rig::new();
    let input = rig.clip("in.mp4", CLIP);
    std::fs::write(rig.path("out.mp4"), "mine").unwrap();
    let args = json!({ "input": input, "output": rig.text("out.mp4"), "preset": "ultrafast" });
    let failure = rig.run("transcode", args.clone()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Output);
    assert_eq!(std::fs::read_to_string(rig.path("out.mp4")).unwrap(), "mine");
    rig.overwrite = true;
    rig.run("transcode", args).await.unwrap();
    assert!(std::fs::metadata(rig.path("out.mp4")).unwrap().len() > 1000);
}

#[tokio::test]
async fn names_are_only_names() {
    let rig = Rig::new();
    let input = rig.clip("in.mp4", CLIP);
    for name in ["-i.mp4", "a:b.mp4", "%03d.mp4", "?*[x].mp4", "it's \"q\".mp4", "two\nlines.mp4"] {
        std::fs::copy(&input, rig.path(name)).unwrap();
        let out = rig.text(&format!("out {name}"));
        let args = json!({ "input": rig.text(name), "output": out, "preset": "ultrafast" });
        let result = rig.run("transcode", args).await.unwrap();
        assert_eq!(result["verified"]["frames_out"], 50, "{name}");
        assert_eq!(result["output"], json!(out));
    }
}
