//! Makes another video of a video: size, codec, quality, on a GPU where there is one.
//!
//! `plan` decides, [`crate::encode`] works and judges; this file is the order of it.

pub mod args;
pub mod plan;

use self::args::Args;
use crate::encode::single::{self, Made, Order};
use crate::handler::{Context, Handler};
use crate::wire::Failure;

/// The `transcode` handler.
#[derive(Debug)]
pub struct Transcode;

impl Handler for Transcode {
    type Args = Args;
    type Output = Made;

    const NAME: &'static str = "transcode";
    const ABOUT: &'static str = "Makes another video of a video: size, codec, quality.";

    async fn run(&self, cx: Context, args: Args) -> Result<Made, Failure> {
        args.check()?;
        let Args { input, output, part, coding, .. } = &args;
        let (output, part) = (output.as_ref(), part.as_ref());
        let order = Order { input: input.as_str(), output, part, coding, hdr: true };
        let (single, staged) = single::open(&cx, order).await?;
        let (opened, place) = (&single.opened, single.place());
        let planned = |hardware| plan::plan(&args, hardware, &opened.media, &opened.machine, place);
        single.make("transcode", planned, staged).await
    }
}
