//! Draws on a video: texts in any script, images, and regions that are marked and may move.
//!
//! `text` and `raster` make pictures of what isn't one yet, `plan` decides how they get onto
//! the video, [`crate::encode`] works and judges; this file is the order of it.

pub mod args;
mod ass;
mod font;
mod highlight;
mod plan;
mod raster;
pub(crate) mod text;

use schemars::JsonSchema;
use serde::Serialize;

use self::args::Args;
use self::plan::Material;
pub use self::text::Placed;
use crate::encode::run::Work;
use crate::encode::single::{self, Made, Place};
use crate::encode::source;
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::handler::{Context, Handler};
use crate::wire::Failure;

/// The `overlay` handler.
#[derive(Debug)]
pub struct Overlay;

/// What `overlay` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The video that was made.
    #[serde(flatten)]
    pub made: Made,
    /// Where each text was drawn, in their order.
    pub texts: Vec<Placed>,
}

impl Handler for Overlay {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "overlay";
    const ABOUT: &'static str = "Draws texts, images and moving highlights on a video.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let container = match &args.part {
            Some(part) => part.container(),
            None => single::container(args.output.as_ref(), args.coding.codec)?,
        };
        let codec = args.coding.codec_in(container)?;
        args.coding.check(codec)?;
        args.check()?;
        let input = cx.files().input(&args.input).await?;
        let hardware = args.coding.hardware(&cx);
        let name = args.input.as_str();
        let (media, machine) = tokio::join!(
            single::inspect(&cx, &input, name),
            Capabilities::of(cx.tools(), hardware, codec, cx.cancellation())
        );
        let (media, machine) = (media?, machine?);
        let default_name = single::default_name(&args.input, container);
        let staged = cx.files().output(args.output.as_ref(), &default_name)?;
        let target = staged.path();
        let place = Place { input: &input, name, output: &target, container };
        let mut images = Vec::with_capacity(args.images.len());
        for image in &args.images {
            images.push(single::picture(&cx, &image.image).await?);
        }
        let size = plan::look(&args, place, source::picture_of(&media, name)?.1)?.geometry.size();
        shapes(&cx, &args, size)?;
        let texts = text::draw(&cx, &args.texts, size).await?;
        let folder = cx.files().scratch();
        let material = Material { images: &images, texts: &texts.layers, folder };
        let planned = |hardware| plan::plan(&args, hardware, &media, &machine, (place, material));
        let work = Work { cx: &cx, verb: "draw on", name, media: &media };
        let how = (hardware, args.coding.verify);
        let mut plan = planned(hardware)?;
        plan.notes.extend(texts.notes);
        let made = single::make(work, plan, how, || planned(Hardware::Off), staged).await?;
        Ok(Output { made, texts: texts.placed })
    }
}

/// Writes the pictures that highlights need.
fn shapes(cx: &Context, args: &Args, size: (u32, u32)) -> Result<(), Failure> {
    for (index, mark) in args.highlights.iter().enumerate() {
        for need in highlight::needs(mark, index, (size, args.dim > 0.0)) {
            cx.files().write_scratch(&need.name, &need.raster.rgba)?;
        }
    }
    Ok(())
}
