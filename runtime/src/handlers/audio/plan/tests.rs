//! What is planned for each wish.

use serde_json::{Value, json};

use super::*;
use crate::ffmpeg::probe::{Kind, VideoStream};

fn stream(index: u32, codec: &str, kind: Kind, start: f64) -> Stream {
    Stream {
        index,
        codec: codec.into(),
        kind,
        duration: Some(10.0),
        start: Some(start),
        ..Stream::default()
    }
}

fn sound(channels: u32, rate: u32) -> Kind {
    Kind::Audio(AudioStream { sample_rate: rate, channels, layout: None })
}

fn movie() -> Media {
    let video = VideoStream { width: 640, height: 360, ..VideoStream::default() };
    let video = stream(0, "h264", Kind::Video(Box::new(video)), 0.0);
    let streams = vec![video, stream(1, "aac", sound(2, 44_100), 0.0)];
    Media { streams, duration: Some(10.0), ..Media::default() }
}

fn song() -> Media {
    Media { streams: vec![stream(0, "mp3", sound(2, 44_100), 0.0)], ..Media::default() }
}

/// The argv from the first input on.
fn shown(mut json: Value, main: &Media) -> String {
    json["input"] = "a.mp4".into();
    let args: Args = serde_json::from_value(json).unwrap();
    let song = song();
    let file = |path, media| File { path: Path::new(path), name: "a.mp4", media };
    let sources = Sources {
        main: file("/a.mp4", main),
        replace: args.replace.as_ref().map(|_| file("/b.mp3", &song)),
        layers: args.mix.iter().map(|_| file("/c.mp3", &song)).collect(),
    };
    let container = args.container().unwrap();
    let plan = plan(&args, &sources, None, container, Path::new("/out")).map_err(|e| e.message);
    let words: Vec<_> = match plan {
        Ok(plan) => crate::ffmpeg::args::args(&plan.job),
        Err(message) => return message,
    }
    .iter()
    .map(|word| word.to_string_lossy().into_owned())
    .collect();
    let last = words.iter().rposition(|word| word == "-i").unwrap();
    words[last..]
        .join(" ")
        .replace(" -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096", "")
}

#[test]
fn what_is_the_same_is_copied_and_what_is_not_is_coded() {
    let of = |json| shown(json, &movie());
    insta::assert_snapshot!(of(json!({})), @"-i file:/a.mp4 -map 0:1 -c:a:0 copy -movflags +faststart -f ipod file:/out");
    insta::assert_snapshot!(of(json!({ "output": "b.mp3" })), @"-i file:/a.mp4 -filter_complex [0:1]aformat=channel_layouts=stereo,aresample=async=1:first_pts=0[l0] -map [l0] -c:a:0 libmp3lame -b:a:0 192000 -f mp3 file:/out");
    insta::assert_snapshot!(of(json!({ "output": "b.flac", "channels": "mono" })), @"-i file:/a.mp4 -filter_complex [0:1]aformat=channel_layouts=stereo,aresample=async=1:first_pts=0[l0];[l0]aformat=channel_layouts=mono[l1] -map [l1] -c:a:0 flac -f flac file:/out");
    insta::assert_snapshot!(of(json!({ "speech": true })), @"-i file:/a.mp4 -filter_complex [0:1]aformat=channel_layouts=stereo,aresample=async=1:first_pts=0[l0];[l0]aformat=channel_layouts=mono,aresample=sample_rate=16000[l1] -map [l1] -c:a:0 pcm_s16le -rf64 auto -f wav file:/out");
    insta::assert_snapshot!(of(json!({ "bitrate": "96k" })), @"-i file:/a.mp4 -filter_complex [0:1]aformat=channel_layouts=stereo,aresample=async=1:first_pts=0[l0] -map [l0] -c:a:0 aac -b:a:0 96000 -movflags +faststart -f ipod file:/out");
}

#[test]
fn a_video_keeps_its_picture() {
    let of = |json| shown(json, &movie());
    insta::assert_snapshot!(of(json!({ "mute": true })), @"-i file:/a.mp4 -map 0:0 -c:v:0 copy -movflags +faststart -f mp4 file:/out");
    insta::assert_snapshot!(of(json!({ "replace": "b.mp3" })), @"-i file:/b.mp3 -filter_complex [1:0]aformat=channel_layouts=stereo,aresample=async=1:first_pts=0,apad,atrim=start=0.000000:end=10.000000,asetpts=expr=PTS-STARTPTS[l0] -map 0:0 -c:v:0 copy -map [l0] -c:a:0 aac -b:a:0 128000 -movflags +faststart -f mp4 file:/out");
    insta::assert_snapshot!(of(json!({ "mix": [{ "input": "c.mp3", "volume": -12, "start": 1.5 }] })), @"-i file:/c.mp3 -filter_complex [0:1]aformat=channel_layouts=stereo,aresample=sample_rate=48000:async=1:first_pts=0[l0];[1:0]aformat=channel_layouts=stereo,aresample=sample_rate=48000:async=1:first_pts=0,volume=volume=-12dB,adelay=delays=1500:all=1[l1];[l0][l1]amix=inputs=2:duration=first:normalize=0[l2] -map 0:0 -c:v:0 copy -map [l2] -c:a:0 aac -b:a:0 128000 -movflags +faststart -f mp4 file:/out");
    insta::assert_snapshot!(of(json!({ "mute": true, "output": "b.webm" })), @"a `.webm` file can't hold `h264`, and the picture is not coded anew");
}

#[test]
fn sound_is_added_to_a_silent_video() {
    let mut silent = movie();
    silent.streams.truncate(1);
    insta::assert_snapshot!(shown(json!({ "mix": [{ "input": "c.mp3" }] }), &silent), @"-i file:/c.mp3 -filter_complex anullsrc=r=48000:cl=stereo,atrim=start=0.000000:end=10.000000,asetpts=expr=PTS-STARTPTS[l0];[1:0]aformat=channel_layouts=stereo,aresample=sample_rate=48000:async=1:first_pts=0,volume=volume=0dB[l1];[l0][l1]amix=inputs=2:duration=first:normalize=0[l2] -map 0:0 -c:v:0 copy -map [l2] -c:a:0 aac -b:a:0 128000 -movflags +faststart -f mp4 file:/out");
    insta::assert_snapshot!(shown(json!({}), &silent), @"`a.mp4` has no sound");
}

#[test]
fn a_late_start_is_kept_by_coding_anew() {
    let mut late = movie();
    late.streams[1].start = Some(0.5);
    insta::assert_snapshot!(shown(json!({}), &late), @"-i file:/a.mp4 -filter_complex [0:1]aformat=channel_layouts=stereo,aresample=async=1:first_pts=0[l0] -map [l0] -c:a:0 aac -b:a:0 128000 -movflags +faststart -f ipod file:/out");
    insta::assert_snapshot!(shown(json!({ "track": 3 }), &late), @"`a.mp4` has no audio track 3");
}
