//! What a reel is to be like: the arguments that handlers of reels share, and what follows from
//! them. Pure.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Segment;
use super::normal::Target;
use crate::encode::Coding;
use crate::encode::picture;
use crate::encode::size::{Bounds, Fit, Quality, Sides, geometry};
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::VideoCodec;
use crate::ffmpeg::container::Container;
use crate::wire::{Failure, FailureKind};

/// The rate where no file says one.
const USUAL_RATE: Rational = Rational { num: 30, den: 1 };

/// What a reel is to be like. Flattened into the arguments of handlers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Wish {
    /// The largest size of the picture; by default that of the first part.
    #[serde(default)]
    pub quality: Option<Quality>,
    /// Width in pixels. Not together with `quality`.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16384))]
    pub width: Option<u32>,
    /// Height in pixels. Not together with `quality`.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16384))]
    pub height: Option<u32>,
    /// How parts of another shape go into the picture: by default with black bars.
    #[serde(default)]
    pub fit: Option<Fit>,
    /// Frames per second; by default those of the first part.
    #[serde(default)]
    #[schemars(range(min = 0.1, max = 480.0))]
    pub fps: Option<f64>,
    /// The result has no sound.
    #[serde(default)]
    pub mute: bool,
    /// Everything is coded anew, even where packets would fit together as they are.
    #[serde(default)]
    pub reencode: bool,
}

impl Wish {
    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self, coding: &Coding, container: Container) -> Result<(), Failure> {
        let wrong = |message: &str| Err(Failure::new(FailureKind::InvalidArgs, message));
        self.sides().check()?;
        if self.fps.is_some_and(|fps| !(0.1..=480.0).contains(&fps)) {
            return wrong("`fps` isn't between 0.1 and 480");
        }
        coding.check(coding.codec_in(container)?)
    }

    // They can't be flattened into what is flattened itself.
    fn sides(&self) -> Sides {
        Sides { quality: self.quality, width: self.width, height: self.height }
    }

    /// What all parts are brought to; `fade` is in seconds.
    pub fn target(&self, segments: &[Segment<'_>], fade: f64) -> Target {
        let first = segments.first().map(|segment| segment.video);
        let fit = self.fit.unwrap_or(Fit::Pad);
        let shown = first.map_or((1280.0, 720.0), picture::shown);
        let within = self.fit.unwrap_or(Fit::Contain);
        let rate = self.fps.and_then(Rational::from_rate);
        let rate = rate.or(segments.first().and_then(Segment::rate)).unwrap_or(USUAL_RATE);
        Target {
            size: geometry(shown, self.sides().bounds(), within).size(),
            fit,
            rate,
            sound: !self.mute && segments.iter().any(|segment| segment.sound().is_some()),
            fade: (fade * rate.value()).round() as u64,
        }
    }

    /// Why packets can't go over as they are: something is asked for that they don't have.
    pub fn reencodes(
        &self,
        coding: &Coding,
        segments: &[Segment<'_>],
        target: Target,
        container: Container,
    ) -> Option<String> {
        let Coding { codec, crf, bitrate, ten_bit, .. } = coding;
        let coding = crf.is_some() || bitrate.is_some() || ten_bit.is_some();
        let other = |segment: &Segment<'_>| {
            let is = VideoCodec::of_name(&segment.stream.codec);
            let webm = matches!(is, Some(VideoCodec::H264 | VideoCodec::Hevc));
            (container == Container::WebM && webm) || (codec.is_some() && is != *codec)
        };
        match () {
            () if self.reencode => Some("`reencode` was asked for".into()),
            () if target.fade > 0 => Some("parts fade into each other".into()),
            () if segments.iter().any(|segment| segment.caption.is_some()) => {
                Some("captions are drawn".into())
            }
            () if self.sides().bounds() != Bounds::Source => Some("a size was asked for".into()),
            () if self.fps.is_some() => Some("a rate was asked for".into()),
            () if coding => Some("a quality was asked for".into()),
            () if segments.iter().any(other) => Some("another codec is wanted".into()),
            () => None,
        }
    }
}
