//! Takes frames out of a video: as pictures, as arrays, as sheets; by number, time, rate or scene.
//!
//! `pick` decides which frames and which runs bring them, `fetch` brings them, `make` puts
//! them into files.

pub mod args;
mod fetch;
mod make;
mod pick;
mod scenes;
mod sheet;
mod tensor;

use std::path::Path;
use std::sync::atomic::AtomicU64;

use schemars::JsonSchema;
use serde::Serialize;

use self::args::{Args, ChannelOrder, Dtype, Layout, Pick, Shape};
use self::fetch::Fetch;
use self::make::{Made, Making};
use crate::encode::picture;
use crate::encode::source;
use crate::ffmpeg::probe::{Count, VideoStream};
use crate::handler::{Context, Handler};
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// The `frames` handler.
#[derive(Debug)]
pub struct Frames;

/// What `frames` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Where the result is: a file or a folder.
    pub output: String,
    /// The frames, in the order they were asked for.
    pub frames: Vec<Taken>,
    /// Frames of the whole video.
    pub frames_in: u64,
    /// Width of each in pixels.
    pub width: u32,
    /// Height of each in pixels.
    pub height: u32,
    /// What arrays hold; null for pictures.
    pub array: Option<Array>,
    /// The sheets, by their names in the folder; empty without a sheet.
    pub sheets: Vec<String>,
    /// The WebVTT file of a sprite, by its name in the folder.
    pub vtt: Option<String>,
    /// Runs of ffmpeg that brought the frames.
    pub runs: u64,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Taken {
    /// Its number in the order frames are shown, from 0.
    pub index: u64,
    /// Seconds from the first frame.
    pub seconds: f64,
    /// Its picture or array, by its name in the folder; null where one file has all.
    pub file: Option<String>,
}

/// What arrays hold.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Array {
    /// Frames, then the axes of `layout`; of the first file where there are several.
    pub shape: [usize; 4],
    /// The order of the axes.
    pub layout: Layout,
    /// The order of the channels.
    pub channels: ChannelOrder,
    /// The type of the elements.
    pub dtype: Dtype,
}

impl Handler for Frames {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "frames";
    const ABOUT: &'static str = "Takes frames out of a video: pictures, arrays, sheets.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let (pick, shape) = (args.pick()?, args.shape()?);
        let path = cx.files().input(&args.input).await?;
        let (tools, cancel, name) = (cx.tools(), cx.cancellation(), args.input.as_str());
        let media = tools.inspect(&path, name, Count::Nothing, cancel).await?;
        let (stream, video) = source::picture_of(&media, name)?;
        let index = tools.frame_index(&path, stream, name, cancel).await?;
        let changes = match pick {
            Pick::Scenes(change) => {
                cx.progress(Progress { phase: Phase::Processing, ..Progress::default() });
                scenes::find(&cx, &path, name, stream.index, change, index.time_base).await?
            }
            _ => Vec::new(),
        };
        let wanted = pick::frames(pick, &index, &changes, name)?;
        check_count(&wanted, shape, name)?;
        let keyframes_only = pick == Pick::Keyframes;
        let runs = if keyframes_only {
            pick::key_runs(&wanted, &index)
        } else {
            pick::runs(&wanted, &index)
        };
        let (filters, size) = picture::untouched(video, args.bounds(), args.fit);
        let staged = cx.files().output(args.output.as_ref(), &default_name(&args, shape))?;
        let fetch = Fetch {
            cx: &cx,
            path: &path,
            name,
            stream: stream.index,
            index: &index,
            filters,
            keyframes_only,
            done: AtomicU64::new(0),
            total: runs.iter().map(|run| run.frames.len() as u64).sum(),
        };
        let target = staged.path();
        let making = Making {
            fetch: &fetch,
            args: &args,
            wanted: &wanted,
            runs: &runs,
            size,
            target: &target,
        };
        let Made { files, array, sheets, vtt } = making.make(shape).await?;
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = staged.commit("output")?;
        let taken = wanted.iter().enumerate().map(|(slot, frame)| Taken {
            index: *frame as u64,
            seconds: index.seconds(*frame),
            file: files.get(slot).cloned().flatten(),
        });
        let output = Output {
            output: artifact.location.clone(),
            frames: taken.collect(),
            frames_in: index.frames.len() as u64,
            width: size.0,
            height: size.1,
            array,
            sheets,
            vtt,
            runs: runs.len() as u64,
            notes: notes(video, index.seekable),
        };
        cx.add_artifact(artifact);
        Ok(output)
    }
}

fn check_count(wanted: &[usize], shape: Shape, name: &str) -> Result<(), Failure> {
    let wrong = |message: String| Failure::new(FailureKind::InvalidArgs, message);
    match (wanted.len(), shape) {
        (0, _) => Err(wrong(format!("no frame of `{name}` is chosen"))),
        (2.., Shape::Picture(_)) => {
            Err(wrong(format!("{} frames don't go into one picture", wanted.len()))
                .hint("name an output without an extension for a folder, or use `sheet=contact`"))
        }
        _ => Ok(()),
    }
}

fn notes(video: &VideoStream, seekable: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !seekable {
        notes.push("its packets don't tell when frames are shown, so all of it was decoded".into());
    }
    if video.interlaced {
        notes.push("interlaced frames stay as they are, two fields in one picture".into());
    }
    if video.hdr_transfer().is_some() {
        notes.push("HDR is mapped to SDR (BT.709)".into());
    }
    notes
}

fn default_name(args: &Args, shape: Shape) -> String {
    let stem = Path::new(args.input.as_str()).file_stem().unwrap_or("video".as_ref());
    let stem = stem.to_string_lossy();
    match shape {
        Shape::Picture(coding) | Shape::Contact(coding) => format!("{stem}.{}", coding.extension()),
        Shape::Array => format!("{stem}.npy"),
        Shape::Pictures(_) | Shape::Batches(_) => format!("{stem}-frames"),
        Shape::Sprite(_) => format!("{stem}-sprite"),
    }
}
