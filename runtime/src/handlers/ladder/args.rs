//! What `ladder` takes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::encode::Coding;
use crate::encode::ladder::rung::{Rung, RungArg, wanted};
use crate::encode::ladder::{self, Wish};
use crate::encode::size::Fit;
use crate::encode::tracks::{AudioChoice, SubtitleChoice};
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// What `ladder` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    pub input: InputFile,
    /// The folder that the results go into, one MP4 file each. Without it the folder is an
    /// artifact of the call.
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
    /// Seconds from one keyframe to the next, at the same frames in all renditions.
    #[serde(default = "two")]
    #[schemars(range(min = 0.1, max = 60.0))]
    pub keyframe_seconds: f64,
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
    /// How the results are coded, where a rendition doesn't say it.
    #[serde(flatten)]
    pub coding: Coding,
}

fn two() -> f64 {
    2.0
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
            keyframe_seconds: self.keyframe_seconds,
        }
    }

    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self, rungs: &[Rung]) -> Result<(), Failure> {
        if !(0.1..=60.0).contains(&self.keyframe_seconds) {
            let message = "`keyframe_seconds` isn't between 0.1 and 60";
            return Err(Failure::new(FailureKind::InvalidArgs, message));
        }
        ladder::check(self.wish(rungs))
    }
}
