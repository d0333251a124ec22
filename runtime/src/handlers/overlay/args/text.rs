//! The texts that `overlay` draws.

use schemars::JsonSchema;
use serde::Deserialize;

use super::place::{Align, Shown, Stand};
use super::{check_layer, one, wrong};
use crate::color::Color;
use crate::length::Length;
use crate::storage::InputFile;
use crate::wire::Failure;

/// Characters of one text.
const MOST_CHARACTERS: usize = 4000;

/// A text. It is wrapped to the picture's width less its margins.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// What it says. A line break is a line break; nothing else means anything but itself.
    pub text: String,
    /// The family of the font, such as `Noto Serif`. Characters that it lacks come from others.
    #[serde(default = "sans")]
    pub font: String,
    /// A font file (TTF or OTF) to use instead of an installed font.
    #[serde(default)]
    pub font_file: Option<InputFile>,
    /// The height of a line.
    #[serde(default = "size")]
    pub size: Length,
    /// The colour of the letters.
    #[serde(default = "white")]
    pub color: Color,
    /// Bold.
    #[serde(default)]
    pub bold: bool,
    /// Italic.
    #[serde(default)]
    pub italic: bool,
    /// The colour around the letters.
    #[serde(default = "black")]
    pub outline: Color,
    /// How wide the outline is; by default a sixteenth of the size, and nothing with a `box`.
    #[serde(default)]
    pub outline_width: Option<Length>,
    /// The colour of a box behind the whole text.
    #[serde(default, rename = "box")]
    pub backdrop: Option<Color>,
    /// Space between the text and the edge of its box; by default a quarter of the size.
    #[serde(default)]
    pub padding: Option<Length>,
    /// Where it stands, or which of its corners or edges is at `x` and `y`.
    #[serde(default = "bottom")]
    pub align: Align,
    /// Where it stands.
    #[serde(flatten)]
    pub stand: Stand,
    /// Breaks lines that are too long.
    #[serde(default = "yes")]
    pub wrap: bool,
    /// How opaque it is, 0 to 1.
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

fn sans() -> String {
    "Sans".into()
}

fn size() -> Length {
    Length::Percent(6.0)
}

fn white() -> Color {
    Color::WHITE
}

fn black() -> Color {
    Color::BLACK
}

fn bottom() -> Align {
    Align::Bottom
}

fn yes() -> bool {
    true
}

impl Text {
    pub(super) fn check(&self, name: &str) -> Result<(), Failure> {
        if self.text.chars().all(char::is_whitespace) {
            return Err(wrong(format!("`{name}.text` is empty")));
        }
        if self.text.chars().count() > MOST_CHARACTERS {
            return Err(wrong(format!("`{name}.text` has more than {MOST_CHARACTERS} characters")));
        }
        let plain =
            |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '\'' | '+');
        if self.font.is_empty() || self.font.len() > 64 || !self.font.chars().all(plain) {
            return Err(wrong(format!("`{name}.font` isn't the name of a font family"))
                .hint("list them: `fc-list : family`"));
        }
        check_layer(name, self.opacity, self.rotate)?;
        self.shown.check(name)
    }
}
