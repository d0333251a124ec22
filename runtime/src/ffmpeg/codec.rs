//! What codes pictures, sound and subtitles. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What codes audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioEncoder {
    /// Packets go over as they are.
    Copy,
    /// AAC of this many bits per second.
    Aac(u32),
    /// Opus of this many bits per second.
    Opus(u32),
    /// MP3 of this many bits per second.
    Mp3(u32),
    /// FLAC: lossless.
    Flac,
    /// Uncompressed samples of 16 bits.
    Pcm16,
}

/// How subtitles are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubtitleCodec {
    /// Packets go over as they are.
    Copy,
    /// Timed text of MP4 and MOV.
    MovText,
    /// SubRip.
    Srt,
    /// WebVTT.
    WebVtt,
}

/// Video codecs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum VideoCodec {
    /// H.264: plays everywhere.
    H264,
    /// HEVC (H.265): smaller; Apple devices and TVs.
    Hevc,
    /// AV1: smallest; recent browsers and devices.
    Av1,
    /// VP9: browsers.
    Vp9,
}

/// What codes video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoder {
    /// None: packets go over as they are, of this codec if it is one that encoders make.
    Copy(Option<VideoCodec>),
    /// libx264
    X264,
    /// libx265
    X265,
    /// libsvtav1
    SvtAv1,
    /// libaom-av1
    Aom,
    /// libvpx-vp9
    Vp9,
    /// NVENC of one GPU.
    Nvenc {
        /// What it makes.
        codec: VideoCodec,
        /// The GPU's index.
        gpu: u32,
    },
}

/// How much work an encoder puts into a smaller file: x264's names, translated for the others.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Speed {
    /// Fastest, largest.
    Ultrafast,
    /// Very fast.
    Superfast,
    /// Still very fast.
    Veryfast,
    /// Faster than `fast`.
    Faster,
    /// A little faster than the default.
    Fast,
    /// The default.
    #[default]
    Medium,
    /// Smaller.
    Slow,
    /// Smaller still.
    Slower,
    /// Slowest, smallest.
    Veryslow,
}

impl Encoder {
    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            Encoder::Copy(_) => "copy",
            Encoder::X264 => "libx264",
            Encoder::X265 => "libx265",
            Encoder::SvtAv1 => "libsvtav1",
            Encoder::Aom => "libaom-av1",
            Encoder::Vp9 => "libvpx-vp9",
            Encoder::Nvenc { codec, .. } => nvenc_name(codec),
        }
    }

    /// What it makes; none for copies of what no encoder here makes.
    pub fn codec(self) -> Option<VideoCodec> {
        match self {
            Encoder::Copy(codec) => codec,
            Encoder::X264 => Some(VideoCodec::H264),
            Encoder::X265 => Some(VideoCodec::Hevc),
            Encoder::SvtAv1 | Encoder::Aom => Some(VideoCodec::Av1),
            Encoder::Vp9 => Some(VideoCodec::Vp9),
            Encoder::Nvenc { codec, .. } => Some(codec),
        }
    }

    /// It runs on a GPU.
    pub fn is_hardware(self) -> bool {
        matches!(self, Encoder::Nvenc { .. })
    }
}

/// No GPU makes VP9; the planner never asks for it, and ffmpeg would say that it has none.
fn nvenc_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264_nvenc",
        VideoCodec::Hevc => "hevc_nvenc",
        VideoCodec::Av1 => "av1_nvenc",
        VideoCodec::Vp9 => "vp9_nvenc",
    }
}

impl VideoCodec {
    /// As people write it.
    pub fn title(self) -> &'static str {
        match self {
            VideoCodec::H264 => "H.264",
            VideoCodec::Hevc => "HEVC",
            VideoCodec::Av1 => "AV1",
            VideoCodec::Vp9 => "VP9",
        }
    }

    /// The codec by ffmpeg's name of it.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9];
        all.into_iter().find(|codec| codec.name() == name)
    }

    /// As arguments name it, and ffmpeg.
    pub fn name(self) -> &'static str {
        match self {
            VideoCodec::H264 => "h264",
            VideoCodec::Hevc => "hevc",
            VideoCodec::Av1 => "av1",
            VideoCodec::Vp9 => "vp9",
        }
    }
}
