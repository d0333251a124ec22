//! What every handler that makes video shares: how results are coded, what becomes of the picture
//! and the sound, who encodes, how the work is run, and whether its results hold up.
//!
//! A handler's own planner is pure: it puts [`picture`], [`encoder`] and [`tracks`] together into a
//! [`Plan`]. [`run::Work`] runs it, [`verify`] judges what came out.

pub mod coding;
pub mod encoder;
pub mod inspect;
pub mod ladder;
pub mod layer;
pub mod open;
pub mod part;
pub mod picture;
pub mod redraw;
pub mod reel;
pub mod run;
pub mod single;
pub mod size;
pub mod source;
pub mod tracks;
pub mod verify;

pub use self::coding::{Bitrate, Coding, Verify};
use crate::ffmpeg::codec::Encoder;
use crate::ffmpeg::job::{Job, Source};

/// A decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What ffmpeg is asked to do.
    pub job: Job,
    /// Why hardware isn't used, although it might have been.
    pub fallback: Option<String>,
    /// What of the input doesn't come along, or is changed on the way.
    pub notes: Vec<String>,
    /// What each output of the job that has a picture has to be like, in their order.
    pub expect: Vec<Expect>,
}

/// What a result has to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The video stream that it is made of.
    pub source: Source,
    /// Width and height.
    pub size: (u32, u32),
    /// Audio tracks.
    pub audio: usize,
    /// How many frames it has.
    pub frames: Frames,
}

/// How many frames a result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Every frame that goes in comes out.
    Every,
    /// The whole input, at a rate that was asked for.
    Any,
    /// As many as the plan counted, from a part of the input, or from all of it.
    Exactly(u64),
    /// The same at another rate: one more or one less, as the ends are rounded.
    Near(u64),
    /// Some of the input; nobody can say how many frames that is.
    Part,
}

impl Plan {
    /// The first encoder of the job: the one that results name. None where nothing is encoded.
    pub fn encoder(&self) -> Option<Encoder> {
        self.job.outputs.iter().find_map(|output| Some(output.video.as_ref()?.encoder))
    }

    /// A part of it runs on a GPU.
    pub fn on_gpu(&self) -> bool {
        let videos = self.job.outputs.iter().filter_map(|output| output.video.as_ref());
        videos.map(|video| video.encoder).any(Encoder::is_hardware)
    }
}
