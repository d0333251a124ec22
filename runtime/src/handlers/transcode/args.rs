//! What `transcode` takes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::encode::Coding;
use crate::encode::part::Part;
use crate::encode::size::{Bounds, Fit, MAX_SIDE, Quality};
use crate::encode::tracks::{AudioChoice, SubtitleChoice};
use crate::ffmpeg::job::VideoCodec;
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
    /// Only a part of the work, as `chunked` asks for it.
    #[serde(default)]
    pub part: Option<Part>,
    /// How the result is coded.
    #[serde(flatten)]
    pub coding: Coding,
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
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(2..=MAX_SIDE).contains(&side)) {
                return wrong(format!("`{name}` isn't between 2 and {MAX_SIDE} pixels"));
            }
        }
        if self.fps.is_some_and(|fps| !(0.1..=480.0).contains(&fps)) {
            return wrong("`fps` isn't between 0.1 and 480".into());
        }
        self.coding.check(codec)
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
        let bits = |value| args(json!({ "bitrate": value })).coding.bitrate.map(|b| b.0);
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
