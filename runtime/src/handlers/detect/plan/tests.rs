//! Decisions, as what ffmpeg is told.

use std::collections::BTreeMap;

use super::*;
use crate::detect::onnx::{Element, Facts, Tensor};
use crate::ffmpeg::Rational;
use crate::ffmpeg::filter::Matrix;
use crate::ffmpeg::index::FrameAt;
use crate::ffmpeg::picture::args;
use crate::gpu::{Bitstream, Gpu};

fn index(count: usize, seekable: bool) -> FrameIndex {
    let frame =
        |at| FrameAt { pts: 1000 + at as i64 * 40, key: at % 50 == 0, ..FrameAt::default() };
    let frames = (0..count).map(frame).collect();
    FrameIndex { time_base: Rational { num: 1, den: 1000 }, frames, seekable }
}

fn range(from: Option<At>, until: Option<At>) -> Wanted {
    Wanted::Range { from, until }
}

#[test]
fn ranges_are_of_frames_and_of_seconds() {
    let index = index(100, true);
    let chosen = |wanted, every| {
        let Selection { from, until, .. } = selection(wanted, every, &index, "a.mp4").unwrap();
        (from, until)
    };
    assert_eq!(chosen(range(None, None), 1), (0, 100));
    assert_eq!(chosen(Wanted::Frame(99), 1), (99, 100));
    assert_eq!(chosen(Wanted::Time(0.1), 1), (2, 3));
    assert_eq!(chosen(range(Some(At::Second(0.1)), Some(At::Second(0.2))), 1), (3, 5));
    assert_eq!(chosen(range(Some(At::Second(0.12)), Some(At::Second(9.0))), 1), (3, 100));
    assert_eq!(chosen(range(Some(At::Frame(10)), Some(At::Frame(500))), 3), (10, 100));
    let said = |wanted| {
        let failure = selection(wanted, 1, &index, "a.mp4").unwrap_err();
        format!("{failure}: {}", failure.causes[0])
    };
    insta::assert_snapshot!(said(Wanted::Frame(100)), @"there is no frame 100 in `a.mp4`: it has 100, counted from 0");
    insta::assert_snapshot!(said(Wanted::Time(4.0)), @"there is no frame at 4 s in `a.mp4`: it lasts 4.000 s");
    insta::assert_snapshot!(said(range(Some(At::Frame(9)), Some(At::Frame(9)))), @"no frame of `a.mp4` is in the range: it begins with frame 9, and ends before frame 9");
}

#[test]
fn parts_are_all_frames_once() {
    for (count, every, parts) in [(100, 1, 4), (100, 7, 4), (3, 1, 8), (10, 3, 2)] {
        let whole = Selection { from: 5, until: 5 + count, every };
        let split = whole.parts(parts);
        let frames: Vec<_> = split.iter().flat_map(|part| part.frames()).collect();
        assert_eq!(frames, whole.frames().collect::<Vec<_>>(), "{count} {every} {parts}");
        assert!(split.iter().all(|part| part.count() > 0));
    }
}

fn reading<'a>(
    stream: &'a Stream,
    video: &'a VideoStream,
    index: &'a FrameIndex,
    selection: Selection,
) -> Reading<'a> {
    let path = Path::new("/in/a.mp4");
    Reading { path, stream, video, index, selection, channels: Channels::Rgb }
}

fn told(index: &FrameIndex, selection: Selection, decode: Decode) -> String {
    let stream = Stream::default();
    let video = VideoStream { width: 1280, height: 720, ..VideoStream::default() };
    let reading = reading(&stream, &video, index, selection);
    let letterbox = Letterbox::new(reading.size(), (640, 640));
    let (job, size, _) = reading.job(decode, reading.starts()[0], &letterbox);
    let words: Vec<_> = args(&job).iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let guard = words.iter().position(|word| word == "-protocol_whitelist").unwrap();
    let input = words.iter().position(|word| word == "-i").unwrap();
    format!("{} -> {size:?}", [&words[5..guard], &words[input..]].concat().join(" "))
}

#[test]
fn frames_come_from_a_pipe_and_nothing_else_is_decoded() {
    let whole = Selection { from: 0, until: 200, every: 1 };
    let part = Selection { from: 120, until: 180, every: 3 };
    insta::assert_snapshot!(told(&index(200, true), whole, Decode::Software), @"-copyts -i file:/in/a.mp4 -filter_complex [0:0]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709[l0] -map [l0] -fps_mode passthrough -frames:v 200 -c:v rawvideo -pix_fmt rgb24 -f rawvideo pipe:1 -> (1280, 720)");
    insta::assert_snapshot!(told(&index(200, true), part, Decode::Software), @r"-copyts -noaccurate_seek -seek_timestamp 1 -ss 5.000500 -i file:/in/a.mp4 -filter_complex [0:0]trim=start_pts=5800:end_pts=8161,select=expr=not(mod(n\,3)),setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709[l0] -map [l0] -fps_mode passthrough -frames:v 20 -c:v rawvideo -pix_fmt rgb24 -f rawvideo pipe:1 -> (1280, 720)");
    insta::assert_snapshot!(told(&index(200, false), part, Decode::Software), @r"-copyts -i file:/in/a.mp4 -filter_complex [0:0]trim=start_frame=120:end_frame=180,select=expr=not(mod(n\,3)),setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709[l0] -map [l0] -fps_mode passthrough -frames:v 20 -c:v rawvideo -pix_fmt rgb24 -f rawvideo pipe:1 -> (1280, 720)");
    insta::assert_snapshot!(told(&index(200, true), part, Decode::Cuda { gpu: 1 }), @r"-copyts -noaccurate_seek -seek_timestamp 1 -ss 5.000500 -hwaccel cuda -hwaccel_output_format cuda -hwaccel_device 1 -i file:/in/a.mp4 -filter_complex [0:0]trim=start_pts=5800:end_pts=8161,select=expr=not(mod(n\,3)),scale_cuda=w=640:h=360:format=nv12,hwdownload,format=pix_fmts=nv12[l0] -map [l0] -fps_mode passthrough -frames:v 20 -c:v rawvideo -pix_fmt rgb24 -f rawvideo pipe:1 -> (640, 360)");
}

#[test]
fn frames_stay_as_they_are_decoded_where_they_are_converted_here_as_ffmpeg_would() {
    let (stream, index) = (Stream::default(), index(10, true));
    let plain = VideoStream {
        width: 1280,
        height: 720,
        pixel_format: "yuv420p".into(),
        space: Some("smpte170m".into()),
        ..VideoStream::default()
    };
    let form = |video: &VideoStream| {
        let whole = Selection { from: 0, until: 10, every: 1 };
        let reading = reading(&stream, video, &index, whole);
        let letterbox = Letterbox::new(reading.size(), (640, 640));
        let (job, _, form) = reading.job(Decode::Software, None, &letterbox);
        let planes = job.coding == PictureCoding::Planes420;
        assert_eq!(planes, form != Form::Pixels);
        form
    };
    let hd = VideoStream { space: Some("bt709".into()), ..plain.clone() };
    let silent = VideoStream { space: None, ..plain.clone() };
    assert_eq!(form(&plain), Form::Planes420(Matrix::Smpte170m));
    assert_eq!(form(&hd), Form::Planes420(Matrix::Bt709));
    assert_eq!(form(&silent), Form::Planes420(Matrix::Bt709));
    for other in [
        VideoStream { pixel_format: "yuv422p".into(), ..plain.clone() },
        VideoStream { pixel_format: "yuvj420p".into(), ..plain.clone() },
        VideoStream { range: Some("pc".into()), ..plain.clone() },
        VideoStream { width: 1279, ..plain.clone() },
        VideoStream { sar: Some(Rational { num: 4, den: 3 }), ..plain.clone() },
        VideoStream { space: Some("bt2020nc".into()), ..plain.clone() },
        VideoStream { space: None, transfer: Some("bt709".into()), ..plain },
    ] {
        assert_eq!(form(&other), Form::Pixels, "{other:?}");
    }
}

fn machine(gpu: bool) -> Capabilities {
    let gpu = gpu.then(|| Gpu {
        index: 0,
        name: "a GPU".into(),
        encode: BTreeMap::new(),
        decode: BTreeMap::from([(Bitstream::H264, Ok(()))]),
    });
    let no_gpu = gpu.is_none().then(|| "no NVIDIA GPU on this machine".to_owned());
    Capabilities { gpus: gpu.into_iter().collect(), no_gpu, ..Capabilities::default() }
}

#[test]
fn a_gpu_is_used_where_it_was_proven_and_what_is_not_is_said() {
    let ort = Kind::OnnxRuntime { library: "/lib/libonnxruntime.so".into() };
    let video = VideoStream { pixel_format: "yuv420p".into(), ..VideoStream::default() };
    let turned = VideoStream { rotation: 90, ..video.clone() };
    let stream = Stream { codec: "h264".into(), ..Stream::default() };
    let chosen =
        |hardware, gpu, kind, video| match who(hardware, &machine(gpu), kind, (&stream, video)) {
            Ok(who) => format!("{:?}, {:?}, {:?}", who.device, who.decode, who.fallback),
            Err(failure) => format!("{failure}: {}", failure.causes[0]),
        };
    use Hardware::{Auto, Off, Required};
    insta::assert_snapshot!(chosen(Auto, true, &ort, &video), @"Cuda(0), Cuda { gpu: 0 }, None");
    insta::assert_snapshot!(chosen(Auto, true, &ort, &turned), @"Cuda(0), Software, None");
    insta::assert_snapshot!(chosen(Off, true, &ort, &video), @"Cpu, Software, None");
    insta::assert_snapshot!(chosen(Auto, false, &ort, &video), @r#"Cpu, Software, Some("no NVIDIA GPU on this machine")"#);
    insta::assert_snapshot!(chosen(Auto, true, &Kind::Tract, &video), @r#"Cpu, Software, Some("there is no ONNX Runtime, and tract computes on the CPU")"#);
    insta::assert_snapshot!(chosen(Required, false, &ort, &video), @"a GPU is required to detect, and can't be used: no NVIDIA GPU on this machine");
}

#[test]
fn as_many_pictures_at_once_as_fit() {
    let model = |batch: Option<u64>, side: u64| {
        let shape = vec![batch, Some(3), Some(side), Some(side)];
        let tensor = |shape| Tensor { name: "images".into(), element: Element::Float, shape };
        let facts = Facts {
            opset: Some(17),
            inputs: vec![tensor(shape)],
            outputs: vec![tensor(vec![])],
            ..Facts::default()
        };
        Model::of(&facts, "m").unwrap()
    };
    assert_eq!(at_once(&model(Some(4), 640), Some(9), 1, None), 4);
    assert_eq!(at_once(&model(Some(1), 640), None, 2, None), 4);
    assert_eq!(at_once(&model(None, 640), None, 1, None), 4);
    assert_eq!(at_once(&model(None, 320), None, 1, None), 8);
    assert_eq!(at_once(&model(None, 640), None, 1, Some(256 << 20)), 1);
    assert_eq!(at_once(&model(None, 640), Some(3), 2, None), 4);
}
