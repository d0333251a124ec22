//! What is in a rendition that ffmpeg wrote: where decoding can start, and how many bits it has.

use super::rates::BusiestSecond;
use super::{PackagingError, Time};
use crate::ffmpeg::mp4::samples::{Movie, SampleTrack};

/// What was found in a track of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The pictures at which decoding can start, in order.
    pub keyframes: Vec<Time>,
    /// When the last picture ends.
    pub end: Time,
    /// Bits per second, over all of it.
    pub average: u64,
    /// Bits of the busiest second.
    pub peak: u64,
}

impl Measured {
    /// Seconds of the longest group of pictures.
    pub fn longest_group(&self) -> f64 {
        let ends = self.keyframes.iter().skip(1).chain([&self.end]);
        let groups = self.keyframes.iter().zip(ends);
        groups.map(|(start, end)| end.seconds() - start.seconds()).fold(0.0, f64::max)
    }
}

/// Looks at every sample of a track. Fails for groups of pictures that can't be decoded without
/// the one before.
pub fn measure(movie: &Movie, track: &SampleTrack) -> Result<Measured, PackagingError> {
    let time = |ticks| Time { ticks, scale: track.timescale };
    let (mut keyframes, mut busiest) = (Vec::<Time>::new(), BusiestSecond::default());
    let (mut bytes, mut end, mut ticks) = (0, 0, 0);
    for sample in movie.samples(track) {
        let sample = sample?;
        if sample.sync {
            keyframes.push(time(sample.shown));
        } else if keyframes.last().is_none_or(|last| sample.shown < last.ticks) {
            let seconds = time(sample.shown).seconds();
            return Err(PackagingError::OpenGroup { seconds });
        }
        busiest.add(time(sample.decoded).seconds(), u64::from(sample.size));
        bytes += u64::from(sample.size);
        ticks += i64::from(sample.duration);
        end = end.max(sample.shown + i64::from(sample.duration));
    }
    let seconds = time(ticks).seconds();
    let average = if seconds > 0.0 { (bytes as f64 * 8.0 / seconds).round() as u64 } else { 0 };
    Ok(Measured { keyframes, end: time(end), average, peak: busiest.bits().max(average) })
}
