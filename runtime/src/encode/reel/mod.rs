//! Parts of videos, one after the other, as one video.
//!
//! Where sources truly match, packets go over as they are and only the frames between a cut and the
//! next keyframe are coded anew ([`smart`], [`splice`]). Everywhere else all parts are brought to
//! one size, rate and sound in a single run ([`normal`]). Sound is always joined as samples and
//! coded once: packets of two files don't fit together without a gap.

pub mod make;
pub mod normal;
pub mod open;
pub mod smart;
mod sound;
pub mod splice;
pub mod wish;

use std::ops::Range;
use std::path::Path;

use crate::encode::layer::Layer;
use crate::ffmpeg::Rational;
use crate::ffmpeg::index::FrameIndex;
use crate::ffmpeg::job::Input;
use crate::ffmpeg::probe::{AudioStream, Media, Stream, VideoStream};

/// The highest rate that all parts are brought to for the sake of a varying one.
const HIGHEST_BASE: f64 = 60.5;

/// The fewest frames of a varying rate, as a share of those it could have. Fields of interlaced
/// video are twice as many as its frames, and don't count.
const LEAST_SHARE: f64 = 0.55;

/// A part of a video.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// The file.
    pub path: &'a Path,
    /// What the caller called it.
    pub name: &'a str,
    /// What it is.
    pub media: &'a Media,
    /// Its video stream.
    pub stream: &'a Stream,
    /// The picture in it.
    pub video: &'a VideoStream,
    /// Its frames.
    pub index: &'a FrameIndex,
    /// Those that are taken.
    pub frames: Range<usize>,
    /// What is drawn over it, in a picture of the target's size.
    pub caption: Option<Layer>,
}

impl Segment<'_> {
    /// Seconds from the start of the file to the start of the frame at `at`, or to the end.
    fn clock(&self, at: usize) -> f64 {
        let first = self.index.frames.first().map_or(0, |frame| frame.pts) as f64;
        let begin = first * self.index.time_base.value() - self.media.start;
        begin
            + if at < self.index.frames.len() {
                self.index.seconds(at)
            } else {
                self.index.duration()
            }
    }

    /// Seconds from the start of the file at which it begins.
    pub fn start(&self) -> f64 {
        self.clock(self.frames.start)
    }

    /// Its frames per second.
    pub fn rate(&self) -> Option<Rational> {
        steady(self.video.base_rate, self.video.rate())
    }

    /// Seconds that it lasts.
    pub fn seconds(&self) -> f64 {
        self.clock(self.frames.end) - self.start()
    }

    /// All frames of the file.
    pub fn is_whole(&self) -> bool {
        self.frames == (0..self.index.frames.len())
    }

    /// The time between a frame and the one before it: whoever begins to read there gets the frame
    /// first, however times are rounded.
    fn before(&self, at: usize) -> f64 {
        match at.checked_sub(1) {
            None => 0.0,
            Some(earlier) => (self.clock(earlier) + self.clock(at)) / 2.0,
        }
    }

    /// The file as an input that gives exactly its frames.
    fn input(&self) -> Input {
        let Range { start, end } = self.frames;
        let seek = (start > 0 && self.index.seekable).then(|| self.before(start));
        let length = (end < self.index.frames.len() && self.index.seekable)
            .then(|| self.before(end) - seek.unwrap_or(0.0));
        Input { seek, length, ..Input::of(self.path) }
    }

    /// The sound that players choose.
    fn sound(&self) -> Option<(&Stream, &AudioStream)> {
        self.media.audio().into_iter().find(|(_, sound)| sound.channels > 0)
    }
}

/// One rate for frames that have `average`: the base that their times are made for, unless that is
/// much more. Where the rate varies, less than the base would leave frames out.
fn steady(base: Option<Rational>, average: Option<Rational>) -> Option<Rational> {
    let near = |base: &Rational| {
        let share = average.map_or(0.0, |average| average.value() / base.value());
        (0.99..1.01).contains(&share)
            || (base.value() <= HIGHEST_BASE && (LEAST_SHARE..1.01).contains(&share))
    };
    base.filter(near).or(average)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varying_rate_becomes_its_base_where_that_is_not_much_more() {
        let rate = |num, den| Some(Rational { num, den });
        let phone = (rate(30_000, 1001), rate(51_000, 1841));
        assert_eq!(steady(phone.0, phone.1), phone.0);
        for (base, average) in [
            (rate(50, 1), rate(25, 1)),
            (rate(90_000, 1), rate(24, 1)),
            (rate(120, 1), rate(100, 1)),
            (None, rate(25, 1)),
        ] {
            assert_eq!(steady(base, average), average);
        }
    }
}
