use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rung::{RungArg, wanted};
use super::*;
use crate::gpu::{Bitstream, CODECS, Gpu};

/// 29.97 frames per second, H.264.
fn media(width: u32, height: u32, change: impl FnOnce(&mut VideoStream)) -> Media {
    let rate = Rational::new(30_000, 1001);
    let mut video = VideoStream {
        width,
        height,
        pixel_format: "yuv420p".into(),
        bits: 8,
        space: Some("bt709".into()),
        base_rate: rate,
        average_rate: rate,
        ..VideoStream::default()
    };
    change(&mut video);
    let stream = Stream {
        codec: "h264".into(),
        time_base: Rational::new(1, 30_000),
        kind: crate::ffmpeg::probe::Kind::Video(Box::new(video)),
        ..Stream::default()
    };
    Media { streams: vec![stream], ..Media::default() }
}

fn cpu() -> Capabilities {
    let encoders = [Encoder::X264, Encoder::X265, Encoder::SvtAv1, Encoder::Vp9];
    let software = CODECS.into_iter().zip(encoders).collect();
    Capabilities { software, gpus: Vec::new(), no_gpu: Some("no NVIDIA GPU".into()) }
}

fn l4() -> Capabilities {
    let encode: BTreeMap<_, _> = CODECS[..3].iter().map(|codec| (*codec, Ok(()))).collect();
    let gpu = Gpu {
        index: 0,
        name: "NVIDIA L4".into(),
        encode,
        decode: Bitstream::ALL.map(|kind| (kind, Ok(()))).into(),
    };
    Capabilities { gpus: vec![gpu], no_gpu: None, ..cpu() }
}

fn rungs(rungs: Value) -> Vec<Rung> {
    let args: Vec<RungArg> = serde_json::from_value(rungs).unwrap();
    wanted(Some(args))
}

fn planned(wish: Value, media: &Media, machine: &Capabilities) -> Result<Ladder, Failure> {
    let rungs = rungs(wish);
    let coding = Coding::default();
    let wish = Wish {
        rungs: &rungs,
        coding: &coding,
        fit: Fit::Contain,
        fps: None,
        upscale: false,
        keyframe_seconds: 2.0,
    };
    check(wish)?;
    plan(wish, Hardware::Auto, (media, "a.mp4"), machine, Input::of("/in/a.mp4"))
}

fn shown(ladder: &Ladder) -> String {
    let step = |step: &Step| {
        let Step { name, size: (width, height), video, .. } = step;
        let Video { encoder, rate, keyframes, .. } = video;
        format!("{name} {width}x{height} {} {rate:?} {keyframes:?}\n", encoder.name())
    };
    let steps: String = ladder.steps.iter().map(step).collect();
    format!("{}\n{steps}{}", ladder.graph, ladder.notes.join("\n"))
}

#[test]
fn one_decode_feeds_all_sizes() {
    let ladder = planned(json!(["1080p", "720p", "480p"]), &media(1920, 1080, |_| {}), &cpu());
    insta::assert_snapshot!(shown(&ladder.unwrap()), @r"
    [0:0]split=outputs=3[l0][l1][l2];[l0]format=pix_fmts=yuv420p[l3];[l1]scale=w=1280:h=720,setsar=sar=1,format=pix_fmts=yuv420p[l4];[l2]scale=w=854:h=480,setsar=sar=1,format=pix_fmts=yuv420p[l5]
    1080p 1920x1080 libx264 Quality(23) Frames(60)
    720p 1280x720 libx264 Quality(23) Frames(60)
    480p 854x480 libx264 Quality(23) Frames(60)
    ");
}

#[test]
fn frames_stay_on_a_gpu_that_does_everything() {
    let ladder = planned(json!(["1080p", "720p"]), &media(3840, 2160, |_| {}), &l4()).unwrap();
    assert_eq!(ladder.input.decode, Decode::Cuda { gpu: 0 });
    insta::assert_snapshot!(shown(&ladder), @r"
    [0:0]split=outputs=2[l0][l1];[l0]scale_cuda=w=1920:h=1080:format=nv12,setsar=sar=1[l2];[l1]scale_cuda=w=1280:h=720:format=nv12,setsar=sar=1[l3]
    1080p 1920x1080 h264_nvenc Quality(23) Frames(60)
    720p 1280x720 h264_nvenc Quality(23) Frames(60)
    ");
}

#[test]
fn a_rendition_that_only_the_cpu_makes_keeps_all_frames_off_the_gpu() {
    let wish = json!([{ "quality": "720p" }, { "quality": "720p", "codec": "vp9" }]);
    let ladder = planned(wish, &media(1920, 1080, |_| {}), &l4()).unwrap();
    assert_eq!(ladder.input.decode, Decode::Software);
    assert!(ladder.fallback.is_some());
}

#[test]
fn what_all_sizes_need_is_done_once() {
    let interlaced = media(1920, 1080, |video| video.interlaced = true);
    let ladder = planned(json!(["720p", "480p"]), &interlaced, &cpu()).unwrap();
    insta::assert_snapshot!(ladder.graph, @"[0:0]bwdif=mode=send_frame:deint=interlaced[l0];[l0]split=outputs=2[l1][l2];[l1]scale=w=1280:h=720,setsar=sar=1,format=pix_fmts=yuv420p[l3];[l2]scale=w=854:h=480,setsar=sar=1,format=pix_fmts=yuv420p[l4]");
}

#[test]
fn nothing_is_enlarged_and_nothing_is_made_twice() {
    let small = media(1280, 720, |_| {});
    let ladder = planned(json!(["4k", "1080p", "720p", "480p"]), &small, &cpu()).unwrap();
    insta::assert_snapshot!(shown(&ladder), @r"
    [0:0]split=outputs=2[l0][l1];[l0]format=pix_fmts=yuv420p[l2];[l1]scale=w=854:h=480,setsar=sar=1,format=pix_fmts=yuv420p[l3]
    720p 1280x720 libx264 Quality(23) Frames(60)
    480p 854x480 libx264 Quality(23) Frames(60)
    rendition `4k` is left out: the video isn't larger than rendition `1080p`
    rendition `1080p` is left out: the video isn't larger than rendition `720p`
    ");
    let tiny = planned(json!(["1080p", "720p"]), &media(640, 360, |_| {}), &cpu()).unwrap();
    insta::assert_snapshot!(shown(&tiny), @r"
    360p 640x360 libx264 Quality(23) Frames(60)
    rendition `1080p` is left out: the video isn't larger than rendition `720p`
    rendition `720p` is 640x360, as the video is
    ");
}

#[test]
fn the_same_size_at_two_rates_is_two_renditions() {
    let wish = json!([
        { "height": 720, "bitrate": "5M" },
        { "height": 720, "bitrate": "3M", "max_bitrate": "4M" },
        { "height": 720, "codec": "hevc", "crf": 30, "max_bitrate": "2M" },
    ]);
    let ladder = planned(wish, &media(1280, 720, |_| {}), &cpu()).unwrap();
    insta::assert_snapshot!(shown(&ladder), @r"
    [0:0]format=pix_fmts=yuv420p[l0];[l0]split=outputs=3[l1][l2][l3]
    720p 1280x720 libx264 CappedBitrate { average: 5000000, peak: 7500000 } Frames(60)
    720p-h264 1280x720 libx264 CappedBitrate { average: 3000000, peak: 4000000 } Frames(60)
    720p-hevc 1280x720 libx265 CappedQuality { quality: 30, peak: 2000000 } Frames(60)
    ");
}

#[test]
fn portrait_video_gets_boxes_that_are_turned() {
    let portrait = media(1920, 1080, |video| video.rotation = 90);
    let ladder = planned(json!(["720p", "480p"]), &portrait, &cpu()).unwrap();
    let sizes: Vec<_> = ladder.steps.iter().map(|step| (step.name.as_str(), step.size)).collect();
    assert_eq!(sizes, [("720p", (720, 1280)), ("480p", (480, 854))]);
}

#[test]
fn keyframes_of_a_rate_that_varies_follow_the_clock() {
    let varies = media(1280, 720, |video| video.base_rate = Rational::new(90_000, 1));
    let of = |wish| planned(wish, &varies, &cpu()).unwrap().steps[0].video.keyframes;
    assert_eq!(of(json!(["720p"])), Keyframes::Seconds(2.0));
    // SVT-AV1 takes no orders for single frames.
    assert_eq!(of(json!([{ "quality": "720p", "codec": "av1" }])), Keyframes::Frames(60));
}

#[test]
fn wishes_that_make_no_sense_are_refused() {
    let message = |wish| planned(wish, &media(1280, 720, |_| {}), &cpu()).unwrap_err().message;
    insta::assert_snapshot!(message(json!([])), @"`rungs` names no rendition");
    insta::assert_snapshot!(message(json!([{ "name": "../x" }])), @"`../x` can't be the name of a rendition");
    insta::assert_snapshot!(message(json!([{ "name": "a" }, { "name": "A", "height": 90 }])), @"two renditions are called `A`");
    insta::assert_snapshot!(message(json!([{ "quality": "720p", "width": 9 }])), @"rendition `720p`: `quality` and `width` or `height` exclude each other");
    insta::assert_snapshot!(message(json!([{ "bitrate": "5M", "max_bitrate": "1M" }])), @"a rendition: `max_bitrate` is less than `bitrate`");
    insta::assert_snapshot!(message(json!([{ "crf": 60 }])), @"`crf` 60 isn't between 0 and 51, the scale of H.264");
}
