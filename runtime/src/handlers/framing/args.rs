//! What `framing` takes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::color::Color;
use crate::encode::Coding;
use crate::encode::part::Part;
use crate::encode::size::Sides;
use crate::length::Length;
use crate::motion::Interpolation;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// Keyframes of one kind.
const MOST_KEYFRAMES: usize = 1000;

/// What `framing` takes. All times are seconds of the input.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    #[schemars(extend("x-ranged" = "/part/frames"))]
    pub input: InputFile,
    /// Where the result goes; the extension (mp4, m4v, mov, mkv or webm) decides the container.
    /// Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// The shape of the result, such as `9:16`; by default that of `width` and `height`, else the
    /// input's.
    #[serde(default)]
    pub aspect: Option<Aspect>,
    /// How the picture gets into that shape.
    #[serde(default)]
    pub fit: Fit,
    /// What stays in view where the picture is cropped; by default its middle.
    #[serde(default)]
    pub crop: Option<Crop>,
    /// The colour of bars, with `fit` `pad`.
    #[serde(default = "black")]
    pub color: Color,
    /// How large the picture becomes.
    #[serde(flatten)]
    pub sides: Sides,
    /// Where the result begins.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub start: Option<f64>,
    /// Where it ends.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub end: Option<f64>,
    /// How fast it plays: 2 is twice as fast. Sound keeps its pitch.
    #[serde(default)]
    #[schemars(range(min = 0.1, max = 16.0))]
    pub speed: Option<f64>,
    /// Speeds that change: from each keyframe to the next in a straight line. Not together with
    /// `speed`.
    #[serde(default)]
    pub ramp: Vec<Speed>,
    /// Frames per second, by repeating and dropping frames. By default the input's.
    #[serde(default)]
    #[schemars(range(min = 0.1, max = 480.0))]
    pub fps: Option<f64>,
    /// Leaves the sound out.
    #[serde(default)]
    pub mute: bool,
    /// Only a part of the work, as `chunked` asks for it; not with what changes how many frames
    /// there are.
    #[serde(default)]
    pub part: Option<Part>,
    /// How the result is coded.
    #[serde(flatten)]
    pub coding: Coding,
}

/// What stays in view.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Where to look when; one keyframe makes it stand still.
    pub keyframes: Vec<Focus>,
    /// How it gets from one keyframe to the next.
    #[serde(default)]
    pub interpolation: Interpolation,
}

/// Where to look at one time. What is looked at is in the middle of the result, as far as the
/// picture goes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Focus {
    /// Seconds.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub at: f64,
    /// From the left.
    pub x: Length,
    /// From the top.
    #[serde(default = "middle")]
    pub y: Length,
    /// How close: 1 shows as much as the shape allows, 2 half as much of each side.
    #[serde(default = "one")]
    #[schemars(range(min = 1.0, max = 16.0))]
    pub zoom: f64,
}

/// How fast it plays at one time.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// Seconds.
    #[schemars(range(min = 0.0))]
    pub at: f64,
    /// 2 is twice as fast.
    #[schemars(range(min = 0.1, max = 16.0))]
    pub speed: f64,
}

/// How a picture gets into another shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// What sticks out is cut off.
    #[default]
    Crop,
    /// All of it, with bars.
    Pad,
    /// All of it, over a blurred copy that fills the rest.
    Blur,
}

/// A shape: width to height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aspect(pub f64);

impl Aspect {
    fn parse(text: &str) -> Option<Self> {
        let (width, height) = text.split_once([':', '/'])?;
        let side = |text: &str| text.trim().parse::<f64>().ok().filter(|side| *side > 0.0);
        let ratio = side(width)? / side(height)?;
        (0.05..=20.0).contains(&ratio).then_some(Aspect(ratio))
    }
}

impl<'de> Deserialize<'de> for Aspect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Aspect::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` isn't a shape; expected width to height such as `9:16`"
            ))
        })
    }
}

impl JsonSchema for Aspect {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Aspect".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[:/][0-9]+(\\.[0-9]+)?$" })
    }
}

fn black() -> Color {
    Color::BLACK
}

fn middle() -> Length {
    Length::Percent(50.0)
}

fn one() -> f64 {
    1.0
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InvalidArgs, message.into())
}

impl Args {
    /// The first moment.
    pub fn from(&self) -> f64 {
        self.start.unwrap_or(0.0)
    }

    /// Only a part of the input is wanted.
    pub fn trims(&self) -> bool {
        self.from() > 0.0 || self.end.is_some()
    }

    /// It doesn't play as fast as the input.
    pub fn changes_speed(&self) -> bool {
        !self.ramp.is_empty() || self.speed.is_some_and(|speed| speed != 1.0)
    }

    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self) -> Result<(), Failure> {
        self.sides.check()?;
        if let (Some(Aspect(aspect)), Some(width), Some(height)) =
            (self.aspect, self.sides.width, self.sides.height)
            && (f64::from(width) / f64::from(height) / aspect - 1.0).abs() > 0.02
        {
            return Err(wrong(format!("{width}x{height} isn't of the shape that `aspect` says"))
                .hint("leave out `aspect`, or one of `width` and `height`"));
        }
        if self.crop.is_some() && self.fit != Fit::Crop {
            return Err(wrong("`crop` needs `fit=crop`: the others cut nothing off"));
        }
        if self.end.is_some_and(|end| end <= self.from()) || !self.from().is_finite() {
            return Err(wrong("`end` isn't after `start`"));
        }
        if self.fps.is_some_and(|fps| !(0.1..=480.0).contains(&fps)) {
            return Err(wrong("`fps` isn't between 0.1 and 480"));
        }
        if self.part.is_some() && (self.trims() || self.changes_speed() || self.fps.is_some()) {
            return Err(wrong(
                "`start`, `end`, `speed`, `ramp` and `fps` make other frames, and parts are counted in frames",
            )
            .hint("do that in a call of its own, before or after"));
        }
        self.check_keyframes()
    }

    fn check_keyframes(&self) -> Result<(), Failure> {
        let sane = |speed: f64| (0.1..=16.0).contains(&speed);
        if self.speed.is_some() && !self.ramp.is_empty() {
            return Err(wrong("`speed` and `ramp` exclude each other"));
        }
        if self.speed.is_some_and(|s| !sane(s)) || self.ramp.iter().any(|key| !sane(key.speed)) {
            return Err(wrong("a speed isn't between 0.1 and 16"));
        }
        let times: Vec<_> = self.ramp.iter().map(|key| key.at).collect();
        ascending("ramp", &times)?;
        let Some(crop) = &self.crop else { return Ok(()) };
        if crop.keyframes.is_empty() {
            return Err(wrong("`crop.keyframes` is empty")
                .hint("give one such as `{\"x\":\"50%\"}`, or leave out `crop`"));
        }
        if crop.keyframes.iter().any(|key| !(1.0..=16.0).contains(&key.zoom)) {
            return Err(wrong("a `zoom` isn't between 1 and 16"));
        }
        let times: Vec<_> = crop.keyframes.iter().map(|key| key.at).collect();
        ascending("crop.keyframes", &times)
    }
}

fn ascending(name: &str, times: &[f64]) -> Result<(), Failure> {
    if times.len() > MOST_KEYFRAMES {
        return Err(wrong(format!("`{name}` has more than {MOST_KEYFRAMES} keyframes")));
    }
    let sound = times.iter().all(|time| *time >= 0.0 && time.is_finite());
    if sound && times.windows(2).all(|pair| pair[0] < pair[1]) {
        return Ok(());
    }
    Err(wrong(format!("the times of `{name}` don't ascend"))
        .hint("give each keyframe an `at` in seconds that is later than the one before"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(json: Value) -> String {
        crate::handlers::verdict(json, Args::check)
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(message(json!({ "aspect": "9:16", "width": 1080 })), "fine");
        assert_eq!(message(json!({ "aspect": "9:16", "width": 1080, "height": 1920 })), "fine");
        insta::assert_snapshot!(message(json!({ "aspect": "wide" })), @"`wide` isn't a shape; expected width to height such as `9:16`");
        insta::assert_snapshot!(message(json!({ "aspect": "9:16", "width": 1920, "height": 1080 })), @"1920x1080 isn't of the shape that `aspect` says");
        insta::assert_snapshot!(message(json!({ "start": 2, "end": 1 })), @"`end` isn't after `start`");
        insta::assert_snapshot!(message(json!({ "speed": 0 })), @"a speed isn't between 0.1 and 16");
        insta::assert_snapshot!(message(json!({ "speed": 2, "ramp": [{ "at": 0, "speed": 1 }] })), @"`speed` and `ramp` exclude each other");
        insta::assert_snapshot!(message(json!({ "fit": "blur", "crop": { "keyframes": [{ "x": 1 }] } })), @"`crop` needs `fit=crop`: the others cut nothing off");
        insta::assert_snapshot!(message(json!({ "crop": { "keyframes": [{ "at": 1, "x": 1 }, { "x": 2 }] } })), @"the times of `crop.keyframes` don't ascend");
    }
}
