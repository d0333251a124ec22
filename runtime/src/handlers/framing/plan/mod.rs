//! Decides how a video is framed and timed. Pure.

use std::path::Path;

use super::args::{Args, Aspect, Fit};
use super::tempo::Tempo;
use super::view::{View, largest};
use crate::color::Color;
use crate::encode::layer::{Canvas, Layer, Pixels};
use crate::encode::picture::{self, Look};
use crate::encode::single::Place;
use crate::encode::size::{self, Bounds, geometry};
use crate::encode::tracks::{self, AudioChoice, SubtitleChoice};
use crate::encode::{Expect, Frames, Plan, encoder, source};
use crate::ffmpeg::Rational;
use crate::ffmpeg::container::Container;
use crate::ffmpeg::drawing::{Draw, Overlay};
use crate::ffmpeg::expr::Expr;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::{Graph, Link, Pad};
use crate::ffmpeg::job::{Audio, Input, Job, Keyframes, Origin, Output, Source, Video};
use crate::ffmpeg::pixel::PixelFormat;
use crate::ffmpeg::probe::{Media, Stream, VideoStream};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::{Failure, FailureKind};

/// A cut is this much earlier than the frame that it is made at, in seconds: less than any frame
/// lasts, more than any time is rounded by.
const EARLY: f64 = 0.0005;

/// How much smaller the copy is that is blurred, and by how many of its pixels.
const BLUR: (f64, f64) = (8.0, 5.0);

/// The whole decision. Sound follows a ramp by the commands in the file at `commands`.
pub(super) fn plan(
    args: &Args,
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    (place, commands): (Place<'_>, &Path),
) -> Result<Plan, Failure> {
    let codec = args.coding.codec_in(place.container)?;
    let (stream, video) = source::picture_of(media, place.name)?;
    let whole = (Bounds::Source, size::Fit::Contain);
    let look = Look::decide(whole, args.coding.ten_bit, codec, video);
    let size = target(args, look.geometry.size());
    encoder::check_size(codec, size)?;
    let part = Part::of(args, media, stream, video)?;
    let (encoder, fallback) = encoder::choose(codec, hardware, look, machine)?;
    let tempo = Tempo::of(args);
    let mut graph = Graph::default();
    let source = Source { input: 0, stream: stream.index };
    let shown = graph.chain(&[source.into()], picture::cpu_filters(video, look, None));
    let canvas = Canvas::of(video, look);
    let framed = framed(&mut graph, shown, (args, canvas), (look.geometry.size(), size));
    let rate = part.rate_out(args, tempo.as_ref());
    let mut last: Vec<_> = tempo.as_ref().map(Tempo::filter).into_iter().collect();
    last.extend(rate.map(Filter::Fps));
    last.push(Filter::SquarePixels);
    last.push(Filter::Format(format(look)));
    let done = graph.chain(&[framed.into()], Chain(last));
    let audio = sound(args, media, place.container, (tempo.as_ref(), commands));
    let subtitles = if args.changes_speed() { SubtitleChoice::None } else { SubtitleChoice::Keep };
    let (subtitles, mut notes) = tracks::subtitles(media, subtitles, place.container);
    notes.extend(source::left_behind(media, stream, look, encoder));
    let frames = part.frames(args, tempo.as_ref(), rate);
    let expect = Expect { source, size, audio: audio.len(), frames };
    let video = Video {
        origin: Origin::Graph(done),
        encoder,
        rate: args.coding.rate(encoder),
        keyframes: Keyframes::Free,
        speed: args.coding.preset,
        time_base: if rate.is_none() { part.time_base(stream, tempo.as_ref()) } else { None },
        hdr: video.hdr.filter(|_| look.keep_hdr.is_some()),
    };
    let (path, container) = (place.output.into(), place.container);
    let output = Output { path, container, video: Some(video), audio, subtitles };
    let input = Input {
        delay: picture::preroll(media, stream),
        seek: part.seek,
        length: part.length,
        ..Input::of(place.input)
    };
    let threads = args.coding.threads;
    let job = Job { inputs: vec![input], graph, outputs: vec![output], threads };
    let plan = Plan { job, fallback, notes, expect: vec![expect] };
    Ok(args.part.iter().fold(plan, |plan, part| part.of(plan)))
}

/// The size of the result, from a picture of `shown`.
fn target(args: &Args, shown: (u32, u32)) -> (u32, u32) {
    let shown = (f64::from(shown.0), f64::from(shown.1));
    let natural = largest(shown, aspect(args, shown));
    // What bars are added to keeps its own size, unless another is asked for.
    let natural = match (args.fit, args.sides.bounds()) {
        (Fit::Pad | Fit::Blur, Bounds::Source) => around(shown, aspect(args, shown)),
        _ => natural,
    };
    // One side alone, or a name, keeps the shape; two sides are the shape.
    let fit = match args.sides.bounds() {
        Bounds::Pixels { width: Some(_), height: Some(_) } => size::Fit::Fill,
        _ => size::Fit::Contain,
    };
    geometry(natural, args.sides.bounds(), fit).size()
}

fn aspect(args: &Args, (width, height): (f64, f64)) -> f64 {
    match (args.aspect, args.sides.width, args.sides.height) {
        (_, Some(width), Some(height)) => f64::from(width) / f64::from(height),
        (Some(Aspect(aspect)), ..) => aspect,
        _ => width / height,
    }
}

/// The smallest box of a shape around a picture.
fn around((width, height): (f64, f64), aspect: f64) -> (f64, f64) {
    if width / height > aspect { (width, width / aspect) } else { (height * aspect, height) }
}

fn format(look: Look) -> PixelFormat {
    if look.ten_bit { PixelFormat::Yuv420p10 } else { PixelFormat::Yuv420p }
}

/// The picture in its new shape.
fn framed(
    graph: &mut Graph,
    from: Link,
    (args, canvas): (&Args, Canvas),
    (shown, size): ((u32, u32), (u32, u32)),
) -> Link {
    let scale = |size| Filter::Scale { size, to_video_range: false, matrix: None };
    let inside = || {
        let (width, height) = (f64::from(shown.0), f64::from(shown.1));
        let bounds = Bounds::Pixels { width: Some(size.0), height: Some(size.1) };
        geometry((width, height), bounds, size::Fit::Contain).size()
    };
    match args.fit {
        Fit::Crop => {
            let aspect = f64::from(size.0) / f64::from(size.1);
            let view = View::of(args.crop.as_ref(), shown, aspect, args.from());
            graph.chain(&[from.into()], view.filters(size))
        }
        Fit::Pad => {
            let inside = inside();
            let steps = Chain(vec![scale(inside), Filter::Pad(size)]);
            let padded = graph.chain(&[from.into()], steps);
            bars(args.color, inside, size)
                .into_iter()
                .fold(padded, |below, bar| bar.draw(below, canvas, graph, &mut Vec::new()))
        }
        Fit::Blur => {
            let copies = graph.split(from.into(), 2);
            let small = |side: u32| size::even(f64::from(side) / BLUR.0);
            let aspect = f64::from(size.0) / f64::from(size.1);
            let mut steps =
                View::of(None, shown, aspect, 0.0).filters((small(size.0), small(size.1)));
            steps.0.extend([Filter::Draw(Draw::Blur(BLUR.1)), scale(size)]);
            let behind = graph.chain(&[copies[0].into()], steps);
            let (width, height) = inside();
            let front = graph.chain(&[copies[1].into()], Chain(vec![scale((width, height))]));
            let middle = |whole: u32, own: u32| Expr::number(f64::from(whole - own) / 2.0);
            let over = Overlay {
                x: middle(size.0, width),
                y: middle(size.1, height),
                during: None,
                ten_bit: canvas.ten_bit,
                endless: false,
            };
            let over = Chain(vec![Filter::Draw(Draw::Overlay(over))]);
            graph.chain(&[Pad::from(behind), front.into()], over)
        }
    }
}

/// What bars look like that aren't black: laid over those of the filter, which knows no matrix but
/// that of SD video.
fn bars(color: Color, inside: (u32, u32), size: (u32, u32)) -> Vec<Layer> {
    let (wide, high) = (f64::from(size.0), f64::from(size.1));
    let (width, height) = (f64::from(size.0 - inside.0) / 2.0, f64::from(size.1 - inside.1) / 2.0);
    let bar = |at, size| Layer::still(Pixels::Solid(Color { alpha: 255, ..color }), at, size);
    let mut bars = Vec::new();
    if width > 0.0 {
        bars.extend([(0.0, 0.0), (wide - width, 0.0)].map(|at| bar(at, (width, high))));
    }
    if height > 0.0 {
        bars.extend([(0.0, 0.0), (0.0, high - height)].map(|at| bar(at, (wide, height))));
    }
    if color == Color::BLACK { Vec::new() } else { bars }
}

/// The sound, cut and as fast as the picture. What is changed can't be copied.
fn sound(
    args: &Args,
    media: &Media,
    container: Container,
    (tempo, commands): (Option<&Tempo>, &Path),
) -> Vec<Audio> {
    let choice = match container {
        _ if args.mute => AudioChoice::None,
        _ if !args.trims() && tempo.is_none() => AudioChoice::Keep,
        Container::WebM => AudioChoice::Opus,
        _ => AudioChoice::Aac,
    };
    let mut tracks = tracks::audio(media, choice, container);
    for track in &mut tracks {
        if let (Some(tempo), Origin::Stream(_, chain)) = (tempo, &mut track.origin) {
            chain.0.extend(tempo.sound(commands).0);
        }
    }
    tracks
}

/// Which part of the input is used.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    /// Frames per second, where they are evenly spaced.
    rate: Option<Rational>,
    seek: Option<f64>,
    length: Option<f64>,
    /// Frames in it, where they can be counted.
    frames: Option<u64>,
}

impl Part {
    fn of(
        args: &Args,
        media: &Media,
        stream: &Stream,
        video: &VideoStream,
    ) -> Result<Part, Failure> {
        let lasts = stream.duration.or(media.duration);
        if let Some(lasts) = lasts.filter(|lasts| args.from() >= *lasts && args.trims()) {
            return Err(Failure::new(
                FailureKind::InvalidArgs,
                format!("`start` is {} s, and the video has {lasts:.3} s", args.from()),
            ));
        }
        let rate = video.rate().filter(|_| !video.variable_rate());
        let claimed = stream.claimed_frames.filter(|frames| {
            let expected = rate.zip(lasts).map(|(rate, lasts)| rate.value() * lasts);
            expected.is_some_and(|expected| (*frames as f64 - expected).abs() <= 1.0)
        });
        let Some(fps) = rate.map(Rational::value) else {
            let seek = args.start.filter(|start| *start > 0.0);
            let length = args.end.map(|end| end - args.from());
            return Ok(Part { rate, seek, length, frames: None });
        };
        // Where the first frame is, in seconds of the file.
        let zero = stream.start.map_or(0.0, |start| (start - media.start).max(0.0));
        let index = |time: f64| ((time - zero - EARLY) * fps).ceil().max(0.0);
        let first = index(args.from());
        let end = args.end.map(index).filter(|end| claimed.is_none_or(|all| *end < all as f64));
        let seek = (first > 0.0).then(|| zero + first / fps - EARLY);
        let until = end.map(|end| zero + end / fps - EARLY);
        let length = until.map(|until| until - seek.unwrap_or(0.0));
        let last = end.or(claimed.map(|all| all as f64));
        let frames = last.map(|last| (last - first).max(0.0) as u64);
        if frames == Some(0) {
            return Err(Failure::new(
                FailureKind::InvalidArgs,
                "no frame of the video is between `start` and `end`",
            ));
        }
        Ok(Part { rate, seek, length, frames })
    }

    /// The rate to which frames are repeated and dropped: what was asked for, or the input's own
    /// where another speed would change it.
    fn rate_out(&self, args: &Args, tempo: Option<&Tempo>) -> Option<Rational> {
        let own = self.rate.filter(|_| tempo.is_some());
        args.fps.and_then(Rational::from_rate).or(own)
    }

    /// How many frames the result has.
    fn frames(&self, args: &Args, tempo: Option<&Tempo>, rate: Option<Rational>) -> Frames {
        let Some(rate) = rate else {
            return match (args.trims(), self.frames) {
                (false, _) => Frames::Every,
                (true, Some(frames)) if args.end.is_some() => Frames::Exactly(frames),
                (true, _) => Frames::Part,
            };
        };
        let Some((frames, own)) = self.frames.zip(self.rate) else {
            return if args.trims() { Frames::Part } else { Frames::Any };
        };
        let seconds = frames as f64 / own.value();
        let seconds = tempo.map_or(seconds, |tempo| tempo.shown_at(seconds));
        Frames::Near((seconds * rate.value()).round() as u64)
    }

    /// The unit of times: the input's own, or a finer one where they are changed.
    fn time_base(&self, stream: &Stream, tempo: Option<&Tempo>) -> Option<Rational> {
        match tempo {
            Some(_) => Rational::new(1, 90_000),
            None => stream.time_base.map(picture::coarser),
        }
    }
}

#[cfg(test)]
mod tests;
