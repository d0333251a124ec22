//! What becomes of the picture: size, colours, and the filters for it. Pure.

use super::size::{Bounds, Fit, Geometry, geometry};
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::VideoCodec;
use crate::ffmpeg::filter::{Chain, Filter, HdrTransfer, Matrix};
use crate::ffmpeg::pixel::PixelFormat;
use crate::ffmpeg::probe::{Media, Stream, VideoStream};

/// Units of time finer than this gain nothing, and MP4 can't hold all of them.
const FINEST: i64 = 1_000_000;

/// What becomes of the picture, whoever does it.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its size.
    pub geometry: Geometry,
    /// HDR is mapped to SDR.
    pub tone_map: Option<HdrTransfer>,
    /// HDR stays.
    pub keep_hdr: Option<HdrTransfer>,
    /// 10 bits per sample.
    pub ten_bit: bool,
}

impl Look {
    /// What becomes of `video` on its way into a box, coded as `codec`. `ten_bit` is what was asked
    /// for.
    pub fn decide(
        (bounds, fit): (Bounds, Fit),
        ten_bit: Option<bool>,
        codec: VideoCodec,
        video: &VideoStream,
    ) -> Look {
        let hdr = video.hdr_transfer();
        // Players take PQ and HLG in these two only, and only with 10 bits.
        let can_keep = matches!(codec, VideoCodec::Hevc | VideoCodec::Av1);
        let keep = can_keep && ten_bit != Some(false);
        let keep_hdr = hdr.filter(|_| keep);
        Look {
            geometry: geometry(shown(video), bounds, fit),
            tone_map: hdr.filter(|_| !keep),
            keep_hdr,
            ten_bit: ten_bit.unwrap_or(keep_hdr.is_some()),
        }
    }
}

/// The size as a player shows it: turned, and with the pixels stretched to squares.
pub fn shown(video: &VideoStream) -> (f64, f64) {
    let (width, height) = video.rotated_size();
    let stretch = video.rotated_sar().map_or(1.0, Rational::value);
    (f64::from(width) * stretch, f64::from(height))
}

/// Seconds that the first pictures come before the start of the file, as some edit lists have it.
/// Players would not show them in the result, so the whole is moved later by as much.
pub fn preroll(media: &Media, stream: &Stream) -> Option<f64> {
    stream.first_shown.map(|first| media.start - first).filter(|early| *early > 0.001)
}

/// The unit of the result's timestamps.
pub fn coarser(base: Rational) -> Rational {
    if base.den > FINEST { Rational { num: 1, den: FINEST } } else { base }
}

/// What the CPU does to each frame: deinterlaced, sized, with square pixels and said colours, at
/// `fps` if that is given, in the encoder's pixel format.
pub fn cpu_filters(video: &VideoStream, look: Look, fps: Option<f64>) -> Chain {
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
    filters.extend(fps.and_then(Rational::from_rate).map(Filter::Fps));
    let format = if look.ten_bit { PixelFormat::Yuv420p10 } else { PixelFormat::Yuv420p };
    filters.push(Filter::Format(format));
    Chain(filters)
}

/// What each frame goes through that is looked at and not shown again, and its size then. Nothing is resized unless it
/// is asked for, or pixels are not square.
pub fn untouched(video: &VideoStream, bounds: Bounds, fit: Fit) -> (Chain, (u32, u32)) {
    let look = Look::decide((bounds, fit), Some(false), VideoCodec::H264, video);
    let square = video.sar.is_none_or(|sar| sar.num == sar.den);
    let stays = bounds == Bounds::Source && square && look.tone_map.is_none();
    let kept = |filter: &Filter| match filter {
        // Neighbours of a picked frame are not there, and colours stay whole until the last step.
        Filter::Deinterlace | Filter::Format(_) => false,
        Filter::Scale { .. } => !stays,
        _ => true,
    };
    let mut filters = cpu_filters(video, look, None);
    filters.0.retain(kept);
    (filters, if stays { video.rotated_size() } else { look.geometry.size() })
}

/// What a GPU does to each frame that stays in its memory.
pub fn gpu_filters(video: &VideoStream, look: Look) -> Chain {
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

/// The matrix that the frames of the result are coded by.
pub fn matrix(video: &VideoStream, look: Look) -> Matrix {
    match look.tone_map {
        None => said_matrix(video),
        Some(_) => untagged(video).unwrap_or(Matrix::Bt709),
    }
}

/// The matrix that the frames are coded by, or are taken to be where nothing says so.
pub fn said_matrix(video: &VideoStream) -> Matrix {
    match video.space.as_deref() {
        Some("smpte170m" | "bt470bg" | "fcc" | "smpte240m") => Matrix::Smpte170m,
        Some(_) => Matrix::Bt709,
        None => untagged(video).unwrap_or(Matrix::Bt709),
    }
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
