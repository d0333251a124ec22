//! What a network's numbers say: boxes on the picture that went in, without those that mean the same. Pure.

use super::model::Head;
use super::{Found, Rect};

/// Boxes that are compared with each other at most, the surest first; as in Ultralytics.
const MOST_COMPARED: usize = 30_000;

/// What of the numbers counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The least score.
    pub confidence: f32,
    /// Of two boxes of a class that overlap by more than this, the surer one stays.
    pub iou: f32,
    /// Classes that count; none are all.
    pub classes: Option<Vec<u32>>,
    /// How many are kept, the surest first.
    pub most: usize,
}

/// The numbers are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} of its {all} numbers are not finite")]
pub struct NotFinite {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub all: usize,
}

/// What was found on one picture, the surest first. `values` is the part of the output that is about it.
pub fn found(head: Head, values: &[f32], limits: &Limits) -> Result<Vec<Found>, NotFinite> {
    let count = values.iter().filter(|value| !value.is_finite()).count();
    if count > 0 {
        return Err(NotFinite { count, all: values.len() });
    }
    let mut all = match head {
        Head::Anchors { classes, .. } => rows(values, 5 + classes, |row| anchors(row, limits)),
        Head::AnchorFree { boxes, classes } => anchor_free(values, boxes, classes, limits),
        Head::EndToEnd { .. } => rows(values, 6, |row| end_to_end(row, limits)),
    };
    all.retain(|found| limits.wants(found.class));
    // Stable, so that of equals the first in the output stays first.
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    if !matches!(head, Head::EndToEnd { .. }) {
        all.truncate(MOST_COMPARED);
        all = distinct(&all, limits);
    }
    all.truncate(limits.most);
    Ok(all)
}

impl Limits {
    fn wants(&self, class: u32) -> bool {
        self.classes.as_ref().is_none_or(|classes| classes.contains(&class))
    }
}

fn rows(values: &[f32], width: usize, read: impl Fn(&[f32]) -> Option<Found>) -> Vec<Found> {
    values.chunks_exact(width).filter_map(read).collect()
}

/// `x y w h something class…`
fn anchors(row: &[f32], limits: &Limits) -> Option<Found> {
    let (something, scores) = (row[4], &row[5..]);
    if something <= limits.confidence {
        return None;
    }
    let (class, score) = best(scores.iter().map(|score| score * something))?;
    let rect = Rect::around((row[0], row[1]), (row[2], row[3]));
    (score > limits.confidence).then_some(Found { class, score, rect })
}

/// `left top right bottom score class`
fn end_to_end(row: &[f32], limits: &Limits) -> Option<Found> {
    let rect = Rect::from([row[0], row[1], row[2], row[3]]);
    let class = row[5].max(0.0) as u32;
    (row[4] > limits.confidence).then_some(Found { class, score: row[4], rect })
}

/// A row each for x, y, w, h and every class. Rows are read in their order, since columns are far apart in memory.
fn anchor_free(values: &[f32], boxes: usize, classes: usize, limits: &Limits) -> Vec<Found> {
    let row = |index: usize| &values[index * boxes..(index + 1) * boxes];
    let mut best = vec![(0_u32, f32::NEG_INFINITY); boxes];
    for (class, index) in (0_u32..).zip(4..4 + classes) {
        for (best, score) in best.iter_mut().zip(row(index)) {
            if *score > best.1 {
                *best = (class, *score);
            }
        }
    }
    let [x, y, width, height] = [0, 1, 2, 3].map(row);
    let sure = best.iter().enumerate().filter(|(_, (_, score))| *score > limits.confidence);
    let place = |at: usize| Rect::around((x[at], y[at]), (width[at], height[at]));
    sure.map(|(at, (class, score))| Found { class: *class, score: *score, rect: place(at) })
        .collect()
}

/// The first of the highest.
fn best(scores: impl Iterator<Item = f32>) -> Option<(u32, f32)> {
    (0..).zip(scores).reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Leaves out boxes that overlap a surer one of their class. `sorted` are the surest first.
fn distinct(sorted: &[Found], limits: &Limits) -> Vec<Found> {
    let mut kept: Vec<Found> = Vec::new();
    for found in sorted {
        if kept.len() == limits.most {
            break;
        }
        let same =
            |other: &Found| other.class == found.class && other.rect.iou(found.rect) > limits.iou;
        if !kept.iter().any(same) {
            kept.push(*found);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { confidence: 0.25, iou: 0.5, classes: None, most: 10 }
    }

    fn summary(found: &[Found]) -> Vec<(u32, f32, [f32; 4])> {
        found.iter().map(|found| (found.class, found.score, found.rect.into())).collect()
    }

    #[test]
    fn all_layouts_say_the_same() {
        // Two boxes, two classes; the second box is not sure enough.
        let v5 = [10.0, 20.0, 4.0, 8.0, 0.8, 0.5, 1.0, 5.0, 5.0, 2.0, 2.0, 0.5, 0.4, 0.1];
        let v8 = [10.0, 5.0, 20.0, 5.0, 4.0, 2.0, 8.0, 2.0, 0.4, 0.2, 0.8, 0.05];
        let end = [8.0, 16.0, 12.0, 24.0, 0.8, 1.0, 4.0, 4.0, 6.0, 6.0, 0.2, 0.0];
        let expected = [(1, 0.8, [8.0, 16.0, 12.0, 24.0])];
        for (head, values) in [
            (Head::Anchors { boxes: 2, classes: 2 }, &v5[..]),
            (Head::AnchorFree { boxes: 2, classes: 2 }, &v8),
            (Head::EndToEnd { boxes: 2 }, &end),
        ] {
            assert_eq!(summary(&found(head, values, &limits()).unwrap()), expected, "{head:?}");
        }
    }

    #[test]
    fn of_boxes_that_overlap_the_surer_of_a_class_stays() {
        let row = |x: f32, score: f32, class: f32| [x, 0.0, x + 10.0, 10.0, score, class];
        let rows =
            [row(0.0, 0.6, 0.0), row(1.0, 0.9, 0.0), row(2.0, 0.7, 1.0), row(20.0, 0.5, 0.0)];
        let sorted = {
            let mut found: Vec<_> =
                rows.iter().filter_map(|row| end_to_end(row, &limits())).collect();
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            found
        };
        let kept: Vec<_> = distinct(&sorted, &limits()).iter().map(|found| found.score).collect();
        assert_eq!(kept, [0.9, 0.7, 0.5]);
        let most = Limits { most: 2, ..limits() };
        assert_eq!(distinct(&sorted, &most).len(), 2);
        let only = Limits { classes: Some(vec![1]), ..limits() };
        let flat: Vec<f32> = rows.concat();
        let one = found(Head::EndToEnd { boxes: 4 }, &flat, &only).unwrap();
        assert_eq!(summary(&one), [(1, 0.7, [2.0, 0.0, 12.0, 10.0])]);
    }

    #[test]
    fn numbers_that_are_none_are_counted() {
        let values = [f32::NAN, 1.0, f32::INFINITY, 0.0, 0.0, 0.0];
        let error = found(Head::EndToEnd { boxes: 1 }, &values, &limits()).unwrap_err();
        assert_eq!(error, NotFinite { count: 2, all: 6 });
    }
}
