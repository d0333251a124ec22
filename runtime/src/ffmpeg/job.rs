//! What ffmpeg is asked to do, as data: a wrong job doesn't compile, a right one has one argv.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rational;
use super::filter::Chain;
use super::graph::{Graph, Link};

/// One run of ffmpeg.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Files to read.
    pub inputs: Vec<Input>,
    /// Filters between several streams; empty where each stream has a chain of its own.
    pub graph: Graph,
    /// Files to write.
    pub outputs: Vec<Output>,
    /// Threads of each decoder and encoder; none lets them choose.
    pub threads: Option<u16>,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// How it is read.
    pub format: InputFormat,
    /// Where its video is decoded.
    pub decode: Decode,
    /// Seconds by which everything in it is moved later.
    pub delay: Option<f64>,
    /// Seconds from its start at which reading begins.
    pub seek: Option<f64>,
    /// Seconds that are read.
    pub length: Option<f64>,
    /// Times are the file's own, moved by `delay` and by nothing else: neither by when the streams
    /// begin that happen to be used, nor by `seek`, which may then begin too early.
    pub own_times: bool,
}

impl Input {
    /// The whole of a file, decoded on the CPU.
    pub fn of(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let (format, decode) = (InputFormat::Media, Decode::Software);
        Input { path, format, decode, delay: None, seek: None, length: None, own_times: false }
    }
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// As what it looks like.
    Media,
    /// As one JPEG picture, whatever its name makes ffmpeg think of.
    Jpeg,
    /// As bare pixels: red, green, blue and opacity, a byte each.
    Rgba {
        /// Width and height.
        size: (u32, u32),
    },
}

/// Where video is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decode {
    /// On the CPU.
    Software,
    /// By NVDEC, and the frames stay in the memory of this GPU.
    Cuda {
        /// The GPU's index.
        gpu: u32,
    },
}

/// A file to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Where it goes.
    pub path: PathBuf,
    /// Its format.
    pub container: Container,
    /// Its picture.
    pub video: Option<Video>,
    /// Its sound, one entry per track.
    pub audio: Vec<Audio>,
    /// Its subtitles, one entry per track.
    pub subtitles: Vec<Subtitle>,
}

/// What a track is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// A stream of an input, with a chain of its own.
    Stream(Source, Chain),
    /// What comes out of the job's graph.
    Graph(Link),
}

/// One stream of one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Index of the input in the job.
    pub input: u32,
    /// Index of the stream in the input.
    pub stream: u32,
}

/// A video track to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// What it is made of.
    pub origin: Origin,
    /// What codes it.
    pub encoder: Encoder,
    /// How many bits are spent.
    pub rate: Rate,
    /// Where decoding can start.
    pub keyframes: Keyframes,
    /// How much work is spent.
    pub speed: Speed,
    /// The unit of its timestamps: the source's own, so that no two frames fall on one instant.
    pub time_base: Option<Rational>,
    /// HDR metadata of the whole track.
    pub hdr: Option<HdrMetadata>,
}

/// An audio track to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// What it is made of.
    pub origin: Origin,
    /// What codes it.
    pub encoder: AudioEncoder,
}

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

/// A subtitle track to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subtitle {
    /// What it is made of.
    pub source: Source,
    /// How it is coded.
    pub codec: SubtitleCodec,
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

/// Formats of files that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.mp4`, `.m4v`
    Mp4,
    /// `.mov`
    Mov,
    /// `.mkv`
    Matroska,
    /// `.webm`
    WebM,
    /// `.vtt`: subtitles alone.
    WebVtt,
    /// A file without a picture.
    Sound(SoundFile),
    /// Nothing is written: a run that only measures.
    Null,
}

/// Formats of files that hold sound alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundFile {
    /// `.m4a`
    M4a,
    /// `.aac`, without an index
    Adts,
    /// `.mp3`
    Mp3,
    /// `.opus`, `.ogg`
    Ogg,
    /// `.flac`
    Flac,
    /// `.wav`
    Wav,
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

/// How many bits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Constant quality on the codec's own scale; lower is better.
    Quality(u8),
    /// Constant quality of a chunk of a longer video. An encoder spends less on the last frames of
    /// a video, since nothing is predicted from them, and has nothing to predict the first ones
    /// from; within the longer video both would be better.
    Chunk {
        /// As of [`Rate::Quality`].
        quality: u8,
        /// How many frames the chunk has.
        frames: u64,
        /// Another chunk comes before it.
        follows: bool,
        /// Another chunk comes after it.
        continues: bool,
    },
    /// Bits per second on average.
    Bitrate(u64),
    /// Constant quality, but never more than so many bits per second.
    CappedQuality {
        /// Constant quality on the codec's own scale.
        quality: u8,
        /// Bits per second at most, over two seconds.
        peak: u64,
    },
    /// Bits per second on average, and never more than so many.
    CappedBitrate {
        /// Bits per second on average.
        average: u64,
        /// Bits per second at most, over two seconds of the average.
        peak: u64,
    },
}

/// Where decoding can start. Groups of pictures are closed wherever they are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Keyframes {
    /// Where the encoder sees fit.
    #[default]
    Free,
    /// At every so manieth frame, and nowhere else.
    Frames(u32),
    /// At the first frame of every so many seconds, and nowhere else; for rates that vary.
    Seconds(f64),
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

/// Formats of decoded pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// 8 bits, 4:2:0.
    Yuv420p,
    /// 10 bits, 4:2:0.
    Yuv420p10,
    /// 8 bits, 4:2:0, as GPUs hold it.
    Nv12,
    /// 10 bits, 4:2:0, as GPUs hold it.
    P010,
}

/// Static HDR metadata (SMPTE ST 2086 and CTA-861.3), in the integers that codecs store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HdrMetadata {
    /// The display it was graded on.
    pub mastering: Option<Mastering>,
    /// Brightest pixel and brightest average, in nits.
    pub content_light: Option<(u32, u32)>,
}

/// The display that a grading was made on. Chromaticities in 1/50000, light in 1/10000 nit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mastering {
    /// x and y of red.
    pub red: (u32, u32),
    /// x and y of green.
    pub green: (u32, u32),
    /// x and y of blue.
    pub blue: (u32, u32),
    /// x and y of white.
    pub white: (u32, u32),
    /// Most and least light.
    pub luminance: (u32, u32),
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

impl PixelFormat {
    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            PixelFormat::Yuv420p => "yuv420p",
            PixelFormat::Yuv420p10 => "yuv420p10le",
            PixelFormat::Nv12 => "nv12",
            PixelFormat::P010 => "p010le",
        }
    }
}

impl Container {
    /// The container that a file name asks for.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "mp4" | "m4v" => Some(Container::Mp4),
            "mov" => Some(Container::Mov),
            "mkv" => Some(Container::Matroska),
            "webm" => Some(Container::WebM),
            _ => None,
        }
    }

    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mov => "mov",
            Container::Matroska => "matroska",
            Container::WebM => "webm",
            Container::WebVtt => "webvtt",
            Container::Sound(file) => file.name(),
            Container::Null => "null",
        }
    }

    /// The usual extension.
    pub fn extension(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mov => "mov",
            Container::Matroska => "mkv",
            Container::WebM => "webm",
            Container::WebVtt => "vtt",
            Container::Sound(file) => file.extension(),
            Container::Null => "",
        }
    }

    /// It is of the MP4 family.
    pub fn is_mp4(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }
}

impl SoundFile {
    /// The format that a file name asks for.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "m4a" => Some(SoundFile::M4a),
            "aac" => Some(SoundFile::Adts),
            "mp3" => Some(SoundFile::Mp3),
            "opus" | "ogg" => Some(SoundFile::Ogg),
            "flac" => Some(SoundFile::Flac),
            "wav" => Some(SoundFile::Wav),
            _ => None,
        }
    }

    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            SoundFile::M4a => "ipod",
            SoundFile::Adts => "adts",
            SoundFile::Mp3 => "mp3",
            SoundFile::Ogg => "ogg",
            SoundFile::Flac => "flac",
            SoundFile::Wav => "wav",
        }
    }

    /// The usual extension.
    pub fn extension(self) -> &'static str {
        match self {
            SoundFile::M4a => "m4a",
            SoundFile::Adts => "aac",
            SoundFile::Mp3 => "mp3",
            SoundFile::Ogg => "opus",
            SoundFile::Flac => "flac",
            SoundFile::Wav => "wav",
        }
    }

    /// What is heard is exactly what was encoded.
    pub fn is_lossless(self) -> bool {
        matches!(self, SoundFile::Flac | SoundFile::Wav)
    }
}
