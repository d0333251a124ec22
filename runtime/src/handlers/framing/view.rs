//! What of the picture is seen when: windows of one shape that follow keyframes. Pure.

use super::args::{Crop, Focus};
use crate::encode::size::even;
use crate::ffmpeg::drawing::Draw;
use crate::ffmpeg::expr::Expr;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::motion::{Curve, Interpolation};

/// The name of the time in the expressions of filters.
const TIME: &str = "t";

/// A window of one shape on a picture, over time, in pixels.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The picture.
    picture: (f64, f64),
    x: Curve,
    y: Curve,
    width: Curve,
    height: Curve,
}

/// The largest window of the shape `aspect` on a picture.
pub(super) fn largest((width, height): (f64, f64), aspect: f64) -> (f64, f64) {
    if width / height > aspect { (height * aspect, height) } else { (width, width / aspect) }
}

impl View {
    /// The window that follows `crop`, or that is in the middle. Its times count from `from`.
    pub(super) fn of(crop: Option<&Crop>, picture: (u32, u32), aspect: f64, from: f64) -> View {
        let picture = (f64::from(picture.0), f64::from(picture.1));
        let (wide, high) = largest(picture, aspect);
        let middle = Focus {
            at: 0.0,
            x: crate::length::Length::Percent(50.0),
            y: crate::length::Length::Percent(50.0),
            zoom: 1.0,
        };
        let still = Crop { keyframes: vec![middle], interpolation: Interpolation::Hold };
        let crop = crop.unwrap_or(&still);
        let curve = |value: &dyn Fn(&Focus) -> f64| {
            let knots: Vec<_> = crop.keyframes.iter().map(|key| (key.at, value(key))).collect();
            Curve::through(&knots, crop.interpolation).delayed(-from)
        };
        // Windows that are within the picture at their keyframes are so between them: no
        // interpolation overshoots.
        let place = |center: f64, side: f64, whole: f64| {
            (center - side / 2.0).clamp(0.0, (whole - side).max(0.0))
        };
        View {
            picture,
            x: curve(&|key| place(key.x.of(picture.0), wide / key.zoom, picture.0)),
            y: curve(&|key| place(key.y.of(picture.1), high / key.zoom, picture.1)),
            width: curve(&|key| wide / key.zoom),
            height: curve(&|key| high / key.zoom),
        }
    }

    /// Brings the window to `size`, in whole pixels of the result.
    pub(super) fn filters(&self, size: (u32, u32)) -> Chain {
        let moves = [&self.x, &self.y, &self.width].iter().any(|curve| curve.fixed().is_none());
        Chain(if moves { self.moving(size) } else { self.still(size) })
    }

    /// Cut out, then resized: the cheaper way.
    fn still(&self, size: (u32, u32)) -> Vec<Filter> {
        let at = |curve: &Curve| curve.at(0.0).round();
        let (x, y) = (at(&self.x), at(&self.y));
        let side = |curve: &Curve, from: f64, whole: f64| {
            curve.at(0.0).round().min(whole - from).max(1.0) as u32
        };
        let window = (side(&self.width, x, self.picture.0), side(&self.height, y, self.picture.1));
        let mut filters = Vec::new();
        if (f64::from(window.0), f64::from(window.1)) != self.picture {
            let (x, y) = (Expr::number(x), Expr::number(y));
            filters.push(Filter::Draw(Draw::Window { size: window, x, y, exact: true }));
        }
        if window != size {
            filters.push(Filter::Scale { size, to_video_range: false, matrix: None });
        }
        filters
    }

    /// Resized, then cut out: so the window moves by pixels of the result, not of the input, and
    /// a slow pan doesn't jump. What is never seen is cut off before.
    fn moving(&self, size: (u32, u32)) -> Vec<Filter> {
        let (x, width) = self.seen(&self.x, &self.width, self.picture.0);
        let (y, height) = self.seen(&self.y, &self.height, self.picture.1);
        let mut filters = Vec::new();
        if (width, height) != self.picture {
            let size = (width as u32, height as u32);
            let (x, y) = (Expr::number(x), Expr::number(y));
            filters.push(Filter::Draw(Draw::Window { size, x, y, exact: true }));
        }
        let target = f64::from(size.0);
        let (left, top) = (
            Curve::sum(&[(1.0, &self.x)], -x).expr(TIME),
            Curve::sum(&[(1.0, &self.y)], -y).expr(TIME),
        );
        let place = match self.width.fixed() {
            Some(wide) => {
                let factor = target / wide;
                let whole = (even(width * factor), even(height * factor));
                let whole = (whole.0.max(size.0), whole.1.max(size.1));
                if (f64::from(whole.0), f64::from(whole.1)) != (width, height) {
                    let scale = Filter::Scale { size: whole, to_video_range: false, matrix: None };
                    filters.push(scale);
                }
                let factor = Expr::number(factor);
                (left.times(&factor), top.times(&factor))
            }
            None => {
                let factor = self.width.expr(TIME).divides(target);
                let side = |whole: f64, least: u32| {
                    factor.times(&Expr::number(whole)).clip(f64::from(least), 32_768.0)
                };
                let (w, h) = (side(width, size.0), side(height, size.1));
                filters.push(Filter::Draw(Draw::Resize { width: w, height: h }));
                (left.times(&factor), top.times(&factor))
            }
        };
        let (x, y) = (place.0.nearest(), place.1.nearest());
        filters.push(Filter::Draw(Draw::Window { size, x, y, exact: true }));
        filters
    }

    /// Where on a side what is ever seen begins, and how much it is: even, since that is cut from
    /// 4:2:0 video.
    fn seen(&self, at: &Curve, length: &Curve, whole: f64) -> (f64, f64) {
        let from = (at.range().0 / 2.0).floor().max(0.0) * 2.0;
        let to = Curve::sum(&[(1.0, at), (1.0, length)], 0.0).range().1;
        let to = ((to / 2.0).ceil() * 2.0).min(whole);
        (from, to - from)
    }
}
