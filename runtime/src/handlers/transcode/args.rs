//! What `transcode` takes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::encode::Coding;
use crate::encode::part::Part;
use crate::encode::size::{Fit, Sides};
use crate::encode::tracks::{AudioChoice, SubtitleChoice};
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// What `transcode` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    #[schemars(extend("x-ranged" = "/part/frames"))]
    pub input: InputFile,
    /// Where the result goes; the extension (mp4, m4v, mov, mkv or webm) decides the container.
    /// Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// How large the picture becomes.
    #[serde(flatten)]
    pub sides: Sides,
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
    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self) -> Result<(), Failure> {
        self.sides.check()?;
        if self.fps.is_some_and(|fps| !(0.1..=480.0).contains(&fps)) {
            let message = "`fps` isn't between 0.1 and 480";
            return Err(Failure::new(FailureKind::InvalidArgs, message));
        }
        Ok(())
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
        let message = |json| args(json).check().unwrap_err().message;
        insta::assert_snapshot!(message(json!({ "quality": "720p", "width": 100 })), @"`quality` and `width` or `height` exclude each other");
        insta::assert_snapshot!(message(json!({ "fps": 1000 })), @"`fps` isn't between 0.1 and 480");
        insta::assert_snapshot!(message(json!({ "width": 1 })), @"`width` isn't between 2 and 16384 pixels");
    }

    #[test]
    fn unknown_arguments_are_refused() {
        let args = json!({ "input": "a.mp4", "qualty": "720p" });
        assert!(serde_json::from_value::<Args>(args).is_err());
    }
}
