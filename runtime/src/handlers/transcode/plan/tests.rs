use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::VideoCodec;
use crate::ffmpeg::container::Container;
use crate::ffmpeg::input::Source;
use crate::ffmpeg::pixel::{HdrMetadata, Mastering};
use crate::ffmpeg::probe::{AudioStream, Kind, Stream, VideoStream};
use crate::gpu::{Bitstream, CODECS, Gpu};

fn args(mut json: Value) -> Args {
    json["input"] = "in.mp4".into();
    serde_json::from_value(json).unwrap()
}

/// 1920x1080 H.264 with stereo AAC.
fn media(change: impl FnOnce(&mut Stream, &mut VideoStream)) -> Media {
    let mut picture = VideoStream {
        width: 1920,
        height: 1080,
        pixel_format: "yuv420p".into(),
        bits: 8,
        space: Some("bt709".into()),
        transfer: Some("bt709".into()),
        primaries: Some("bt709".into()),
        ..VideoStream::default()
    };
    let mut video =
        Stream { codec: "h264".into(), time_base: Rational::new(1, 12_800), ..Stream::default() };
    change(&mut video, &mut picture);
    video.kind = Kind::Video(Box::new(picture));
    let sound = AudioStream { sample_rate: 48_000, channels: 2, layout: Some("stereo".into()) };
    let audio =
        Stream { index: 1, codec: "aac".into(), kind: Kind::Audio(sound), ..Stream::default() };
    Media { format: "mov,mp4".into(), streams: vec![video, audio], ..Media::default() }
}

fn hdr10(stream: &mut Stream, video: &mut VideoStream) {
    stream.codec = "hevc".into();
    video.pixel_format = "yuv420p10le".into();
    video.bits = 10;
    video.transfer = Some("smpte2084".into());
    video.hdr = Some(HdrMetadata {
        mastering: Some(Mastering {
            red: (34_000, 16_000),
            green: (13_250, 34_500),
            blue: (7_500, 3_000),
            white: (15_635, 16_450),
            luminance: (10_000_000, 50),
        }),
        content_light: Some((1000, 400)),
    });
}

fn cpu() -> Capabilities {
    let encoders = [Encoder::X264, Encoder::X265, Encoder::SvtAv1, Encoder::Vp9];
    Capabilities {
        software: CODECS.into_iter().zip(encoders).collect(),
        gpus: Vec::new(),
        no_gpu: Some("no NVIDIA GPU on this machine".into()),
    }
}

fn l4() -> Capabilities {
    let encode = CODECS[..3].iter().map(|codec| (*codec, Ok(()))).collect();
    let gpu = Gpu {
        index: 0,
        name: "NVIDIA L4".into(),
        encode,
        decode: Bitstream::ALL.map(|kind| (kind, Ok(()))).into(),
    };
    Capabilities { gpus: vec![gpu], no_gpu: None, ..cpu() }
}

fn a100() -> Capabilities {
    let why = "this GPU has no encoder (A100, H100, H200 and B200 have none)";
    let encode: BTreeMap<_, _> = CODECS[..3].iter().map(|c| (*c, Err(why.to_owned()))).collect();
    let gpu = Gpu {
        index: 0,
        name: "NVIDIA A100".into(),
        encode,
        decode: Bitstream::ALL.map(|kind| (kind, Ok(()))).into(),
    };
    Capabilities { gpus: vec![gpu], no_gpu: None, ..cpu() }
}

fn place(container: Container) -> Place<'static> {
    let output = Path::new(match container {
        Container::WebM => "/out/o.webm",
        Container::Matroska => "/out/o.mkv",
        _ => "/out/o.mp4",
    });
    static INPUT: LazyLock<Source> = LazyLock::new(|| Source::from("/in/i.mp4"));
    Place { input: &INPUT, name: "i.mp4", output, container }
}

fn planned(json: Value, media: &Media, machine: &Capabilities) -> Plan {
    let args = args(json);
    let container =
        if args.coding.codec == Some(VideoCodec::Vp9) { Container::WebM } else { Container::Mp4 };
    plan(&args, args.coding.hardware.unwrap_or_default(), media, machine, place(container)).unwrap()
}

/// The argv from the first `-hwaccel`, `-map` or input on; what comes before is always the same.
fn argv(plan: &Plan) -> String {
    let args = crate::ffmpeg::args::args(&plan.job);
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let guard = words.iter().position(|word| word == "-protocol_whitelist").unwrap();
    let input = words.iter().position(|word| word == "-i").unwrap();
    let start = words.iter().position(|word| word == "-stats_period").unwrap() + 2;
    [&words[start..guard], &words[input..]].concat().join(" ")
}

fn shown(json: Value, media: &Media, machine: &Capabilities) -> String {
    argv(&planned(json, media, machine))
}

#[test]
fn every_codec_on_the_cpu() {
    let of = |codec: &str| {
        shown(json!({ "codec": codec, "quality": "720p" }), &media(|_, _| {}), &cpu())
    };
    insta::assert_snapshot!(of("h264"), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 scale=w=1280:h=720,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx264 -preset medium -crf 23 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    insta::assert_snapshot!(of("hevc"), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 scale=w=1280:h=720,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx265 -preset medium -crf 28 -x265-params log-level=error -tag:v:0 hvc1 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    insta::assert_snapshot!(of("av1"), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 scale=w=1280:h=720,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libsvtav1 -preset 7 -crf 35 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    insta::assert_snapshot!(of("vp9"), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 scale=w=1280:h=720,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libvpx-vp9 -deadline good -cpu-used 3 -row-mt 1 -crf 31 -b:v:0 0 -map 0:1 -c:a:0 libopus -b:a:0 128000 -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -f webm file:/out/o.webm");
}

#[test]
fn every_codec_on_a_gpu() {
    let of =
        |codec: &str| shown(json!({ "codec": codec, "quality": "720p" }), &media(|_, _| {}), &l4());
    insta::assert_snapshot!(of("h264"), @"-hwaccel cuda -hwaccel_output_format cuda -hwaccel_device 0 -i file:/in/i.mp4 -map 0:0 -filter:v:0 scale_cuda=w=1280:h=720:format=nv12,setsar=sar=1 -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 h264_nvenc -gpu 0 -preset p4 -tune hq -rc vbr -cq 23 -b:v:0 0 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    insta::assert_snapshot!(of("hevc"), @"-hwaccel cuda -hwaccel_output_format cuda -hwaccel_device 0 -i file:/in/i.mp4 -map 0:0 -filter:v:0 scale_cuda=w=1280:h=720:format=nv12,setsar=sar=1 -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 hevc_nvenc -gpu 0 -preset p4 -tune hq -rc vbr -cq 28 -b:v:0 0 -tag:v:0 hvc1 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    insta::assert_snapshot!(of("av1"), @"-hwaccel cuda -hwaccel_output_format cuda -hwaccel_device 0 -i file:/in/i.mp4 -map 0:0 -filter:v:0 scale_cuda=w=1280:h=720:format=nv12,setsar=sar=1 -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 av1_nvenc -gpu 0 -preset p4 -tune hq -rc vbr -cq 28 -b:v:0 0 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    // No GPU makes VP9.
    insta::assert_snapshot!(of("vp9"), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 scale=w=1280:h=720,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libvpx-vp9 -deadline good -cpu-used 3 -row-mt 1 -crf 31 -b:v:0 0 -map 0:1 -c:a:0 libopus -b:a:0 128000 -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -f webm file:/out/o.webm");
}

#[test]
fn a_gpu_encodes_what_the_cpu_must_prepare() {
    let turned = media(|_, video| video.rotation = 90);
    insta::assert_snapshot!(shown(json!({ "quality": "720p" }), &turned, &l4()), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 scale=w=720:h=1280,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 h264_nvenc -gpu 0 -preset p4 -tune hq -rc vbr -cq 23 -b:v:0 0 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    let hdr = media(hdr10);
    insta::assert_snapshot!(shown(json!({ "quality": "720p" }), &hdr, &l4()), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 zscale=w=1280:h=720:tin=smpte2084:min=2020_ncl:pin=2020:t=linear:npl=100,format=pix_fmts=gbrpf32le,zscale=p=709,tonemap=tonemap=hable:desat=0,zscale=t=709:m=709:r=limited,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 h264_nvenc -gpu 0 -preset p4 -tune hq -rc vbr -cq 23 -b:v:0 0 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
}

#[test]
fn hdr_is_kept_where_players_take_it_and_mapped_elsewhere() {
    let hdr = media(hdr10);
    insta::assert_snapshot!(shown(json!({ "codec": "h264" }), &hdr, &cpu()), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 zscale=w=1920:h=1080:tin=smpte2084:min=2020_ncl:pin=2020:t=linear:npl=100,format=pix_fmts=gbrpf32le,zscale=p=709,tonemap=tonemap=hable:desat=0,zscale=t=709:m=709:r=limited,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx264 -preset medium -crf 23 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    insta::assert_snapshot!(shown(json!({ "codec": "hevc" }), &hdr, &cpu()), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 format=pix_fmts=yuv420p10le -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx265 -preset medium -crf 28 -x265-params log-level=error:hdr10=1:repeat-headers=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400 -tag:v:0 hvc1 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    insta::assert_snapshot!(shown(json!({ "codec": "av1" }), &hdr, &cpu()), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 format=pix_fmts=yuv420p10le -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libsvtav1 -preset 7 -crf 35 -svtav1-params mastering-display=G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000,0.005):content-light=1000,400 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
    insta::assert_snapshot!(shown(json!({ "codec": "hevc", "ten_bit": false }), &hdr, &cpu()), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 zscale=w=1920:h=1080:tin=smpte2084:min=2020_ncl:pin=2020:t=linear:npl=100,format=pix_fmts=gbrpf32le,zscale=p=709,tonemap=tonemap=hable:desat=0,zscale=t=709:m=709:r=limited,setsar=sar=1,format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx265 -preset medium -crf 28 -x265-params log-level=error -tag:v:0 hvc1 -map 0:1 -c:a:0 copy -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
}

#[test]
fn pictures_that_are_not_plain() {
    let show = |change: fn(&mut VideoStream)| {
        let media = media(|_, video| change(video));
        let plan = planned(json!({}), &media, &cpu());
        match &plan.job.outputs[0].video.as_ref().unwrap().origin {
            Origin::Stream(_, filters) => filters.to_string(),
            Origin::Graph(_) => unreachable!("one stream needs no graph"),
        }
    };
    let wide_pixels = |v: &mut VideoStream| v.sar = Rational::new(4, 3);
    insta::assert_snapshot!(show(|_| {}), @"format=pix_fmts=yuv420p");
    insta::assert_snapshot!(show(wide_pixels), @"scale=w=2560:h=1080,setsar=sar=1,format=pix_fmts=yuv420p");
    insta::assert_snapshot!(show(|v| v.interlaced = true), @"bwdif=mode=send_frame:deint=interlaced,setsar=sar=1,format=pix_fmts=yuv420p");
    insta::assert_snapshot!(show(|v| v.range = Some("pc".into())), @"scale=w=1920:h=1080:out_range=tv,setsar=sar=1,format=pix_fmts=yuv420p");
    insta::assert_snapshot!(show(|v| v.pixel_format = "gbrp".into()), @"scale=w=1920:h=1080:out_color_matrix=bt709,setsar=sar=1,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709,format=pix_fmts=yuv420p");
    insta::assert_snapshot!(show(|v| (v.width, v.height) = (161, 121)), @"scale=w=160:h=120,setsar=sar=1,format=pix_fmts=yuv420p");
    insta::assert_snapshot!(show(|v| (v.space, v.transfer, v.primaries) = (None, None, None)), @"setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709,format=pix_fmts=yuv420p");
}

#[test]
fn the_reason_for_the_cpu_is_said() {
    let reason = |json, machine: &Capabilities| planned(json, &media(|_, _| {}), machine).fallback;
    assert_eq!(reason(json!({}), &cpu()).as_deref(), Some("no NVIDIA GPU on this machine"));
    assert_eq!(reason(json!({ "hardware": "off" }), &l4()), None);
    assert_eq!(reason(json!({}), &l4()), None);
    insta::assert_snapshot!(reason(json!({}), &a100()).unwrap(), @"NVIDIA A100: this GPU has no encoder (A100, H100, H200 and B200 have none)");
    insta::assert_snapshot!(reason(json!({ "codec": "vp9" }), &l4()).unwrap(), @"NVIDIA GPUs have no VP9 encoder");
}

#[test]
fn required_hardware_fails_at_once() {
    let args = args(json!({ "codec": "av1" }));
    let media = media(|_, _| {});
    let failure =
        plan(&args, Hardware::Required, &media, &a100(), place(Container::Mp4)).unwrap_err();
    insta::assert_snapshot!(failure.message, @"no GPU of this machine can encode AV1, and `hardware` is `required`");
    insta::assert_snapshot!(failure.causes.join("; "), @"NVIDIA A100: this GPU has no encoder (A100, H100, H200 and B200 have none)");
    insta::assert_snapshot!(failure.hint.unwrap(), @"use `hardware=auto` to fall back to the CPU; `vdeploy check` says what each GPU can do");
    assert!(!failure.retryable);
}

#[test]
fn what_does_not_come_along_is_said() {
    let mut media = media(|_, video| video.interlaced = true);
    media.streams.push(Stream { index: 2, codec: "bin_data".into(), ..Stream::default() });
    let subtitle = Stream {
        index: 3,
        codec: "dvd_subtitle".into(),
        kind: Kind::Subtitle,
        ..Stream::default()
    };
    media.streams.push(subtitle);
    insta::assert_snapshot!(planned(json!({}), &media, &cpu()).notes.join("\n"), @r#"subtitle track 3 (`dvd_subtitle`) can't be kept in mp4
data stream 2 (`bin_data`) is left out
interlaced frames are deinterlaced"#);
}

#[test]
fn sound_is_coded_where_the_container_does_not_take_it() {
    let mut media = media(|_, _| {});
    let surround = AudioStream { sample_rate: 48_000, channels: 6, layout: None };
    media.streams[1].kind = Kind::Audio(surround);
    media.streams[1].codec = "pcm_s16le".into();
    insta::assert_snapshot!(shown(json!({ "hardware": "off" }), &media, &cpu()), @"-i file:/in/i.mp4 -map 0:0 -filter:v:0 format=pix_fmts=yuv420p -fps_mode:v:0 passthrough -enc_time_base:v:0 1:12800 -c:v:0 libx264 -preset medium -crf 23 -map 0:1 -filter:a:0 aformat=channel_layouts=5.1 -c:a:0 aac -b:a:0 384000 -map_metadata 0 -map_chapters 0 -dn -max_muxing_queue_size 4096 -movflags +faststart -f mp4 file:/out/o.mp4");
}

#[test]
fn pictures_too_small_for_a_codec_are_refused() {
    let tiny = media(|_, video| (video.width, video.height) = (32, 2));
    let refused = |codec: &str| {
        let args = args(json!({ "codec": codec }));
        plan(&args, Hardware::Off, &tiny, &cpu(), place(Container::Mp4)).map_err(|f| f.message)
    };
    insta::assert_snapshot!(refused("av1").unwrap_err(), @"AV1 needs at least 64x64 pixels, not 32x2");
    assert!(refused("h264").is_ok());
}

#[test]
fn pictures_before_the_start_of_the_file_are_shown_too() {
    let early = media(|stream, _| stream.first_shown = Some(-0.333_333));
    let plan = planned(json!({ "hardware": "off" }), &early, &cpu());
    assert!(argv(&plan).starts_with("-itsoffset 0.333333 -i"), "{}", argv(&plan));
}
