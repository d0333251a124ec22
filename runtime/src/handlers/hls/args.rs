//! What `hls` takes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::encode::ladder::rung::{Rung, RungArg, wanted};
use crate::encode::ladder::{self, Wish};
use crate::encode::size::Fit;
use crate::encode::tracks::SubtitleChoice;
use crate::encode::{Bitrate, Coding};
use crate::ffmpeg::codec::VideoCodec;
use crate::packaging::segments::Format;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// Seconds between two keyframes at most (Apple's authoring rule 1.13).
const LONGEST_GROUP: f64 = 2.0;

/// Bits per second of the sound where nobody says anything.
const USUAL_AUDIO: u64 = 128_000;

/// Names that folders of other things have.
const RESERVED: [&str; 3] = ["audio", "subtitles", "thumbnails"];

/// What `hls` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    pub input: InputFile,
    /// The folder that the stream goes into; players open `master.m3u8` or `manifest.mpd` in it.
    /// Without it the folder is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// The renditions to make, each a size such as `"720p"` or an object. By default 1080p, 720p
    /// and 480p, of which none is larger than the video.
    #[serde(default)]
    #[schemars(length(min = 1, max = 16))]
    pub rungs: Option<Vec<RungArg>>,
    /// Renditions may be larger than the video.
    #[serde(default)]
    pub upscale: bool,
    /// How the picture goes into a box of another shape.
    #[serde(default)]
    pub fit: Fit,
    /// Seconds of a segment, as near as whole groups of frames allow.
    #[serde(default = "six")]
    #[schemars(range(min = 1.0, max = 60.0))]
    pub segment_seconds: f64,
    /// What segments are made of.
    #[serde(default)]
    pub segments: SegmentChoice,
    /// Which sound tracks there are to choose from; always AAC in stereo.
    #[serde(default)]
    pub audio: SoundChoice,
    /// Bits per second of each sound track; 128k by default.
    #[serde(default)]
    pub audio_bitrate: Option<Bitrate>,
    /// What happens to subtitle tracks that are text.
    #[serde(default)]
    pub subtitles: SubtitleChoice,
    /// Small pictures for seeking, and a poster.
    #[serde(default = "yes")]
    pub thumbnails: bool,
    /// Frames per second, by repeating and dropping frames; by default every frame stays.
    #[serde(default)]
    #[schemars(range(min = 0.1, max = 480.0))]
    pub fps: Option<f64>,
    /// How the pictures are coded, where a rendition doesn't say it.
    #[serde(flatten)]
    pub coding: Coding,
}

/// What segments are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SegmentChoice {
    /// Fragmented MP4 (CMAF), for HLS and DASH alike.
    #[default]
    Fmp4,
    /// MPEG-TS, for old players: HLS and H.264 only.
    Ts,
}

/// Which sound tracks there are to choose from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SoundChoice {
    /// All of them.
    #[default]
    All,
    /// The one that players choose.
    First,
    /// None.
    None,
}

fn six() -> f64 {
    6.0
}

fn yes() -> bool {
    true
}

impl Args {
    /// The renditions that are wanted.
    pub fn rungs(&self) -> Vec<Rung> {
        wanted(self.rungs.clone())
    }

    /// What is wanted of `rungs`.
    pub fn wish<'a>(&'a self, rungs: &'a [Rung]) -> Wish<'a> {
        Wish {
            rungs,
            coding: &self.coding,
            fit: self.fit,
            fps: self.fps,
            upscale: self.upscale,
            keyframe_seconds: self.segment_seconds / (self.segment_seconds / LONGEST_GROUP).ceil(),
        }
    }

    /// What segments are made of.
    pub fn format(&self) -> Format {
        match self.segments {
            SegmentChoice::Fmp4 => Format::Cmaf,
            SegmentChoice::Ts => Format::Ts,
        }
    }

    /// Bits per second of each sound track.
    pub fn audio_bits(&self) -> u32 {
        let bits = self.audio_bitrate.map_or(USUAL_AUDIO, |bits| bits.0);
        u32::try_from(bits.clamp(16_000, 512_000)).unwrap_or(512_000)
    }

    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self, rungs: &[Rung]) -> Result<(), Failure> {
        let wrong = |message: String| Failure::new(FailureKind::InvalidArgs, message);
        if !(1.0..=60.0).contains(&self.segment_seconds) {
            return Err(wrong("`segment_seconds` isn't between 1 and 60".into()));
        }
        ladder::check(self.wish(rungs))?;
        for codec in ladder::codecs(rungs, &self.coding) {
            match (codec, self.segments) {
                (VideoCodec::Vp9, _) => {
                    return Err(wrong("HLS has no VP9".into())
                        .hint("use `codec=h264`, `codec=hevc` or `codec=av1`"));
                }
                (VideoCodec::Hevc | VideoCodec::Av1, SegmentChoice::Ts) => {
                    let title = codec.title();
                    return Err(wrong(format!("players take {title} in fMP4 segments only"))
                        .hint("leave `segments` out, or use `codec=h264`"));
                }
                _ => {}
            }
        }
        let reserved = |name: &str| RESERVED.iter().any(|taken| name.starts_with(taken));
        match rungs.iter().filter_map(|rung| rung.name.as_deref()).find(|name| reserved(name)) {
            Some(name) => Err(wrong(format!("a rendition can't be called `{name}` here"))
                .hint("the folders of sound, subtitles and thumbnails begin like that")),
            None => Ok(()),
        }
    }
}
