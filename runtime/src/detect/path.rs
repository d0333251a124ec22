//! Where one object was in every frame: gaps filled and marked, smoothed, and as few keyframes. Pure.

use std::collections::BTreeMap;

use super::Rect;

/// The object in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The frame.
    pub frame: u64,
    /// Seconds from the first frame.
    pub seconds: f64,
    /// Where it is.
    pub rect: Rect,
    /// It wasn't seen there: it is between two places where it was.
    pub interpolated: bool,
}

/// One sighting of something that may be the object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    /// The frame.
    pub frame: u64,
    /// Seconds from the first frame.
    pub seconds: f64,
    /// Its track.
    pub id: u64,
    /// How sure the model is.
    pub score: f32,
    /// Where it is.
    pub rect: Rect,
}

/// Sightings of all candidates, track by track.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    tracks: BTreeMap<u64, Vec<Sighting>>,
}

impl Sightings {
    /// Adds one; frames ascend.
    pub fn add(&mut self, sighting: Sighting) {
        self.tracks.entry(sighting.id).or_default().push(sighting);
    }

    /// The sightings of the object: of tracks that don't overlap in time, those which together are the surest. An
    /// object that was lost and found again has several.
    pub fn chosen(&self) -> Vec<Sighting> {
        let mut tracks: Vec<&Vec<Sighting>> = self.tracks.values().collect();
        tracks.sort_by_key(|track| (last(track), first(track)));
        // Weighted interval scheduling: the best that ends with each track.
        let mut best: Vec<(f64, Option<usize>)> = Vec::with_capacity(tracks.len());
        for (index, track) in tracks.iter().enumerate() {
            let sum: f64 = track.iter().map(|sighting| f64::from(sighting.score)).sum();
            let before = (0..index).filter(|before| last(tracks[*before]) < first(track));
            let before = before.max_by(|a, b| best[*a].0.total_cmp(&best[*b].0));
            best.push((sum + before.map_or(0.0, |before| best[before].0), before));
        }
        let mut at = (0..tracks.len()).max_by(|a, b| best[*a].0.total_cmp(&best[*b].0));
        let mut chosen: Vec<&Vec<Sighting>> = Vec::new();
        while let Some(index) = at {
            chosen.push(tracks[index]);
            at = best[index].1;
        }
        chosen.into_iter().rev().flatten().copied().collect()
    }
}

fn first(track: &[Sighting]) -> u64 {
    track.first().map_or(0, |sighting| sighting.frame)
}

fn last(track: &[Sighting]) -> u64 {
    track.last().map_or(0, |sighting| sighting.frame)
}

/// The object in every frame of `frames` (number and seconds, ascending) that lies between its first and its last
/// sighting, but for gaps of more than `longest` seconds.
pub fn filled(sightings: &[Sighting], frames: &[(u64, f64)], longest: f64) -> Vec<Place> {
    let mut places = Vec::with_capacity(frames.len());
    let mut frames = frames.iter().copied().peekable();
    let seen = |sighting: &Sighting| Place {
        frame: sighting.frame,
        seconds: sighting.seconds,
        rect: sighting.rect,
        interpolated: false,
    };
    for pair in sightings.windows(2) {
        places.push(seen(&pair[0]));
        let gap = pair[1].seconds - pair[0].seconds;
        while frames.next_if(|(frame, _)| *frame <= pair[0].frame).is_some() {}
        while let Some((frame, seconds)) = frames.next_if(|(frame, _)| *frame < pair[1].frame) {
            if gap <= longest {
                let share = ((seconds - pair[0].seconds) / gap) as f32;
                let rect = between(pair[0].rect, pair[1].rect, share);
                places.push(Place { frame, seconds, rect, interpolated: true });
            }
        }
    }
    places.extend(sightings.last().map(seen));
    places
}

fn between(from: Rect, to: Rect, share: f32) -> Rect {
    let (from, to): ([f32; 4], [f32; 4]) = (from.into(), to.into());
    Rect::from(std::array::from_fn(|side| from[side] + (to[side] - from[side]) * share))
}

/// The same places, each the mean of those around it by a Gaussian of `sigma` seconds: no lag, and what jitters is
/// still. Places on the other side of a gap don't count.
pub fn smoothed(places: &[Place], sigma: f64, longest: f64) -> Vec<Place> {
    if sigma <= 0.0 {
        return places.to_vec();
    }
    let reach = 3.0 * sigma;
    let smooth = |index: usize| {
        let here = places[index];
        let mut sums = ([0.0_f64; 4], 0.0);
        let mut add = |place: &Place| {
            let far = (place.seconds - here.seconds) / sigma;
            let weight = (-far * far / 2.0).exp();
            let sides: [f32; 4] = place.rect.into();
            sums.0.iter_mut().zip(sides).for_each(|(sum, side)| *sum += weight * f64::from(side));
            sums.1 += weight;
        };
        // As far to one side as to the other, so that the ends aren't drawn inwards.
        let joined = |pair: &[Place]| pair[1].seconds - pair[0].seconds <= longest;
        let near = |place: &Place| (place.seconds - here.seconds).abs() <= reach;
        let left = places[..=index]
            .windows(2)
            .rev()
            .take_while(|pair| joined(pair) && near(&pair[0]))
            .count();
        let right =
            places[index..].windows(2).take_while(|pair| joined(pair) && near(&pair[1])).count();
        let reach = left.min(right);
        places[index - reach..=index + reach].iter().for_each(&mut add);
        Place { rect: Rect::from(sums.0.map(|sum| (sum / sums.1) as f32)), ..here }
    };
    (0..places.len()).map(smooth).collect()
}

/// As few of `places` as tell where it is to `tolerance` pixels, when one goes in straight lines between them: Ramer,
/// Douglas and Peucker's way, by time. At most `most`: where that isn't enough, the tolerance grows.
pub fn keyframes(places: &[Place], tolerance: f32, most: usize) -> Vec<Place> {
    let mut tolerance = tolerance.max(0.01);
    loop {
        let kept = simplified(places, tolerance);
        if kept.len() <= most.max(2) {
            return kept;
        }
        tolerance *= 1.5;
    }
}

fn simplified(places: &[Place], tolerance: f32) -> Vec<Place> {
    let mut keep = vec![false; places.len()];
    let mut open = Vec::new();
    if let Some(last) = places.len().checked_sub(1) {
        (keep[0], keep[last]) = (true, true);
        open.push((0, last));
    }
    while let Some((from, to)) = open.pop() {
        let far = (from + 1..to).map(|at| (at, off(places, (from, to), at)));
        let farthest = far.max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at, off)) = farthest.filter(|(_, off)| *off > tolerance) {
            keep[at] = true;
            open.extend([(from, at), (at, to)]);
            debug_assert!(off.is_finite());
        }
    }
    places.iter().zip(keep).filter(|(_, keep)| *keep).map(|(place, _)| *place).collect()
}

/// How far the place at `at` is from the straight way between two others, at its worst side.
fn off(places: &[Place], (from, to): (usize, usize), at: usize) -> f32 {
    let (from, to, at) = (places[from], places[to], places[at]);
    let share = (at.seconds - from.seconds) / (to.seconds - from.seconds).max(1e-9);
    let straight: [f32; 4] = between(from.rect, to.rect, share as f32).into();
    let sides: [f32; 4] = at.rect.into();
    straight.iter().zip(sides).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(frame: u64, id: u64, x: f32) -> Sighting {
        let rect = Rect::around((x, 50.0), (10.0, 10.0));
        Sighting { frame, seconds: frame as f64 / 10.0, id, score: 0.9, rect }
    }

    fn frames(count: u64) -> Vec<(u64, f64)> {
        (0..count).map(|frame| (frame, frame as f64 / 10.0)).collect()
    }

    #[test]
    fn an_object_is_followed_from_track_to_track_and_others_are_left_out() {
        let mut all = Sightings::default();
        (0..10).for_each(|frame| all.add(sighting(frame, 1, frame as f32)));
        (4..6).for_each(|frame| all.add(sighting(frame, 2, 500.0)));
        (14..20).for_each(|frame| all.add(sighting(frame, 3, frame as f32)));
        let ids: Vec<_> = all.chosen().iter().map(|sighting| sighting.id).collect();
        assert_eq!(ids, [vec![1; 10], vec![3; 6]].concat());
    }

    #[test]
    fn short_gaps_are_filled_and_marked_and_long_ones_stay() {
        let seen: Vec<_> =
            [0, 1, 5, 20].map(|frame| sighting(frame, 1, frame as f32 * 10.0)).into();
        let places = filled(&seen, &frames(21), 1.0);
        let shown: Vec<_> = places
            .iter()
            .map(|place| (place.frame, place.rect.center().0.round() as i32, place.interpolated))
            .collect();
        assert_eq!(
            shown,
            [
                (0, 0, false),
                (1, 10, false),
                (2, 20, true),
                (3, 30, true),
                (4, 40, true),
                (5, 50, false),
                (20, 200, false)
            ]
        );
    }

    #[test]
    fn smoothing_leaves_straight_ways_and_calms_jitter() {
        let straight: Vec<_> =
            (0..20).map(|frame| sighting(frame, 1, frame as f32 * 3.0)).collect();
        let places = filled(&straight, &frames(20), 1.0);
        for (before, after) in places.iter().zip(smoothed(&places, 0.3, 1.0)) {
            assert!((before.rect.left - after.rect.left).abs() < 1e-3, "{before:?} {after:?}");
        }
        let jitter: Vec<_> =
            (0..20).map(|frame| sighting(frame, 1, 100.0 + (frame % 2) as f32 * 4.0)).collect();
        let calm = smoothed(&filled(&jitter, &frames(20), 1.0), 0.3, 1.0);
        assert!(calm[5..15].iter().all(|place| (place.rect.center().0 - 102.0).abs() < 0.5));
    }

    #[test]
    fn keyframes_are_few_and_near() {
        let bow: Vec<_> = (0..100)
            .map(|frame| {
                let x = frame as f32;
                Sighting {
                    rect: Rect::around((x * 5.0, 200.0 - x * (99.0 - x) / 20.0), (10.0, 10.0)),
                    ..sighting(frame, 1, 0.0)
                }
            })
            .collect();
        let places = filled(&bow, &frames(100), 1.0);
        let kept = keyframes(&places, 2.0, 50);
        assert!((4..20).contains(&kept.len()), "{}", kept.len());
        for place in &places {
            let after =
                kept.partition_point(|key| key.frame <= place.frame).clamp(1, kept.len() - 1);
            let pair = [kept[after - 1], *place, kept[after]];
            assert!(off(&pair, (0, 2), 1) <= 2.0, "frame {}", place.frame);
        }
        assert!(keyframes(&places, 0.01, 5).len() <= 5);
    }
}
