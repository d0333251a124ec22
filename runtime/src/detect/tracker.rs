//! Objects that last from frame to frame. Pure.
//!
//! After ByteTrack (Zhang et al., 2022): boxes that are sure are matched with tracks first, then the others with the
//! tracks that are left, so that an object keeps its number while the model doubts. Each side of a box is predicted
//! by a Kalman filter of constant velocity. Small fast things don't overlap themselves from frame to frame, so
//! what doesn't match is matched again with boxes that are grown (C-BIoU, Yang et al., 2023).

use super::{Found, Rect};

/// How tracks begin, go on and end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Boxes at least as sure are matched first, and begin tracks.
    pub sure: f32,
    /// Frames that a track lives without being seen.
    pub patience: u64,
}

/// The least overlap of a box and where its track was expected.
const LEAST_OVERLAP: f32 = 0.2;
/// The same for boxes that the model doubts.
const LEAST_OVERLAP_OF_DOUBTED: f32 = 0.5;
/// By how much of their sides boxes grow that overlap nothing.
const GROWTH: f32 = 1.0;
/// The least overlap of grown boxes.
const LEAST_OVERLAP_GROWN: f32 = 0.15;

/// All objects, from frame to frame.
#[derive(Clone, Debug)]
pub struct Tracker {
    settings: Settings,
    tracks: Vec<Track>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Track {
    id: u64,
    class: u32,
    sides: [Side; 4],
    seen: u64,
}

impl Tracker {
    /// Nothing was seen yet.
    pub fn new(settings: Settings) -> Self {
        Tracker { settings, tracks: Vec::new(), next: 1 }
    }

    /// The numbers of what was found on frame `at`, which comes after those before; none for what is too doubtful
    /// to be a new object.
    pub fn update(&mut self, at: u64, found: &[Found]) -> Vec<Option<u64>> {
        let patience = self.settings.patience;
        self.tracks.retain(|track| at - track.seen <= patience);
        let expected: Vec<Rect> = self.tracks.iter().map(|track| track.expected(at)).collect();
        let sure = |found: &Found| found.score >= self.settings.sure;
        let (certain, doubted): (Vec<usize>, Vec<usize>) =
            (0..found.len()).partition(|index| sure(&found[*index]));
        let mut round =
            Round { found, tracks: &self.tracks, expected: &expected, pairs: Vec::new() };
        round.matched(&certain, LEAST_OVERLAP, 0.0);
        round.matched(&doubted, LEAST_OVERLAP_OF_DOUBTED, 0.0);
        round.matched(&certain, LEAST_OVERLAP_GROWN, GROWTH);
        let mut ids = vec![None; found.len()];
        for (index, track) in round.pairs {
            self.tracks[track].see(at, found[index].rect);
            ids[index] = Some(self.tracks[track].id);
        }
        for index in certain {
            if ids[index].is_none() {
                ids[index] = Some(self.next);
                self.tracks.push(Track::new(self.next, at, found[index]));
                self.next += 1;
            }
        }
        ids
    }
}

/// The matching of one frame.
struct Round<'a> {
    found: &'a [Found],
    tracks: &'a [Track],
    expected: &'a [Rect],
    pairs: Vec<(usize, usize)>,
}

impl Round<'_> {
    /// Pairs `candidates` with tracks, those that overlap most first, as long as they overlap by `least` once both
    /// have `grown`.
    fn matched(&mut self, candidates: &[usize], least: f32, grown: f32) {
        let free = |index: &&usize| !self.pairs.iter().any(|(taken, _)| taken == *index);
        let mut all = Vec::new();
        for index in candidates.iter().filter(free) {
            let Found { class, rect, .. } = self.found[*index];
            for (track, expected) in self.expected.iter().enumerate() {
                let overlap = rect.grown(grown).iou(expected.grown(grown));
                if self.tracks[track].class == class && overlap >= least {
                    all.push((overlap, *index, track));
                }
            }
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        for (_, index, track) in all {
            if self.pairs.iter().all(|(i, t)| *i != index && *t != track) {
                self.pairs.push((index, track));
            }
        }
    }
}

impl Track {
    fn new(id: u64, at: u64, found: Found) -> Self {
        let sides = measures(found.rect).map(|(value, noise)| Side::new(value, noise));
        Track { id, class: found.class, sides, seen: at }
    }

    /// Where it is on frame `at` if it goes on as it did.
    fn expected(&self, at: u64) -> Rect {
        let frames = (at - self.seen) as f64;
        let [x, y, width, height] = self.sides.map(|side| side.predicted(frames).value as f32);
        Rect::around((x, y), (width.max(1.0), height.max(1.0)))
    }

    fn see(&mut self, at: u64, rect: Rect) {
        let frames = (at - self.seen) as f64;
        for (side, (value, noise)) in self.sides.iter_mut().zip(measures(rect)) {
            *side = side.predicted(frames).corrected(value, noise);
        }
        self.seen = at;
    }
}

/// Centre and sides of a box, each with its standard deviation: a twentieth of its size, as in DeepSORT.
fn measures(rect: Rect) -> [(f64, f64); 4] {
    let (x, y) = rect.center();
    let (width, height) = (f64::from(rect.width()), f64::from(rect.height()));
    let noise = |side: f64| (side / 20.0).max(0.5);
    [
        (x.into(), noise(width)),
        (y.into(), noise(height)),
        (width, noise(width)),
        (height, noise(height)),
    ]
}

/// One number and how fast it changes: a Kalman filter of constant velocity.
#[derive(Clone, Copy, Debug)]
struct Side {
    value: f64,
    speed: f64,
    /// Variance of the value, covariance of both, variance of the speed.
    spread: [f64; 3],
    /// The standard deviation of the speed's change from frame to frame.
    jerk: f64,
}

impl Side {
    fn new(value: f64, noise: f64) -> Self {
        // Nothing is known of the speed: it may be several times the size.
        let speed = 40.0 * noise;
        Side { value, speed: 0.0, spread: [noise * noise, 0.0, speed * speed], jerk: 4.0 * noise }
    }

    fn predicted(self, frames: f64) -> Side {
        let [p, q, r] = self.spread;
        let drift = self.jerk * self.jerk * frames;
        let spread = [
            p + 2.0 * frames * q + frames * frames * r + drift * frames * frames / 3.0,
            q + frames * r + drift * frames / 2.0,
            r + drift,
        ];
        Side { value: self.value + frames * self.speed, spread, ..self }
    }

    fn corrected(self, value: f64, noise: f64) -> Side {
        let [p, q, r] = self.spread;
        let sum = p + noise * noise;
        let (gain, gain_of_speed) = (p / sum, q / sum);
        let off = value - self.value;
        Side {
            value: self.value + gain * off,
            speed: self.speed + gain_of_speed * off,
            spread: [p * (1.0 - gain), q * (1.0 - gain), r - gain_of_speed * q],
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32, score: f32) -> Found {
        Found { class: 0, score, rect: Rect::around((x, y), (20.0, 20.0)) }
    }

    fn tracker() -> Tracker {
        Tracker::new(Settings { sure: 0.5, patience: 10 })
    }

    #[test]
    fn two_that_cross_keep_their_numbers() {
        let mut tracker = tracker();
        for frame in 0..40_u64 {
            let x = frame as f32 * 5.0;
            let ids = tracker.update(frame, &[at(x, 50.0, 0.9), at(200.0 - x, 75.0, 0.9)]);
            assert_eq!(ids, [Some(1), Some(2)], "frame {frame}");
        }
    }

    #[test]
    fn one_that_is_hidden_or_doubted_for_a_while_keeps_its_number() {
        let mut tracker = tracker();
        for frame in 0..30_u64 {
            let found = at(frame as f32 * 6.0, 50.0, if frame % 5 == 4 { 0.3 } else { 0.9 });
            let hidden = (12..18).contains(&frame);
            let ids =
                tracker.update(frame, if hidden { &[] } else { std::slice::from_ref(&found) });
            assert_eq!(ids, if hidden { vec![] } else { vec![Some(1)] }, "frame {frame}");
        }
    }

    #[test]
    fn a_fast_ball_is_one_ball() {
        let mut tracker = tracker();
        for frame in 0..20_u64 {
            // It moves by more than its size from frame to frame.
            let ids = tracker.update(frame, &[at(frame as f32 * 34.0, 50.0, 0.9)]);
            assert_eq!(ids, [Some(1)], "frame {frame}");
        }
    }

    #[test]
    fn what_is_doubtful_from_the_start_and_what_is_gone_for_long_are_others() {
        let mut tracker = tracker();
        assert_eq!(tracker.update(0, &[at(10.0, 10.0, 0.3)]), [None]);
        assert_eq!(tracker.update(1, &[at(10.0, 10.0, 0.9)]), [Some(1)]);
        let other = Found { class: 1, ..at(10.0, 10.0, 0.9) };
        assert_eq!(tracker.update(2, &[other]), [Some(2)]);
        assert_eq!(tracker.update(40, &[at(10.0, 10.0, 0.9)]), [Some(3)]);
    }
}
