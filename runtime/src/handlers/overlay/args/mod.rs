//! What `overlay` takes.

mod highlight;
mod image;
mod place;
mod text;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::highlight::{Highlight, Region, Shape};
pub use self::image::Image;
pub use self::place::{Align, Shown, Stand};
pub use self::text::Text;
use crate::encode::Coding;
use crate::encode::part::Part;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// Texts, images and highlights of one call.
const MOST: usize = 64;

/// What `overlay` takes. Highlights are drawn first, then images, then texts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
    #[schemars(extend("x-ranged" = "/part/frames"))]
    pub input: InputFile,
    /// Where the result goes; the extension (mp4, m4v, mov, mkv or webm) decides the container.
    /// Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// Texts, in any script.
    #[serde(default)]
    pub texts: Vec<Text>,
    /// Images, such as a logo.
    #[serde(default)]
    pub images: Vec<Image>,
    /// Regions that are marked, and may move.
    #[serde(default)]
    pub highlights: Vec<Highlight>,
    /// How much darker everything outside the highlights gets while one of them is shown: 0 is not
    /// at all, 1 is black.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dim: f64,
    /// Only a part of the work, as `chunked` asks for it.
    #[serde(default)]
    pub part: Option<Part>,
    /// How the result is coded.
    #[serde(flatten)]
    pub coding: Coding,
}

impl Args {
    /// Refuses arguments that each are right and together make no sense.
    pub fn check(&self) -> Result<(), Failure> {
        let counts = [self.texts.len(), self.images.len(), self.highlights.len()];
        if counts.iter().all(|count| *count == 0) {
            return Err(wrong("there is nothing to draw".into()).hint(
                "give `texts`, `images` or `highlights`, such as `texts=[{\"text\":\"Hello\"}]`",
            ));
        }
        if counts.iter().any(|count| *count > MOST) {
            return Err(wrong(format!("a call draws at most {MOST} of each kind"))
                .hint("draw them in several calls"));
        }
        if !(0.0..=1.0).contains(&self.dim) {
            return Err(wrong("`dim` isn't between 0 and 1".into()));
        }
        if self.dim > 0.0 && self.highlights.is_empty() {
            return Err(wrong("`dim` needs `highlights` to leave bright".into()));
        }
        let named = |kind: &str, index: usize| format!("{kind}.{index}");
        for (index, text) in self.texts.iter().enumerate() {
            text.check(&named("texts", index))?;
        }
        for (index, image) in self.images.iter().enumerate() {
            image.check(&named("images", index))?;
        }
        for (index, highlight) in self.highlights.iter().enumerate() {
            highlight.check(&named("highlights", index))?;
        }
        Ok(())
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(FailureKind::InvalidArgs, message)
}

fn one() -> f64 {
    1.0
}

fn check_layer(name: &str, opacity: f64, rotate: f64) -> Result<(), Failure> {
    if !(0.0..=1.0).contains(&opacity) {
        return Err(wrong(format!("`{name}.opacity` isn't between 0 and 1")));
    }
    if !rotate.is_finite() {
        return Err(wrong(format!("`{name}.rotate` isn't an angle in degrees")));
    }
    Ok(())
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
        let region = json!({ "x": 0, "y": 0, "width": 10, "height": "5%" });
        let two = json!([{ "at": 1, "x": 0, "y": 0, "width": 1, "height": 1 }, region]);
        assert_eq!(message(json!({ "texts": [{ "text": "Hi" }] })), "fine");
        assert_eq!(
            message(json!({ "highlights": [{ "keyframes": [region] }], "dim": 0.5 })),
            "fine"
        );
        insta::assert_snapshot!(message(json!({})), @"there is nothing to draw");
        insta::assert_snapshot!(message(json!({ "texts": [{ "text": " \n" }] })), @"`texts.0.text` is empty");
        insta::assert_snapshot!(message(json!({ "texts": [{ "text": "a", "font": "A,B" }] })), @"`texts.0.font` isn't the name of a font family");
        insta::assert_snapshot!(message(json!({ "texts": [{ "text": "a", "start": 2, "end": 1 }] })), @"`texts.0` ends before it starts");
        insta::assert_snapshot!(message(json!({ "texts": [{ "text": "a" }], "dim": 1 })), @"`dim` needs `highlights` to leave bright");
        insta::assert_snapshot!(message(json!({ "highlights": [{ "keyframes": [] }] })), @"`highlights.0.keyframes` needs 1 to 2000 keyframes, not 0");
        insta::assert_snapshot!(message(json!({ "highlights": [{ "keyframes": two }] })), @"the times of `highlights.0.keyframes` don't ascend");
    }
}
