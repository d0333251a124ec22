//! Filters that draw pictures over video, as data. Pure.

use std::fmt;
use std::path::PathBuf;

use super::Rational;
use super::expr::Expr;
use super::filter::{Matrix, write};
use crate::color::Color;

/// A step on the way of a picture onto video. Sizes are in pixels, times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Draw {
    /// Makes pictures of one colour: one, or without end at this rate.
    Color {
        /// What they show.
        color: Color,
        /// How large they are.
        size: (u32, u32),
        /// How many there are in a second.
        rate: Option<Rational>,
    },
    /// Leaves out all pictures but the first.
    First,
    /// Shows the first picture again and again, at this rate.
    Repeat(Rational),
    /// Converts to RGB.
    Rgb,
    /// Converts to RGB with opacity.
    Rgba,
    /// Resizes to what is said for each time.
    Resize {
        /// The width.
        width: Expr,
        /// The height.
        height: Expr,
    },
    /// Turns clockwise by degrees, on a transparent picture of this size.
    Rotate {
        /// By how much.
        degrees: f64,
        /// The size of the result.
        size: (u32, u32),
    },
    /// Scales the opacity, 0 to 1.
    Opacity(f64),
    /// Converts RGB to what is blended with 4:2:0 video that is coded by this matrix.
    Blendable(Matrix),
    /// Lays the second input over the first.
    Overlay(Overlay),
    /// Cuts a region out, at a place that is said for each time.
    Window {
        /// Its size.
        size: (u32, u32),
        /// From the left.
        x: Expr,
        /// From the top.
        y: Expr,
        /// To the pixel, although 4:2:0 video has its colours for two; otherwise to the pixel
        /// below that is even.
        exact: bool,
    },
    /// Blurs; sigma in pixels.
    Blur(f64),
    /// Makes everything darker: 1 is black.
    Darken {
        /// By how much.
        amount: f64,
        /// When; none is always.
        during: Option<Expr>,
    },
    /// Makes everything black.
    Blacken,
    /// Takes the brightness alone, spread over all values.
    Brightness,
    /// Takes the second input for the opacity of the first.
    Mask,
    /// Draws an ASS script.
    Script {
        /// The script.
        path: PathBuf,
        /// A folder of fonts beside those that are installed.
        fonts: Option<PathBuf>,
    },
    /// Puts the second input below the first.
    Below,
}

/// How one video is laid over another.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    /// From the left.
    pub x: Expr,
    /// From the top.
    pub y: Expr,
    /// When; none is always.
    pub during: Option<Expr>,
    /// The video below has 10 bits.
    pub ten_bit: bool,
    /// The video above has no end of its own.
    pub endless: bool,
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Draw::Color { color, size, rate } => source(f, *color, *size, *rate),
            Draw::First => write(f, "trim", &[("end_frame", "1")]),
            Draw::Repeat(rate) => {
                write(f, "loop", &[("loop", "-1"), ("size", "1")])?;
                f.write_str(",")?;
                let times = format!("N/({rate})/TB");
                write(f, "setpts", &[("expr", &times)])
            }
            Draw::Rgb => write(f, "format", &[("pix_fmts", "rgb24")]),
            Draw::Rgba => write(f, "format", &[("pix_fmts", "rgba")]),
            Draw::Resize { width, height } => {
                let (width, height) = (width.to_string(), height.to_string());
                write(f, "scale", &[("w", &width), ("h", &height), ("eval", "frame")])
            }
            Draw::Rotate { degrees, size } => rotate(f, *degrees, *size),
            Draw::Opacity(opacity) => {
                write(f, "colorchannelmixer", &[("aa", &format!("{opacity:.4}"))])
            }
            Draw::Blendable(matrix) => {
                let options = [("out_color_matrix", matrix.name()), ("out_range", "tv")];
                write(f, "scale", &options)?;
                f.write_str(",")?;
                write(f, "format", &[("pix_fmts", "yuva420p")])
            }
            Draw::Overlay(overlay) => overlay.fmt(f),
            Draw::Window { size: (width, height), x, y, exact } => {
                let (w, h) = (width.to_string(), height.to_string());
                let (x, y) = (x.to_string(), y.to_string());
                let mut options = vec![("w", w.as_str()), ("h", &h), ("x", &x), ("y", &y)];
                options.extend(exact.then_some(("exact", "1")));
                write(f, "crop", &options)
            }
            Draw::Blur(sigma) => write(f, "gblur", &[("sigma", &format!("{sigma:.3}"))]),
            Draw::Darken { amount, during } => darken(f, *amount, during.as_ref()),
            Draw::Blacken => write(f, "lutyuv", &[("y", "16"), ("u", "128"), ("v", "128")]),
            Draw::Brightness => {
                write(f, "extractplanes", &[("planes", "y")])?;
                f.write_str(",")?;
                write(f, "lut", &[("c0", "clip((val-16)*255/219,0,255)")])
            }
            Draw::Mask => f.write_str("alphamerge"),
            Draw::Script { path, fonts } => {
                let (path, fonts) = (path.to_string_lossy(), fonts.as_ref());
                let fonts = fonts.map(|fonts| fonts.to_string_lossy());
                let mut options = vec![("filename", path.as_ref()), ("shaping", "complex")];
                options.extend(fonts.as_deref().map(|fonts| ("fontsdir", fonts)));
                write(f, "ass", &options)
            }
            Draw::Below => write(f, "vstack", &[("inputs", "2")]),
        }
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (x, y) = (self.x.to_string(), self.y.to_string());
        let during = self.during.as_ref().map(Expr::to_string);
        let format = if self.ten_bit { "yuv420p10" } else { "yuv420" };
        let mut options = vec![("x", x.as_str()), ("y", y.as_str()), ("format", format)];
        options.extend(self.endless.then_some(("shortest", "1")));
        options.extend(during.as_deref().map(|during| ("enable", during)));
        write(f, "overlay", &options)
    }
}

fn source(
    f: &mut fmt::Formatter<'_>,
    color: Color,
    (width, height): (u32, u32),
    rate: Option<Rational>,
) -> fmt::Result {
    let size = format!("{width}x{height}");
    let color = format!("0x{:06x}@{:.4}", color.rgb(), color.opacity());
    let rate_text = rate.map_or_else(|| "1".into(), |rate| rate.to_string());
    let mut options = vec![("color", color.as_str()), ("size", &size), ("rate", &rate_text)];
    options.extend(rate.is_none().then_some(("duration", "1")));
    write(f, "color", &options)
}

fn rotate(f: &mut fmt::Formatter<'_>, degrees: f64, (width, height): (u32, u32)) -> fmt::Result {
    let angle = format!("{:.6}", degrees.to_radians());
    let (width, height) = (width.to_string(), height.to_string());
    let options =
        [("angle", angle.as_str()), ("ow", &width), ("oh", &height), ("fillcolor", "none")];
    write(f, "rotate", &options)
}

/// Towards black, whatever the range and the depth of samples.
fn darken(f: &mut fmt::Formatter<'_>, amount: f64, during: Option<&Expr>) -> fmt::Result {
    let left = format!("{:.4}", 1.0 - amount);
    let luma = format!("minval+(val-minval)*{left}");
    let chroma = format!("(minval+maxval)/2+(val-(minval+maxval)/2)*{left}");
    let during = during.map(Expr::to_string);
    let mut options = vec![("y", luma.as_str()), ("u", &chroma), ("v", &chroma)];
    options.extend(during.as_deref().map(|during| ("enable", during)));
    write(f, "lutyuv", &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_is_written_with_escapes() {
        let overlay = Overlay {
            x: Expr::number(10.0).clip(0.0, 5.0),
            y: Expr::number(0.0),
            during: None,
            ten_bit: false,
            endless: true,
        };
        insta::assert_snapshot!(Draw::Overlay(overlay), @r"overlay=x=clip(10\,0\,5):y=0:format=yuv420:shortest=1");
        let script = Draw::Script { path: "/tmp/it's, a:b.ass".into(), fonts: None };
        insta::assert_snapshot!(script, @r"ass=filename=/tmp/it\\\'s\,\ a\\:b.ass:shaping=complex");
        let bar = Draw::Color { color: Color::MARKER, size: (4, 2), rate: None };
        insta::assert_snapshot!(bar, @"color=color=0xffd400@1.0000:size=4x2:rate=1:duration=1");
    }
}
