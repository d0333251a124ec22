//! What a file is: ffprobe's arguments and its answer. Pure.

mod parse;

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::Rational;
use super::filter::HdrTransfer;
use super::input::Source;
use super::pixel::HdrMetadata;

pub use self::parse::{parse, parse_first_frame};

/// A file as its headers describe it. Headers lie: counts and durations are claims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    /// Names of the format, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// Seconds.
    pub duration: Option<f64>,
    /// Seconds at which the first stream starts.
    pub start: f64,
    /// Bytes.
    pub bytes: u64,
    /// Bits per second.
    pub bit_rate: Option<u64>,
    /// Metadata of the whole file.
    pub tags: BTreeMap<String, String>,
    /// Its streams, in order.
    pub streams: Vec<Stream>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// Its index in the file.
    pub index: u32,
    /// The codec's name, such as `h264`.
    pub codec: String,
    /// The codec's profile.
    pub profile: Option<String>,
    /// What it carries.
    pub kind: Kind,
    /// Seconds.
    pub duration: Option<f64>,
    /// Seconds at which it starts.
    pub start: Option<f64>,
    /// Seconds of the earliest of its first packets that are shown. An edit list can make this
    /// earlier than where the stream is said to start.
    pub first_shown: Option<f64>,
    /// Frames (packets, for audio) that the container says there are.
    pub claimed_frames: Option<u64>,
    /// Frames that were decoded, when they were counted.
    pub counted_frames: Option<u64>,
    /// Packets that were read, when they were counted.
    pub counted_packets: Option<u64>,
    /// Bits per second.
    pub bit_rate: Option<u64>,
    /// The unit of its timestamps, in seconds.
    pub time_base: Option<Rational>,
    /// It is the one that players choose.
    pub default: bool,
    /// Metadata, with the language among it.
    pub tags: BTreeMap<String, String>,
}

/// What a stream carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Kind {
    /// Pictures.
    Video(Box<VideoStream>),
    /// Sound.
    Audio(AudioStream),
    /// Text or pictures over the video.
    Subtitle,
    /// Anything else, by ffprobe's name for it.
    #[default]
    Other,
}

/// Pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoStream {
    /// Stored width in pixels, before rotation.
    pub width: u32,
    /// Stored height in pixels, before rotation.
    pub height: u32,
    /// Shape of a pixel, width to height; none is square or unknown.
    pub sar: Option<Rational>,
    /// Degrees to turn the stored picture clockwise for display: 0, 90, 180 or 270.
    pub rotation: u32,
    /// ffmpeg's name of the pixel format.
    pub pixel_format: String,
    /// Bits of one sample.
    pub bits: u32,
    /// The lowest rate that all timestamps fit, ffprobe's guess.
    pub base_rate: Option<Rational>,
    /// Frames by duration.
    pub average_rate: Option<Rational>,
    /// Each frame holds two fields.
    pub interlaced: bool,
    /// `tv` or `pc`.
    pub range: Option<String>,
    /// The matrix, such as `bt709`.
    pub space: Option<String>,
    /// The transfer, such as `smpte2084`.
    pub transfer: Option<String>,
    /// The primaries, such as `bt2020`.
    pub primaries: Option<String>,
    /// It is a cover, not a video.
    pub attached_picture: bool,
    /// It is Dolby Vision.
    pub dolby_vision: bool,
    /// HDR metadata that the container has.
    pub hdr: Option<HdrMetadata>,
}

/// Sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioStream {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
    /// The layout, such as `5.1`; none when the file doesn't say.
    pub layout: Option<String>,
}

impl Media {
    /// The video to work on: the one with the most pixels, the first of equals; never a cover.
    pub fn video(&self) -> Option<(&Stream, &VideoStream)> {
        let videos = self.streams.iter().filter_map(|stream| match &stream.kind {
            Kind::Video(video) if !video.attached_picture && video.width > 0 => {
                Some((stream, video.as_ref()))
            }
            _ => None,
        });
        videos.max_by_key(|(stream, video)| {
            let pixels = u64::from(video.width) * u64::from(video.height);
            (pixels, stream.default, u32::MAX - stream.index)
        })
    }

    /// All audio streams, the one that players choose first.
    pub fn audio(&self) -> Vec<(&Stream, &AudioStream)> {
        let mut audio: Vec<_> = self
            .streams
            .iter()
            .filter_map(|stream| match &stream.kind {
                Kind::Audio(audio) => Some((stream, audio)),
                _ => None,
            })
            .collect();
        audio.sort_by_key(|(stream, _)| !stream.default);
        audio
    }
}

impl VideoStream {
    /// How it encodes light, if that is HDR.
    pub fn hdr_transfer(&self) -> Option<HdrTransfer> {
        match self.transfer.as_deref() {
            Some("smpte2084") => Some(HdrTransfer::Pq),
            Some("arib-std-b67") => Some(HdrTransfer::Hlg),
            _ => None,
        }
    }

    /// Width and height after rotation, in stored pixels.
    pub fn rotated_size(&self) -> (u32, u32) {
        if self.rotation % 180 == 90 {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }

    /// Shape of a pixel after rotation.
    pub fn rotated_sar(&self) -> Option<Rational> {
        let sar = self.sar?;
        if self.rotation % 180 == 90 { Rational::new(sar.den, sar.num) } else { Some(sar) }
    }

    /// Frames per second: the average where it is believable.
    pub fn rate(&self) -> Option<Rational> {
        let believable = |rate: &Rational| rate.value() > 0.0 && rate.value() <= 500.0;
        self.average_rate.filter(believable).or(self.base_rate.filter(believable))
    }

    /// Frames are not evenly spaced, as far as the header tells.
    pub fn variable_rate(&self) -> bool {
        match (self.base_rate, self.average_rate) {
            (Some(base), Some(average)) => {
                let ratio = base.value() / average.value();
                // Field rates of interlaced video are twice the frame rate and still constant.
                (ratio - 1.0).abs() > 0.005 && (ratio - 2.0).abs() > 0.01
            }
            _ => false,
        }
    }

    /// It has an alpha channel.
    pub fn alpha(&self) -> bool {
        ["yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "pal8"]
            .iter()
            .any(|name| self.pixel_format.starts_with(name))
    }
}

/// The packets among which the first picture is, whatever the order of decoding.
const FIRST_PACKETS: &str = "%+#48";

/// What is asked of each of them.
const PACKET_FIELDS: &str = "packet=stream_index,pts_time,flags";

/// What is counted on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Nothing: what the headers say is enough.
    Nothing,
    /// Packets, by reading the whole file.
    Packets,
    /// Frames, by decoding the whole file.
    Frames,
}

/// The arguments that describe `source`; `format` is taken for granted where it is given.
pub fn args(source: &Source, count: Count, format: Option<&str>) -> Vec<OsString> {
    let mut args = source.guards();
    args.extend(format.into_iter().flat_map(|format| ["-f".into(), OsString::from(format)]));
    args.extend(["-of", "json", "-show_format", "-show_streams"].map(OsString::from));
    match count {
        Count::Nothing => {
            let first = ["-read_intervals", FIRST_PACKETS, "-show_entries", PACKET_FIELDS];
            args.extend(first.map(OsString::from));
        }
        Count::Packets => args.push("-count_packets".into()),
        Count::Frames => args.push("-count_frames".into()),
    }
    args.push(source.url());
    args
}

/// The arguments that describe the first frame of a stream, which says more of HDR than headers.
pub fn first_frame_args(source: &Source, stream: u32) -> Vec<OsString> {
    let mut args = source.guards();
    let index = stream.to_string();
    args.extend(
        ["-of", "json", "-select_streams", &index, "-show_frames", "-read_intervals", "%+#1"]
            .map(OsString::from),
    );
    args.push(source.url());
    args
}
