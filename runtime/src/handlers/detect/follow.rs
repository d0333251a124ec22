//! One object through the whole video, and keyframes that other handlers take. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::record::rounded;
use crate::detect::path::{self, Place, Sighting, Sightings};

/// Places that a result has; more are in its file alone.
const MOST_PLACES: usize = 1000;
/// Keyframes of a view: half of what `framing` takes.
const MOST_VIEWS: usize = 500;
/// Keyframes of a mark: what the argument of a process has room for.
const MOST_MARKS: usize = 300;
/// Seconds over which a view is smoothed: a camera isn't shaken by what it follows.
const CALM: f64 = 0.5;
/// How far keyframes may be off, as a share of the picture's width.
const OFF: f32 = 0.004;
/// By how much a mark is larger than what it marks, on each side.
const MARGIN: f32 = 0.15;

/// One object through the video.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Follow {
    /// Its class, by number.
    pub class: u32,
    /// Its class, by name.
    pub label: String,
    /// The numbers that it had: several where it was lost and found again.
    pub ids: Vec<u64>,
    /// Frames in which it was seen.
    pub seen: u64,
    /// Frames between, which were filled.
    pub interpolated: u64,
    /// Where it was, frame by frame; null where that is too much for a result.
    pub positions: Option<Vec<Position>>,
    /// The same as JSON lines: where that file is.
    pub path: String,
    /// What `framing` takes as `crop`; null where it was never seen.
    pub crop: Option<Crop>,
    /// What `overlay` takes as one of `highlights`; null where it was never seen.
    pub highlight: Option<Highlight>,
}

/// Where the object was in one frame.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Position {
    /// The frame, from 0.
    pub frame: u64,
    /// Seconds from the first frame.
    pub seconds: f64,
    /// Its centre from the left, in pixels.
    pub x: f64,
    /// Its centre from the top, in pixels.
    pub y: f64,
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
    /// It wasn't seen there: it is between two places where it was.
    pub interpolated: bool,
}

/// A view that follows the object: `framing` takes it as it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Crop {
    /// Where to look when.
    pub keyframes: Vec<View>,
    /// How it gets from one to the next.
    pub interpolation: &'static str,
}

/// Where to look at one time. Places are shares of the picture, so that they hold for other sizes of the video too.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct View {
    /// Seconds, as `framing` counts them.
    pub at: f64,
    /// From the left.
    pub x: String,
    /// From the top.
    pub y: String,
}

/// A mark around the object: `overlay` takes it as it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Highlight {
    /// Its shape.
    pub shape: &'static str,
    /// Where it is when.
    pub keyframes: Vec<Mark>,
    /// Seconds at which it appears.
    pub start: f64,
    /// Seconds at which it disappears.
    pub end: f64,
}

/// Where a mark is at one time, in shares of the picture.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Mark {
    /// Seconds, as `overlay` counts them.
    pub at: f64,
    /// Its left edge.
    pub x: String,
    /// Its upper edge.
    pub y: String,
    /// Its width.
    pub width: String,
    /// Its height.
    pub height: String,
}

/// How an object is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct How {
    /// Seconds that are filled at most.
    pub(super) longest_gap: f64,
    /// Seconds over which its path is smoothed.
    pub(super) smooth: f64,
    /// The size of the video in pixels.
    pub(super) size: (u32, u32),
    /// Seconds by which the first frame is later than other handlers' zero.
    pub(super) late: f64,
}

/// The path of the object, of all that may be it; `frames` are those that were looked at.
pub(super) fn places(
    sightings: &Sightings,
    frames: &[(u64, f64)],
    how: How,
) -> (Vec<u64>, Vec<Place>) {
    let chosen: Vec<Sighting> = sightings.chosen();
    let mut ids: Vec<u64> = chosen.iter().map(|sighting| sighting.id).collect();
    ids.dedup();
    let filled = path::filled(&chosen, frames, how.longest_gap);
    (ids, path::smoothed(&filled, how.smooth, how.longest_gap))
}

impl Follow {
    /// What is said of a path, whose file is at `path`.
    pub(super) fn of(
        (class, label): (u32, String),
        ids: Vec<u64>,
        places: &[Place],
        how: How,
        path: String,
    ) -> Follow {
        let interpolated = places.iter().filter(|place| place.interpolated).count();
        let few = places.len() <= MOST_PLACES;
        Follow {
            class,
            label,
            ids,
            seen: (places.len() - interpolated) as u64,
            interpolated: interpolated as u64,
            positions: few.then(|| places.iter().map(Position::of).collect()),
            path,
            crop: (!places.is_empty()).then(|| crop(places, how)),
            highlight: (!places.is_empty()).then(|| highlight(places, how)),
        }
    }
}

impl Position {
    /// A place, to a hundredth of a pixel.
    pub(super) fn of(place: &Place) -> Position {
        let hundredth = |value: f32| rounded(f64::from(value), 100.0);
        let (x, y) = place.rect.center();
        Position {
            frame: place.frame,
            seconds: rounded(place.seconds, 1e6),
            x: hundredth(x),
            y: hundredth(y),
            width: hundredth(place.rect.width()),
            height: hundredth(place.rect.height()),
            interpolated: place.interpolated,
        }
    }
}

fn crop(places: &[Place], how: How) -> Crop {
    let calm = path::smoothed(places, how.smooth.max(CALM), how.longest_gap);
    let keys = path::keyframes(&calm, tolerance(how), MOST_VIEWS);
    let view = |place: &Place| {
        let (x, y) = place.rect.center();
        View { at: at(place, how), x: share(x, how.size.0), y: share(y, how.size.1) }
    };
    Crop { keyframes: keys.iter().map(view).collect(), interpolation: "linear" }
}

fn highlight(places: &[Place], how: How) -> Highlight {
    let keys = path::keyframes(places, tolerance(how), MOST_MARKS);
    let mark = |place: &Place| {
        let rect = place.rect.grown(MARGIN);
        Mark {
            at: at(place, how),
            x: share(rect.left, how.size.0),
            y: share(rect.top, how.size.1),
            width: share(rect.width(), how.size.0),
            height: share(rect.height(), how.size.1),
        }
    };
    let keyframes: Vec<Mark> = keys.iter().map(mark).collect();
    let (start, last) =
        (keyframes.first().map_or(0.0, |key| key.at), keyframes.last().map_or(0.0, |key| key.at));
    // A moment longer, since it is gone at its end.
    Highlight { shape: "ellipse", keyframes, start, end: rounded(last + 0.04, 1e6) }
}

fn tolerance(how: How) -> f32 {
    how.size.0 as f32 * OFF
}

fn at(place: &Place, how: How) -> f64 {
    rounded(place.seconds + how.late, 1e6)
}

fn share(value: f32, whole: u32) -> String {
    format!("{:.3}%", f64::from(value) / f64::from(whole.max(1)) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Rect;
    use crate::handlers::{framing, overlay};

    const HOW: How = How { longest_gap: 1.0, smooth: 0.0, size: (640, 360), late: 0.5 };

    fn followed() -> Follow {
        let mut sightings = Sightings::default();
        let frames: Vec<(u64, f64)> = (0..50).map(|frame| (frame, frame as f64 / 25.0)).collect();
        for (frame, seconds) in frames.iter().filter(|(frame, _)| !(20..30).contains(frame)) {
            let rect = Rect::around((100.0 + *frame as f32 * 8.0, 180.0), (20.0, 20.0));
            sightings.add(Sighting { frame: *frame, seconds: *seconds, id: 4, score: 0.9, rect });
        }
        let (ids, places) = places(&sightings, &frames, HOW);
        Follow::of((0, "ball".into()), ids, &places, HOW, "path.jsonl".into())
    }

    #[test]
    fn keyframes_are_what_framing_and_overlay_take() {
        let followed = followed();
        assert_eq!((followed.seen, followed.interpolated, &followed.ids[..]), (40, 10, &[4][..]));
        let json = serde_json::to_value(&followed).unwrap();
        insta::assert_snapshot!(json["crop"], @r#"{"keyframes":[{"at":0.5,"x":"15.625%","y":"50.000%"},{"at":2.46,"x":"76.875%","y":"50.000%"}],"interpolation":"linear"}"#);
        insta::assert_snapshot!(json["highlight"], @r#"{"shape":"ellipse","keyframes":[{"at":0.5,"x":"13.594%","y":"46.389%","width":"4.062%","height":"7.222%"},{"at":2.46,"x":"74.844%","y":"46.389%","width":"4.062%","height":"7.222%"}],"start":0.5,"end":2.5}"#);
        serde_json::from_value::<framing::args::Crop>(json["crop"].clone()).unwrap();
        serde_json::from_value::<overlay::args::Highlight>(json["highlight"].clone()).unwrap();
        let position = &followed.positions.unwrap()[25];
        assert_eq!((position.frame, position.x, position.interpolated), (25, 300.0, true));
    }

    #[test]
    fn what_was_never_seen_has_no_keyframes() {
        let (ids, places) = places(&Sightings::default(), &[(0, 0.0)], HOW);
        let followed = Follow::of((0, "ball".into()), ids, &places, HOW, "p".into());
        assert_eq!((followed.seen, followed.crop, followed.highlight), (0, None, None));
    }
}
