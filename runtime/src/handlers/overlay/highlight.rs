//! Regions that are marked: as layers, and bright where the rest is dark. Pure.

use std::path::{Path as Folder, PathBuf};

use super::args::{Highlight, Region, Shape};
use super::raster::{self, Raster};
use crate::color::Color;
use crate::encode::layer::{Canvas, Layer, Pixels, during};
use crate::ffmpeg::drawing::{Draw, Overlay};
use crate::ffmpeg::expr::Expr;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::{Graph, Link};
use crate::ffmpeg::job::{Input, InputFormat};
use crate::motion::Curve;

/// The edges of a region over time, in pixels.
#[derive(Clone, Debug)]
pub(super) struct Path {
    x: Curve,
    y: Curve,
    width: Curve,
    height: Curve,
}

/// A picture that a highlight needs, and the name of its file in the call's folder.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub(super) name: String,
    pub(super) raster: Raster,
}

impl Path {
    /// The path of `highlight` on a picture of `size`.
    pub(super) fn of(highlight: &Highlight, size: (u32, u32)) -> Path {
        let (wide, high) = (f64::from(size.0), f64::from(size.1));
        let curve = |value: &dyn Fn(&Region) -> f64| {
            let knots: Vec<_> =
                highlight.keyframes.iter().map(|key| (key.at, value(key))).collect();
            Curve::through(&knots, highlight.interpolation)
        };
        Path {
            x: curve(&|key| key.x.of(wide)),
            y: curve(&|key| key.y.of(high)),
            width: curve(&|key| key.width.of(wide).max(2.0)),
            height: curve(&|key| key.height.of(high).max(2.0)),
        }
    }

    /// Its size changes: what is drawn of it has no end of its own then.
    pub(super) fn grows(&self) -> bool {
        self.width.fixed().is_none() || self.height.fixed().is_none()
    }

    /// Even sides that the region never outgrows, within a picture of `size`.
    fn most(&self, size: (u32, u32)) -> (u32, u32) {
        let side = |curve: &Curve, whole: u32| {
            let most = curve.range().1.ceil().clamp(2.0, f64::from(whole)) as u32;
            ((most + 1) & !1).min(whole)
        };
        (side(&self.width, size.0), side(&self.height, size.1))
    }

    /// The region as a layer of these pixels.
    fn layer(&self, pixels: Pixels, highlight: &Highlight) -> Layer {
        Layer {
            x: self.x.clone(),
            y: self.y.clone(),
            width: self.width.clone(),
            height: self.height.clone(),
            window: highlight.shown.into(),
            ..Layer::still(pixels, (0.0, 0.0), (0.0, 0.0))
        }
    }
}

/// The outline's thickness in pixels, even, so that 4:2:0 video can have it anywhere.
fn thickness(highlight: &Highlight, size: (u32, u32)) -> f64 {
    let thickness = highlight.thickness.of(f64::from(size.1));
    if thickness <= 0.0 { 0.0 } else { (thickness / 2.0).round().max(1.0) * 2.0 }
}

/// The pictures that the highlight at `index` needs, in files of `folder`.
pub(super) fn needs(
    highlight: &Highlight,
    index: usize,
    (size, dims): ((u32, u32), bool),
) -> Vec<Need> {
    if highlight.shape == Shape::Box {
        return Vec::new();
    }
    let most = Path::of(highlight, size).most(size);
    let thickness = thickness(highlight, size);
    let outline = (thickness > 0.0).then_some(highlight.color);
    let mut needs = Vec::new();
    if outline.is_some() || highlight.fill.is_some() {
        let raster = raster::ellipse(most, thickness, outline, highlight.fill);
        needs.push(Need { name: ring(index), raster });
    }
    if dims {
        let raster = raster::ellipse(most, 0.0, None, Some(Color::WHITE));
        needs.push(Need { name: disc(index), raster });
    }
    needs
}

fn ring(index: usize) -> String {
    format!("ring-{index}.rgba")
}

fn disc(index: usize) -> String {
    format!("disc-{index}.rgba")
}

fn file(path: PathBuf, size: (u32, u32)) -> Pixels {
    Pixels::File { path, format: InputFormat::Rgba { size }, size }
}

/// The layers that draw the highlight at `index` on a picture of `size`.
pub(super) fn layers(
    highlight: &Highlight,
    index: usize,
    size: (u32, u32),
    folder: &Folder,
) -> Vec<Layer> {
    let path = Path::of(highlight, size);
    let thickness = thickness(highlight, size);
    match highlight.shape {
        Shape::Ellipse if thickness > 0.0 || highlight.fill.is_some() => {
            let pixels = file(folder.join(ring(index)), path.most(size));
            vec![path.layer(pixels, highlight)]
        }
        Shape::Ellipse => Vec::new(),
        Shape::Box => {
            let fill = highlight.fill.map(|fill| path.layer(Pixels::Solid(fill), highlight));
            let bars = if thickness > 0.0 { bars(&path, highlight, thickness) } else { Vec::new() };
            fill.into_iter().chain(bars).collect()
        }
    }
}

/// The outline of a box: a bar along each edge, the upright ones between the others.
fn bars(path: &Path, highlight: &Highlight, thickness: f64) -> Vec<Layer> {
    let whole = path.layer(Pixels::Solid(highlight.color), highlight);
    let thin = Curve::constant(thickness);
    let far = |at: &Curve, length: &Curve| Curve::sum(&[(1.0, at), (1.0, length)], -thickness);
    let between = Layer {
        y: Curve::sum(&[(1.0, &path.y)], thickness),
        height: Curve::sum(&[(1.0, &path.height)], -2.0 * thickness),
        width: thin.clone(),
        ..whole.clone()
    };
    let top = Layer { height: thin, ..whole };
    let bottom = Layer { y: far(&path.y, &path.height), ..top.clone() };
    let right = Layer { x: far(&path.x, &path.width), ..between.clone() };
    vec![top, bottom, between, right]
}

/// Makes everything but the regions darker, while one of them is shown.
pub(super) fn dim(
    below: Link,
    (highlights, amount): (&[Highlight], f64),
    (size, canvas): ((u32, u32), Canvas),
    folder: &Folder,
    graph: &mut Graph,
    inputs: &mut Vec<Input>,
) -> Link {
    let windows: Vec<_> = highlights.iter().map(|one| one.shown.into()).collect();
    let copies = graph.split(below.into(), 1 + highlights.len() as u32);
    let (darkened, bright) = copies.split_first().expect("a split into one and more");
    let darken = Draw::Darken { amount, during: during(&windows) };
    let mut picture = graph.chain(&[(*darkened).into()], chain([darken]));
    for (index, (highlight, bright)) in highlights.iter().zip(bright).enumerate() {
        let path = Path::of(highlight, size);
        let pixels = match highlight.shape {
            Shape::Box => Pixels::Solid(Color::WHITE),
            Shape::Ellipse => file(folder.join(disc(index)), path.most(size)),
        };
        let layer = path.layer(pixels, highlight);
        let spot = Spot { path: &path, layer, size, canvas };
        let (region, x, y) = spot.region(*bright, graph, inputs);
        let overlay = Overlay {
            x,
            y,
            during: during(&[highlight.shown.into()]),
            ten_bit: canvas.ten_bit,
            endless: false,
        };
        let over = chain([Draw::Overlay(overlay)]);
        picture = graph.chain(&[picture.into(), region.into()], over);
    }
    picture
}

fn chain<const N: usize>(steps: [Draw; N]) -> Chain {
    Chain(steps.map(Filter::Draw).into())
}

/// A region that stays as bright as it was.
struct Spot<'a> {
    path: &'a Path,
    /// Its shape in white.
    layer: Layer,
    /// The size of the whole picture.
    size: (u32, u32),
    canvas: Canvas,
}

impl Spot<'_> {
    /// The part of `bright` that the region is in, transparent around the region, and where that
    /// part is. It has the same size all the time, since filters can't change theirs: the region
    /// moves within it where it is smaller, and at the edges of the picture.
    fn region(
        self,
        bright: Link,
        graph: &mut Graph,
        inputs: &mut Vec<Input>,
    ) -> (Link, Expr, Expr) {
        let most = self.path.most(self.size);
        let place = |at: &Curve, part: u32, whole: u32| {
            at.expr("t").clip(0.0, f64::from(whole.saturating_sub(part)))
        };
        let x = place(&self.path.x, most.0, self.size.0);
        let y = place(&self.path.y, most.1, self.size.1);
        let cut = Draw::Window { size: most, x: x.clone(), y: y.clone(), exact: false };
        let part = graph.chain(&[bright.into()], chain([cut]));
        let copies = graph.split(part.into(), 2);
        let black = graph.chain(&[copies[1].into()], chain([Draw::Blacken]));
        let white = self.layer.picture(self.canvas, graph, inputs);
        let overlay = Overlay {
            x: self.path.x.expr("t").minus(&x),
            y: self.path.y.expr("t").minus(&y),
            during: None,
            ten_bit: false,
            endless: self.path.width.fixed().is_none() || self.path.height.fixed().is_none(),
        };
        let steps = chain([Draw::Overlay(overlay), Draw::Brightness]);
        let mask = graph.chain(&[black.into(), white.into()], steps);
        let region = graph.chain(&[copies[0].into(), mask.into()], chain([Draw::Mask]));
        (region, x, y)
    }
}
