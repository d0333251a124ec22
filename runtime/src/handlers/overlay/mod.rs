//! Draws on a video: texts in any script, images, and regions that are marked and may move.
//!
//! `text` and `raster` make pictures of what isn't one yet, `plan` decides how they get onto
//! the video, [`crate::encode`] works and judges; this file is the order of it.

pub mod args;
pub(crate) mod ass;
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
use crate::encode::redraw::Subject;
use crate::encode::single::{self, Made, Order};
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
        args.check()?;
        let Args { input, output, part, coding, .. } = &args;
        let (output, part) = (output.as_ref(), part.as_ref());
        let order = Order { input: input.as_str(), output, part, coding, hdr: false };
        let (single, staged) = single::open(&cx, order).await?;
        let (opened, place) = (&single.opened, single.place());
        let mut images = Vec::with_capacity(args.images.len());
        for image in &args.images {
            images.push(single::picture(&cx, &image.image).await?);
        }
        let size = Subject::of(&opened.media, coding, place)?.look.geometry.size();
        shapes(&cx, &args, size)?;
        let texts = text::draw(&cx, &args.texts, size).await?;
        let folder = cx.files().scratch();
        let material = Material { images: &images, texts: &texts, folder };
        let planned = |hardware| {
            plan::plan(&args, hardware, &opened.media, &opened.machine, (place, material))
        };
        let made = single.make("draw on", planned, staged).await?;
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
