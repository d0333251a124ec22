//! A part of the work on one video: some of its frames, or all of its sound. Pure.
//!
//! `chunked` calls a handler once for each part. A handler that takes a [`Part`] plans as it would
//! for the whole, so that all parts are made alike, and has its plan cut by [`Part::of`]. It has to
//! make one frame of each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Frames, Plan};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::cut::Cut;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::Graph;
use crate::ffmpeg::job::{Origin, Output, Rate, Video};

/// Seconds around a window that go through the filters, for those that look at the neighbours of
/// a frame.
const MARGIN: f64 = 0.5;

/// A part of the work on one video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Part {
    /// Some of the frames, without sound, with times that begin at zero, in an MP4 file.
    Frames(Window),
    /// Everything but the picture. Where there is nothing else, one frame of it.
    Sound {
        /// The extension of the container that the whole goes into.
        container: String,
        /// As of [`Window::shift`].
        shift: f64,
    },
}

/// Frames that follow each other. Times are seconds from the start of the file, as filters see
/// them, in the middle between two frames: no rounding makes them mean another frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Seconds by which the file's own times are moved to begin at zero.
    pub shift: f64,
    /// Where reading begins; none is the start of the file.
    #[serde(default)]
    pub seek: Option<f64>,
    /// Before the first frame; none is the start.
    #[serde(default)]
    pub from: Option<f64>,
    /// After the last frame; none is the end.
    #[serde(default)]
    pub until: Option<f64>,
    /// How many frames these are.
    pub frames: u64,
}

impl Part {
    /// The container that a part is written into.
    pub fn container(&self) -> Container {
        match self {
            Part::Frames(_) => Container::Mp4,
            Part::Sound { container, .. } => {
                Container::of_extension(container).unwrap_or(Container::Mp4)
            }
        }
    }

    /// What is left of `plan` for this part.
    #[must_use]
    pub fn of(&self, mut plan: Plan) -> Plan {
        match self {
            Part::Frames(window) => window.of(plan),
            Part::Sound { shift, .. } => {
                read_from(&mut plan, *shift, None);
                let has_more = |out: &Output| !(out.audio.is_empty() && out.subtitles.is_empty());
                if !plan.job.outputs.iter().all(has_more) {
                    return cut(plan, 1, |_| {
                        Chain(vec![Filter::Cut(Cut::TrimFrames { start: 0, end: 1 })])
                    });
                }
                plan.job.outputs.iter_mut().for_each(|output| output.video = None);
                plan.job.graph = Graph::default();
                plan.expect.clear();
                plan
            }
        }
    }
}

/// Has the video's file read from `seek` on. Times are the same in all parts, whatever streams
/// they use and wherever they begin: filters may depend on them.
fn read_from(plan: &mut Plan, shift: f64, seek: Option<f64>) {
    for expect in &plan.expect {
        if let Some(input) = plan.job.inputs.get_mut(expect.source.input as usize) {
            (input.own_times, input.delay, input.seek) = (true, Some(shift), seek);
        }
    }
}

/// The picture alone, `frames` frames of it, with what `last` makes the last filters.
fn cut(mut plan: Plan, frames: u64, last: impl Fn(&mut Video) -> Chain) -> Plan {
    for (output, expect) in plan.job.outputs.iter_mut().zip(&mut plan.expect) {
        output.audio.clear();
        output.subtitles.clear();
        expect.audio = 0;
        expect.frames = Frames::Exactly(frames);
        let Some(video) = output.video.as_mut() else { continue };
        let last = last(video);
        match &mut video.origin {
            Origin::Stream(_, chain) => chain.0.extend(last.0),
            Origin::Graph(link) => *link = plan.job.graph.chain(&[(*link).into()], last),
        }
    }
    plan
}

impl Window {
    fn of(self, mut plan: Plan) -> Plan {
        read_from(&mut plan, self.shift, self.seek);
        cut(plan, self.frames, |video| {
            if let Origin::Stream(_, chain) = &mut video.origin {
                chain.0.insert(0, self.near());
            }
            let (follows, continues) = (self.from.is_some(), self.until.is_some());
            if let Rate::Quality(quality) = video.rate {
                video.rate = Rate::Chunk { quality, frames: self.frames, follows, continues };
            }
            let exactly = Filter::Cut(Cut::Window { from: self.from, until: self.until });
            Chain(vec![exactly, Filter::Cut(Cut::VideoFromZero)])
        })
    }

    fn near(self) -> Filter {
        Filter::Cut(Cut::Window {
            from: self.from.map(|from| (from - MARGIN).max(0.0)),
            until: self.until.map(|until| until + MARGIN),
        })
    }
}
