//! Does the work of a handler on chunks of a video at the same time, and makes one video of them.
//!
//! The video is cut by frames, the sound is made once and apart, each part is a call of its own, and
//! nothing is coded again when they become one file. `split` and `cost` decide, `stitch` joins;
//! this file is the order of it.

pub mod args;
pub mod cost;
mod join;
mod measure;
mod scan;
pub mod split;
pub mod stitch;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::args::Args;
use self::cost::{Choice, Model, Task};
use self::join::{Made, Whole};
use self::split::Frames;
use crate::children::{Call, ChildEvent};
use crate::dispatch::What;
use crate::encode::part::{Part, Window};
use crate::encode::{picture, source};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::probe::{Count, Media};
use crate::function::Retries;
use crate::handler::{Context, Handler};
use crate::wire::{Failure, FailureKind, Outcome, Progress};

/// A chunk is never longer than this, so that a failure costs little.
const LONGEST_CHUNK_SECONDS: f64 = 600.0;

/// Tries of a part after the first, where the function says nothing of retries.
const RETRIES: u32 = 2;

/// The `chunked` handler.
#[derive(Debug)]
pub struct Chunked;

/// What `chunked` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Where the result is; null with `explain`.
    pub output: Option<String>,
    /// Frames of each chunk.
    pub chunks: Vec<u64>,
    /// The encoder of all chunks, by ffmpeg's name.
    pub encoder: Option<String>,
    /// Size of the result in bytes.
    pub output_bytes: Option<u64>,
    /// What was checked before this counted as a result; null with `explain`, and where one worker
    /// did it all and checked it itself.
    pub verified: Option<join::Verified>,
    /// What the handler returned, where one worker did it all.
    pub result: Option<Value>,
    /// What the choice of workers was based on.
    pub model: Model,
    /// What each number of workers was expected to take and cost.
    pub choices: Vec<Choice>,
    /// What of the input didn't come along, or was changed on the way.
    pub notes: Vec<String>,
}

impl Handler for Chunked {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "chunked";
    const ABOUT: &'static str = "Works on chunks of a video at the same time, and joins them.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        args.check()?;
        let container = args.container()?;
        let name = args.input.as_str();
        let path = cx.files().input(&args.input).await?;
        let media = cx.tools().inspect(&path, name, Count::Nothing, cx.cancellation()).await?;
        let frames = frames(&cx, &path, &media, name).await?;
        let costs = measure::file(&cx, &args, source::picture_of(&media, name)?.1);
        let decision = Decision::make(&cx, &args, &media, frames.as_ref(), measure::load(&costs));
        if args.explain {
            return Ok(decision.output());
        }
        let chunks = remembered(&cx).unwrap_or(decision.chunks);
        cx.checkpoint(json!({ "chunks": chunks }));
        let windows = frames.as_ref().map(|frames| frames.split(chunks));
        match (&frames, windows) {
            (Some(frames), Some(windows)) if windows.len() > 1 => {
                let made = parts(&cx, &args, (&windows, frames.shift()), container).await?;
                let measured = made.costs(windows.len());
                let whole = Whole { cx: &cx, args: &args, frames, container };
                let output = whole.join(made, &windows, decision.output()).await?;
                measured.into_iter().for_each(|model| measure::store(&costs, model));
                Ok(output)
            }
            _ => in_one_piece(&cx, &args, decision.output()).await,
        }
    }
}

/// The frames of the video; none when some have no time of their own, or when the file has no index
/// by which each could be found again.
async fn frames(
    cx: &Context,
    path: &std::path::Path,
    media: &Media,
    name: &str,
) -> Result<Option<Frames>, Failure> {
    let (stream, _) = source::picture_of(media, name)?;
    if !has_index(media) {
        return Ok(None);
    }
    let shift = picture::preroll(media, stream).unwrap_or(0.0) - media.start;
    let frames = scan::frames(cx, path, name, stream.index, shift).await?;
    Ok(frames.and_then(|frames| Frames::new(frames, shift)))
}

/// Of others, such as MPEG-TS, tools guess where a time is, and from which stream times count.
fn has_index(media: &Media) -> bool {
    media.format.contains("mov") || media.format.contains("matroska")
}

/// How many chunks an earlier attempt made: what it finished is only of use to the same ones.
fn remembered(cx: &Context) -> Option<usize> {
    let chunks = cx.invocation().checkpoint.as_ref()?["chunks"].as_u64()?;
    usize::try_from(chunks).ok()
}

/// How the work is shared.
struct Decision {
    model: Model,
    choices: Vec<Choice>,
    chunks: usize,
    whole: bool,
}

impl Decision {
    fn make(
        cx: &Context,
        args: &Args,
        media: &Media,
        frames: Option<&Frames>,
        known: Option<Model>,
    ) -> Self {
        let count = frames.map_or(0, Frames::count) as u64;
        let last = frames.and_then(|frames| frames.times().last());
        let seconds = last.or(media.duration).unwrap_or(0.0);
        let price_per_second = args.price_per_second;
        let task = Task { frames: count, seconds, room: room(cx, args), price_per_second };
        let model = known.unwrap_or_else(|| Model::assumed(task));
        let choices = model.choices(task, args.goal, args.workers);
        let workers = choices.iter().find(|choice| choice.chosen).map_or(1, |c| c.workers);
        let least = (seconds / LONGEST_CHUNK_SECONDS).ceil() as u64;
        let chunks = if workers > 1 { workers.max(least) } else { 1 };
        let chunks = usize::try_from(chunks).unwrap_or(1);
        Decision { model, choices, chunks, whole: frames.is_none() }
    }

    fn output(self) -> Output {
        let note = "its format has no index of its frames, so it isn't cut: one worker does it";
        Output {
            output: None,
            chunks: Vec::new(),
            encoder: None,
            output_bytes: None,
            verified: None,
            result: None,
            model: self.model,
            choices: self.choices,
            notes: self.whole.then(|| note.into()).into_iter().collect(),
        }
    }
}

/// How many calls of this function run at the same time on this machine. Of another function
/// nothing is known.
fn room(cx: &Context, args: &Args) -> Option<u64> {
    if args.function.is_some() {
        return None;
    }
    let function = &cx.invocation().function;
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let fit = (cores / function.resources.cpu).floor().max(1.0) as u64;
    let most = function.scaling.max_containers.map(u64::from);
    Some(most.map_or(fit, |most| fit.min(most.max(1))))
}

/// What is called for each part.
fn callee(cx: &Context, args: &Args) -> Call {
    let call = match &args.function {
        Some(name) => cx.function(name),
        None => cx.handler(&args.handler),
    };
    let retries = cx.invocation().function.retries.clone();
    let max = if retries.max == 0 { RETRIES } else { retries.max };
    call.retries(Retries { max, ..retries })
}

/// One call with everything.
async fn in_one_piece(cx: &Context, args: &Args, output: Output) -> Result<Output, Failure> {
    let call = callee(cx, args).overwrite(cx.invocation().overwrite);
    let mut children = call.map(std::iter::once(args.whole()));
    let mut result = None;
    while let Some(ChildEvent { what, .. }) = children.next().await? {
        match what {
            What::Progress { progress } => cx.progress(progress),
            What::Ended { outcome } => result = Some(succeeded(outcome)?),
            _ => {}
        }
    }
    let result = result.unwrap_or_default();
    let text = |name: &str| result[name].as_str().map(str::to_owned);
    Ok(Output {
        output: text("output"),
        encoder: text("encoder"),
        output_bytes: result["output_bytes"].as_u64(),
        chunks: result["verified"]["frames_out"].as_u64().into_iter().collect(),
        result: Some(result),
        ..output
    })
}

/// Makes the sound and all chunks. What an earlier attempt finished isn't made again.
async fn parts(
    cx: &Context,
    args: &Args,
    (windows, shift): (&[Window], f64),
    container: Container,
) -> Result<Made, Failure> {
    let sound = Part::Sound { container: container.extension().into(), shift };
    let frames = windows.iter().map(|window| Part::Frames(*window));
    let threads = cx.invocation().function.resources.cpu.ceil().clamp(1.0, 64.0) as u64;
    let inputs: Vec<_> =
        std::iter::once(sound).chain(frames).map(|part| args.part(&part, threads)).collect();
    let mut made = Made::default();
    let mut children = callee(cx, args).resume("parts").bring_files().map(inputs);
    let total = windows.iter().map(|window| window.frames).sum();
    while let Some(ChildEvent { index, what, .. }) = children.next().await? {
        match what {
            What::Started { .. } => made.started(index),
            What::Ended { outcome } => {
                let part = succeeded(outcome).map_err(|failure| part_failed(index, failure))?;
                made.ended(index, part)?;
            }
            What::Progress { .. } => {
                cx.progress(Progress { total_frames: Some(total), ..children.progress() });
            }
            What::Retrying { failure, .. } => {
                tracing::warn!(part = index, %failure, "a part is tried again");
            }
            What::Queued | What::Logged => {}
        }
    }
    Ok(made)
}

fn succeeded(outcome: Outcome) -> Result<Value, Failure> {
    match outcome {
        Outcome::Succeeded { result, .. } => Ok(result),
        Outcome::Failed { failure } => Err(failure),
        Outcome::Cancelled => Err(Failure::new(FailureKind::Cancelled, "it was cancelled")),
    }
}

/// What the caller hears when a part fails. An input that is to blame is so in every part.
fn part_failed(index: u64, failure: Failure) -> Failure {
    let part = match index {
        0 => "the sound".to_owned(),
        chunk => format!("chunk {chunk}"),
    };
    let Failure { kind, message, mut causes, .. } = failure.clone();
    let message = match kind {
        FailureKind::InvalidInput => return failure,
        FailureKind::Cancelled => format!("{part} was cancelled"),
        _ => {
            causes.insert(0, message);
            format!("{part} failed")
        }
    };
    let failed = Failure { message, causes, ..failure };
    match kind {
        FailureKind::Verification if index > 0 => failed.hint(
            "a damaged video has fewer frames than its index says: `workers=1` makes one pass of \
             it, which keeps what can be decoded",
        ),
        _ => failed,
    }
}

/// What every handler that takes a part says of it.
#[derive(Clone, Debug, Deserialize)]
struct PartResult {
    output: PathBuf,
    #[serde(default)]
    encoder: Option<String>,
    #[serde(default)]
    seconds: Option<f64>,
    #[serde(default)]
    verified: Option<PartVerified>,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct PartVerified {
    frames_out: u64,
}
