//! One rendition of a ladder: what is asked for, and what becomes of it for a given video. Pure.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Wish, rate};
use crate::encode::coding::{Bitrate, Coding};
use crate::encode::picture::{self, Look};
use crate::encode::size::{Bounds, Fit, Geometry, MAX_SIDE, Quality, geometry};
use crate::ffmpeg::codec::{Encoder, Speed, VideoCodec};
use crate::ffmpeg::job::Rate;
use crate::ffmpeg::probe::VideoStream;
use crate::wire::{Failure, FailureKind};

/// Renditions that one call may make.
pub const MOST: usize = 16;

/// A rendition: a size by its name, such as `"720p"`, or more about it.
#[derive(Clone, Debug, JsonSchema)]
#[serde(untagged)]
pub enum RungArg {
    /// A size by its name.
    Quality(Quality),
    /// More about it.
    Rung(Rung),
}

/// A rendition. What it doesn't say is taken from the arguments of the whole.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// The name of its file or folder: letters, digits, `-`, `_` and `.`. By default the shorter
    /// side of the picture, such as `720p`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    pub name: Option<String>,
    /// The largest size of the picture, turned for portrait video.
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
    /// The video codec.
    #[serde(default)]
    pub codec: Option<VideoCodec>,
    /// Constant quality, lower is better.
    #[serde(default)]
    #[schemars(range(min = 0, max = 63))]
    pub crf: Option<u8>,
    /// Average bits per second, such as `5M` or `800k`.
    #[serde(default)]
    pub bitrate: Option<Bitrate>,
    /// Bits per second that are never exceeded for long. By default half as much again as
    /// `bitrate`, and without limit for constant quality.
    #[serde(default)]
    pub max_bitrate: Option<Bitrate>,
    /// How much work goes into a smaller file.
    #[serde(default)]
    pub preset: Option<Speed>,
}

// Derived for an untagged enum, it would keep to itself what is wrong with a rendition.
impl<'de> Deserialize<'de> for RungArg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let arg = match value {
            Value::String(_) => Quality::deserialize(value).map(RungArg::Quality),
            _ => Rung::deserialize(value).map(RungArg::Rung),
        };
        arg.map_err(serde::de::Error::custom)
    }
}

impl From<RungArg> for Rung {
    fn from(arg: RungArg) -> Self {
        match arg {
            RungArg::Quality(quality) => Rung { quality: Some(quality), ..Rung::default() },
            RungArg::Rung(rung) => rung,
        }
    }
}

/// The renditions to make: those of `args`, or 1080p, 720p and 480p.
pub fn wanted(args: Option<Vec<RungArg>>) -> Vec<Rung> {
    match args {
        Some(args) => args.into_iter().map(Rung::from).collect(),
        None => [Quality::P1080, Quality::P720, Quality::P480]
            .map(|quality| Rung { quality: Some(quality), ..Rung::default() })
            .into(),
    }
}

impl Rung {
    /// Its codec: H.264 where nobody says anything.
    pub fn codec(&self, coding: &Coding) -> VideoCodec {
        self.codec.or(coding.codec).unwrap_or(VideoCodec::H264)
    }

    pub(super) fn check(&self, coding: &Coding) -> Result<(), Failure> {
        let wrong = |message: String| Err(Failure::new(FailureKind::InvalidArgs, message));
        let title = self.title();
        if self.quality.is_some() && (self.width.is_some() || self.height.is_some()) {
            return wrong(format!("{title}: `quality` and `width` or `height` exclude each other"));
        }
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(2..=MAX_SIDE).contains(&side)) {
                return wrong(format!("{title}: `{name}` isn't between 2 and {MAX_SIDE} pixels"));
            }
        }
        if let Some(name) = self.name.as_deref().filter(|name| !is_file_name(name)) {
            return Err(Failure::new(
                FailureKind::InvalidArgs,
                format!("`{name}` can't be the name of a rendition"),
            )
            .hint("use letters, digits, `-`, `_` and `.`, such as `720p`"));
        }
        if let (Some(average), Some(peak)) = (self.bitrate, self.max_bitrate)
            && average.0 > peak.0
        {
            return wrong(format!("{title}: `max_bitrate` is less than `bitrate`"));
        }
        let own = Coding { crf: self.crf, bitrate: self.bitrate, ..Coding::default() };
        own.check(self.codec(coding))
    }

    /// How messages call it.
    fn title(&self) -> String {
        match (&self.name, self.quality) {
            (Some(name), _) => format!("rendition `{name}`"),
            (None, Some(quality)) => format!("rendition `{}`", quality.name()),
            _ => "a rendition".into(),
        }
    }
}

fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
}

/// A rendition that will be made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) codec: VideoCodec,
    pub(super) speed: Speed,
    geometry: Geometry,
    crf: Option<u8>,
    bitrate: Option<u64>,
    max_bitrate: Option<u64>,
    /// It would have been larger than the video.
    shrunk: bool,
    title: String,
}

impl Chosen {
    pub(super) fn look(&self, wish: Wish<'_>, video: &VideoStream) -> Look {
        let (width, height) = self.geometry.size();
        let bounds = Bounds::Pixels { width: Some(width), height: Some(height) };
        let look = Look::decide((bounds, wish.fit), wish.coding.ten_bit, self.codec, video);
        Look { geometry: self.geometry, ..look }
    }

    pub(super) fn rate(&self, encoder: Encoder) -> Rate {
        let coding = Coding { crf: self.crf, ..Coding::default() };
        match coding.rate(encoder) {
            Rate::Quality(quality) => rate(quality, self.bitrate, self.max_bitrate),
            other => other,
        }
    }
}

/// The renditions that make sense for `video`, and what is said of the others.
pub(super) fn choose(
    wish: Wish<'_>,
    video: &VideoStream,
) -> Result<(Vec<Chosen>, Vec<String>), Failure> {
    let all: Vec<_> = wish.rungs.iter().map(|rung| chosen(rung, wish, video)).collect();
    let mut notes = Vec::new();
    let mut kept: Vec<Chosen> = Vec::new();
    for (index, rung) in all.iter().enumerate() {
        let size = rung.geometry.size();
        let same = |other: &&Chosen| other.codec == rung.codec && other.geometry.size() == size;
        // One that the video is too small for gives way to one of the same size.
        let mut others = all[index + 1..].iter().chain(kept.iter().filter(|kept| !kept.shrunk));
        match others.find(same).filter(|_| rung.shrunk) {
            Some(other) => notes.push(format!(
                "{} is left out: the video isn't larger than {}",
                rung.title, other.title
            )),
            None if rung.shrunk => {
                let (width, height) = size;
                notes.push(format!("{} is {width}x{height}, as the video is", rung.title));
                kept.push(rung.clone());
            }
            None => kept.push(rung.clone()),
        }
    }
    name_all(&mut kept)?;
    Ok((kept, notes))
}

fn chosen(rung: &Rung, wish: Wish<'_>, video: &VideoStream) -> Chosen {
    let shown = picture::shown(video);
    let (geometry, shrunk) = sized(rung, wish, shown);
    // What is said here counts more than what is said for all, also of the other kind.
    let own = rung.crf.is_some() || rung.bitrate.is_some();
    let (crf, bitrate) = match own {
        true => (rung.crf, rung.bitrate),
        false => (wish.coding.crf, wish.coding.bitrate),
    };
    Chosen {
        name: rung.name.clone().unwrap_or_default(),
        codec: rung.codec(wish.coding),
        speed: rung.preset.unwrap_or(wish.coding.preset),
        geometry,
        crf,
        bitrate: bitrate.map(|bits| bits.0),
        max_bitrate: rung.max_bitrate.map(|bits| bits.0),
        shrunk,
        title: rung.title(),
    }
}

/// The way to a rung's size; and whether it was made smaller, so that nothing is enlarged.
fn sized(rung: &Rung, wish: Wish<'_>, shown: (f64, f64)) -> (Geometry, bool) {
    let bounds = match rung.quality {
        Some(quality) => {
            let (long, short) = quality.sides();
            let (width, height) = if shown.1 > shown.0 { (short, long) } else { (long, short) };
            Bounds::Pixels { width: Some(width), height: Some(height) }
        }
        None if rung.width.is_some() || rung.height.is_some() => {
            Bounds::Pixels { width: rung.width, height: rung.height }
        }
        None => Bounds::Source,
    };
    let asked = geometry(shown, bounds, wish.fit);
    let (width, height) = (f64::from(asked.scale.0), f64::from(asked.scale.1));
    // Sides are even, so a pixel more than an odd side is no enlargement.
    if wish.upscale || (width <= shown.0 + 1.0 && height <= shown.1 + 1.0) {
        return (asked, false);
    }
    if matches!(wish.fit, Fit::Contain) {
        return (geometry(shown, Bounds::Source, wish.fit), true);
    }
    let factor = (shown.0 / width).min(shown.1 / height);
    let (width, height) = asked.size();
    let less = |side: u32| Some(((f64::from(side) * factor) as u32).max(2));
    let bounds = Bounds::Pixels { width: less(width), height: less(height) };
    (geometry(shown, bounds, wish.fit), true)
}

/// Names the ones without a name by the shorter side of the picture, and by the codec where that
/// isn't enough. Names that were given twice are refused.
fn name_all(rungs: &mut [Chosen]) -> Result<(), Failure> {
    let mut taken = BTreeSet::new();
    for rung in rungs.iter().filter(|rung| !rung.name.is_empty()) {
        if !taken.insert(rung.name.to_ascii_lowercase()) {
            let message = format!("two renditions are called `{}`", rung.name);
            return Err(Failure::new(FailureKind::InvalidArgs, message));
        }
    }
    for rung in rungs.iter_mut().filter(|rung| rung.name.is_empty()) {
        let (width, height) = rung.geometry.size();
        let short = format!("{}p", width.min(height));
        let by_codec = format!("{short}-{}", rung.codec.name());
        let numbered = (2..).map(|number| format!("{by_codec}-{number}"));
        let mut names = [short, by_codec.clone()].into_iter().chain(numbered);
        rung.name = names.find(|name| taken.insert(name.clone())).unwrap_or(by_codec);
    }
    Ok(())
}
