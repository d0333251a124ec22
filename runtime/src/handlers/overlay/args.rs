//! What `overlay` takes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::color::Color;
use crate::encode::Coding;
use crate::encode::part::Part;
use crate::ffmpeg::expr::Window;
use crate::length::Length;
use crate::motion::Interpolation;
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind};

/// Texts, images and highlights of one call.
const MOST: usize = 64;

/// Keyframes of one highlight.
const MOST_KEYFRAMES: usize = 2000;

/// Characters of one text.
const MOST_CHARACTERS: usize = 4000;

/// What `overlay` takes. Highlights are drawn first, then images, then texts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The video to read.
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

/// A text. It is wrapped to the picture's width less its margins.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// What it says. A line break is a line break; nothing else means anything but itself.
    pub text: String,
    /// The family of the font, such as `Noto Serif`. Characters that it lacks come from others.
    #[serde(default = "default_font")]
    pub font: String,
    /// A font file (TTF or OTF) to use instead of an installed font.
    #[serde(default)]
    pub font_file: Option<InputFile>,
    /// The height of a line.
    #[serde(default = "default_size")]
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
    #[serde(default = "default_text_align")]
    pub align: Align,
    /// Distance from the edges of the picture.
    #[serde(default = "default_margin")]
    pub margin: Length,
    /// Where it stands from the left, instead of `align` and `margin`.
    #[serde(default)]
    pub x: Option<Length>,
    /// Where it stands from the top, instead of `align` and `margin`.
    #[serde(default)]
    pub y: Option<Length>,
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
    /// Seconds at which it appears.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub start: Option<f64>,
    /// Seconds at which it disappears.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub end: Option<f64>,
}

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
    #[serde(default = "default_image_align")]
    pub align: Align,
    /// Distance from the edges of the picture.
    #[serde(default = "default_margin")]
    pub margin: Length,
    /// Where it stands from the left, instead of `align` and `margin`.
    #[serde(default)]
    pub x: Option<Length>,
    /// Where it stands from the top, instead of `align` and `margin`.
    #[serde(default)]
    pub y: Option<Length>,
    /// How opaque it is, 0 to 1, times what it says itself.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub opacity: f64,
    /// Degrees that it is turned by, clockwise.
    #[serde(default)]
    pub rotate: f64,
    /// Seconds at which it appears.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub start: Option<f64>,
    /// Seconds at which it disappears.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub end: Option<f64>,
}

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
    #[serde(default = "default_thickness")]
    pub thickness: Length,
    /// A colour that is laid over the region, such as `#ffd40040`.
    #[serde(default)]
    pub fill: Option<Color>,
    /// Seconds at which it appears.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub start: Option<f64>,
    /// Seconds at which it disappears.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub end: Option<f64>,
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

fn default_font() -> String {
    "Sans".into()
}

fn default_size() -> Length {
    Length::Percent(6.0)
}

fn default_margin() -> Length {
    Length::Percent(4.0)
}

fn default_thickness() -> Length {
    Length::Percent(0.5)
}

fn default_text_align() -> Align {
    Align::Bottom
}

fn default_image_align() -> Align {
    Align::TopRight
}

fn white() -> Color {
    Color::WHITE
}

fn black() -> Color {
    Color::BLACK
}

fn marker() -> Color {
    Color::MARKER
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn wrong(message: String) -> Failure {
    Failure::new(FailureKind::InvalidArgs, message)
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
            let name = named("images", index);
            check_window(&name, image.start, image.end)?;
            check_layer(&name, image.opacity, image.rotate)?;
        }
        for (index, highlight) in self.highlights.iter().enumerate() {
            highlight.check(&named("highlights", index))?;
        }
        Ok(())
    }
}

impl Text {
    fn check(&self, name: &str) -> Result<(), Failure> {
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
        check_window(name, self.start, self.end)
    }

    /// When it is shown.
    pub fn window(&self) -> Window {
        Window { start: self.start, end: self.end }
    }
}

impl Image {
    /// When it is shown.
    pub fn window(&self) -> Window {
        Window { start: self.start, end: self.end }
    }
}

impl Highlight {
    fn check(&self, name: &str) -> Result<(), Failure> {
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
        check_window(name, self.start, self.end)
    }

    /// When it is shown.
    pub fn window(&self) -> Window {
        Window { start: self.start, end: self.end }
    }
}

fn check_window(name: &str, start: Option<f64>, end: Option<f64>) -> Result<(), Failure> {
    let from = start.unwrap_or(0.0);
    let sound = from >= 0.0 && from.is_finite() && end.is_none_or(|end| end > from);
    if sound { Ok(()) } else { Err(wrong(format!("`{name}` ends before it starts"))) }
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

    fn message(mut json: Value) -> String {
        json["input"] = "a.mp4".into();
        match serde_json::from_value::<Args>(json) {
            Ok(args) => args.check().map_or_else(|failure| failure.message, |()| "fine".into()),
            Err(error) => error.to_string(),
        }
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
