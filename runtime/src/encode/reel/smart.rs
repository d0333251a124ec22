//! Which frames of a cut go over as packets, and which are coded anew. Pure.

use std::ops::Range;

use crate::ffmpeg::index::FrameIndex;

/// A run of frames, and how they go over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As packets.
    Copy(Range<usize>),
    /// Coded anew.
    Encode(Range<usize>),
}

impl Part {
    /// Its frames.
    pub fn frames(&self) -> Range<usize> {
        match self {
            Part::Copy(frames) | Part::Encode(frames) => frames.clone(),
        }
    }

    /// It goes over as packets.
    pub fn is_copy(&self) -> bool {
        matches!(self, Part::Copy(_))
    }
}

/// The parts of `frames`. `clean` says of a frame that nothing before it is needed from it on, and
/// nothing from it on is needed before.
pub fn parts(frames: Range<usize>, index: &FrameIndex, clean: impl Fn(usize) -> bool) -> Vec<Part> {
    let whole = index.frames.len();
    let borders: Vec<usize> = frames.clone().filter(|at| clean(*at)).collect();
    let from = borders.first().copied();
    let to =
        if frames.end == whole { Some(whole) } else { border_before(&borders, frames.end, &clean) };
    let (Some(from), Some(to)) = (from, to) else { return vec![Part::Encode(frames)] };
    if to <= from {
        return vec![Part::Encode(frames)];
    }
    let parts =
        [Part::Encode(frames.start..from), Part::Copy(from..to), Part::Encode(to..frames.end)];
    parts.into_iter().filter(|part| !part.frames().is_empty()).collect()
}

/// The last border at or before the end; the end itself may be one.
fn border_before(borders: &[usize], end: usize, clean: impl Fn(usize) -> bool) -> Option<usize> {
    if clean(end) { Some(end) } else { borders.last().copied() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ffmpeg::Rational;
    use crate::ffmpeg::index::FrameAt;

    fn index(count: usize) -> FrameIndex {
        let frames = (0..count as i64).map(|pts| FrameAt { pts, ..FrameAt::default() }).collect();
        FrameIndex { time_base: Rational { num: 1, den: 25 }, frames, seekable: true }
    }

    fn every(step: usize) -> impl Fn(usize) -> bool {
        move |at| at % step == 0
    }

    #[test]
    fn only_the_edges_are_coded_anew() {
        let parts = |frames| parts(frames, &index(100), every(10));
        assert_eq!(parts(12..57), [Part::Encode(12..20), Part::Copy(20..50), Part::Encode(50..57)]);
        assert_eq!(parts(10..30), [Part::Copy(10..30)]);
        assert_eq!(parts(95..100), [Part::Encode(95..100)]);
        assert_eq!(parts(85..100), [Part::Encode(85..90), Part::Copy(90..100)]);
        assert_eq!(parts(11..19), [Part::Encode(11..19)]);
        assert_eq!(parts(12..23), [Part::Encode(12..23)]);
    }

    proptest! {
        #[test]
        fn parts_are_all_of_the_frames_in_order(
            start in 0_usize..200, length in 1_usize..200, step in 1_usize..60,
        ) {
            let end = (start + length).min(200);
            prop_assume!(start < end);
            let parts = parts(start..end, &index(200), every(step));
            let mut at = start;
            for part in parts {
                let frames = part.frames();
                prop_assert_eq!(frames.start, at);
                prop_assert!(!frames.is_empty());
                if part.is_copy() {
                    prop_assert!(frames.start % step == 0);
                    prop_assert!(frames.end % step == 0 || frames.end == 200);
                }
                at = frames.end;
            }
            prop_assert_eq!(at, end);
        }
    }
}
