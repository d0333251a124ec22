//! What a file is: ffprobe's arguments and its answer. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;

use super::filter::HdrTransfer;
use super::job::{HdrMetadata, Mastering};
use super::{Rational, input};

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

/// The arguments that describe `path`; `format` is taken for granted where it is given.
pub fn args(path: &Path, count: Count, format: Option<&str>) -> Vec<OsString> {
    let mut args = input::guards();
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
    args.push(input::url(path));
    args
}

/// The arguments that describe the first frame of a stream, which says more of HDR than headers.
pub fn first_frame_args(path: &Path, stream: u32) -> Vec<OsString> {
    let mut args = input::guards();
    let index = stream.to_string();
    args.extend(
        ["-of", "json", "-select_streams", &index, "-show_frames", "-read_intervals", "%+#1"]
            .map(OsString::from),
    );
    args.push(input::url(path));
    args
}

/// Reads what ffprobe wrote for [`args`].
pub fn parse(json: &[u8]) -> Result<Media, serde_json::Error> {
    let raw: RawMedia = serde_json::from_slice(json)?;
    let (format, raw_packets) = (raw.format, raw.packets);
    Ok(Media {
        format: format.format_name,
        duration: number(format.duration.as_deref()),
        start: number(format.start_time.as_deref()).unwrap_or(0.0),
        bytes: number(format.size.as_deref()).unwrap_or(0),
        bit_rate: number(format.bit_rate.as_deref()),
        tags: format.tags,
        streams: raw.streams.into_iter().map(|raw| stream(raw, &raw_packets)).collect(),
    })
}

/// Reads HDR metadata out of what ffprobe wrote for [`first_frame_args`].
pub fn parse_first_frame(json: &[u8]) -> Result<Option<HdrMetadata>, serde_json::Error> {
    let raw: RawFrames = serde_json::from_slice(json)?;
    Ok(raw.frames.first().and_then(|frame| hdr(&frame.side_data_list)))
}

fn stream(raw: RawStream, packets: &[RawPacket]) -> Stream {
    let kind = match raw.codec_type.as_str() {
        "video" => Kind::Video(Box::new(video(&raw))),
        "audio" => Kind::Audio(AudioStream {
            sample_rate: number(raw.sample_rate.as_deref()).unwrap_or(0),
            channels: raw.channels,
            layout: raw.channel_layout.clone().filter(|layout| layout != "unknown"),
        }),
        "subtitle" => Kind::Subtitle,
        _ => Kind::Other,
    };
    Stream {
        index: raw.index,
        codec: raw.codec_name.unwrap_or_else(|| "unknown".into()),
        profile: raw.profile.filter(|profile| profile != "unknown"),
        kind,
        duration: number(raw.duration.as_deref()),
        start: number(raw.start_time.as_deref()),
        first_shown: first_shown(raw.index, packets),
        claimed_frames: number(raw.nb_frames.as_deref()),
        counted_frames: number(raw.nb_read_frames.as_deref()),
        counted_packets: number(raw.nb_read_packets.as_deref()),
        bit_rate: number(raw.bit_rate.as_deref()),
        time_base: rational(raw.time_base.as_deref()),
        default: raw.disposition.default == 1,
        tags: raw.tags,
    }
}

fn first_shown(stream: u32, packets: &[RawPacket]) -> Option<f64> {
    let shown = packets.iter().filter(|p| p.stream_index == stream && !p.flags.contains('D'));
    shown.filter_map(|packet| number(packet.pts_time.as_deref())).reduce(f64::min)
}

fn video(raw: &RawStream) -> VideoStream {
    let known = |text: &Option<String>| text.clone().filter(|text| text != "unknown");
    let pixel_format = raw.pix_fmt.clone().unwrap_or_default();
    VideoStream {
        width: raw.width,
        height: raw.height,
        sar: rational(raw.sample_aspect_ratio.as_deref()).filter(|sar| sar.num > 0),
        rotation: rotation(&raw.side_data_list),
        bits: bits(raw.bits_per_raw_sample.as_deref(), &pixel_format),
        pixel_format,
        base_rate: rational(raw.r_frame_rate.as_deref()).filter(|rate| rate.num > 0),
        average_rate: rational(raw.avg_frame_rate.as_deref()).filter(|rate| rate.num > 0),
        interlaced: matches!(raw.field_order.as_deref(), Some("tt" | "bb" | "tb" | "bt")),
        range: known(&raw.color_range),
        space: known(&raw.color_space),
        transfer: known(&raw.color_transfer),
        primaries: known(&raw.color_primaries),
        attached_picture: raw.disposition.attached_pic == 1,
        dolby_vision: raw.side_data_list.iter().any(|s| s.side_data_type.starts_with("DOVI")),
        hdr: hdr(&raw.side_data_list),
    }
}

/// ffprobe counts counter-clockwise, from -180 to 180; anything but quarter turns is left alone.
fn rotation(side_data: &[RawSideData]) -> u32 {
    let degrees = side_data.iter().find_map(|data| data.rotation).unwrap_or(0.0);
    let quarters = (-degrees / 90.0).round().rem_euclid(4.0);
    if (degrees % 90.0).abs() < 1.0 { quarters as u32 * 90 } else { 0 }
}

fn bits(raw: Option<&str>, pixel_format: &str) -> u32 {
    number(raw).filter(|bits| *bits > 0).unwrap_or_else(|| {
        let depths = [("p16", 16), ("p14", 14), ("p12", 12), ("p10", 10), ("p010", 10)];
        depths.iter().find(|(sign, _)| pixel_format.contains(sign)).map_or(8, |(_, bits)| *bits)
    })
}

fn hdr(side_data: &[RawSideData]) -> Option<HdrMetadata> {
    let mastering = side_data.iter().find_map(mastering);
    let content_light =
        side_data.iter().find_map(|d| Some((d.max_content?, d.max_average.unwrap_or(0))));
    (mastering.is_some() || content_light.is_some())
        .then_some(HdrMetadata { mastering, content_light })
}

fn mastering(data: &RawSideData) -> Option<Mastering> {
    let scaled = |text: &Option<String>, unit: f64| {
        let value = rational(text.as_deref())?.value();
        (value >= 0.0).then_some((value * unit).round() as u32)
    };
    let point =
        |x: &Option<String>, y: &Option<String>| Some((scaled(x, 50_000.0)?, scaled(y, 50_000.0)?));
    Some(Mastering {
        red: point(&data.red_x, &data.red_y)?,
        green: point(&data.green_x, &data.green_y)?,
        blue: point(&data.blue_x, &data.blue_y)?,
        white: point(&data.white_point_x, &data.white_point_y)?,
        luminance: (scaled(&data.max_luminance, 10_000.0)?, scaled(&data.min_luminance, 10_000.0)?),
    })
}

fn number<T: std::str::FromStr>(text: Option<&str>) -> Option<T> {
    text.and_then(|text| text.parse().ok())
}

fn rational(text: Option<&str>) -> Option<Rational> {
    number(text)
}

#[derive(Deserialize)]
struct RawMedia {
    #[serde(default)]
    streams: Vec<RawStream>,
    #[serde(default)]
    format: RawFormat,
    #[serde(default)]
    packets: Vec<RawPacket>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPacket {
    stream_index: u32,
    pts_time: Option<String>,
    flags: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawFormat {
    format_name: String,
    duration: Option<String>,
    start_time: Option<String>,
    size: Option<String>,
    bit_rate: Option<String>,
    tags: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStream {
    index: u32,
    codec_name: Option<String>,
    codec_type: String,
    profile: Option<String>,
    width: u32,
    height: u32,
    sample_aspect_ratio: Option<String>,
    pix_fmt: Option<String>,
    bits_per_raw_sample: Option<String>,
    field_order: Option<String>,
    color_range: Option<String>,
    color_space: Option<String>,
    color_transfer: Option<String>,
    color_primaries: Option<String>,
    r_frame_rate: Option<String>,
    avg_frame_rate: Option<String>,
    time_base: Option<String>,
    start_time: Option<String>,
    duration: Option<String>,
    bit_rate: Option<String>,
    nb_frames: Option<String>,
    nb_read_frames: Option<String>,
    nb_read_packets: Option<String>,
    sample_rate: Option<String>,
    channels: u32,
    channel_layout: Option<String>,
    disposition: RawDisposition,
    tags: BTreeMap<String, String>,
    side_data_list: Vec<RawSideData>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawDisposition {
    default: u8,
    attached_pic: u8,
}

#[derive(Deserialize)]
struct RawFrames {
    #[serde(default)]
    frames: Vec<RawFrame>,
}

#[derive(Deserialize)]
struct RawFrame {
    #[serde(default)]
    side_data_list: Vec<RawSideData>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSideData {
    side_data_type: String,
    rotation: Option<f64>,
    red_x: Option<String>,
    red_y: Option<String>,
    green_x: Option<String>,
    green_y: Option<String>,
    blue_x: Option<String>,
    blue_y: Option<String>,
    white_point_x: Option<String>,
    white_point_y: Option<String>,
    max_luminance: Option<String>,
    min_luminance: Option<String>,
    max_content: Option<u32>,
    max_average: Option<u32>,
}
