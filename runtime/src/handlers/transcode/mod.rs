//! Makes another video of a video: size, codec, quality, on a GPU where there is one.
//!
//! `plan` decides, [`crate::encode`] works and judges; this file is the order of it.

pub mod args;
pub mod plan;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use self::args::Args;
use self::plan::Place;
use crate::encode::inspect::inspect;
use crate::encode::run::Work;
use crate::encode::verify::Verified;
use crate::ffmpeg::job::{Container, Encoder, VideoCodec};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::handler::{Context, Handler};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// The `transcode` handler.
#[derive(Debug)]
pub struct Transcode;

/// What `transcode` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Where the result is.
    pub output: String,
    /// The encoder that was used, by ffmpeg's name.
    pub encoder: String,
    /// Why the CPU was used although a GPU was wanted; null when that isn't so.
    pub fallback: Option<String>,
    /// Seconds that ffmpeg worked.
    pub seconds: f64,
    /// Seconds of video per second of work.
    pub speed: f64,
    /// Size of the input in bytes.
    pub input_bytes: u64,
    /// Size of the result in bytes.
    pub output_bytes: u64,
    /// What was checked before this counted as a result; null with `verify=off`.
    pub verified: Option<Verified>,
    /// What of the input didn't come along, or was changed on the way.
    pub notes: Vec<String>,
}

impl Handler for Transcode {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "transcode";
    const ABOUT: &'static str = "Makes another video of a video: size, codec, quality.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let container = container(&args)?;
        let codec = args.coding.codec_in(container)?;
        args.check(codec)?;
        let input = cx.files().input(&args.input).await?;
        let hardware = args.coding.hardware(&cx);
        let (media, machine) = tokio::join!(
            inspect(&cx, args.input.as_str(), &input, args.coding.keeps_hdr(codec)),
            Capabilities::of(cx.tools(), hardware, codec, cx.cancellation())
        );
        let (media, machine) = (media?, machine?);
        let staged = cx.files().output(args.output.as_ref(), &default_name(&args, container))?;
        let target = staged.path();
        let place = Place { input: &input, name: args.input.as_str(), output: &target, container };
        let work = Work { cx: &cx, verb: "transcode", name: place.name, media: &media };
        let planned = |hardware| plan::plan(&args, hardware, &media, &machine, place);
        let started = Instant::now();
        let ran = work.run(planned(hardware)?, hardware, || planned(Hardware::Off)).await;
        let (plan, run) = ran?;
        let seconds = started.elapsed().as_secs_f64();
        let verified = work.verify(&plan, 0, &run, args.coding.verify).await?;
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = staged.commit("output")?;
        let output = Output {
            output: artifact.location.clone(),
            encoder: plan.encoder().map_or("none", Encoder::name).into(),
            seconds,
            speed: run.last.seconds / seconds,
            input_bytes: media.bytes,
            output_bytes: artifact.bytes,
            verified,
            fallback: plan.fallback,
            notes: plan.notes,
        };
        cx.add_artifact(artifact);
        Ok(output)
    }
}

fn container(args: &Args) -> Result<Container, Failure> {
    if let Some(part) = &args.part {
        return Ok(part.container());
    }
    let Some(output) = &args.output else {
        return Ok(match args.coding.codec {
            Some(VideoCodec::Vp9) => Container::WebM,
            _ => Container::Mp4,
        });
    };
    let extension = Path::new(output.as_str()).extension().unwrap_or_default().to_string_lossy();
    Container::of_extension(&extension).ok_or_else(|| {
        Failure::new(
            FailureKind::InvalidArgs,
            format!("`{}` doesn't say which format is wanted", output.as_str()),
        )
        .cause(format!("`.{extension}` is none of .mp4, .m4v, .mov, .mkv and .webm"))
        .hint("name an output that ends in `.mp4`")
    })
}

/// The input's name with the container's extension.
fn default_name(args: &Args, container: Container) -> String {
    let stem = Path::new(args.input.as_str()).file_stem().unwrap_or("output".as_ref());
    format!("{}.{}", stem.to_string_lossy(), container.extension())
}
