//! Decides how a video is drawn on. Pure.

use std::path::Path;

use super::args::{Args, Image};
use super::highlight;
use super::text::Texts;
use crate::encode::layer::{Canvas, Layer, Pixels};
use crate::encode::redraw::{Drawing, Subject};
use crate::encode::single::{Picture, Place};
use crate::encode::{Plan, picture};
use crate::ffmpeg::codec::Encoder;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::{Graph, Link};
use crate::ffmpeg::probe::Media;
use crate::ffmpeg::timing::Time;
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::length::Length;
use crate::wire::{Failure, FailureKind};

/// Characters that a graph may have: an argument of a process has at most 128 KiB.
const LONGEST_GRAPH: usize = 120_000;

/// What is drawn, as far as somebody had to look or draw first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Material<'a> {
    /// The images of the arguments, in their order.
    pub(super) images: &'a [Picture],
    /// The texts of the arguments, and what is said of them.
    pub(super) texts: &'a Texts,
    /// Where pictures of highlights are.
    pub(super) folder: &'a Path,
}

/// The whole decision.
pub(super) fn plan(
    args: &Args,
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    (place, material): (Place<'_>, Material<'_>),
) -> Result<Plan, Failure> {
    let subject = Subject::of(media, &args.coding, place)?;
    let mut drawing = Drawing { inputs: vec![subject.input()], ..Drawing::default() };
    let mut prepared = picture::cpu_filters(subject.video, subject.look, None);
    let size = subject.look.geometry.size();
    let endless = args.highlights.iter().any(|one| highlight::Path::of(one, size).grows());
    prepared.0.extend(endless.then_some(Filter::Time(Time::Forward)));
    let below = drawing.graph.chain(&[subject.source().into()], prepared);
    let drawn = draw(args, &subject, material, &mut drawing, below);
    let done = match endless {
        true => drawing.graph.chain(&[drawn.into()], Chain(vec![Filter::Time(Time::Distinct)])),
        false => drawn,
    };
    check_length(&drawing.graph)?;
    let part = args.part.as_ref();
    let mut plan = subject.plan((drawing, done), part, (hardware, machine))?;
    let encoders = plan.job.outputs.iter().filter_map(|output| output.video.as_ref());
    if encoders.map(|video| video.encoder).any(Encoder::is_hardware) {
        plan.notes.push("drawn on the CPU, encoded on the GPU".into());
    }
    plan.notes.extend(material.texts.notes.iter().cloned());
    Ok(plan)
}

fn check_length(graph: &Graph) -> Result<(), Failure> {
    if graph.to_string().len() <= LONGEST_GRAPH {
        return Ok(());
    }
    Err(Failure::new(FailureKind::InvalidArgs, "the highlights have too many keyframes")
        .cause("what ffmpeg is told about them would be longer than an argument may be")
        .hint("leave out keyframes that lie on the way between others"))
}

/// Draws everything over `below`: what is dark first, then highlights, images and texts.
fn draw(
    args: &Args,
    subject: &Subject<'_>,
    material: Material<'_>,
    Drawing { inputs, graph }: &mut Drawing,
    below: Link,
) -> Link {
    let (size, canvas) = (subject.look.geometry.size(), Canvas::of(subject.video, subject.look));
    let mut picture = below;
    if args.dim > 0.0 {
        let dimmed = (args.highlights.as_slice(), args.dim);
        picture = highlight::dim(picture, dimmed, (size, canvas), material.folder, graph, inputs);
    }
    let highlights = args.highlights.iter().enumerate();
    let marks = highlights.flat_map(|(i, h)| highlight::layers(h, i, size, material.folder));
    let images = args.images.iter().zip(material.images).map(|(i, p)| image(i, p, size));
    for layer in marks.chain(images).chain(material.texts.layers.iter().cloned()) {
        picture = layer.draw(picture, canvas, graph, inputs);
    }
    picture
}

/// Where an image goes on a picture of `size`, and how large it gets.
fn image(image: &Image, picture: &Picture, size: (u32, u32)) -> Layer {
    let (wide, high) = (f64::from(size.0), f64::from(size.1));
    let (own_width, own_height) = (f64::from(picture.size.0), f64::from(picture.size.1));
    let width = image.width.map(|width| width.of(wide).max(1.0));
    let height = image.height.map(|height| height.of(high).max(1.0));
    let (width, height) = match (width, height) {
        (Some(width), Some(height)) => (width, height),
        (Some(width), None) => (width, width * own_height / own_width),
        (None, Some(height)) => (height * own_width / own_height, height),
        (None, None) => (own_width, own_height),
    };
    let (across, down) = image.align.shares();
    let x = along(image.stand.x, image.stand.margin, (wide, width), across);
    let y = along(image.stand.y, image.stand.margin, (high, height), down);
    let pixels =
        Pixels::File { path: picture.path.clone(), format: picture.format, size: picture.size };
    let still = Layer::still(pixels, (x, y), (width, height));
    Layer { rotate: image.rotate, opacity: image.opacity, window: image.shown.into(), ..still }
}

/// Where something of length `own` begins on a side of length `whole`: its own point at `share` of
/// its length is at `given`, or as far from the edges as the margin says.
fn along(given: Option<Length>, margin: Length, (whole, own): (f64, f64), share: f64) -> f64 {
    match given {
        Some(at) => at.of(whole) - own * share,
        None => {
            let margin = margin.of(whole);
            margin + (whole - own - 2.0 * margin) * share
        }
    }
}

#[cfg(test)]
mod tests;
