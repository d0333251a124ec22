//! What ffprobe wrote, as a [`Media`]. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{AudioStream, Kind, Media, Stream, VideoStream};
use crate::ffmpeg::Rational;
use crate::ffmpeg::pixel::{HdrMetadata, Mastering};

/// Reads what ffprobe wrote for [`args`](super::args).
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

/// Reads HDR metadata out of what ffprobe wrote for [`first_frame_args`](super::first_frame_args).
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
