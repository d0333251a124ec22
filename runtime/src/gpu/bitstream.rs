//! What a video decoder is given. Pure.

use serde::{Deserialize, Serialize};

/// A codec, and how deep its samples are: what the decoders of GPUs differ in. All are 4:2:0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bitstream {
    /// H.264, 8 bits.
    H264,
    /// HEVC, 8 bits.
    Hevc,
    /// HEVC, 10 bits.
    HevcTen,
    /// VP9, 8 bits.
    Vp9,
    /// VP9, 10 bits.
    Vp9Ten,
    /// AV1, 8 bits.
    Av1,
    /// AV1, 10 bits.
    Av1Ten,
    /// VP8.
    Vp8,
    /// MPEG-2.
    Mpeg2,
}

impl Bitstream {
    /// All of them.
    pub const ALL: [Bitstream; 9] = [
        Bitstream::H264,
        Bitstream::Hevc,
        Bitstream::HevcTen,
        Bitstream::Vp9,
        Bitstream::Vp9Ten,
        Bitstream::Av1,
        Bitstream::Av1Ten,
        Bitstream::Vp8,
        Bitstream::Mpeg2,
    ];

    /// The one of a video, by ffmpeg's names of its codec and its pixel format.
    pub fn of(codec: &str, pixel_format: &str) -> Option<Self> {
        match (codec, pixel_format) {
            ("h264", "yuv420p") => Some(Bitstream::H264),
            ("hevc", "yuv420p") => Some(Bitstream::Hevc),
            ("hevc", "yuv420p10le") => Some(Bitstream::HevcTen),
            ("vp9", "yuv420p") => Some(Bitstream::Vp9),
            ("vp9", "yuv420p10le") => Some(Bitstream::Vp9Ten),
            ("av1", "yuv420p") => Some(Bitstream::Av1),
            ("av1", "yuv420p10le") => Some(Bitstream::Av1Ten),
            ("vp8", "yuv420p") => Some(Bitstream::Vp8),
            ("mpeg2video", "yuv420p") => Some(Bitstream::Mpeg2),
            _ => None,
        }
    }

    /// As people write it.
    pub fn title(self) -> &'static str {
        match self {
            Bitstream::H264 => "h264",
            Bitstream::Hevc => "hevc",
            Bitstream::HevcTen => "hevc 10 bits",
            Bitstream::Vp9 => "vp9",
            Bitstream::Vp9Ten => "vp9 10 bits",
            Bitstream::Av1 => "av1",
            Bitstream::Av1Ten => "av1 10 bits",
            Bitstream::Vp8 => "vp8",
            Bitstream::Mpeg2 => "mpeg2",
        }
    }

    /// The options that make such a clip.
    pub(super) fn coding(self) -> &'static [&'static str] {
        const TEN: &str = "yuv420p10le";
        match self {
            Bitstream::H264 => &["-pix_fmt", "yuv420p", "-c:v", "libx264"],
            Bitstream::Hevc => &["-pix_fmt", "yuv420p", "-c:v", "libx265"],
            Bitstream::HevcTen => &["-pix_fmt", TEN, "-c:v", "libx265"],
            Bitstream::Vp9 => &["-pix_fmt", "yuv420p", "-c:v", "libvpx-vp9"],
            Bitstream::Vp9Ten => &["-pix_fmt", TEN, "-c:v", "libvpx-vp9"],
            Bitstream::Av1 => &["-pix_fmt", "yuv420p", "-c:v", "libsvtav1"],
            Bitstream::Av1Ten => &["-pix_fmt", TEN, "-c:v", "libsvtav1"],
            Bitstream::Vp8 => &["-pix_fmt", "yuv420p", "-c:v", "libvpx"],
            Bitstream::Mpeg2 => &["-pix_fmt", "yuv420p", "-c:v", "mpeg2video"],
        }
    }
}
