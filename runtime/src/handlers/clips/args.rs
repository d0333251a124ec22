//! What `clips` takes, and the frames that it means.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::encode::Coding;
use crate::encode::reel::wish::Wish;
use crate::ffmpeg::index::FrameIndex;
use crate::handlers::overlay::args::Text;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// Seconds by which a time may be rounded and still mean the frame that begins there.
const ROUNDING: f64 = 0.000_6;

/// What `clips` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The clips, in the order in which they are shown.
    pub clips: Vec<Clip>,
    /// One video of all clips; the extension (mp4, m4v, mov, mkv or webm) decides the container.
    /// With neither this nor `folder` it is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// A folder for each clip as a file of its own, as MP4.
    #[serde(default)]
    pub folder: Option<OutputFile>,
    /// Seconds over which each clip fades into the next; 0 is a cut.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub fade: f64,
    /// What the result is to be like.
    #[serde(flatten)]
    pub wish: Wish,
    /// How what is coded anew is coded.
    #[serde(flatten)]
    pub coding: Coding,
}

/// One clip: from a time to another, or from a frame to another.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// The video that it is taken from.
    pub input: InputFile,
    /// Seconds from the first frame of the video: the clip begins with the frame that is shown
    /// first from then on.
    #[serde(default)]
    pub start: Option<f64>,
    /// Seconds from the first frame at which the clip is over; by default it goes to the end.
    #[serde(default)]
    pub end: Option<f64>,
    /// The first frame, counted from 0, instead of `start`.
    #[serde(default)]
    pub start_frame: Option<u64>,
    /// The frame after the last, instead of `end`.
    #[serde(default)]
    pub end_frame: Option<u64>,
    /// A text that is drawn over it, in any script; its times count from the start of the clip.
    #[serde(default)]
    pub caption: Option<Text>,
    /// The name of its file in `folder`; by default its number.
    #[serde(default)]
    pub name: Option<String>,
}

impl Args {
    /// Refuses arguments that make no sense.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |message: String| Err(Failure::new(FailureKind::InvalidArgs, message));
        if self.clips.is_empty() {
            return wrong("`clips` names no clip".into());
        }
        if !(0.0..=10.0).contains(&self.fade) {
            return wrong("`fade` isn't between 0 and 10 seconds".into());
        }
        let mut names = Vec::new();
        for (number, clip) in self.clips.iter().enumerate() {
            let name = clip.file_name(number);
            let plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
            if !name.chars().all(plain) || name.starts_with('.') || name.len() > 200 {
                return wrong(format!("`{name}` isn't a plain name for a file"));
            }
            if names.contains(&name) {
                return wrong(format!("two clips are called `{name}`"));
            }
            names.push(name);
        }
        Ok(())
    }
}

impl Clip {
    /// Its name in a folder, without extension.
    pub fn file_name(&self, number: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("clip-{:03}", number + 1))
    }

    /// The frames that it means; `number` is its own, for messages.
    pub fn frames(&self, number: usize, index: &FrameIndex) -> Result<Range<usize>, Failure> {
        let which = number + 1;
        let wrong = |what: String| {
            let count = index.frames.len();
            let lasts = index.duration();
            Failure::new(FailureKind::InvalidArgs, format!("clip {which} {what}"))
                .cause(format!("`{}` lasts {lasts:.3} s, {count} frames", self.input.as_str()))
        };
        let from = |seconds: f64| {
            let all = 0..index.frames.len();
            let before = |at: &usize| index.seconds(*at) + ROUNDING < seconds;
            all.collect::<Vec<_>>().partition_point(before)
        };
        let frame = |frame: u64| usize::try_from(frame).unwrap_or(usize::MAX);
        let start = match (self.start, self.start_frame) {
            (Some(_), Some(_)) => return Err(wrong("has both `start` and `start_frame`".into())),
            (Some(seconds), None) if seconds.is_nan() || seconds < 0.0 => {
                return Err(wrong(format!("starts at {seconds} s")));
            }
            (Some(seconds), None) => from(seconds),
            (None, Some(at)) => frame(at),
            (None, None) => 0,
        };
        let end = match (self.end, self.end_frame) {
            (Some(_), Some(_)) => return Err(wrong("has both `end` and `end_frame`".into())),
            (Some(seconds), None) if seconds > index.duration() + 0.5 => {
                return Err(wrong(format!("ends at {seconds} s")));
            }
            (Some(seconds), None) => from(seconds),
            (None, Some(at)) => frame(at),
            (None, None) => index.frames.len(),
        };
        if start >= end || end > index.frames.len() {
            return Err(wrong(format!("has no frames: {start} to {end}")));
        }
        Ok(start..end)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ffmpeg::Rational;
    use crate::ffmpeg::index::FrameAt;

    fn frames(mut json: Value) -> Result<Range<usize>, String> {
        json["input"] = "a.mp4".into();
        let clip: Clip = serde_json::from_value(json).unwrap();
        let frame = |at: i64| FrameAt { pts: at * 1001, ..FrameAt::default() };
        let time_base = Rational { num: 1, den: 30_000 };
        let index = FrameIndex { time_base, frames: (0..300).map(frame).collect(), seekable: true };
        clip.frames(0, &index).map_err(|failure| failure.message)
    }

    #[test]
    fn times_mean_frames_also_when_they_are_rounded() {
        assert_eq!(frames(json!({})), Ok(0..300));
        assert_eq!(frames(json!({ "start": 1.001, "end": 2.002 })), Ok(30..60));
        assert_eq!(frames(json!({ "start": 1.0, "end": 2.0 })), Ok(30..60));
        assert_eq!(frames(json!({ "start": 0.0334, "end": 0.0667 })), Ok(1..2));
        assert_eq!(frames(json!({ "start_frame": 5, "end_frame": 6 })), Ok(5..6));
        assert_eq!(frames(json!({ "start": 9.0 })), Ok(270..300));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let refused = |json| frames(json).unwrap_err();
        insta::assert_snapshot!(refused(json!({ "start": 2.0, "end": 1.0 })), @"clip 1 has no frames: 60 to 30");
        insta::assert_snapshot!(refused(json!({ "end": 11.0 })), @"clip 1 ends at 11 s");
        insta::assert_snapshot!(refused(json!({ "start_frame": 300 })), @"clip 1 has no frames: 300 to 300");
        insta::assert_snapshot!(refused(json!({ "start": 1.0, "start_frame": 3 })), @"clip 1 has both `start` and `start_frame`");
    }
}
