//! Says what a media file is: streams, formats, metadata, and on request its true frame count.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ffmpeg::filter::HdrTransfer;
use crate::ffmpeg::probe::{AudioStream, Count, Kind, Media, Stream, VideoStream};
use crate::handler::{Context, Handler};
use crate::storage::RangedFile;
use crate::wire::{Failure, Phase, Progress};

/// The `probe` handler.
#[derive(Debug)]
pub struct Probe;

/// What `probe` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The file to look at.
    pub input: RangedFile,
    /// Decode the file and count its frames, instead of believing its header.
    #[serde(default)]
    pub count_frames: bool,
}

/// What `probe` returns. The fields at the top are those of the video that a player would show
/// and of the audio that it would play; all of them are in `streams`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// ffprobe's names of the format, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Seconds, as the header claims.
    pub duration_seconds: Option<f64>,
    /// Seconds at which the first stream starts.
    pub start_seconds: f64,
    /// Bits per second of the whole file.
    pub bit_rate: Option<u64>,
    /// Width in pixels as shown: after rotation, before non-square pixels are stretched.
    pub width: Option<u32>,
    /// Height in pixels as shown: after rotation, before non-square pixels are stretched.
    pub height: Option<u32>,
    /// Frames per second on average.
    pub fps: Option<f64>,
    /// Degrees that the stored picture is turned clockwise to be shown: 0, 90, 180 or 270.
    pub rotation: Option<u32>,
    /// Such as `h264`.
    pub video_codec: Option<String>,
    /// Such as `aac`.
    pub audio_codec: Option<String>,
    /// Frames that were decoded; only with `count_frames`.
    pub frame_count: Option<u64>,
    /// Every stream of the file.
    pub streams: Vec<StreamInfo>,
    /// Metadata of the whole file, such as `title`.
    pub tags: BTreeMap<String, String>,
}

/// One stream.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct StreamInfo {
    /// Its index in the file.
    pub index: u32,
    /// `video`, `audio`, `subtitle`, `picture` (a cover) or `other`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Such as `h264`.
    pub codec: String,
    /// The codec's profile, such as `High`.
    pub profile: Option<String>,
    /// Players choose it.
    pub default: bool,
    /// ISO 639 language, when the file says.
    pub language: Option<String>,
    /// Seconds, as the header claims.
    pub duration_seconds: Option<f64>,
    /// Seconds at which it starts.
    pub start_seconds: Option<f64>,
    /// Bits per second.
    pub bit_rate: Option<u64>,
    /// Frames (packets of audio), as the header claims.
    pub claimed_frames: Option<u64>,
    /// Frames that were decoded; only with `count_frames`.
    pub frame_count: Option<u64>,
    /// What only video has.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoInfo>,
    /// What only audio has.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioInfo>,
    /// Metadata of the stream.
    pub tags: BTreeMap<String, String>,
}

/// What only video has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VideoInfo {
    /// Width in pixels as shown, after rotation.
    pub width: u32,
    /// Height in pixels as shown, after rotation.
    pub height: u32,
    /// Shape of a shown pixel, width to height, such as `4/3`; `1/1` is square.
    pub sar: String,
    /// Degrees that the stored picture is turned clockwise to be shown.
    pub rotation: u32,
    /// Frames per second on average.
    pub fps: Option<f64>,
    /// The same as an exact fraction.
    pub frame_rate: Option<String>,
    /// Frames are not evenly spaced, as far as the header tells.
    pub vfr: bool,
    /// Each frame holds two fields, as far as the header tells.
    pub interlaced: bool,
    /// Such as `yuv420p`.
    pub pixel_format: String,
    /// Bits of one sample.
    pub bit_depth: u32,
    /// It has an alpha channel.
    pub alpha: bool,
    /// `hdr10`, `hlg` or `dolby_vision`; absent is SDR.
    pub hdr: Option<&'static str>,
    /// `tv` (limited) or `pc` (full).
    pub color_range: Option<String>,
    /// The matrix, such as `bt709`.
    pub color_space: Option<String>,
    /// The transfer, such as `smpte2084`.
    pub color_transfer: Option<String>,
    /// The primaries, such as `bt2020`.
    pub color_primaries: Option<String>,
}

/// What only audio has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AudioInfo {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
    /// Such as `stereo` or `5.1`; absent when the file doesn't say.
    pub channel_layout: Option<String>,
}

impl Handler for Probe {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "probe";
    const ABOUT: &'static str = "Says what a media file is: streams, formats, metadata, frames.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let source = cx.files().source(args.input.as_str()).await?;
        cx.progress(Progress { phase: Phase::Processing, ..Progress::default() });
        let count = if args.count_frames { Count::Frames } else { Count::Nothing };
        let media =
            cx.tools().inspect_source(&source, args.input.as_str(), count, cx.cancellation());
        let media = media.await?;
        Ok(describe(media))
    }
}

/// The answer for one file. Pure.
pub fn describe(media: Media) -> Output {
    let video = media.video();
    let picture = video.map(|(_, video)| video);
    let audio = media.audio();
    Output {
        bytes: media.bytes,
        duration_seconds: media.duration,
        start_seconds: media.start,
        bit_rate: media.bit_rate,
        width: picture.map(|v| v.rotated_size().0),
        height: picture.map(|v| v.rotated_size().1),
        fps: picture.and_then(VideoStream::rate).map(|rate| rounded(rate.value())),
        rotation: picture.map(|v| v.rotation),
        video_codec: video.map(|(stream, _)| stream.codec.clone()),
        audio_codec: audio.first().map(|(stream, _)| stream.codec.clone()),
        frame_count: video.and_then(|(stream, _)| stream.counted_frames),
        streams: media.streams.iter().map(stream_info).collect(),
        format: media.format,
        tags: media.tags,
    }
}

fn stream_info(stream: &Stream) -> StreamInfo {
    let (kind, video, audio) = match &stream.kind {
        Kind::Video(video) if video.attached_picture => ("picture", Some(video_info(video)), None),
        Kind::Video(video) => ("video", Some(video_info(video)), None),
        Kind::Audio(audio) => ("audio", None, Some(audio_info(audio))),
        Kind::Subtitle => ("subtitle", None, None),
        Kind::Other => ("other", None, None),
    };
    StreamInfo {
        index: stream.index,
        kind,
        codec: stream.codec.clone(),
        profile: stream.profile.clone(),
        default: stream.default,
        language: stream.tags.get("language").filter(|language| *language != "und").cloned(),
        duration_seconds: stream.duration,
        start_seconds: stream.start,
        bit_rate: stream.bit_rate,
        claimed_frames: stream.claimed_frames,
        frame_count: stream.counted_frames,
        video,
        audio,
        tags: stream.tags.clone(),
    }
}

fn video_info(video: &VideoStream) -> VideoInfo {
    let (width, height) = video.rotated_size();
    VideoInfo {
        width,
        height,
        sar: video.rotated_sar().map_or_else(|| "1/1".into(), |sar| sar.to_string()),
        rotation: video.rotation,
        fps: video.rate().map(|rate| rounded(rate.value())),
        frame_rate: video.rate().map(|rate| rate.to_string()),
        vfr: video.variable_rate(),
        interlaced: video.interlaced,
        pixel_format: video.pixel_format.clone(),
        bit_depth: video.bits,
        alpha: video.alpha(),
        hdr: hdr_name(video),
        color_range: video.range.clone(),
        color_space: video.space.clone(),
        color_transfer: video.transfer.clone(),
        color_primaries: video.primaries.clone(),
    }
}

fn hdr_name(video: &VideoStream) -> Option<&'static str> {
    match video.hdr_transfer() {
        _ if video.dolby_vision => Some("dolby_vision"),
        Some(HdrTransfer::Pq) => Some("hdr10"),
        Some(HdrTransfer::Hlg) => Some("hlg"),
        None => None,
    }
}

fn audio_info(audio: &AudioStream) -> AudioInfo {
    AudioInfo {
        sample_rate: audio.sample_rate,
        channels: audio.channels,
        channel_layout: audio.layout.clone(),
    }
}

/// To a thousandth: 23.976, not 23.976023976.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
