//! Turns encoded MP4 files into segments, playlists and manifests of adaptive streaming.
//!
//! One rendition is one MP4 file that ffmpeg wrote. [`cuts`] decides where segments begin, for all
//! renditions alike, from what [`measure`] found; [`segments`] writes them as CMAF ([`cmaf`]) or MPEG-TS ([`ts`]) and measures
//! them on the way; [`hls`] and [`dash`] say what there is. Only [`segments`] and [`measure`] touch files.

pub mod boxes;
pub mod cmaf;
pub mod codec;
pub mod cuts;
pub mod dash;
pub mod hls;
pub mod measure;
pub mod rates;
pub mod segments;
pub mod ts;
pub mod webvtt;

use std::cmp::Ordering;
use std::io;

use crate::ffmpeg::mp4::IndexError;

/// A moment, as a number of ticks of which so many make a second. Exact.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Ticks.
    pub ticks: i64,
    /// Ticks per second, at least 1.
    pub scale: u32,
}

impl Time {
    /// Seconds.
    pub fn seconds(self) -> f64 {
        self.ticks as f64 / f64::from(self.scale)
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |time: &Time, scale: u32| i128::from(time.ticks) * i128::from(scale);
        cross(self, other.scale).cmp(&cross(other, self.scale))
    }
}

/// Why a rendition can't be packaged.
#[derive(Debug, thiserror::Error)]
pub enum PackagingError {
    /// A segment can't be written, or an encoded file can't be read.
    #[error("can't write the segments")]
    File(#[from] io::Error),
    /// An encoded file isn't what was expected of ffmpeg.
    #[error("an encoded rendition isn't as expected")]
    Index(#[from] IndexError),
    /// A codec that segments of this kind can't hold.
    #[error("{0}")]
    Codec(&'static str),
    /// Renditions that can't be switched between.
    #[error("it has no keyframe at {seconds:.3} s, where others have one")]
    Misaligned {
        /// Where.
        seconds: f64,
    },
    /// Pictures that need those of another segment.
    #[error("the picture at {seconds:.3} s needs one from before the keyframe that it follows")]
    OpenGroup {
        /// Where.
        seconds: f64,
    },
    /// It was asked to stop.
    #[error("it was cancelled")]
    Cancelled,
}
