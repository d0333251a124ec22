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
use crate::encode::single::{self, Made, Order};
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
        args.check()?;
        let Args { input, output, part, coding, .. } = &args;
        let (output, part) = (output.as_ref(), part.as_ref());
        let order = Order { input: input.as_str(), output, part, coding, hdr: true };
        let (single, staged) = single::open(&cx, order).await?;
        let (opened, place) = (&single.opened, single.place());
        let commands = cx.files().scratch().join(COMMANDS);
        let seconds = opened.media.duration.unwrap_or(LONGEST);
        if let Some(text) = Tempo::of(&args).and_then(|tempo| tempo.commands(seconds)) {
            cx.files().write_scratch(COMMANDS, text.as_bytes())?;
        }
        let planned = |hardware| {
            plan::plan(&args, hardware, &opened.media, &opened.machine, (place, &commands))
        };
        single.make("frame", planned, staged).await
    }
}
