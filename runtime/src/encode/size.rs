//! How large the picture becomes. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{Failure, FailureKind};

/// The largest width or height that may be asked for.
pub const MAX_SIDE: u32 = 16_384;

/// A box by name. A portrait picture gets the box turned; a smaller picture is not enlarged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Quality {
    /// 3840 × 2160
    #[serde(rename = "4k")]
    Uhd,
    /// 1920 × 1080
    #[serde(rename = "1080p")]
    P1080,
    /// 1280 × 720
    #[serde(rename = "720p")]
    P720,
    /// 854 × 480
    #[serde(rename = "480p")]
    P480,
}

/// How a picture goes into a box of another shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// All of it, as large as fits; the result may be smaller than the box on one side.
    #[default]
    Contain,
    /// The box is filled, and what sticks out is cut off.
    Cover,
    /// The box is filled by stretching.
    Fill,
    /// All of it, with black bars up to the box.
    Pad,
}

/// The box that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// None: the size stays.
    Source,
    /// A named box.
    Quality(Quality),
    /// Pixels; a side that isn't given follows from the other.
    Pixels {
        /// Columns.
        width: Option<u32>,
        /// Rows.
        height: Option<u32>,
    },
}

/// How large the picture becomes. Flattened into the arguments of handlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Sides {
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
}

impl Sides {
    /// The box that they ask for.
    pub fn bounds(self) -> Bounds {
        match (self.quality, self.width, self.height) {
            (Some(quality), ..) => Bounds::Quality(quality),
            (None, None, None) => Bounds::Source,
            (None, width, height) => Bounds::Pixels { width, height },
        }
    }

    /// Refuses sides that each are right and together make no sense.
    pub fn check(self) -> Result<(), Failure> {
        let wrong = |message: String| Err(Failure::new(FailureKind::InvalidArgs, message));
        if self.quality.is_some() && (self.width.is_some() || self.height.is_some()) {
            return wrong("`quality` and `width` or `height` exclude each other".into());
        }
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(2..=MAX_SIDE).contains(&side)) {
                return wrong(format!("`{name}` isn't between 2 and {MAX_SIDE} pixels"));
            }
        }
        Ok(())
    }
}

/// What has to be done to reach a size. All sides are even, as 4:2:0 video needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The picture is resized to this.
    pub scale: (u32, u32),
    /// Then its middle is cut out.
    pub crop: Option<(u32, u32)>,
    /// Then bars are put around it.
    pub pad: Option<(u32, u32)>,
}

impl Geometry {
    /// The size of the result.
    pub fn size(&self) -> (u32, u32) {
        self.pad.or(self.crop).unwrap_or(self.scale)
    }
}

impl Quality {
    /// As arguments name it.
    pub fn name(self) -> &'static str {
        match self {
            Quality::Uhd => "4k",
            Quality::P1080 => "1080p",
            Quality::P720 => "720p",
            Quality::P480 => "480p",
        }
    }

    /// The long and the short side.
    pub fn sides(self) -> (u32, u32) {
        match self {
            Quality::Uhd => (3840, 2160),
            Quality::P1080 => (1920, 1080),
            Quality::P720 => (1280, 720),
            Quality::P480 => (854, 480),
        }
    }
}

/// The way from a picture, as shown with square pixels, to `bounds`.
pub fn geometry(shown: (f64, f64), bounds: Bounds, fit: Fit) -> Geometry {
    let (width, height) = shown;
    match bounds {
        Bounds::Source => plain(even2(shown)),
        Bounds::Quality(quality) => {
            let (long, short) = quality.sides();
            let target = if height > width { (short, long) } else { (long, short) };
            match fit {
                Fit::Contain => plain(within(shown, target, 1.0)),
                _ => into(shown, target, fit),
            }
        }
        Bounds::Pixels { width: Some(w), height: Some(h) } => into(shown, (w, h), fit),
        Bounds::Pixels { width: Some(w), height: None } => {
            let h = if fit == Fit::Fill { height } else { height * f64::from(w) / width };
            plain((even(f64::from(w)), even(h)))
        }
        Bounds::Pixels { width: None, height: Some(h) } => {
            let w = if fit == Fit::Fill { width } else { width * f64::from(h) / height };
            plain((even(w), even(f64::from(h))))
        }
        Bounds::Pixels { width: None, height: None } => plain(even2(shown)),
    }
}

fn into(shown: (f64, f64), target: (u32, u32), fit: Fit) -> Geometry {
    let target = (even(f64::from(target.0)), even(f64::from(target.1)));
    match fit {
        Fit::Fill => plain(target),
        Fit::Contain => plain(within(shown, target, f64::INFINITY)),
        Fit::Pad => {
            let scale = within(shown, target, f64::INFINITY);
            Geometry { scale, crop: None, pad: (scale != target).then_some(target) }
        }
        Fit::Cover => {
            let factor = (f64::from(target.0) / shown.0).max(f64::from(target.1) / shown.1);
            let scaled = even2((shown.0 * factor, shown.1 * factor));
            let scale = (scaled.0.max(target.0), scaled.1.max(target.1));
            Geometry { scale, crop: (scale != target).then_some(target), pad: None }
        }
    }
}

fn within(shown: (f64, f64), target: (u32, u32), most: f64) -> (u32, u32) {
    let (w, h) = (f64::from(target.0), f64::from(target.1));
    let factor = (w / shown.0).min(h / shown.1).min(most);
    let scaled = even2((shown.0 * factor, shown.1 * factor));
    (scaled.0.min(even(w)), scaled.1.min(even(h)))
}

fn plain(scale: (u32, u32)) -> Geometry {
    Geometry { scale, crop: None, pad: None }
}

fn even2((width, height): (f64, f64)) -> (u32, u32) {
    (even(width), even(height))
}

/// The nearest even number, the lower of two, at least 2.
pub fn even(side: f64) -> u32 {
    ((side / 2.0 - 0.5).ceil() as u32).max(1) * 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(shown: (u32, u32), bounds: Bounds, fit: Fit) -> (u32, u32) {
        geometry((f64::from(shown.0), f64::from(shown.1)), bounds, fit).size()
    }

    #[test]
    fn named_boxes_turn_with_the_picture_and_never_enlarge() {
        let p720 = Bounds::Quality(Quality::P720);
        assert_eq!(size((1920, 1080), p720, Fit::Contain), (1280, 720));
        assert_eq!(size((1080, 1920), p720, Fit::Contain), (720, 1280));
        assert_eq!(size((1920, 804), p720, Fit::Contain), (1280, 536));
        assert_eq!(size((640, 360), p720, Fit::Contain), (640, 360));
        assert_eq!(size((640, 480), p720, Fit::Pad), (1280, 720));
    }

    #[test]
    fn pixels_are_taken_at_their_word() {
        let wide = Bounds::Pixels { width: Some(1280), height: None };
        assert_eq!(size((640, 360), wide, Fit::Contain), (1280, 720));
        let square = Bounds::Pixels { width: Some(500), height: Some(500) };
        assert_eq!(size((640, 360), square, Fit::Contain), (500, 282));
        assert_eq!(size((640, 360), square, Fit::Cover), (500, 500));
        assert_eq!(size((640, 360), square, Fit::Fill), (500, 500));
        assert_eq!(size((640, 360), square, Fit::Pad), (500, 500));
    }

    #[test]
    fn odd_sizes_become_even() {
        assert_eq!(size((161, 121), Bounds::Source, Fit::Contain), (160, 120));
        assert_eq!(size((1, 1), Bounds::Source, Fit::Contain), (2, 2));
    }

    proptest! {
        #[test]
        fn every_size_is_even_and_inside_the_box(
            w in 1_u32..9000, h in 1_u32..9000,
            bw in 2_u32..9000, bh in 2_u32..9000,
            fit in prop::sample::select(vec![Fit::Contain, Fit::Cover, Fit::Fill, Fit::Pad]),
        ) {
            let shown = (f64::from(w), f64::from(h));
            let bounds = Bounds::Pixels { width: Some(bw), height: Some(bh) };
            let geometry = geometry(shown, bounds, fit);
            let size = geometry.size();
            prop_assert!(size.0.is_multiple_of(2) && size.1.is_multiple_of(2));
            prop_assert!(size.0 >= 2 && size.1 >= 2);
            prop_assert!(size.0 <= bw.max(2) && size.1 <= bh.max(2));
            if let Some(crop) = geometry.crop {
                prop_assert!(crop.0 <= geometry.scale.0 && crop.1 <= geometry.scale.1);
            }
            if let Some(pad) = geometry.pad {
                prop_assert!(pad.0 >= geometry.scale.0 && pad.1 >= geometry.scale.1);
            }
        }
    }
}
