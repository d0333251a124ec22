//! Finds objects on the frames of a video, by a model of the YOLO family that was exported to ONNX.
//!
//! `plan` decides which frames, who decodes and who computes; `weights` and `warm` bring the model, `work` the
//! findings, `sink` takes them frame by frame; `follow` and `annotate` make of them what other handlers and people
//! take. [`crate::detect`] is what is known of models. This file is the order of it.

mod annotate;
pub mod args;
mod compute;
mod follow;
mod parts;
mod plan;
pub mod record;
mod script;
mod sink;
mod source;
mod warm;
mod weights;
mod work;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use self::annotate::Annotation;
use self::args::Args;
use self::compute::Used;
pub use self::follow::Follow;
use self::follow::{How, Position};
use self::plan::Selection;
use self::record::FrameRecord;
use self::sink::{Sink, Taken};
use self::source::Source;
use self::warm::Warm;
use crate::detect::tracker::Settings;
use crate::encode::single::{self, Made, Order, Single};
use crate::encode::source::picture_of;
use crate::ffmpeg::index::FrameIndex;
use crate::ffmpeg::probe::{Count, Media, Stream, VideoStream};
use crate::handler::{Context, Handler};
use crate::storage::{InputFile, StagedOutput};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// Things at least as sure begin tracks, as long as `confidence` asks for less; as in ByteTrack.
const SURE: f32 = 0.5;

/// The `detect` handler. It keeps the models that it has loaded.
#[derive(Debug, Default)]
pub struct Detect {
    warm: Arc<Warm>,
}

/// What `detect` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// What was found, as JSON lines: where that file is.
    pub output: String,
    /// What was found, frame by frame; null where that is too much for a result.
    pub frames: Option<Vec<FrameRecord>>,
    /// Frames that were looked at.
    pub frames_done: u64,
    /// Things that were found on them.
    pub detections: u64,
    /// Objects that were told apart; null without tracking.
    pub objects: Option<u64>,
    /// Width of the video as it is shown.
    pub video_width: u32,
    /// Height of the video as it is shown.
    pub video_height: u32,
    /// Frames per second of the video.
    pub fps: Option<f64>,
    /// Frames of the whole video.
    pub video_frames: u64,
    /// The model, and who computed it; null where nothing was computed.
    pub model: Option<Used>,
    /// Why the CPU was used although a GPU was wanted; null when that isn't so.
    pub fallback: Option<String>,
    /// The object that was followed.
    pub follow: Option<Follow>,
    /// The video with boxes on it.
    pub annotated: Option<Made>,
    /// How long it took.
    pub timing: Timing,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// How long it took. Decoding, preparing and computing happen at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Timing {
    /// Seconds from the first frame that was asked for to the last that was found.
    pub seconds: f64,
    /// Frames per second of that.
    pub frames_per_second: f64,
    /// Seconds in which pictures were prepared.
    pub preparing_seconds: f64,
    /// Seconds in which the model computed.
    pub computing_seconds: f64,
}

/// The video that is looked at.
#[derive(Clone, Copy, Debug)]
struct Clip<'a> {
    path: &'a std::path::Path,
    /// What the caller called it.
    name: &'a str,
    media: &'a Media,
    stream: &'a Stream,
    video: &'a VideoStream,
    index: &'a FrameIndex,
    /// Width and height as it is shown.
    size: (u32, u32),
}

impl Handler for Detect {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "detect";
    const ABOUT: &'static str =
        "Finds objects in a video by a YOLO model, tracks and follows them.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        args.check()?;
        let path = cx.files().input(&args.input).await?;
        let (tools, cancel, name) = (cx.tools(), cx.cancellation(), args.input.as_str());
        let media = tools.inspect(&path, name, Count::Nothing, cancel).await?;
        let (stream, video) = picture_of(&media, name)?;
        let index = tools.frame_index(&path, stream, name, cancel).await?;
        let size = plan::size(video);
        let clip = Clip { path: &path, name, media: &media, stream, video, index: &index, size };
        let selection = plan::selection(args.wanted()?, args.every, &index, name)?;
        let job = Job { cx: &cx, args: &args, clip, selection };
        job.run(&self.warm).await
    }
}

/// One call.
#[derive(Clone, Copy, Debug)]
struct Job<'a> {
    cx: &'a Context,
    args: &'a Args,
    clip: Clip<'a>,
    selection: Selection,
}

impl<'a> Job<'a> {
    async fn run(self, warm: &Arc<Warm>) -> Result<Output, Failure> {
        let Job { cx, args, clip, .. } = self;
        let source = Source::find(self, warm).await?;
        let class = args.follow.as_ref().map(|class| source.class(class)).transpose()?;
        let lines =
            cx.files().output(args.output.as_ref(), &named(&args.input, "detections.jsonl"))?;
        let annotated = self.annotated().await?;
        let script = cx.files().write_scratch("boxes.ass", b"")?;
        let started = Instant::now();
        let found =
            source.run(self, || self.sink(&lines, class, annotated.is_some(), &script)).await?;
        let seconds = started.elapsed().as_secs_f64();
        let taken = found.taken;
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let follow = match class {
            Some(class) => Some(self.followed((class, source.label(class)), &taken)?),
            None => None,
        };
        let artifact = lines.commit("output")?;
        let output = artifact.location.clone();
        cx.add_artifact(artifact);
        let annotated = match annotated {
            Some((single, staged)) => {
                let annotation = Annotation::of(&single, &args.coding, &script);
                Some(single.make("draw on", |hardware| annotation.plan(hardware), staged).await?)
            }
            None => None,
        };
        let per_second = taken.frames as f64 / seconds.max(1e-9);
        Ok(Output {
            output,
            frames: taken.records,
            frames_done: taken.frames,
            detections: taken.detections,
            objects: args.tracks().then_some(taken.objects),
            video_width: clip.size.0,
            video_height: clip.size.1,
            fps: clip.video.rate().map(|rate| rate.value()),
            video_frames: clip.index.frames.len() as u64,
            model: source.used(self),
            fallback: found.fallback,
            follow,
            annotated,
            timing: Timing {
                seconds,
                frames_per_second: per_second,
                preparing_seconds: found.busy.preparing.as_secs_f64(),
                computing_seconds: found.busy.computing.as_secs_f64(),
            },
            notes: notes(clip, source.notes()),
        })
    }

    /// The annotated video's place, if there is to be one.
    async fn annotated(self) -> Result<Option<(Single<'a>, StagedOutput)>, Failure> {
        let Job { cx, args, .. } = self;
        let Some(output) = &args.annotated else { return Ok(None) };
        let order = Order {
            input: args.input.as_str(),
            output: Some(output),
            part: None,
            coding: &args.coding,
            hdr: false,
        };
        single::open(cx, order).await.map(Some)
    }

    /// Takes findings from the start: a run may have to begin again.
    fn sink(
        &self,
        lines: &StagedOutput,
        follow: Option<u32>,
        draws: bool,
        script: &std::path::Path,
    ) -> Result<Sink<'a>, Failure> {
        let Job { args, clip, .. } = *self;
        let make = || {
            let mut sink = Sink::new(clip.index, &lines.path())?.following(follow);
            if args.tracks() {
                sink = sink.tracked(self.tracking());
            }
            match draws {
                true => sink.drawn(script, clip.size, self.late()),
                false => Ok(sink),
            }
        };
        make().map_err(|error| cannot_write(&error))
    }

    fn tracking(&self) -> Settings {
        let fps = self.clip.video.rate().map_or(25.0, |rate| rate.value());
        let patience = (self.args.max_gap * fps).ceil().max(1.0) as u64;
        Settings {
            sure: SURE.max(self.args.confidence),
            patience: patience.max(self.args.every.into()),
        }
    }

    /// Seconds by which the first frame is later than the start of the file, from which filters count.
    fn late(&self) -> f64 {
        let first = self.clip.stream.first_shown.unwrap_or(self.clip.media.start);
        (first - self.clip.media.start).max(0.0)
    }

    fn followed(self, (class, label): (u32, String), taken: &Taken) -> Result<Follow, Failure> {
        let Job { cx, args, clip, .. } = self;
        let how = How {
            longest_gap: args.max_gap,
            smooth: args.smooth,
            size: clip.size,
            late: self.late(),
        };
        let (ids, places) = follow::places(&taken.sightings, &taken.times, how);
        let staged = cx.files().output(None, &named(&args.input, "path.jsonl"))?;
        let write = || -> std::io::Result<()> {
            let mut file = std::io::BufWriter::new(std::fs::File::create(staged.path())?);
            places.iter().try_for_each(|place| record::write(&mut file, &Position::of(place)))?;
            file.into_inner().map_err(std::io::IntoInnerError::into_error).map(|_| ())
        };
        write().map_err(|error| cannot_write(&error))?;
        let artifact = staged.commit("path")?;
        let path = artifact.location.clone();
        cx.add_artifact(artifact);
        Ok(Follow::of((class, label), ids, &places, how, path))
    }

    /// How far it is, of the frames that are looked at.
    fn tell(&self, frames: u64) {
        let total = self.selection.count() as u64;
        self.cx.progress(Progress {
            phase: Phase::Processing,
            fraction: Some(frames as f64 / total.max(1) as f64),
            frames: Some(frames),
            total_frames: Some(total),
            ..Progress::default()
        });
    }
}

fn cannot_write(error: &std::io::Error) -> Failure {
    Failure::new(FailureKind::Output, "can't write what was found").cause(error)
}

/// The video's name, and what the file is.
fn named(input: &InputFile, what: &str) -> String {
    let stem = std::path::Path::new(input.as_str()).file_stem().unwrap_or("video".as_ref());
    format!("{}-{what}", stem.to_string_lossy())
}

fn notes(clip: Clip<'_>, mut notes: Vec<String>) -> Vec<String> {
    if clip.video.sar.is_some_and(|sar| sar.num != sar.den) {
        let (width, height) = clip.size;
        notes.push(format!(
            "its pixels aren't square, so boxes are on {width}x{height}, as it is shown"
        ));
    }
    if clip.video.interlaced {
        notes.push("interlaced frames stay as they are, two fields in one picture".into());
    }
    if clip.video.hdr_transfer().is_some() {
        notes.push("HDR is mapped to SDR (BT.709) before the model sees it".into());
    }
    notes
}
