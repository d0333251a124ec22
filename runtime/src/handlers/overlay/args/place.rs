//! Where things stand on the picture, and when they are shown.

use schemars::JsonSchema;
use serde::Deserialize;

use super::wrong;
use crate::ffmpeg::expr::Window;
use crate::length::Length;
use crate::wire::Failure;

/// A place on the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Align {
    TopLeft,
    Top,
    TopRight,
    Left,
    Center,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
}

impl Align {
    /// How far to the right and down it is: 0, a half or 1.
    pub fn shares(self) -> (f64, f64) {
        let across = match self {
            Align::TopLeft | Align::Left | Align::BottomLeft => 0.0,
            Align::Top | Align::Center | Align::Bottom => 0.5,
            Align::TopRight | Align::Right | Align::BottomRight => 1.0,
        };
        let down = match self {
            Align::TopLeft | Align::Top | Align::TopRight => 0.0,
            Align::Left | Align::Center | Align::Right => 0.5,
            Align::BottomLeft | Align::Bottom | Align::BottomRight => 1.0,
        };
        (across, down)
    }
}

/// Where something stands. Flattened into the arguments of what is drawn.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub struct Stand {
    /// Distance from the edges of the picture.
    #[serde(default = "margin")]
    pub margin: Length,
    /// Where it stands from the left, instead of `align` and `margin`.
    #[serde(default)]
    pub x: Option<Length>,
    /// Where it stands from the top, instead of `align` and `margin`.
    #[serde(default)]
    pub y: Option<Length>,
}

fn margin() -> Length {
    Length::Percent(4.0)
}

/// When something is shown. Flattened into the arguments of what is drawn.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
pub struct Shown {
    /// Seconds at which it appears.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub start: Option<f64>,
    /// Seconds at which it disappears.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub end: Option<f64>,
}

impl Shown {
    pub(super) fn check(self, name: &str) -> Result<(), Failure> {
        let from = self.start.unwrap_or(0.0);
        let sound = from >= 0.0 && from.is_finite() && self.end.is_none_or(|end| end > from);
        if sound { Ok(()) } else { Err(wrong(format!("`{name}` ends before it starts"))) }
    }
}

impl From<Shown> for Window {
    fn from(shown: Shown) -> Self {
        Window { start: shown.start, end: shown.end }
    }
}
