//! What `detect` takes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::encode::Coding;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// What `detect` takes. One of `frame_number` and `time` looks at one frame; `start`, `end`, `start_frame` and
/// `end_frame` are a range, by default all of the video.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to look at.
    pub input: InputFile,
    /// The model: an `.onnx` file that YOLOv5, v8, v10, v11 or one of their like was exported to. A path, a file of a
    /// volume, or an `https://` address together with `sha256`.
    #[serde(default)]
    #[schemars(extend("x-fetched" = true))]
    pub model: Option<InputFile>,
    /// The SHA-256 of the model, in hexadecimal digits; anything else is refused.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// Instead of a model: what was found before, as JSON lines of this handler. Several files, such as those of calls for
    /// ranges, become one; with `follow` or `annotated`, this tracks and draws without computing again.
    #[serde(default)]
    pub detections: Vec<InputFile>,
    /// Where what was found goes, as JSON lines: one for each frame. Without it that is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// Only this frame, counted from 0.
    #[serde(default)]
    pub frame_number: Option<u64>,
    /// Only the frame that is shown at this second.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub time: Option<f64>,
    /// The second at which to begin.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub start: Option<f64>,
    /// The second at which to end.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub end: Option<f64>,
    /// The frame to begin with, counted from 0.
    #[serde(default)]
    pub start_frame: Option<u64>,
    /// The frame to end before.
    #[serde(default)]
    pub end_frame: Option<u64>,
    /// Looks at one frame of every so many.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100_000))]
    pub every: u32,
    /// The least score of what counts, 0 to 1.
    #[serde(default = "confidence")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: f32,
    /// Of two boxes of a class that overlap by more than this, the surer one stays.
    #[serde(default = "iou")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub iou: f32,
    /// Classes that count, by name or number; by default all.
    #[serde(default)]
    pub classes: Vec<Class>,
    /// How many are kept of a frame, the surest first.
    #[serde(default = "max_detections")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_detections: u32,
    /// The order of channels that the model was trained with.
    #[serde(default)]
    pub channels: Channels,
    /// Gives objects numbers that last from frame to frame.
    #[serde(default)]
    pub track: bool,
    /// The class of one object to follow: where it was in each frame, smoothed, and keyframes for `framing` and `overlay`.
    /// Needs `track`, and turns it on.
    #[serde(default)]
    pub follow: Option<Class>,
    /// Seconds for which an object may be out of sight: its number lasts as long, and its path is filled.
    #[serde(default = "one_second")]
    #[schemars(range(min = 0.0, max = 60.0))]
    pub max_gap: f64,
    /// Seconds over which the path of the followed object is smoothed.
    #[serde(default = "smooth")]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub smooth: f64,
    /// A video to make with boxes and labels drawn on it.
    #[serde(default)]
    pub annotated: Option<OutputFile>,
    /// Pictures that are computed at once, where the model leaves that free; by default what memory allows.
    #[serde(default)]
    #[schemars(range(min = 1, max = 256))]
    pub batch: Option<u32>,
    /// Parts of the range that are worked on at the same time, each as a call of its own. The result is the same.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 256))]
    pub parts: u32,
    /// How the annotated video is coded; `hardware` and `threads` are those of the model too.
    #[serde(flatten)]
    pub coding: Coding,
}

/// A class.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Class {
    /// By its number.
    Number(u32),
    /// By its name, or by its number as text.
    Name(String),
}

/// The order of channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

fn one() -> u32 {
    1
}

fn confidence() -> f32 {
    0.25
}

fn iou() -> f32 {
    0.7
}

fn max_detections() -> u32 {
    300
}

fn one_second() -> f64 {
    1.0
}

fn smooth() -> f64 {
    0.1
}

/// Which frames were asked for, before anybody knows which there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    /// One, by its number.
    Frame(u64),
    /// One, by its time.
    Time(f64),
    /// Several.
    Range {
        /// Where to begin; none is the first frame.
        from: Option<At>,
        /// Where to end before; none is the end.
        until: Option<At>,
    },
}

/// A place in a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// A frame, from 0.
    Frame(u64),
    /// Seconds from the first frame.
    Second(f64),
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InvalidArgs, message.into())
}

impl Args {
    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self) -> Result<(), Failure> {
        match (&self.model, self.detections.is_empty()) {
            (None, true) => {
                return Err(wrong("there is nothing to detect with")
                    .hint("name a model: `model=yolo11n.onnx`"));
            }
            (Some(_), false) => {
                return Err(wrong("`model` and `detections` exclude each other"));
            }
            _ => {}
        }
        if self.sha256.is_some() && self.model.is_none() {
            return Err(wrong("`sha256` is that of a `model`, and there is none"));
        }
        let unit = |value: f32| (0.0..=1.0).contains(&value);
        if !unit(self.confidence) || !unit(self.iou) {
            return Err(wrong("`confidence` and `iou` are between 0 and 1"));
        }
        let one = self.frame_number.is_some() || self.time.is_some();
        if one && (self.annotated.is_some() || self.follow.is_some() || self.track) {
            return Err(wrong("one frame can't be tracked or made a video of")
                .hint("leave out `frame_number` and `time`"));
        }
        self.wanted().map(|_| ())
    }

    /// Which frames were asked for.
    pub fn wanted(&self) -> Result<Wanted, Failure> {
        let place = |name: &str, frame: Option<u64>, second: Option<f64>| match (frame, second) {
            (Some(_), Some(_)) => {
                Err(wrong(format!("`{name}` and `{name}_frame` exclude each other")))
            }
            (frame, second) => Ok(frame.map(At::Frame).or(second.map(At::Second))),
        };
        let from = place("start", self.start_frame, self.start)?;
        let until = place("end", self.end_frame, self.end)?;
        let range = from.is_some() || until.is_some();
        match (self.frame_number, self.time) {
            (Some(_), Some(_)) => Err(wrong("`frame_number` and `time` exclude each other")),
            (None, None) => Ok(Wanted::Range { from, until }),
            _ if range || self.every > 1 => {
                Err(wrong("`frame_number` and `time` are one frame, and no range"))
            }
            (Some(frame), None) => Ok(Wanted::Frame(frame)),
            (None, Some(time)) => Ok(Wanted::Time(time)),
        }
    }

    /// Objects get numbers.
    pub fn tracks(&self) -> bool {
        self.track || self.follow.is_some()
    }
}

impl Class {
    /// Its number among `names`.
    pub fn among(&self, names: &[String]) -> Result<u32, Failure> {
        let named = |name: &str| names.iter().position(|known| known == name);
        let found = match self {
            Class::Number(number) => Some(*number),
            Class::Name(name) => {
                let number = named(name).and_then(|index| u32::try_from(index).ok());
                number.or_else(|| name.parse().ok())
            }
        };
        found.filter(|number| names.is_empty() || (*number as usize) < names.len()).ok_or_else(
            || {
                let known = match names.len() {
                    0 => "its classes have no names; use their numbers".into(),
                    1..=20 => format!("it knows: {}", names.join(", ")),
                    more => format!("it knows {more}: {}, …", names[..20].join(", ")),
                };
                wrong(format!("the model has no class `{self}`")).hint(known)
            },
        )
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Class::Number(number) => write!(f, "{number}"),
            Class::Name(name) => f.write_str(name),
        }
    }
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
        assert_eq!(message(json!({ "model": "m.onnx", "frame_number": 3 })), "fine");
        assert_eq!(
            message(json!({ "model": "m.onnx", "start": 1, "end_frame": 90, "every": 2 })),
            "fine"
        );
        insta::assert_snapshot!(message(json!({})), @"there is nothing to detect with");
        insta::assert_snapshot!(message(json!({ "model": "m", "detections": ["a"] })), @"`model` and `detections` exclude each other");
        insta::assert_snapshot!(message(json!({ "model": "m", "frame_number": 1, "time": 1 })), @"`frame_number` and `time` exclude each other");
        insta::assert_snapshot!(message(json!({ "model": "m", "time": 1, "every": 2 })), @"`frame_number` and `time` are one frame, and no range");
        insta::assert_snapshot!(message(json!({ "model": "m", "time": 1, "follow": "ball" })), @"one frame can't be tracked or made a video of");
        insta::assert_snapshot!(message(json!({ "model": "m", "start": 1, "start_frame": 2 })), @"`start` and `start_frame` exclude each other");
        insta::assert_snapshot!(message(json!({ "model": "m", "confidence": 2 })), @"`confidence` and `iou` are between 0 and 1");
    }

    #[test]
    fn classes_are_found_by_name_and_by_number() {
        let names = ["person".to_owned(), "ball".to_owned()];
        let name = |text: &str| Class::Name(text.into());
        assert_eq!(name("ball").among(&names).unwrap(), 1);
        assert_eq!(name("0").among(&names).unwrap(), 0);
        assert_eq!(Class::Number(5).among(&[]).unwrap(), 5);
        let error = name("goal").among(&names).unwrap_err();
        insta::assert_snapshot!(error, @"the model has no class `goal`");
        insta::assert_snapshot!(error.hint.unwrap(), @"it knows: person, ball");
    }
}
