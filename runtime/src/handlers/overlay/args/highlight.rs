//! The regions that `overlay` marks.

use schemars::JsonSchema;
use serde::Deserialize;

use super::place::Shown;
use super::wrong;
use crate::color::Color;
use crate::length::Length;
use crate::motion::Interpolation;
use crate::wire::Failure;

/// Keyframes of one highlight.
const MOST_KEYFRAMES: usize = 2000;

/// A region that is marked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Highlight {
    /// Its shape.
    #[serde(default)]
    pub shape: Shape,
    /// Where it is when; one keyframe makes it stand still.
    pub keyframes: Vec<Region>,
    /// How it gets from one keyframe to the next.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// The colour of its outline.
    #[serde(default = "marker")]
    pub color: Color,
    /// How thick its outline is; 0 is none. Where an ellipse changes its size, so does this.
    #[serde(default = "thickness")]
    pub thickness: Length,
    /// A colour that is laid over the region, such as `#ffd40040`.
    #[serde(default)]
    pub fill: Option<Color>,
    /// When it is shown.
    #[serde(flatten)]
    pub shown: Shown,
}

/// Where a region is at one time.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Seconds.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub at: f64,
    /// Its left edge.
    pub x: Length,
    /// Its upper edge.
    pub y: Length,
    /// Its width.
    pub width: Length,
    /// Its height.
    pub height: Length,
}

/// The shape of a highlight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A rectangle.
    #[default]
    Box,
    /// The ellipse that fits into the rectangle.
    Ellipse,
}

fn marker() -> Color {
    Color::MARKER
}

fn thickness() -> Length {
    Length::Percent(0.5)
}

impl Highlight {
    pub(super) fn check(&self, name: &str) -> Result<(), Failure> {
        if self.keyframes.is_empty() || self.keyframes.len() > MOST_KEYFRAMES {
            return Err(wrong(format!(
                "`{name}.keyframes` needs 1 to {MOST_KEYFRAMES} keyframes, not {}",
                self.keyframes.len()
            ))
            .hint("one keyframe such as `{\"x\":10,\"y\":10,\"width\":100,\"height\":50}` stands still"));
        }
        let ascend = self.keyframes.windows(2).all(|pair| pair[0].at < pair[1].at);
        let sound = self.keyframes.iter().all(|key| key.at >= 0.0 && key.at.is_finite());
        if !ascend || !sound {
            return Err(wrong(format!("the times of `{name}.keyframes` don't ascend"))
                .hint("give each keyframe an `at` in seconds that is later than the one before"));
        }
        self.shown.check(name)
    }
}
