//! What `audio` takes.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::encode::{Bitrate, Verify};
use crate::ffmpeg::container::{Container, SoundFile};
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// What `audio` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video or sound to read.
    pub input: InputFile,
    /// Where the result goes. The extension decides what it is: sound alone (m4a, aac, mp3, opus,
    /// ogg, flac or wav), or the video with its new sound (mp4, m4v, mov, mkv or webm), whose
    /// picture goes over untouched. Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// Which audio track, counted from 0; by default the one that players choose.
    #[serde(default)]
    pub track: Option<u32>,
    /// Louder by so many decibels, or quieter if below zero; before anything is mixed in.
    #[serde(default)]
    #[schemars(range(min = -60.0, max = 60.0))]
    pub volume: Option<f64>,
    /// A file whose sound takes the place of the input's, cut or filled with silence to its length.
    #[serde(default)]
    pub replace: Option<InputFile>,
    /// Sound that is added, for as long as the input lasts.
    #[serde(default)]
    pub mix: Vec<Layer>,
    /// The video without any sound.
    #[serde(default)]
    pub mute: bool,
    /// What speech recognition takes: one channel of 16 kHz. A WAV file unless `output` says
    /// otherwise.
    #[serde(default)]
    pub speech: bool,
    /// The integrated loudness to reach, in LUFS (EBU R128): -23 for broadcast, -14 to -16 for the
    /// web. Measured first, then set by one gain for the whole, so that the dynamics stay.
    #[serde(default)]
    #[schemars(range(min = -70.0, max = -5.0))]
    pub loudness: Option<f64>,
    /// The highest true peak, in dBTP; a limiter works only where the gain would go beyond it.
    #[serde(default = "true_peak")]
    #[schemars(range(min = -20.0, max = 0.0))]
    pub true_peak: f64,
    /// Samples per second of the result.
    #[serde(default)]
    #[schemars(range(min = 8000, max = 192_000))]
    pub sample_rate: Option<u32>,
    /// Channels of the result.
    #[serde(default)]
    pub channels: Option<ChannelChoice>,
    /// Bits per second of coded sound, such as `128k`.
    #[serde(default)]
    pub bitrate: Option<Bitrate>,
    /// A picture of the result's waveform, as a PNG file.
    #[serde(default)]
    pub waveform: Option<OutputFile>,
    /// How the result is checked before it counts as one.
    #[serde(default)]
    pub verify: Verify,
}

/// Sound that is added.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The file to add.
    pub input: InputFile,
    /// Louder by so many decibels, or quieter if below zero.
    #[serde(default)]
    #[schemars(range(min = -60.0, max = 60.0))]
    pub volume: f64,
    /// Seconds of the input at which it begins.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 172_800.0))]
    pub start: f64,
}

/// How many channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelChoice {
    /// One.
    Mono,
    /// Two.
    Stereo,
    /// Six: 5.1.
    Surround,
}

fn true_peak() -> f64 {
    -1.0
}

impl ChannelChoice {
    /// ffmpeg's name of the layout.
    pub fn layout(self) -> &'static str {
        match self {
            ChannelChoice::Mono => "mono",
            ChannelChoice::Stereo => "stereo",
            ChannelChoice::Surround => "5.1",
        }
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        match self {
            ChannelChoice::Mono => 1,
            ChannelChoice::Stereo => 2,
            ChannelChoice::Surround => 6,
        }
    }
}

impl Args {
    /// The channels that are asked for.
    pub fn wanted_channels(&self) -> Option<ChannelChoice> {
        self.channels.or(self.speech.then_some(ChannelChoice::Mono))
    }

    /// The samples per second that are asked for.
    pub fn wanted_rate(&self) -> Option<u32> {
        self.sample_rate.or(self.speech.then_some(16_000))
    }

    /// The format of the result, by the extension of `output`. Without one, sound that came alone
    /// or was only taken out stays alone, and a video that got other sound stays a video.
    pub fn container(&self) -> Result<Container, Failure> {
        let Some(output) = &self.output else { return Ok(self.default_container()) };
        let extension = Path::new(output.as_str()).extension().unwrap_or_default();
        let extension = extension.to_string_lossy();
        let sound = SoundFile::of_extension(&extension).map(Container::Sound);
        sound.or(Container::of_extension(&extension)).ok_or_else(|| {
            Failure::new(
                FailureKind::InvalidArgs,
                format!("`{}` doesn't say which format is wanted", output.as_str()),
            )
            .cause(format!(
                "`.{extension}` is none of .m4a, .aac, .mp3, .opus, .ogg, .flac, .wav, .mp4, \
                 .m4v, .mov, .mkv and .webm"
            ))
            .hint("name an output that ends in `.m4a`, or in `.mp4` to keep the picture")
        })
    }

    fn default_container(&self) -> Container {
        let extension = Path::new(self.input.as_str()).extension().unwrap_or_default();
        let changes_video = self.mute || self.replace.is_some() || !self.mix.is_empty();
        match Container::of_extension(&extension.to_string_lossy()) {
            Some(video) if changes_video && !self.speech => video,
            _ if self.speech => Container::Sound(SoundFile::Wav),
            _ => Container::Sound(SoundFile::M4a),
        }
    }

    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self, container: Container) -> Result<(), Failure> {
        let wrong = |message: &str| Err(Failure::new(FailureKind::InvalidArgs, message));
        let changes = self.replace.is_some()
            || !self.mix.is_empty()
            || self.loudness.is_some()
            || self.volume.is_some()
            || self.waveform.is_some()
            || self.speech;
        if self.mute && changes {
            return wrong("`mute` leaves no sound for the other arguments to change");
        }
        if self.mute && matches!(container, Container::Sound(_)) {
            return wrong("`mute` leaves nothing of a file without a picture");
        }
        if self.replace.is_some() && self.track.is_some() {
            return wrong("`replace` and `track` exclude each other");
        }
        if self.volume.is_some() && self.loudness.is_some() {
            return wrong("`volume` and `loudness` exclude each other");
        }
        if !(-20.0..=0.0).contains(&self.true_peak) {
            return wrong("`true_peak` isn't between -20 and 0 dBTP");
        }
        if self.loudness.is_some_and(|target| !(-70.0..=-5.0).contains(&target)) {
            return wrong("`loudness` isn't between -70 and -5 LUFS");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn args(mut json: Value) -> Args {
        let defaults = json!({ "input": "a.mov" });
        for (key, value) in defaults.as_object().unwrap() {
            json.as_object_mut().unwrap().entry(key.clone()).or_insert(value.clone());
        }
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_extension_decides_and_without_one_what_was_asked_for() {
        let of = |json| args(json).container().unwrap().name();
        assert_eq!(of(json!({ "output": "b.mp3" })), "mp3");
        assert_eq!(of(json!({ "output": "b.OGG" })), "ogg");
        assert_eq!(of(json!({ "output": "b.webm" })), "webm");
        assert_eq!(of(json!({})), "ipod");
        assert_eq!(of(json!({ "speech": true })), "wav");
        assert_eq!(of(json!({ "mute": true })), "mov");
        assert_eq!(of(json!({ "mix": [{ "input": "b.mp3" }] })), "mov");
        assert_eq!(of(json!({ "input": "a.wav", "mix": [{ "input": "b.mp3" }] })), "ipod");
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |json| {
            let args = args(json);
            args.check(args.container().unwrap()).unwrap_err().message
        };
        insta::assert_snapshot!(refused(json!({ "mute": true, "loudness": -14 })), @"`mute` leaves no sound for the other arguments to change");
        insta::assert_snapshot!(refused(json!({ "mute": true, "output": "a.mp3" })), @"`mute` leaves nothing of a file without a picture");
        insta::assert_snapshot!(refused(json!({ "volume": 3, "loudness": -14 })), @"`volume` and `loudness` exclude each other");
        insta::assert_snapshot!(refused(json!({ "loudness": 3 })), @"`loudness` isn't between -70 and -5 LUFS");
    }
}
