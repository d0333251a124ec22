//! Decides which frames are looked at, who decodes and who computes. Pure.

use std::path::Path;

use super::args::{At, Wanted};
use crate::detect::engine::{Device, Kind};
use crate::detect::letterbox::Letterbox;
use crate::detect::model::Model;
use crate::detect::picture::Form;
use crate::encode::picture;
use crate::encode::size::{Bounds, Fit};
use crate::ffmpeg::cut::Cut;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::index::FrameIndex;
use crate::ffmpeg::job::{Decode, Input};
use crate::ffmpeg::picture::{Channels, PictureCoding, PictureJob, To};
use crate::ffmpeg::pixel::PixelFormat;
use crate::ffmpeg::probe::{Stream, VideoStream};
use crate::function::Hardware;
use crate::gpu::{Bitstream, Capabilities};
use crate::wire::{Failure, FailureKind};

/// Pictures that are computed at once at most.
const MOST_AT_ONCE: u64 = 8;
/// Bytes of memory that a network's own tensors take for one of its input, about.
const ACTIVATIONS: u64 = 24;
/// Bytes that pictures which are computed at once may take, where nobody says how much memory there is.
const BUDGET: u64 = 512 << 20;

/// The frames that are looked at: every so many of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// The first.
    pub(super) from: usize,
    /// The frame after the last of the range.
    pub(super) until: usize,
    /// One of so many.
    pub(super) every: usize,
}

impl Selection {
    /// The frames by number.
    pub(super) fn frames(self) -> impl Iterator<Item = usize> + Clone {
        (self.from..self.until).step_by(self.every)
    }

    /// How many they are.
    pub(super) fn count(self) -> usize {
        self.frames().count()
    }

    /// The same frames in so many ranges, as equal as they can be; none is empty.
    pub(super) fn parts(self, parts: usize) -> Vec<Selection> {
        let count = self.count();
        let parts = parts.clamp(1, count.max(1));
        let edge = |part: usize| self.from + part * count / parts * self.every;
        let part = |index: usize| {
            let until = if index + 1 == parts { self.until } else { edge(index + 1) };
            Selection { from: edge(index), until, every: self.every }
        };
        (0..parts).map(part).collect()
    }
}

/// The frames that are wanted of those that there are.
pub(super) fn selection(
    wanted: Wanted,
    every: u32,
    index: &FrameIndex,
    name: &str,
) -> Result<Selection, Failure> {
    let all = index.frames.len();
    let every = every.max(1) as usize;
    let number = |frame: u64| usize::try_from(frame).unwrap_or(usize::MAX);
    let missing = |what: String, cause: String| {
        Failure::new(FailureKind::InvalidArgs, format!("there is no frame {what} in `{name}`"))
            .cause(cause)
    };
    let frame = |frame: u64| {
        let what = || missing(frame.to_string(), format!("it has {all}, counted from 0"));
        Some(number(frame)).filter(|frame| *frame < all).ok_or_else(what)
    };
    let second = |seconds: f64| {
        let what =
            || missing(format!("at {seconds} s"), format!("it lasts {:.3} s", index.duration()));
        index.at(seconds).ok_or_else(what)
    };
    let one = |frame: usize| Selection { from: frame, until: frame + 1, every: 1 };
    let range = match wanted {
        Wanted::Frame(wanted) => return frame(wanted).map(one),
        Wanted::Time(wanted) => return second(wanted).map(one),
        Wanted::Range { from, until } => {
            let from = match from {
                None => 0,
                Some(At::Frame(wanted)) => frame(wanted)?,
                // The first that begins at that second, as `end` is the first that is left out.
                Some(At::Second(wanted)) => first_at(index, wanted, second(wanted)?),
            };
            let until = match until {
                None => all,
                Some(At::Frame(wanted)) => number(wanted).min(all),
                Some(At::Second(wanted)) => {
                    index.at(wanted).map_or(all, |at| first_at(index, wanted, at))
                }
            };
            Selection { from, until, every }
        }
    };
    if range.from < range.until {
        return Ok(range);
    }
    Err(Failure::new(FailureKind::InvalidArgs, format!("no frame of `{name}` is in the range"))
        .cause(format!(
            "it begins with frame {}, and ends before frame {}",
            range.from, range.until
        )))
}

/// The first frame that begins at or after `seconds`; `shown` is the one that is shown then.
fn first_at(index: &FrameIndex, seconds: f64, shown: usize) -> usize {
    if index.seconds(shown) + 0.000_6 >= seconds { shown } else { shown + 1 }
}

/// Frames on their way from the file.
#[derive(Clone, Debug)]
pub(super) struct Reading<'a> {
    pub(super) path: &'a Path,
    pub(super) stream: &'a Stream,
    pub(super) video: &'a VideoStream,
    pub(super) index: &'a FrameIndex,
    pub(super) selection: Selection,
    pub(super) channels: Channels,
}

impl Reading<'_> {
    /// Width and height of the video as it is shown: what boxes are on.
    pub(super) fn size(&self) -> (u32, u32) {
        size(self.video)
    }

    /// The run of ffmpeg that brings the frames, their size and form. On a GPU they are scaled for `letterbox` already.
    /// Decoding begins at the keyframe `from`, or at the start of the file.
    pub(super) fn job(
        &self,
        decode: Decode,
        from: Option<usize>,
        letterbox: &Letterbox,
    ) -> (PictureJob, (u32, u32), Form) {
        let mut filters = self.picked();
        let (size, form) = match decode {
            Decode::Software => {
                filters.0.extend(picture::untouched(self.video, Bounds::Source, Fit::Contain).0.0);
                (self.size(), self.form())
            }
            Decode::Cuda { .. } => {
                let (size, format) = (letterbox.scaled(), PixelFormat::Nv12);
                filters.0.extend([Filter::ScaleCuda { size, format }, Filter::Download(format)]);
                (size, Form::Pixels)
            }
        };
        // A little after the keyframe, so that rounding doesn't lead to the one before it.
        let at = |frame: usize| self.index.frames[frame].pts as f64 * self.index.time_base.value();
        let seek = from.filter(|from| *from > 0).map(|from| at(from) + 0.000_5);
        let job = PictureJob {
            input: Input { seek, decode, ..Input::of(self.path) },
            stream: self.stream.index,
            keyframes_only: false,
            filters,
            coding: match form {
                Form::Pixels => PictureCoding::Raw(self.channels),
                Form::Planes420(_) => PictureCoding::Planes420,
            },
            most: self.selection.count() as u64,
            to: To::Pipe,
            threads: None,
        };
        (job, size, form)
    }

    /// As the decoder gives them, where they can be converted here as ffmpeg would: that takes half as many bytes,
    /// and only those rows that are looked at.
    fn form(&self) -> Form {
        let video = self.video;
        let (width, height) = self.size();
        let even = width % 2 == 0 && height % 2 == 0;
        let space = video.space.as_deref();
        let silent = video.transfer.is_none() && video.primaries.is_none();
        let known =
            matches!(space, Some("bt709" | "smpte170m" | "bt470bg")) || space.is_none() && silent;
        let limited = video.pixel_format == "yuv420p" && video.range.as_deref() != Some("pc");
        match limited && known && even && square(video) && video.hdr_transfer().is_none() {
            true => Form::Planes420(picture::said_matrix(video)),
            false => Form::Pixels,
        }
    }

    /// Lets the frames of the selection pass.
    fn picked(&self) -> Chain {
        let Selection { from, until, every } = self.selection;
        let frames = &self.index.frames;
        let mut filters = Vec::new();
        if self.index.seekable && (from > 0 || until < frames.len()) {
            let (start, end) = (frames[from].pts, frames[until - 1].pts + 1);
            filters.push(Filter::Cut(Cut::TrimTimes { start, end }));
        } else if from > 0 || until < frames.len() {
            filters.push(Filter::Cut(Cut::TrimFrames { start: from as u64, end: until as u64 }));
        }
        if every > 1 {
            filters.push(Filter::OneOf(u32::try_from(every).unwrap_or(u32::MAX)));
        }
        Chain(filters)
    }

    /// Where decoding may begin, best first: at the keyframe before the range, at an earlier one, at the start.
    pub(super) fn starts(&self) -> Vec<Option<usize>> {
        let Some(key) = self.index.key_before(self.selection.from) else { return vec![None] };
        let earlier = self.index.frames[..key].iter().enumerate().rev();
        let earlier = earlier.filter(|(_, frame)| frame.key).map(|(at, _)| at).nth(2);
        let mut starts = vec![Some(key), earlier, None];
        starts.dedup();
        if key == 0 { vec![None] } else { starts }
    }
}

/// Width and height of a video as it is shown.
pub(super) fn size(video: &VideoStream) -> (u32, u32) {
    picture::untouched(video, Bounds::Source, Fit::Contain).1
}

/// Who computes and who decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) device: Device,
    pub(super) decode: Decode,
    /// Why it is the CPU, although it might be a GPU.
    pub(super) fallback: Option<String>,
}

impl Who {
    /// The CPU, because of `why`.
    pub(super) fn cpu(why: Option<String>) -> Who {
        Who { device: Device::Cpu, decode: Decode::Software, fallback: why }
    }
}

/// Who computes and decodes, of what this machine was proven to do.
pub(super) fn who(
    hardware: Hardware,
    machine: &Capabilities,
    kind: &Kind,
    (stream, video): (&Stream, &VideoStream),
) -> Result<Who, Failure> {
    if hardware == Hardware::Off {
        return Ok(Who::cpu(None));
    }
    let why = match (machine.gpus.first(), kind) {
        (None, _) => machine.no_gpu.clone().unwrap_or_else(|| "there is no GPU".into()),
        (Some(_), Kind::Tract) => "there is no ONNX Runtime, and tract computes on the CPU".into(),
        (Some(gpu), Kind::OnnxRuntime { .. }) => {
            let bits = Bitstream::of(&stream.codec, &video.pixel_format);
            let decodes = bits.is_some_and(|bits| gpu.decodes(bits)) && plain(video);
            let decode = if decodes { Decode::Cuda { gpu: gpu.index } } else { Decode::Software };
            return Ok(Who { device: Device::Cuda(gpu.index), decode, fallback: None });
        }
    };
    if hardware == Hardware::Required {
        return Err(Failure::new(
            FailureKind::Machine,
            "a GPU is required to detect, and can't be used",
        )
        .cause(why)
        .retryable(false)
        .hint("use `hardware=auto`"));
    }
    Ok(Who::cpu(Some(why)))
}

/// Its frames can go to a network as a GPU decodes them: neither turned nor stretched, mapped nor interlaced.
fn plain(video: &VideoStream) -> bool {
    video.rotation == 0
        && square(video)
        && video.hdr_transfer().is_none()
        && !video.interlaced
        && video.bits <= 8
}

fn square(video: &VideoStream) -> bool {
    video.sar.is_none_or(|sar| sar.num == sar.den)
}

/// How many pictures are computed at once: what the model wants, else what was asked for, else what `memory` (bytes
/// of the call) has room for. As many for each of `lanes`.
pub(super) fn at_once(
    model: &Model,
    asked: Option<u32>,
    lanes: usize,
    memory: Option<u64>,
) -> usize {
    if let Some(fixed) = model.batch {
        // Lanes wait for each other after each batch, which two pictures of each even out.
        let each = if lanes > 1 && fixed == 1 { 2 } else { fixed };
        return each * lanes;
    }
    let (width, height) = model.size;
    let each = u64::from(width) * u64::from(height) * 12 * ACTIVATIONS;
    let budget = memory.map_or(BUDGET, |memory| memory / 4);
    let room = (budget / each.max(1)).clamp(1, MOST_AT_ONCE);
    let wanted = asked.map_or(room, u64::from) as usize;
    wanted.next_multiple_of(lanes.max(1))
}

#[cfg(test)]
mod tests;
