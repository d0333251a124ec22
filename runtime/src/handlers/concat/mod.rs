//! Joins videos: as packets where they truly match, else brought to one size, rate and sound.
//! Packets go over unread: what is damaged in an input stays so in the result, and `verify=full`
//! finds frames that can't be decoded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encode::Coding;
use crate::encode::reel::make::{self, Made};
use crate::encode::reel::normal::Making;
use crate::encode::reel::open::Opened;
use crate::encode::reel::{Segment, wish};
use crate::encode::run::Work;
use crate::encode::single;
use crate::encode::verify::Verified;
use crate::gpu::Capabilities;
use crate::handler::{Context, Handler};
use crate::storage::{InputFile, OutputFile};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// The `concat` handler.
#[derive(Debug)]
pub struct Concat;

/// What `concat` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The videos, in the order in which they are shown.
    pub inputs: Vec<InputFile>,
    /// Where the result goes; the extension (mp4, m4v, mov, mkv or webm) decides the container.
    /// Without it the result is an artifact of the call.
    #[serde(default)]
    pub output: Option<OutputFile>,
    /// What the result is to be like.
    #[serde(flatten)]
    pub wish: wish::Wish,
    /// How what is coded anew is coded.
    #[serde(flatten)]
    pub coding: Coding,
}

/// What `concat` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Where the result is.
    pub output: String,
    /// The parts, in their order.
    pub parts: Vec<Joined>,
    /// Frames that went over as packets.
    pub frames_copied: u64,
    /// Frames that were coded anew.
    pub frames_encoded: u64,
    /// The encoder, by ffmpeg's name; `copy` where nothing was coded anew.
    pub encoder: String,
    /// Why packets didn't go over as they are; null where they did.
    pub why_encoded: Option<String>,
    /// Why the CPU was used although a GPU was wanted; null when that isn't so.
    pub fallback: Option<String>,
    /// Size of the result in bytes.
    pub output_bytes: u64,
    /// What was checked before this counted as a result; null with `verify=off`.
    pub verified: Option<Verified>,
}

/// One part of the result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Joined {
    /// The file that it comes from.
    pub input: String,
    /// Its frames in that file.
    pub frames: u64,
    /// Seconds that it lasts.
    pub seconds: f64,
}

impl Handler for Concat {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "concat";
    const ABOUT: &'static str = "Joins videos, without coding them anew where they match.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let container = single::container(args.output.as_ref(), args.coding.codec)?;
        args.wish.check(&args.coding, container)?;
        if args.inputs.is_empty() {
            return Err(Failure::new(FailureKind::InvalidArgs, "`inputs` names no video"));
        }
        let opened = Opened::all(&cx, &args.inputs).await?;
        let whole = |input: &InputFile| {
            let found = opened.iter().find(|file| file.name == input.as_str());
            found.expect("every input was opened").whole()
        };
        let segments = args.inputs.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
        let target = args.wish.target(&segments, 0.0);
        let reencode = args.wish.reencodes(&args.coding, &segments, target, container);
        let hardware = args.coding.hardware(&cx);
        let codec = args.coding.codec_in(container)?;
        let machine = Capabilities::of(cx.tools(), hardware, codec, cx.cancellation()).await?;
        let name = format!("joined.{}", container.extension());
        let staged = cx.files().output(args.output.as_ref(), &name)?;
        let making = Making {
            coding: &args.coding,
            hardware,
            machine: &machine,
            output: &staged.path(),
            container,
        };
        let first = &segments[0];
        let work = Work { cx: &cx, verb: "join", name: first.name, media: first.media };
        let scratch = cx.files().scratch().join("parts");
        let made = make::make(work, &segments, target, making, reencode, &scratch).await?;
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = staged.commit("output")?;
        let output = output(&segments, made, &artifact.location, artifact.bytes);
        cx.add_artifact(artifact);
        Ok(output)
    }
}

fn output(segments: &[Segment<'_>], made: Made, location: &str, bytes: u64) -> Output {
    let part = |segment: &Segment<'_>| Joined {
        input: segment.name.into(),
        frames: segment.frames.len() as u64,
        seconds: segment.seconds(),
    };
    Output {
        output: location.into(),
        parts: segments.iter().map(part).collect(),
        frames_copied: made.copied,
        frames_encoded: made.encoded,
        encoder: made.encoder,
        why_encoded: made.why_encoded,
        fallback: made.fallback,
        output_bytes: bytes,
        verified: made.verified,
    }
}
