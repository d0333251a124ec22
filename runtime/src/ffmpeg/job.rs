//! What ffmpeg is asked to do, as data: a wrong job doesn't compile, a right one has one argv.

use std::path::PathBuf;

use super::Rational;
use super::codec::{AudioEncoder, Encoder, Speed, SubtitleCodec};
use super::container::Container;
use super::filter::Chain;
use super::graph::{Graph, Link};
use super::input;
use super::pixel::HdrMetadata;

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
    pub file: input::Source,
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
    pub fn of(file: impl Into<input::Source>) -> Self {
        let file = file.into();
        let (format, decode) = (InputFormat::Media, Decode::Software);
        Input { file, format, decode, delay: None, seek: None, length: None, own_times: false }
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

/// A subtitle track to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subtitle {
    /// What it is made of.
    pub source: Source,
    /// How it is coded.
    pub codec: SubtitleCodec,
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
