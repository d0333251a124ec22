//! Decides how a video is transcoded: arguments, what the file is and what the machine can do go
//! in, an ffmpeg job and the reasons come out. Pure.

use std::path::Path;

use super::args::Args;
use super::size::{Geometry, geometry};
use super::tracks;
use crate::ffmpeg::Rational;
use crate::ffmpeg::filter::{Chain, Filter, HdrTransfer, Matrix};
use crate::ffmpeg::job::{
    Container, Decode, Encoder, Input, Job, Output, PixelFormat, Rate, Source, Video, VideoCodec,
};
use crate::ffmpeg::probe::{Kind, Media, Stream, VideoStream};
use crate::function::Hardware;
use crate::gpu::{Capabilities, Gpu};
use crate::wire::{Failure, FailureKind};

/// Units of time finer than this gain nothing, and MP4 can't hold all of them.
const FINEST: i64 = 1_000_000;

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The input on this machine.
    pub input: &'a Path,
    /// What the caller called it.
    pub name: &'a str,
    /// Where to write.
    pub output: &'a Path,
    /// In which format.
    pub container: Container,
}

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What ffmpeg is asked to do.
    pub job: Job,
    /// Why hardware isn't used, although it might have been.
    pub fallback: Option<String>,
    /// What of the input doesn't come along, or is changed on the way.
    pub notes: Vec<String>,
    /// What the result has to be like.
    pub expect: Expect,
}

/// What the result has to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Index of the video stream in the input.
    pub stream: u32,
    /// Width and height.
    pub size: (u32, u32),
    /// Audio tracks.
    pub audio: usize,
    /// Every frame that goes in comes out; otherwise a rate was asked for.
    pub every_frame: bool,
}

impl Plan {
    /// The one output of the job.
    pub fn output(&self) -> &Output {
        self.job.outputs.first().expect("a plan has one output")
    }
}

/// The codec that `args` ask for in `container`.
pub fn codec(args: &Args, container: Container) -> Result<VideoCodec, Failure> {
    match (args.codec, container) {
        (None, Container::WebM) => Ok(VideoCodec::Vp9),
        (None, _) => Ok(VideoCodec::H264),
        (Some(codec @ (VideoCodec::H264 | VideoCodec::Hevc)), Container::WebM) => {
            Err(Failure::new(
                FailureKind::InvalidArgs,
                format!("a `.webm` file can't hold {}", codec.title()),
            )
            .hint("use `codec=vp9` or `codec=av1`, or name an output that ends in `.mp4`"))
        }
        (Some(codec), _) => Ok(codec),
    }
}

/// The whole decision.
pub fn plan(
    args: &Args,
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    place: Place<'_>,
) -> Result<Plan, Failure> {
    let codec = codec(args, place.container)?;
    let (stream, video) = picture_of(media, place.name)?;
    let look = Look::decide(args, codec, video);
    let (encoder, fallback) = encoder(codec, hardware, look, machine)?;
    let on_gpu = encoder_gpu(encoder, machine).is_some_and(|gpu| fits_gpu(gpu, stream, look));
    let filters = if on_gpu { gpu_filters(video, look) } else { cpu_filters(args, video, look) };
    let audio = tracks::audio(media, args.audio, place.container);
    let (subtitles, mut notes) = tracks::subtitles(media, args.subtitles, place.container);
    notes.extend(left_behind(media, stream, look, encoder));
    let expect = Expect {
        stream: stream.index,
        size: look.geometry.size(),
        audio: audio.len(),
        every_frame: args.fps.is_none(),
    };
    let video = Video {
        source: Source { input: 0, stream: stream.index },
        filters,
        encoder,
        rate: args.bitrate.map_or_else(|| quality(args, encoder), |b| Rate::Bitrate(b.0)),
        speed: args.preset,
        time_base: if args.fps.is_none() { stream.time_base.map(coarser) } else { None },
        hdr: video.hdr.filter(|_| look.keep_hdr.is_some()),
    };
    let decode = match encoder {
        Encoder::Nvenc { gpu, .. } if on_gpu => Decode::Cuda { gpu },
        _ => Decode::Software,
    };
    let output =
        Output { path: place.output.into(), container: place.container, video, audio, subtitles };
    let input = Input { path: place.input.into(), decode };
    let job = Job { inputs: vec![input], outputs: vec![output], threads: args.threads };
    Ok(Plan { job, fallback, notes, expect })
}

fn picture_of<'a>(media: &'a Media, name: &str) -> Result<(&'a Stream, &'a VideoStream), Failure> {
    let fail = |what: &str, cause: &str| {
        Failure::new(FailureKind::InvalidInput, format!("`{name}` {what}")).cause(cause)
    };
    if media.format.ends_with("_pipe") {
        return Err(fail(
            "is a picture, not a video",
            &format!("its format is `{}`", media.format),
        ));
    }
    media.video().ok_or_else(|| {
        let has_audio = media.streams.iter().any(|s| matches!(s.kind, Kind::Audio(_)));
        if has_audio {
            fail("has no video, only audio", "transcode needs a video stream")
        } else {
            fail("has no video", "no stream of it is video with a known size")
        }
    })
}

/// What becomes of the picture, whoever does it.
#[derive(Clone, Copy, Debug)]
struct Look {
    geometry: Geometry,
    /// HDR is mapped to SDR.
    tone_map: Option<HdrTransfer>,
    /// HDR stays.
    keep_hdr: Option<HdrTransfer>,
    ten_bit: bool,
}

impl Look {
    fn decide(args: &Args, codec: VideoCodec, video: &VideoStream) -> Look {
        let hdr = video.hdr_transfer();
        // Players take PQ and HLG in these two only, and only with 10 bits.
        let can_keep = matches!(codec, VideoCodec::Hevc | VideoCodec::Av1);
        let keep = can_keep && args.ten_bit != Some(false);
        let keep_hdr = hdr.filter(|_| keep);
        Look {
            geometry: geometry(shown(video), args.bounds(), args.fit),
            tone_map: hdr.filter(|_| !keep),
            keep_hdr,
            ten_bit: args.ten_bit.unwrap_or(keep_hdr.is_some()),
        }
    }
}

/// The size as a player shows it: turned, and with the pixels stretched to squares.
fn shown(video: &VideoStream) -> (f64, f64) {
    let (width, height) = video.rotated_size();
    let stretch = video.rotated_sar().map_or(1.0, Rational::value);
    (f64::from(width) * stretch, f64::from(height))
}

fn coarser(base: Rational) -> Rational {
    if base.den > FINEST { Rational { num: 1, den: FINEST } } else { base }
}

fn cpu_filters(args: &Args, video: &VideoStream, look: Look) -> Chain {
    let mut filters = Vec::new();
    let Geometry { scale, crop, pad } = look.geometry;
    if video.interlaced {
        filters.push(Filter::Deinterlace);
    }
    if let Some(from) = look.tone_map {
        filters.push(Filter::ToneMap { from, size: scale });
    } else if scale != video.rotated_size() || full_range(video) || rgb(video) {
        let matrix = rgb(video).then_some(Matrix::Bt709);
        filters.push(Filter::Scale { size: scale, to_video_range: full_range(video), matrix });
    }
    filters.extend(crop.map(Filter::Crop));
    filters.extend(pad.map(Filter::Pad));
    if !filters.is_empty() || video.sar.is_some_and(|sar| sar.num != sar.den) {
        filters.push(Filter::SquarePixels);
    }
    filters.extend(untagged(video).filter(|_| look.tone_map.is_none()).map(Filter::Tag));
    filters.extend(args.fps.and_then(Rational::from_rate).map(Filter::Fps));
    let format = if look.ten_bit { PixelFormat::Yuv420p10 } else { PixelFormat::Yuv420p };
    filters.push(Filter::Format(format));
    Chain(filters)
}

fn gpu_filters(video: &VideoStream, look: Look) -> Chain {
    let format = if look.ten_bit { PixelFormat::P010 } else { PixelFormat::Nv12 };
    let same = look.geometry.scale == video.rotated_size() && (video.bits > 8) == look.ten_bit;
    let mut filters = Vec::new();
    if !same {
        filters.push(Filter::ScaleCuda { size: look.geometry.scale, format });
        filters.push(Filter::SquarePixels);
    }
    filters.extend(untagged(video).map(Filter::Tag));
    Chain(filters)
}

fn full_range(video: &VideoStream) -> bool {
    video.range.as_deref() == Some("pc") || video.pixel_format.starts_with("yuvj")
}

fn rgb(video: &VideoStream) -> bool {
    let format = video.pixel_format.as_str();
    let names = ["rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb"];
    names.iter().any(|name| format.starts_with(name))
}

/// The colours of video that doesn't say them: what players assume for its size. Said in the
/// result, because at another size players would assume others.
fn untagged(video: &VideoStream) -> Option<Matrix> {
    let silent = video.space.is_none() && video.transfer.is_none() && video.primaries.is_none();
    let hd = rgb(video) || video.height > 576 || video.width > 1024;
    (silent || rgb(video)).then_some(if hd { Matrix::Bt709 } else { Matrix::Smpte170m })
}

fn quality(args: &Args, encoder: Encoder) -> Rate {
    Rate::Quality(args.crf.unwrap_or(match encoder.codec() {
        VideoCodec::H264 => 23,
        VideoCodec::Hevc => 28,
        VideoCodec::Av1 => 35,
        VideoCodec::Vp9 => 31,
    }))
}

fn encoder(
    codec: VideoCodec,
    hardware: Hardware,
    look: Look,
    machine: &Capabilities,
) -> Result<(Encoder, Option<String>), Failure> {
    let why_not = match hardware {
        Hardware::Off => None,
        Hardware::Auto | Hardware::Required => match nvenc(codec, look, machine) {
            Ok(encoder) => return Ok((encoder, None)),
            Err(reason) => Some(reason),
        },
    };
    if hardware == Hardware::Required {
        return Err(no_hardware(codec, why_not.unwrap_or_default()));
    }
    match machine.software.get(&codec) {
        Some(encoder) => Ok((*encoder, why_not)),
        None => Err(no_software(codec)),
    }
}

fn nvenc(codec: VideoCodec, look: Look, machine: &Capabilities) -> Result<Encoder, String> {
    if codec == VideoCodec::Vp9 {
        return Err("NVIDIA GPUs have no VP9 encoder".into());
    }
    if codec == VideoCodec::H264 && look.ten_bit {
        return Err("NVIDIA GPUs don't encode H.264 with 10 bits".into());
    }
    let mut reason = machine.no_gpu.clone();
    for gpu in &machine.gpus {
        match gpu.encode.get(&codec) {
            Some(Ok(())) => return Ok(Encoder::Nvenc { codec, gpu: gpu.index }),
            Some(Err(why)) => reason = Some(format!("{}: {why}", gpu.name)),
            None => {}
        }
    }
    Err(reason.unwrap_or_else(|| "no GPU was found".into()))
}

fn no_hardware(codec: VideoCodec, reason: String) -> Failure {
    Failure::new(
        FailureKind::Machine,
        format!(
            "no GPU of this machine can encode {}, and `hardware` is `required`",
            codec.title()
        ),
    )
    .cause(reason)
    .hint("use `hardware=auto` to fall back to the CPU; `vdeploy check` says what each GPU can do")
    .retryable(false)
}

fn no_software(codec: VideoCodec) -> Failure {
    Failure::new(
        FailureKind::Machine,
        format!("this ffmpeg has no encoder for {} that works", codec.title()),
    )
    .hint("install a full build: `sudo apt-get install ffmpeg`; `vdeploy check` says what it has")
    .retryable(false)
}

fn encoder_gpu(encoder: Encoder, machine: &Capabilities) -> Option<&Gpu> {
    match encoder {
        Encoder::Nvenc { gpu, .. } => machine.gpus.iter().find(|known| known.index == gpu),
        _ => None,
    }
}

/// Frames can stay on the GPU from decoder to encoder: NVDEC takes the stream, and nothing has to
/// be done that only the CPU does.
fn fits_gpu(gpu: &Gpu, stream: &Stream, look: Look) -> bool {
    let Kind::Video(video) = &stream.kind else { return false };
    let decodes = matches!(
        (stream.codec.as_str(), video.pixel_format.as_str()),
        ("h264" | "mpeg2video" | "vp8" | "hevc" | "vp9" | "av1", "yuv420p")
            | ("hevc" | "vp9" | "av1", "yuv420p10le")
    );
    decodes
        && gpu.decode.is_ok()
        && video.rotation == 0
        && !video.interlaced
        && look.tone_map.is_none()
        && look.geometry.crop.is_none()
        && look.geometry.pad.is_none()
}

/// What of the input doesn't come along, or is changed on the way.
fn left_behind(media: &Media, chosen: &Stream, look: Look, encoder: Encoder) -> Vec<String> {
    let mut notes = Vec::new();
    for stream in &media.streams {
        match &stream.kind {
            Kind::Video(video) if video.attached_picture => {
                notes.push(format!("cover picture (stream {}) is left out", stream.index));
            }
            Kind::Video(_) if stream.index != chosen.index => {
                notes.push(format!("video stream {} is left out", stream.index));
            }
            Kind::Other => {
                notes
                    .push(format!("data stream {} (`{}`) is left out", stream.index, stream.codec));
            }
            _ => {}
        }
    }
    let Kind::Video(video) = &chosen.kind else { return notes };
    if look.tone_map.is_some() {
        notes.push("HDR is mapped to SDR (BT.709)".into());
    }
    if video.dolby_vision {
        notes.push("Dolby Vision metadata is left out".into());
    }
    if look.keep_hdr.is_some() && video.hdr.is_some() && encoder.is_hardware() {
        notes.push("mastering-display metadata is left out: NVENC doesn't write it".into());
    }
    if video.alpha() {
        notes.push("transparency is left out".into());
    }
    if video.interlaced {
        notes.push("interlaced frames are deinterlaced".into());
    }
    notes
}
