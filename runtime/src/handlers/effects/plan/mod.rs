//! Decides how a chain of effects gets onto a video. Pure.

use std::path::{Path, PathBuf};

use super::args::{Args, Step};
use crate::color::Color;
use crate::encode::Plan;
use crate::encode::layer::{Canvas, Layer, Pixels};
use crate::encode::picture::{self, Look};
use crate::encode::redraw::{Drawing, Subject};
use crate::encode::single::{Picture, Place};
use crate::ffmpeg::drawing::{Draw, Overlay};
use crate::ffmpeg::effect::Effect;
use crate::ffmpeg::expr::Expr;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::Link;
use crate::ffmpeg::job::{Input, Job, Source};
use crate::ffmpeg::pixel::PixelFormat;
use crate::ffmpeg::probe::{Media, VideoStream};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::Failure;

/// What steps of a chain need of files, by the step's index.
#[derive(Clone, Debug, Default)]
pub(super) struct Material {
    /// Tables that were checked.
    pub(super) tables: Vec<(usize, PathBuf)>,
    /// Pictures behind a colour that goes.
    pub(super) images: Vec<(usize, Picture)>,
    /// How the camera shakes.
    pub(super) shakes: PathBuf,
}

impl Material {
    fn table(&self, step: usize) -> &Path {
        let found = self.tables.iter().find(|(index, _)| *index == step);
        found.map(|(_, path)| path.as_path()).expect("every table was checked")
    }

    fn image(&self, step: usize) -> Option<&Picture> {
        self.images.iter().find(|(index, _)| *index == step).map(|(_, picture)| picture)
    }
}

/// What the effects work on.
#[derive(Clone, Copy)]
struct Scene<'a> {
    args: &'a Args,
    video: &'a VideoStream,
    look: Look,
    material: &'a Material,
}

/// The whole decision.
pub(super) fn plan(
    args: &Args,
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    (place, material): (Place<'_>, &Material),
) -> Result<Plan, Failure> {
    let subject = Subject::of(media, &args.coding, place)?;
    let mut drawing = Drawing { inputs: vec![subject.input()], ..Drawing::default() };
    let scene = Scene::of(&subject, args, material);
    let done = scene.chain(&mut drawing, subject.source(), args.chain.len());
    let last = Chain(vec![Filter::Format(format(scene.look))]);
    let done = drawing.graph.chain(&[done.into()], last);
    subject.plan((drawing, done), args.part.as_ref(), (hardware, machine))
}

/// The pass that looks how the camera shakes, and what it makes; none where nobody asks.
pub(super) fn shakes(
    args: &Args,
    media: &Media,
    (place, material): (Place<'_>, &Material),
) -> Result<Option<(Job, Link)>, Failure> {
    let steady = |step: &Step| matches!(step, Step::Stabilise { .. });
    let Some(until) = args.chain.iter().position(steady) else { return Ok(None) };
    let subject = Subject::of(media, &args.coding, place)?;
    let mut drawing = Drawing { inputs: vec![Input::of(place.input)], ..Drawing::default() };
    let before = Scene::of(&subject, args, material).chain(&mut drawing, subject.source(), until);
    let detect = Effect::Shakes(material.shakes.clone());
    let done = drawing.graph.chain(&[before.into()], Chain(vec![Filter::Effect(detect)]));
    let Drawing { inputs, graph } = drawing;
    let job = Job { inputs, graph, outputs: Vec::new(), threads: args.coding.threads };
    Ok(Some((job, done)))
}

fn format(look: Look) -> PixelFormat {
    if look.ten_bit { PixelFormat::Yuv420p10 } else { PixelFormat::Yuv420p }
}

impl<'a> Scene<'a> {
    fn of(subject: &Subject<'a>, args: &'a Args, material: &'a Material) -> Self {
        Scene { args, video: subject.video, look: subject.look, material }
    }

    /// The video with the first `steps` effects.
    fn chain(self, drawing: &mut Drawing, source: Source, steps: usize) -> Link {
        let prepared = picture::cpu_filters(self.video, self.look, None);
        let mut picture = drawing.graph.chain(&[source.into()], prepared);
        for (index, step) in self.args.chain.iter().take(steps).enumerate() {
            picture = self.step(drawing, (index, step), picture);
        }
        picture
    }

    fn step(self, drawing: &mut Drawing, (index, step): (usize, &Step), from: Link) -> Link {
        if let Step::ChromaKey { color, similarity, blend, background, .. } = step {
            let matrix = picture::matrix(self.video, self.look);
            let (color, similarity, blend) = (*color, *similarity, *blend);
            let key = Effect::Key { color, matrix, similarity, blend };
            let behind = match self.material.image(index) {
                Some(picture) => filling(picture, self.look.geometry.size()),
                None => plain(*background, self.look.geometry.size()),
            };
            return self.keyed(drawing, key, &behind, from);
        }
        match filter(self, (index, step)) {
            Some(filter) => drawing.graph.chain(&[from.into()], Chain(vec![filter])),
            None => from,
        }
    }

    /// `from` without a colour, over what comes instead. That is drawn on frames of the video, so
    /// that it has their times.
    fn keyed(self, drawing: &mut Drawing, key: Effect, behind: &Layer, from: Link) -> Link {
        let canvas = Canvas::of(self.video, self.look);
        let copies = drawing.graph.split(from.into(), 2);
        let below = behind.draw(copies[0], canvas, &mut drawing.graph, &mut drawing.inputs);
        let above = drawing.graph.chain(&[copies[1].into()], Chain(vec![Filter::Effect(key)]));
        let over = Overlay {
            x: Expr::number(0.0),
            y: Expr::number(0.0),
            during: None,
            ten_bit: canvas.ten_bit,
            endless: false,
        };
        let over = Chain(vec![Filter::Draw(Draw::Overlay(over))]);
        drawing.graph.chain(&[below.into(), above.into()], over)
    }
}

/// The filter of a step that needs but one; none where there is nothing left to do.
fn filter(scene: Scene<'_>, (index, step): (usize, &Step)) -> Option<Filter> {
    let Scene { video, look, material, .. } = scene;
    Some(Filter::Effect(match step {
        Step::Blur { sigma } => return Some(Filter::Draw(Draw::Blur(*sigma))),
        Step::Edges { low, high } => Effect::Edges { low: *low, high: *high },
        Step::Denoise { strength, thorough: false } => Effect::Denoise(*strength),
        Step::Denoise { strength, thorough: true } => Effect::DenoiseWell(*strength),
        Step::Sharpen { strength } => Effect::Sharpen(*strength),
        Step::Stabilise { smoothing } => {
            let rate = video.rate().map_or(30.0, crate::ffmpeg::Rational::value);
            let smoothing = (smoothing * rate).round().clamp(1.0, 1000.0) as u32;
            Effect::Steady { path: material.shakes.clone(), smoothing }
        }
        // What says that it is interlaced was deinterlaced before everything else.
        Step::Deinterlace {} if video.interlaced => return None,
        Step::Deinterlace {} => Effect::Deinterlace,
        Step::Color { brightness, contrast, saturation, gamma } => Effect::Adjust {
            brightness: *brightness,
            contrast: *contrast,
            saturation: *saturation,
            gamma: *gamma,
        },
        Step::Lut { .. } => {
            let (path, matrix) = (material.table(index).into(), picture::matrix(video, look));
            Effect::Table { path, matrix }
        }
        Step::Greyscale {} => Effect::Greyscale,
        Step::ChromaKey { .. } => return None,
    }))
}

/// A colour all over.
fn plain(color: Color, size: (u32, u32)) -> Layer {
    let color = Color { alpha: 255, ..color };
    Layer::still(Pixels::Solid(color), (0.0, 0.0), (f64::from(size.0), f64::from(size.1)))
}

/// A picture that fills a frame, its middle in the middle.
fn filling(picture: &Picture, size: (u32, u32)) -> Layer {
    let (wide, high) = (f64::from(size.0), f64::from(size.1));
    let own = (f64::from(picture.size.0), f64::from(picture.size.1));
    let factor = (wide / own.0).max(high / own.1);
    let (width, height) = ((own.0 * factor).ceil(), (own.1 * factor).ceil());
    let (path, format) = (picture.path.clone(), picture.format);
    let pixels = Pixels::File { path, format, size: picture.size };
    Layer::still(pixels, ((wide - width) / 2.0, (high - height) / 2.0), (width, height))
}

#[cfg(test)]
mod tests;
