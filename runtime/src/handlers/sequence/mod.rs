//! Makes a video of a folder of pictures: the way back from `frames`.
//!
//! The pictures are put one behind the other into one stream of the call's own, so ffmpeg opens that
//! and nothing else: no pattern of names, no file that a picture might point to.

mod pictures;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encode::picture::{self, Look};
use crate::encode::run::Work;
use crate::encode::single;
use crate::encode::size::{Bounds, Fit};
use crate::encode::verify::Verified;
use crate::encode::{Coding, Expect, Frames, Plan, encoder};
use crate::ffmpeg::Rational;
use crate::ffmpeg::codec::Encoder;
use crate::ffmpeg::cut::Cut;
use crate::ffmpeg::filter::Filter;
use crate::ffmpeg::graph::Graph;
use crate::ffmpeg::job::{Input, Job, Keyframes, Origin, Output as Target, Source, Video};
use crate::ffmpeg::probe::{Count, Media};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::handler::{Context, Handler};
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// The `sequence` handler.
#[derive(Debug)]
pub struct Sequence;

/// What `sequence` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// A folder of pictures, all PNG, all JPEG or all WebP. They are shown in the order of their
    /// names, numbers by their value.
    pub input: InputFile,
    /// Where the result goes; the extension (mp4, m4v, mov, mkv or webm) decides the container.
    /// Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// Pictures per second.
    #[serde(default = "fps")]
    #[schemars(range(min = 0.1, max = 480.0))]
    pub fps: f64,
    /// Width in pixels; by default that of the first picture.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16384))]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16384))]
    pub height: Option<u32>,
    /// How the picture goes into a box of another shape.
    #[serde(default)]
    pub fit: Fit,
    /// How the result is coded.
    #[serde(flatten)]
    pub coding: Coding,
}

fn fps() -> f64 {
    25.0
}

/// What `sequence` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Where the result is.
    pub output: String,
    /// Pictures that it is made of.
    pub pictures: u64,
    /// The encoder that was used, by ffmpeg's name.
    pub encoder: String,
    /// Why the CPU was used although a GPU was wanted; null when that isn't so.
    pub fallback: Option<String>,
    /// Size of the result in bytes.
    pub output_bytes: u64,
    /// What was checked before this counted as a result; null with `verify=off`.
    pub verified: Option<Verified>,
}

impl Handler for Sequence {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "sequence";
    const ABOUT: &'static str = "Makes a video of a folder of pictures.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let container = single::container(args.output.as_ref(), args.coding.codec)?;
        let codec = args.coding.codec_in(container)?;
        args.coding.check(codec)?;
        let rate = Rational::from_rate(args.fps).ok_or_else(|| {
            Failure::new(FailureKind::InvalidArgs, "`fps` isn't between 0.1 and 480")
        })?;
        let name = args.input.as_str();
        let folder = cx.files().folder(&args.input)?;
        let stream = cx.files().scratch().join("pictures");
        let pictures = pictures::gather(&folder, &stream, name, cx.cancellation()).await?;
        let media = cx.tools().inspect(&stream, name, Count::Nothing, cx.cancellation()).await?;
        let hardware = args.coding.hardware(&cx);
        let machine = Capabilities::of(cx.tools(), hardware, codec, cx.cancellation()).await?;
        let staged =
            cx.files().output(args.output.as_ref(), &format!("video.{}", container.extension()))?;
        let target = staged.path();
        let planned = |hardware| {
            let output = Target {
                path: target.clone(),
                container,
                video: None,
                audio: Vec::new(),
                subtitles: Vec::new(),
            };
            plan(&args, hardware, &media, &machine, (Input::of(&stream), output), (rate, pictures))
        };
        let work = Work { cx: &cx, verb: "make a video of", name, media: &media };
        let ran = work.run(planned(hardware)?, hardware, || planned(Hardware::Off)).await;
        let (plan, run) = ran?;
        let verified = work.verify(&plan, 0, &run, args.coding.verify).await?;
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = staged.commit("output")?;
        let output = Output {
            output: artifact.location.clone(),
            pictures,
            encoder: plan.encoder().map_or("none", Encoder::name).into(),
            fallback: plan.fallback,
            output_bytes: artifact.bytes,
            verified,
        };
        cx.add_artifact(artifact);
        Ok(output)
    }
}

/// The run that codes every picture for as long as each of them is shown.
fn plan(
    args: &Args,
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    (input, output): (Input, Target),
    (rate, pictures): (Rational, u64),
) -> Result<Plan, Failure> {
    let name = args.input.as_str();
    let (stream, video) = media.video().ok_or_else(|| {
        Failure::new(FailureKind::InvalidInput, format!("the first picture of `{name}` is damaged"))
    })?;
    let codec = args.coding.codec_in(output.container)?;
    let bounds = match (args.width, args.height) {
        (None, None) => Bounds::Source,
        (width, height) => Bounds::Pixels { width, height },
    };
    let look = Look::decide((bounds, args.fit), args.coding.ten_bit, codec, video);
    encoder::check_size(codec, look.geometry.size())?;
    let (chosen, fallback) = encoder::choose(codec, hardware, look, machine)?;
    let mut filters = picture::cpu_filters(video, look, None);
    filters.0.insert(0, Filter::Cut(Cut::Paced(rate)));
    let source = Source { input: 0, stream: stream.index };
    let expect =
        Expect { source, size: look.geometry.size(), audio: 0, frames: Frames::Exactly(pictures) };
    let video = Video {
        origin: Origin::Stream(source, filters),
        encoder: chosen,
        rate: args.coding.rate(chosen),
        speed: args.coding.preset,
        time_base: Rational::new(rate.den, rate.num),
        hdr: None,
        keyframes: Keyframes::Free,
    };
    let output = Target { video: Some(video), ..output };
    let job = Job {
        inputs: vec![input],
        graph: Graph::default(),
        outputs: vec![output],
        threads: args.coding.threads,
    };
    Ok(Plan { job, fallback, notes: Vec::new(), expect: vec![expect] })
}
