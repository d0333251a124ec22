//! Where segments begin. Pure.

use super::Time;

/// The keyframes at which segments begin: each segment is as near to `seconds` as keyframes allow,
/// and the first one begins with the first keyframe. `keyframes` are in order, and `end` is when
/// the last picture ends.
pub fn cuts(keyframes: &[Time], end: Time, seconds: f64) -> Vec<Time> {
    let mut cuts: Vec<Time> = keyframes.first().copied().into_iter().collect();
    for (at, keyframe) in keyframes.iter().enumerate().skip(1) {
        let start = cuts.last().map_or(0.0, |cut| cut.seconds());
        let miss = |until: Time| (until.seconds() - start - seconds).abs();
        // Waiting for the next keyframe must not come nearer.
        if miss(*keyframe) <= miss(keyframes.get(at + 1).copied().unwrap_or(end)) {
            cuts.push(*keyframe);
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn every(gop: i64, scale: u32, count: i64) -> Vec<Time> {
        (0..count).map(|n| Time { ticks: n * gop, scale }).collect()
    }

    /// The cuts among all but the last, which is the end.
    fn ticks(times: &[Time], seconds: f64) -> Vec<i64> {
        let (end, keyframes) = times.split_last().unwrap();
        cuts(keyframes, *end, seconds).iter().map(|cut| cut.ticks).collect()
    }

    #[test]
    fn segments_are_whole_numbers_of_gops() {
        assert_eq!(ticks(&every(48, 24, 9), 6.0), [0, 144, 288]);
        // 29.97 frames per second: 60 frames are 2.002 s.
        assert_eq!(ticks(&every(60_060, 30_000, 8), 6.0), [0, 180_180, 360_360]);
        // A GOP that is a little short of a third of the segment.
        assert_eq!(ticks(&every(23, 14, 8), 5.0), [0, 69, 138]);
    }

    #[test]
    fn keyframes_that_are_far_apart_are_segments_of_their_own() {
        let times = [0, 10, 11, 30, 31].map(|ticks| Time { ticks, scale: 1 });
        assert_eq!(ticks(&times, 6.0), [0, 10, 11, 30]);
        assert_eq!(ticks(&times[..2], 6.0), [0]);
        assert_eq!(ticks(&times[..1], 6.0), [] as [i64; 0]);
    }

    proptest! {
        #[test]
        fn every_cut_is_a_keyframe_and_in_order(
            steps in prop::collection::vec(1_i64..100, 1..60), seconds in 0.5_f64..12.0,
        ) {
            let mut at = 0;
            let keyframes: Vec<_> = steps
                .iter()
                .map(|step| { let time = Time { ticks: at, scale: 25 }; at += step; time })
                .collect();
            let cuts = cuts(&keyframes, Time { ticks: at, scale: 25 }, seconds);
            prop_assert_eq!(cuts[0], keyframes[0]);
            prop_assert!(cuts.is_sorted() && cuts.iter().all(|cut| keyframes.contains(cut)));
        }
    }
}
