//! Changes how a video looks: blur, edges, noise, shake, colours, green screens, as a checked chain.
//!
//! `plan` decides, [`crate::encode`] works and judges; this file is the order of it.

pub mod args;
mod cube;
mod plan;

use std::fs::File;
use std::io::BufReader;

use self::args::{Args, Step};
use self::plan::Material;
use crate::encode::run::Work;
use crate::encode::single::{self, Made, Order};
use crate::ffmpeg::graph::Link;
use crate::ffmpeg::job::Job;
use crate::ffmpeg::{args as argv, exec};
use crate::handler::{Context, Handler};
use crate::storage::InputFile;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// What it does, as in "can't change".
const VERB: &str = "change";

/// The `effects` handler.
#[derive(Debug)]
pub struct Effects;

impl Handler for Effects {
    type Args = Args;
    type Output = Made;

    const NAME: &'static str = "effects";
    const ABOUT: &'static str =
        "Changes how a video looks: blur, denoise, stabilise, colours and more.";

    async fn run(&self, cx: Context, args: Args) -> Result<Made, Failure> {
        args.check()?;
        let Args { input, output, part, coding, .. } = &args;
        let (output, part) = (output.as_ref(), part.as_ref());
        let order = Order { input: input.as_str(), output, part, coding, hdr: false };
        let (single, staged) = single::open(&cx, order).await?;
        let (opened, place) = (&single.opened, single.place());
        let material = material(&cx, &args).await?;
        if let Some(look) = plan::shakes(&args, &opened.media, (place, &material))? {
            watch(opened.work(VERB), look).await?;
        }
        let planned = |hardware| {
            plan::plan(&args, hardware, &opened.media, &opened.machine, (place, &material))
        };
        single.make(VERB, planned, staged).await
    }
}

/// Looks at the files that the chain names.
async fn material(cx: &Context, args: &Args) -> Result<Material, Failure> {
    let shakes = cx.files().write_scratch("shakes.trf", b"")?;
    let mut material = Material { shakes, ..Material::default() };
    for (index, step) in args.chain.iter().enumerate() {
        match step {
            Step::Lut { file } => material.tables.push((index, table(cx, file, index).await?)),
            Step::ChromaKey { image: Some(image), .. } => {
                material.images.push((index, single::picture(cx, image).await?));
            }
            _ => {}
        }
    }
    Ok(material)
}

/// Checks a table and writes it anew, so that ffmpeg reads nothing but numbers.
async fn table(
    cx: &Context,
    file: &InputFile,
    index: usize,
) -> Result<std::path::PathBuf, Failure> {
    let path = cx.files().input(file).await?;
    let name = file.as_str().to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let file = File::open(&path).map_err(|error| {
            Failure::new(FailureKind::InvalidInput, format!("can't read `{name}`")).cause(error)
        })?;
        cube::read(BufReader::new(file), &name).map(|cube| cube.text())
    });
    let text = read.await.unwrap_or_else(|stopped| {
        Err(Failure::new(FailureKind::Handler, "the table wasn't read").cause(stopped))
    })?;
    cx.files().write_scratch(&format!("table-{index}.cube"), text.as_bytes())
}

/// Runs the pass that writes down how the camera shakes.
async fn watch(work: Work<'_>, (job, made): (Job, Link)) -> Result<(), Failure> {
    let mut args = argv::args(&job);
    args.extend(["-map", &made.to_string(), "-f", "null", "-"].map(Into::into));
    let report = |sample: &crate::ffmpeg::progress::Sample| {
        work.cx.progress(Progress {
            phase: Phase::Processing,
            frames: Some(sample.frames),
            message: Some("looking how the camera shakes".into()),
            ..Progress::default()
        });
    };
    let ffmpeg = &work.cx.tools().ffmpeg;
    let run = exec::ffmpeg(ffmpeg, args, work.cx.cancellation(), report).await;
    run.map(|_| ()).map_err(|error| work.failed(error))
}
