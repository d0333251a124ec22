//! The images that `overlay` draws.

use schemars::JsonSchema;
use serde::Deserialize;

use super::place::{Align, Shown, Stand};
use super::{check_layer, one};
use crate::length::Length;
use crate::storage::InputFile;
use crate::wire::Failure;

/// An image.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// A PNG, JPEG, WebP, GIF, BMP or TIFF file; of an animation, its first picture.
    pub image: InputFile,
    /// How wide it gets; its height follows unless that is given too.
    #[serde(default)]
    pub width: Option<Length>,
    /// How high it gets; its width follows unless that is given too.
    #[serde(default)]
    pub height: Option<Length>,
    /// Where it stands, or which of its corners or edges is at `x` and `y`.
    #[serde(default = "top_right")]
    pub align: Align,
    /// Where it stands.
    #[serde(flatten)]
    pub stand: Stand,
    /// How opaque it is, 0 to 1, times what it says itself.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub opacity: f64,
    /// Degrees that it is turned by, clockwise.
    #[serde(default)]
    pub rotate: f64,
    /// When it is shown.
    #[serde(flatten)]
    pub shown: Shown,
}

fn top_right() -> Align {
    Align::TopRight
}

impl Image {
    pub(super) fn check(&self, name: &str) -> Result<(), Failure> {
        self.shown.check(name)?;
        check_layer(name, self.opacity, self.rotate)
    }
}
