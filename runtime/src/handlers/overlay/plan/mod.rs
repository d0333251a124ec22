//! Decides how a video is drawn on. Pure.

use std::path::Path;

use super::args::{Args, Image};
use super::highlight;
use super::text::Texts;
use crate::encode::layer::{Canvas, Layer, Pixels};
use crate::encode::picture::{self, Look};
use crate::encode::single::{Picture, Place};
use crate::encode::size::{Bounds, Fit};
use crate::encode::tracks::{self, AudioChoice, SubtitleChoice};
use crate::encode::{Expect, Frames, Plan, encoder, source};
use crate::ffmpeg::graph::{Graph, Link};
use crate::ffmpeg::job::{Input, Job, Keyframes, Origin, Output, Source, Video};
use crate::ffmpeg::probe::{Media, VideoStream};
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

/// What becomes of the picture. Colours of drawings are SDR, so HDR is mapped to it.
pub(super) fn look(args: &Args, place: Place<'_>, video: &VideoStream) -> Result<Look, Failure> {
    let codec = args.coding.codec_in(place.container)?;
    let bounds = (Bounds::Source, Fit::Contain);
    let sdr = Look::decide(bounds, Some(false), codec, video);
    Ok(Look { ten_bit: args.coding.ten_bit == Some(true), ..sdr })
}

/// The whole decision.
pub(super) fn plan(
    args: &Args,
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    (place, material): (Place<'_>, Material<'_>),
) -> Result<Plan, Failure> {
    let codec = args.coding.codec_in(place.container)?;
    let (stream, video) = source::picture_of(media, place.name)?;
    let look = look(args, place, video)?;
    let size = look.geometry.size();
    encoder::check_size(codec, size)?;
    let (encoder, fallback) = encoder::choose(codec, hardware, look, machine)?;
    let input = Input { delay: picture::preroll(media, stream), ..Input::of(place.input) };
    let source = Source { input: 0, stream: stream.index };
    let mut drawing = Drawing { inputs: vec![input], graph: Graph::default() };
    let below = drawing.graph.chain(&[source.into()], picture::cpu_filters(video, look, None));
    let canvas = Canvas::of(video, look);
    let done = drawing.all(args, (size, canvas), material, below);
    if drawing.graph.to_string().len() > LONGEST_GRAPH {
        return Err(Failure::new(
            FailureKind::InvalidArgs,
            "the highlights have too many keyframes",
        )
        .cause("what ffmpeg is told about them would be longer than an argument may be")
        .hint("leave out keyframes that lie on the way between others"));
    }
    let audio = tracks::audio(media, AudioChoice::Keep, place.container);
    let (subtitles, mut notes) = tracks::subtitles(media, SubtitleChoice::Keep, place.container);
    notes.extend(source::left_behind(media, stream, look, encoder));
    if encoder.is_hardware() {
        notes.push("drawn on the CPU, encoded on the GPU".into());
    }
    notes.extend(material.texts.notes.iter().cloned());
    let expect = Expect { source, size, audio: audio.len(), frames: Frames::Every };
    let video = Video {
        origin: Origin::Graph(done),
        encoder,
        rate: args.coding.rate(encoder),
        keyframes: Keyframes::Free,
        speed: args.coding.preset,
        time_base: stream.time_base.map(picture::coarser),
        hdr: None,
    };
    let (path, container) = (place.output.into(), place.container);
    let output = Output { path, container, video: Some(video), audio, subtitles };
    let Drawing { inputs, graph } = drawing;
    let job = Job { inputs, graph, outputs: vec![output], threads: args.coding.threads };
    let plan = Plan { job, fallback, notes, expect: vec![expect] };
    Ok(args.part.iter().fold(plan, |plan, part| part.of(plan)))
}

/// A job's inputs and graph while they grow.
struct Drawing {
    inputs: Vec<Input>,
    graph: Graph,
}

impl Drawing {
    /// Draws everything over `below`: what is dark first, then highlights, images and texts.
    fn all(
        &mut self,
        args: &Args,
        (size, canvas): ((u32, u32), Canvas),
        material: Material<'_>,
        below: Link,
    ) -> Link {
        let mut picture = below;
        if args.dim > 0.0 {
            let dimmed = (args.highlights.as_slice(), args.dim);
            let on = (size, canvas);
            let Drawing { inputs, graph } = self;
            picture = highlight::dim(picture, dimmed, on, material.folder, graph, inputs);
        }
        let highlights = args.highlights.iter().enumerate();
        let marks = highlights.flat_map(|(i, h)| highlight::layers(h, i, size, material.folder));
        let images = args.images.iter().zip(material.images).map(|(i, p)| image(i, p, size));
        for layer in marks.chain(images).chain(material.texts.layers.iter().cloned()) {
            picture = layer.draw(picture, canvas, &mut self.graph, &mut self.inputs);
        }
        picture
    }
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
