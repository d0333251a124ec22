//! Where a video is cut. Pure.
//!
//! Chunks are ranges of frames in the order in which they are shown, cut at keyframes where there
//! are some near: there reading begins without decoding what comes before.

use crate::encode::part::Window;

/// A frame of the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Seconds from the start of the file, as filters see it.
    pub time: f64,
    /// A decoder can begin with it.
    pub key: bool,
}

/// The fewest frames that a chunk is worth being started for.
pub const LEAST_FRAMES: usize = 24;

/// The frames of a video, at least one, in the order in which they are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    frames: Vec<Frame>,
    shift: f64,
}

impl Frames {
    /// Puts frames in order, whose times the file has moved by `shift`. None where two are shown at the same time: then no cut between them
    /// can be named.
    pub fn new(mut frames: Vec<Frame>, shift: f64) -> Option<Self> {
        frames.sort_by(|a, b| a.time.total_cmp(&b.time));
        // Before the first keyframe there is only what refers to frames that are not in the file.
        let first = frames.iter().position(|frame| frame.key)?;
        frames.drain(..first);
        let distinct = frames.windows(2).all(|pair| pair[1].time - pair[0].time > 2e-6);
        distinct.then_some(Frames { frames, shift })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.frames.len()
    }

    /// Seconds by which the file's own times are moved to begin at zero.
    pub fn shift(&self) -> f64 {
        self.shift
    }

    /// Seconds at which the first is shown.
    pub fn first(&self) -> f64 {
        self.frames[0].time
    }

    /// Seconds at which each is shown, the first at zero.
    pub fn times(&self) -> impl Iterator<Item = f64> + '_ {
        self.frames.iter().map(|frame| frame.time - self.frames[0].time)
    }

    /// Cuts into about `chunks` windows of about the same length.
    pub fn split(&self, chunks: usize) -> Vec<Window> {
        let seams = self.seams(chunks);
        let starts = std::iter::once(0).chain(seams.iter().copied());
        let ends = seams.iter().copied().chain([self.count()]);
        starts.zip(ends).map(|(start, end)| self.window(start, end)).collect()
    }

    /// The first frames of all chunks but the first.
    fn seams(&self, chunks: usize) -> Vec<usize> {
        let chunks = chunks.clamp(1, (self.count() / LEAST_FRAMES).max(1));
        let reach = self.count() / chunks / 4;
        let mut seams: Vec<usize> = Vec::new();
        for chunk in 1..chunks {
            let ideal = self.count() * chunk / chunks;
            let seam = self.key_near(ideal, reach).unwrap_or(ideal);
            if seam >= seams.last().copied().unwrap_or(0) + LEAST_FRAMES.min(reach.max(1)) {
                seams.push(seam);
            }
        }
        seams
    }

    fn key_near(&self, ideal: usize, reach: usize) -> Option<usize> {
        let near = ideal.saturating_sub(reach).max(1)..(ideal + reach + 1).min(self.count());
        near.filter(|index| self.frames[*index].key).min_by_key(|index| index.abs_diff(ideal))
    }

    fn window(&self, start: usize, end: usize) -> Window {
        Window {
            shift: self.shift,
            seek: self.seek(start),
            from: self.before(start),
            until: self.before(end),
            frames: (end - start) as u64,
        }
    }

    /// The middle between a frame and the one before it; none at the ends.
    fn before(&self, index: usize) -> Option<f64> {
        let (before, after) = (self.frames.get(index.checked_sub(1)?)?, self.frames.get(index)?);
        Some(f64::midpoint(before.time, after.time))
    }

    /// From where to read in order to decode `start`: a little after its keyframe, since tools
    /// look for the last one before a time. None where that is the first.
    fn seek(&self, start: usize) -> Option<f64> {
        let key = (1..=start).rev().find(|index| self.frames[*index].key)?;
        self.before(key + 1).or(Some(self.frames[key].time))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn regular(count: usize, gop: usize) -> Frames {
        let frame =
            |n: usize| Frame { time: n as f64 * 1001.0 / 30000.0, key: n.is_multiple_of(gop) };
        Frames::new((0..count).map(frame).collect(), 0.0).unwrap()
    }

    #[test]
    fn seams_are_at_keyframes_that_are_near() {
        let windows = regular(600, 48).split(4);
        let frames: Vec<_> = windows.iter().map(|window| window.frames).collect();
        assert_eq!(frames, [144, 144, 144, 168]);
        assert_eq!(windows[0].seek, None);
        assert_eq!((windows[0].from, windows[3].until), (None, None));
        assert_eq!(windows[0].until, windows[1].from);
        let first = 144.0 * 1001.0 / 30000.0;
        assert!(windows[1].from.unwrap() < first && windows[1].seek.unwrap() > first);
    }

    #[test]
    fn without_keyframes_frames_are_counted() {
        let windows = regular(100, 1000).split(3);
        assert_eq!(windows.iter().map(|w| w.frames).collect::<Vec<_>>(), [33, 33, 34]);
        assert!(windows.iter().all(|window| window.seek.is_none()), "there is one keyframe");
    }

    #[test]
    fn short_videos_are_not_cut_to_pieces() {
        assert_eq!(regular(30, 5).split(8).len(), 1);
        assert_eq!(regular(1, 1).split(8).len(), 1);
    }

    #[test]
    fn what_has_no_times_of_its_own_is_not_cut() {
        let twice = vec![Frame { time: 0.0, key: true }; 2];
        assert_eq!(Frames::new(twice, 0.0), None);
        assert_eq!(Frames::new(Vec::new(), 0.0), None);
    }

    proptest! {
        #[test]
        fn every_frame_is_in_one_chunk(
            gaps in prop::collection::vec((1u32..200, prop::bool::weighted(0.05)), 1..800),
            chunks in 1usize..40,
        ) {
            let mut time = 0.0;
            let mut frames = vec![Frame { time, key: true }];
            for (gap, key) in gaps {
                time += f64::from(gap) / 1000.0;
                frames.push(Frame { time, key });
            }
            let frames = Frames::new(frames, 0.0).unwrap();
            let windows = frames.split(chunks);
            prop_assert!(windows.len() <= chunks);
            for window in &windows {
                let inside = frames.frames.iter().filter(|frame| {
                    window.from.is_none_or(|from| frame.time >= from)
                        && window.until.is_none_or(|until| frame.time < until)
                });
                prop_assert_eq!(inside.clone().count() as u64, window.frames);
                // Reading begins with a keyframe that is not after the first frame.
                let first = inside.map(|frame| frame.time).next().unwrap();
                if let Some(seek) = window.seek {
                    let key = frames.frames.iter().rfind(|frame| frame.key && frame.time <= seek);
                    prop_assert!(key.unwrap().time <= first);
                }
            }
            prop_assert_eq!(windows.iter().map(|w| w.frames).sum::<u64>(), frames.count() as u64);
        }
    }
}
