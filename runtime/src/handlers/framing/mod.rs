//! Frames a video anew: another shape and size with what matters in view, a part of it, faster or
//! slower.
//!
//! `plan` decides, [`crate::encode`] works and judges; this file is the order of it.

pub mod args;
mod plan;
mod tempo;
mod view;

use self::args::Args;
use self::tempo::Tempo;
use crate::encode::run::Work;
use crate::encode::single::{self, Made, Place};
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::handler::{Context, Handler};
use crate::wire::Failure;

/// Seconds of sound that a ramp is written for where nobody knows how long it is.
const LONGEST: f64 = 24.0 * 3600.0;

/// The file of commands that make sound follow a ramp.
const COMMANDS: &str = "tempo.txt";

/// The `framing` handler.
#[derive(Debug)]
pub struct Framing;

impl Handler for Framing {
    type Args = Args;
    type Output = Made;

    const NAME: &'static str = "framing";
    const ABOUT: &'static str = "Crops, trims and retimes a video, such as 16:9 to 9:16.";

    async fn run(&self, cx: Context, args: Args) -> Result<Made, Failure> {
        let container = single::container(args.output.as_ref(), args.coding.codec)?;
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
        let commands = cx.files().scratch().join(COMMANDS);
        let seconds = media.duration.unwrap_or(LONGEST);
        if let Some(text) = Tempo::of(&args).and_then(|tempo| tempo.commands(seconds)) {
            cx.files().write_scratch(COMMANDS, text.as_bytes())?;
        }
        let planned = |hardware| plan::plan(&args, hardware, &media, &machine, (place, &commands));
        let work = Work { cx: &cx, verb: "frame", name, media: &media };
        let how = (hardware, args.coding.verify);
        let plan = planned(hardware)?;
        single::make(work, plan, how, || planned(Hardware::Off), staged).await
    }
}
