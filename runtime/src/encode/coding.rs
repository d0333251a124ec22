//! How a result is coded: the arguments that every handler with video takes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::ffmpeg::codec::{Encoder, Speed, VideoCodec};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::job::Rate;
use crate::function::Hardware;
use crate::handler::Context;
use crate::quantity;
use crate::wire::{Failure, FailureKind};

/// How a result is coded. Flattened into the arguments of handlers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Coding {
    /// The video codec: H.264 by default, VP9 for a `.webm` output.
    #[serde(default)]
    pub codec: Option<VideoCodec>,
    /// Constant quality, lower is better: 0 to 51 for H.264 and HEVC, 0 to 63 for AV1 and VP9.
    /// By default 23, 28, 35 and 31.
    #[serde(default)]
    #[schemars(range(min = 0, max = 63))]
    pub crf: Option<u8>,
    /// Average bits per second, such as `5M` or `800k`, instead of constant quality.
    #[serde(default)]
    pub bitrate: Option<Bitrate>,
    /// How much work goes into a smaller file.
    #[serde(default)]
    pub preset: Speed,
    /// 10 bits per sample. By default only HDR that goes to HEVC or AV1 has them; `false` maps
    /// HDR to SDR there too.
    #[serde(default)]
    pub ten_bit: Option<bool>,
    /// Whether a GPU is used; overrides what the function says.
    #[serde(default)]
    pub hardware: Option<Hardware>,
    /// Threads of the decoder and of the encoder; by default they choose.
    #[serde(default)]
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<u16>,
    /// How the result is checked before it counts as one.
    #[serde(default)]
    pub verify: Verify,
}

impl Coding {
    /// The codec that is asked for in `container`.
    pub fn codec_in(&self, container: Container) -> Result<VideoCodec, Failure> {
        match (self.codec, container) {
            (None, Container::WebM) => Ok(VideoCodec::Vp9),
            (None, _) => Ok(VideoCodec::H264),
            (Some(codec @ (VideoCodec::H264 | VideoCodec::Hevc)), Container::WebM) => {
                Err(Failure::new(
                    FailureKind::InvalidArgs,
                    format!("a `.webm` file can't hold {}", codec.title()),
                )
                .hint("use `codec=vp9` or `codec=av1`, or name an output that ends in `.mp4`"))
            }
            (Some(codec), _) => Ok(codec),
        }
    }

    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self, codec: VideoCodec) -> Result<(), Failure> {
        let wrong = |message: String| Err(Failure::new(FailureKind::InvalidArgs, message));
        if self.crf.is_some() && self.bitrate.is_some() {
            return wrong("`crf` and `bitrate` exclude each other".into());
        }
        if let Some(crf) = self.crf.filter(|crf| *crf > worst_quality(codec)) {
            let (title, worst) = (codec.title(), worst_quality(codec));
            return wrong(format!("`crf` {crf} isn't between 0 and {worst}, the scale of {title}"));
        }
        Ok(())
    }

    /// How many bits are spent: what was asked for, or what each codec's users take for good.
    pub fn rate(&self, encoder: Encoder) -> Rate {
        if let Some(Bitrate(bits)) = self.bitrate {
            return Rate::Bitrate(bits);
        }
        Rate::Quality(self.crf.unwrap_or(match encoder.codec() {
            None | Some(VideoCodec::H264) => 23,
            Some(VideoCodec::Hevc) => 28,
            Some(VideoCodec::Av1) => 35,
            Some(VideoCodec::Vp9) => 31,
        }))
    }

    /// HDR stays HDR in `codec`.
    pub fn keeps_hdr(&self, codec: VideoCodec) -> bool {
        matches!(codec, VideoCodec::Hevc | VideoCodec::Av1) && self.ten_bit != Some(false)
    }

    /// Whether a GPU is used: what the arguments say, else what the function says.
    pub fn hardware(&self, cx: &Context) -> Hardware {
        self.hardware.unwrap_or(cx.invocation().function.hardware)
    }
}

fn worst_quality(codec: VideoCodec) -> u8 {
    match codec {
        VideoCodec::H264 | VideoCodec::Hevc => 51,
        VideoCodec::Av1 | VideoCodec::Vp9 => 63,
    }
}

/// How the result is checked before it counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// ffmpeg's own counts, and the packets of the result are counted.
    #[default]
    Default,
    /// The result is decoded too.
    Full,
    /// Not at all, and the outcome says so. What can be read of a damaged input is kept.
    Off,
}

/// Bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitrate(pub u64);

impl Bitrate {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (digits, unit) = match text.char_indices().last()? {
            (at, 'k' | 'K') => (&text[..at], 1e3),
            (at, 'm' | 'M') => (&text[..at], 1e6),
            _ => (text, 1.0),
        };
        let bits = digits.parse::<f64>().ok()? * unit;
        (1000.0..=1e10).contains(&bits).then_some(Bitrate(bits as u64))
    }
}

impl<'de> Deserialize<'de> for Bitrate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a bit rate; expected bits per second such as `5M` or `800k`";
        quantity::deserialize(deserializer, Bitrate::parse, expected)
    }
}

impl JsonSchema for Bitrate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Bitrate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = json!({ "type": "number", "minimum": 1000 });
        quantity::schema("^[0-9]+(\\.[0-9]+)?[kKmM]?$", number)
    }
}
