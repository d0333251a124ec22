//! A picture that is drawn over a video, and the filters that draw it. Pure.

use std::path::PathBuf;

use super::picture::{self, Look};
use crate::color::Color;
use crate::ffmpeg::Rational;
use crate::ffmpeg::drawing::{Draw, Overlay};
use crate::ffmpeg::expr::{Expr, Window};
use crate::ffmpeg::filter::{Chain, Filter, Matrix};
use crate::ffmpeg::graph::{Graph, Link, Pad};
use crate::ffmpeg::job::{Input, InputFormat, Source};
use crate::ffmpeg::probe::VideoStream;
use crate::motion::Curve;

/// The name of the time in the expressions of filters.
const TIME: &str = "t";

/// The largest side that anything is resized to.
const MOST: f64 = 16_384.0;

/// Something that is drawn: pixels, where they go, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What it shows.
    pub pixels: Pixels,
    /// From the left edge of the picture.
    pub x: Curve,
    /// From its upper edge.
    pub y: Curve,
    /// Pixels.
    pub width: Curve,
    /// Pixels.
    pub height: Curve,
    /// Degrees, clockwise, about the centre. Only where width and height never change.
    pub rotate: f64,
    /// 0 to 1, times that of its pixels.
    pub opacity: f64,
    /// When it is shown.
    pub window: Window,
}

/// What a layer shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// One colour.
    Solid(Color),
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// How it is read.
        format: InputFormat,
        /// Width and height.
        size: (u32, u32),
    },
}

/// What all layers of a job have in common.
#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    /// How the video is coded.
    pub matrix: Matrix,
    /// Its frames per second, or more.
    pub rate: Rational,
    /// It has 10 bits.
    pub ten_bit: bool,
}

/// The rate at which shapes change their size over video that says no rate, or one that varies.
const RATE: Rational = Rational { num: 60, den: 1 };

impl Canvas {
    /// What layers have to know of `video` and of what becomes of it.
    pub fn of(video: &VideoStream, look: Look) -> Canvas {
        let steady = |rate: &Rational| !video.variable_rate() && rate.value() <= 240.0;
        Canvas {
            matrix: picture::matrix(video, look),
            rate: video.rate().filter(steady).unwrap_or(RATE),
            ten_bit: look.ten_bit,
        }
    }
}

impl Layer {
    /// Something that neither moves nor changes.
    pub fn still(pixels: Pixels, at: (f64, f64), size: (f64, f64)) -> Layer {
        Layer {
            pixels,
            x: Curve::constant(at.0),
            y: Curve::constant(at.1),
            width: Curve::constant(size.0),
            height: Curve::constant(size.1),
            rotate: 0.0,
            opacity: 1.0,
            window: Window::default(),
        }
    }

    /// Its size, where it never changes.
    fn fixed_size(&self) -> Option<(u32, u32)> {
        let whole = |side: f64| side.round().clamp(1.0, MOST) as u32;
        Some((whole(self.width.fixed()?), whole(self.height.fixed()?)))
    }

    /// Adds what draws it over `below`; files become inputs.
    pub fn draw(
        &self,
        below: Link,
        canvas: Canvas,
        graph: &mut Graph,
        inputs: &mut Vec<Input>,
    ) -> Link {
        let picture = self.picture(canvas, graph, inputs);
        let turned = self.turned();
        let overlay = Overlay {
            x: Curve::sum(&[(1.0, &self.x)], turned.0).expr(TIME),
            y: Curve::sum(&[(1.0, &self.y)], turned.1).expr(TIME),
            during: during(&[self.window]),
            ten_bit: canvas.ten_bit,
            endless: self.fixed_size().is_none(),
        };
        let chain = Chain(vec![Filter::Draw(Draw::Overlay(overlay))]);
        graph.chain(&[below.into(), picture.into()], chain)
    }

    /// The picture in its size, ready to be blended.
    pub fn picture(&self, canvas: Canvas, graph: &mut Graph, inputs: &mut Vec<Input>) -> Link {
        let mut steps = Vec::new();
        let from: Vec<Pad> = match &self.pixels {
            Pixels::Solid(color) => {
                let size = self.fixed_size();
                let rate = size.is_none().then_some(canvas.rate);
                steps.push(Draw::Color { color: *color, size: size.unwrap_or((2, 2)), rate });
                steps.push(Draw::Rgba);
                Vec::new()
            }
            Pixels::File { path, format, size } => {
                inputs.push(Input { format: *format, ..Input::of(path) });
                let input = u32::try_from(inputs.len() - 1).unwrap_or(u32::MAX);
                steps.extend([Draw::First, Draw::Rgba]);
                steps.extend(self.reshaped(*size));
                vec![Source { input, stream: 0 }.into()]
            }
        };
        if self.opacity < 1.0 {
            steps.push(Draw::Opacity(self.opacity));
        }
        steps.push(Draw::Blendable(canvas.matrix));
        if self.fixed_size().is_none() {
            if matches!(self.pixels, Pixels::File { .. }) {
                steps.push(Draw::Repeat(canvas.rate));
            }
            let side = |curve: &Curve| curve.expr(TIME).clip(2.0, MOST);
            steps.push(Draw::Resize { width: side(&self.width), height: side(&self.height) });
        }
        graph.chain(&from, Chain(steps.into_iter().map(Filter::Draw).collect()))
    }

    /// Resized and turned, as far as that never changes.
    fn reshaped(&self, natural: (u32, u32)) -> Vec<Draw> {
        let Some((width, height)) = self.fixed_size() else { return Vec::new() };
        let mut steps = Vec::new();
        if (width, height) != natural {
            let (width, height) = (Expr::number(width.into()), Expr::number(height.into()));
            steps.push(Draw::Resize { width, height });
        }
        if self.rotate != 0.0 {
            steps.push(Draw::Rotate { degrees: self.rotate, size: self.turned_size() });
        }
        steps
    }

    /// How large the box around the turned picture is.
    fn turned_size(&self) -> (u32, u32) {
        let (width, height) = self.fixed_size().unwrap_or((2, 2));
        let (sin, cos) = self.rotate.to_radians().sin_cos();
        let (w, h) = (f64::from(width), f64::from(height));
        let side = |a: f64, b: f64| (a.abs() + b.abs() - 1e-6).ceil().clamp(1.0, MOST) as u32;
        (side(w * cos, h * sin), side(w * sin, h * cos))
    }

    /// How far the turned picture begins before the one that wasn't turned: it turns about its
    /// centre.
    fn turned(&self) -> (f64, f64) {
        let (Some((width, height)), true) = (self.fixed_size(), self.rotate != 0.0) else {
            return (0.0, 0.0);
        };
        let (wide, high) = self.turned_size();
        let half = |before: u32, after: u32| (f64::from(before) - f64::from(after)) / 2.0;
        (half(width, wide), half(height, high))
    }
}

/// When one of `windows` is open, unless that is always.
pub fn during(windows: &[Window]) -> Option<Expr> {
    let always = windows.iter().any(|window| window.is_always());
    (!always).then(|| Expr::within(TIME, windows))
}
