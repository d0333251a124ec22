//! What `transcode` takes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::size::{Bounds, Fit, MAX_SIDE, Quality};
use crate::ffmpeg::job::{Speed, VideoCodec};
use crate::function::Hardware;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// What `transcode` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    pub input: InputFile,
    /// Where the result goes; the extension (mp4, m4v, mov, mkv or webm) decides the container.
    /// Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// The largest size of the picture, turned for portrait video; smaller video isn't enlarged.
    #[serde(default)]
    pub quality: Option<Quality>,
    /// Width in pixels; enlarges if it must. Not together with `quality`.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16384))]
    pub width: Option<u32>,
    /// Height in pixels; enlarges if it must. Not together with `quality`.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16384))]
    pub height: Option<u32>,
    /// How the picture goes into a box of another shape.
    #[serde(default)]
    pub fit: Fit,
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
    /// What happens to the sound.
    #[serde(default)]
    pub audio: AudioChoice,
    /// What happens to subtitle tracks.
    #[serde(default)]
    pub subtitles: SubtitleChoice,
    /// Frames per second, by repeating and dropping frames; by default every frame stays.
    #[serde(default)]
    #[schemars(range(min = 0.1, max = 480.0))]
    pub fps: Option<f64>,
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

/// What happens to the sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioChoice {
    /// The track that players choose: copied if the container takes it, else coded as AAC or Opus.
    #[default]
    Keep,
    /// All tracks, each like `keep`.
    All,
    /// No sound.
    None,
    /// The track that players choose, coded as AAC.
    Aac,
    /// The track that players choose, coded as Opus.
    Opus,
}

/// What happens to subtitle tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubtitleChoice {
    /// All that the container can hold.
    #[default]
    Keep,
    /// None.
    None,
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
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(f64),
            Text(String),
        }
        let text = match Raw::deserialize(deserializer)? {
            Raw::Number(bits) => bits.to_string(),
            Raw::Text(text) => text,
        };
        Bitrate::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` isn't a bit rate; expected bits per second such as `5M` or `800k`"
            ))
        })
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
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[kKmM]?$" },
                { "type": "number", "minimum": 1000 },
            ]
        })
    }
}

impl Args {
    /// The box that was asked for.
    pub fn bounds(&self) -> Bounds {
        match self.quality {
            Some(quality) => Bounds::Quality(quality),
            None if self.width.is_some() || self.height.is_some() => {
                Bounds::Pixels { width: self.width, height: self.height }
            }
            None => Bounds::Source,
        }
    }

    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self, codec: VideoCodec) -> Result<(), Failure> {
        let wrong = |message: String| Err(Failure::new(FailureKind::InvalidArgs, message));
        if self.quality.is_some() && (self.width.is_some() || self.height.is_some()) {
            return wrong("`quality` and `width` or `height` exclude each other".into());
        }
        if self.crf.is_some() && self.bitrate.is_some() {
            return wrong("`crf` and `bitrate` exclude each other".into());
        }
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(2..=MAX_SIDE).contains(&side)) {
                return wrong(format!("`{name}` isn't between 2 and {MAX_SIDE} pixels"));
            }
        }
        if let Some(crf) = self.crf.filter(|crf| *crf > worst_quality(codec)) {
            let (title, worst) = (codec.title(), worst_quality(codec));
            return wrong(format!("`crf` {crf} isn't between 0 and {worst}, the scale of {title}"));
        }
        if self.fps.is_some_and(|fps| !(0.1..=480.0).contains(&fps)) {
            return wrong("`fps` isn't between 0.1 and 480".into());
        }
        Ok(())
    }
}

fn worst_quality(codec: VideoCodec) -> u8 {
    match codec {
        VideoCodec::H264 | VideoCodec::Hevc => 51,
        VideoCodec::Av1 | VideoCodec::Vp9 => 63,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn args(mut json: serde_json::Value) -> Args {
        json["input"] = "a.mp4".into();
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn bit_rates_have_units() {
        let bits = |value| args(json!({ "bitrate": value })).bitrate.map(|b| b.0);
        assert_eq!(bits(json!("2.5M")), Some(2_500_000));
        assert_eq!(bits(json!("800k")), Some(800_000));
        assert_eq!(bits(json!(1_000_000)), Some(1_000_000));
        for wrong in [json!("fast"), json!("12"), json!("5G"), json!("-5M"), json!("")] {
            let args = json!({ "input": "a.mp4", "bitrate": wrong });
            assert!(serde_json::from_value::<Args>(args).is_err(), "{wrong}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let message = |json| args(json).check(VideoCodec::H264).unwrap_err().message;
        insta::assert_snapshot!(message(json!({ "quality": "720p", "width": 100 })), @"`quality` and `width` or `height` exclude each other");
        insta::assert_snapshot!(message(json!({ "crf": 20, "bitrate": "5M" })), @"`crf` and `bitrate` exclude each other");
        insta::assert_snapshot!(message(json!({ "crf": 60 })), @"`crf` 60 isn't between 0 and 51, the scale of H.264");
        insta::assert_snapshot!(message(json!({ "width": 1 })), @"`width` isn't between 2 and 16384 pixels");
    }

    #[test]
    fn unknown_arguments_are_refused() {
        let args = json!({ "input": "a.mp4", "qualty": "720p" });
        assert!(serde_json::from_value::<Args>(args).is_err());
    }
}
