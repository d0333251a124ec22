//! Values that change over time, through keyframes. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ffmpeg::expr::Expr;

/// How a value goes from one keyframe to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// In a straight line.
    #[default]
    Linear,
    /// Slow at each keyframe, fast between them.
    Ease,
    /// One smooth curve through all keyframes that never overshoots them.
    Spline,
    /// Stays, and jumps at the next keyframe.
    Hold,
}

/// A value at every time: piecewise cubic, constant before the first keyframe and after the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// By time; the first begins before everything.
    pieces: Vec<Piece>,
}

/// `c[0] + c[1] u + c[2] u² + c[3] u³`, where `u` is the seconds since `from`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    from: f64,
    c: [f64; 4],
}

impl Piece {
    fn at(self, time: f64) -> f64 {
        let u = if self.from.is_finite() { time - self.from } else { 0.0 };
        self.c[0] + u * (self.c[1] + u * (self.c[2] + u * self.c[3]))
    }

    /// The same values, counted from another time.
    fn moved_to(self, from: f64) -> Piece {
        if !self.from.is_finite() {
            return Piece { from, ..self };
        }
        let u = from - self.from;
        let [_, c1, c2, c3] = self.c;
        let slope = c1 + u * (2.0 * c2 + u * 3.0 * c3);
        Piece { from, c: [self.at(from), slope, c2 + 3.0 * u * c3, c3] }
    }
}

impl Curve {
    /// The same value at all times.
    pub fn constant(value: f64) -> Self {
        Curve { pieces: vec![Piece { from: f64::NEG_INFINITY, c: [value, 0.0, 0.0, 0.0] }] }
    }

    /// Through `knots` of (seconds, value), whose times ascend.
    pub fn through(knots: &[(f64, f64)], interpolation: Interpolation) -> Self {
        let (Some(first), Some(last)) = (knots.first(), knots.last()) else {
            return Curve::constant(0.0);
        };
        let mut curve = Curve::constant(first.1);
        let slopes = slopes(knots);
        for (index, pair) in knots.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            let ends = (slopes[index], slopes[index + 1]);
            curve.push(Piece { from: from.0, c: piece(from, to, interpolation, ends) });
        }
        curve.push(Piece { from: last.0, c: [last.1, 0.0, 0.0, 0.0] });
        curve
    }

    fn push(&mut self, piece: Piece) {
        let stays = piece.c[1..] == [0.0; 3];
        match self.pieces.last() {
            Some(before) if stays && before.c == piece.c => {}
            _ => self.pieces.push(piece),
        }
    }

    /// The value at `time`.
    pub fn at(&self, time: f64) -> f64 {
        let after = self.pieces.partition_point(|piece| piece.from <= time);
        self.pieces[after.saturating_sub(1)].at(time)
    }

    /// The value, where it never changes.
    pub fn fixed(&self) -> Option<f64> {
        match self.pieces[..] {
            [only] => Some(only.c[0]),
            _ => None,
        }
    }

    /// The sum of curves, each times a factor, and a constant.
    pub fn sum(terms: &[(f64, &Curve)], constant: f64) -> Curve {
        let mut times: Vec<f64> =
            terms.iter().flat_map(|(_, curve)| curve.pieces.iter().map(|p| p.from)).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        let mut sum = Curve { pieces: Vec::with_capacity(times.len().max(1)) };
        for from in times {
            let mut c = [constant, 0.0, 0.0, 0.0];
            for (factor, curve) in terms {
                let piece = curve.piece_at(from).moved_to(from);
                c.iter_mut().zip(piece.c).for_each(|(sum, part)| *sum += factor * part);
            }
            sum.push(Piece { from, c });
        }
        if sum.pieces.is_empty() { Curve::constant(constant) } else { sum }
    }

    fn piece_at(&self, time: f64) -> Piece {
        let after = self.pieces.partition_point(|piece| piece.from <= time);
        self.pieces[after.saturating_sub(1)]
    }

    /// The same values, `seconds` later.
    pub fn delayed(&self, seconds: f64) -> Curve {
        let pieces = self.pieces.iter().map(|piece| Piece { from: piece.from + seconds, ..*piece });
        Curve { pieces: pieces.collect() }
    }

    /// The least and the greatest value. Between keyframes no interpolation overshoots, so the ends
    /// of pieces are enough.
    pub fn range(&self) -> (f64, f64) {
        let joints = self.pieces.iter().skip(1).flat_map(|piece| {
            // What holds until a jump counts too.
            [piece.c[0], self.at(piece.from - 1e-9)]
        });
        joints.fold((self.pieces[0].c[0], self.pieces[0].c[0]), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    }

    /// As an expression of `variable`, the name of the time in seconds. A decision tree: its cost
    /// and its depth grow with the logarithm of the number of keyframes.
    pub fn expr(&self, variable: &'static str) -> Expr {
        tree(&self.pieces, variable)
    }
}

fn tree(pieces: &[Piece], variable: &'static str) -> Expr {
    match pieces {
        [] => Expr::number(0.0),
        [piece] => {
            let from = if piece.from.is_finite() { piece.from } else { 0.0 };
            Expr::polynomial(variable, from, piece.c)
        }
        _ => {
            let (before, after) = pieces.split_at(pieces.len() / 2);
            let (then, otherwise) = (tree(before, variable), tree(after, variable));
            Expr::before(variable, after[0].from, then, otherwise)
        }
    }
}

/// The cubic of one piece, in seconds since its start.
fn piece(
    from: (f64, f64),
    to: (f64, f64),
    interpolation: Interpolation,
    slopes: (f64, f64),
) -> [f64; 4] {
    let (length, rise) = (to.0 - from.0, to.1 - from.1);
    match interpolation {
        Interpolation::Hold => [from.1, 0.0, 0.0, 0.0],
        Interpolation::Linear => [from.1, rise / length, 0.0, 0.0],
        Interpolation::Ease => hermite(from.1, rise, length, (0.0, 0.0)),
        Interpolation::Spline => hermite(from.1, rise, length, slopes),
    }
}

/// The cubic with these slopes at its ends.
fn hermite(start: f64, rise: f64, length: f64, (first, last): (f64, f64)) -> [f64; 4] {
    let mean = rise / length;
    let c2 = (3.0 * mean - 2.0 * first - last) / length;
    let c3 = (first + last - 2.0 * mean) / (length * length);
    [start, first, c2, c3]
}

/// Slopes at keyframes that keep every piece between its ends: Fritsch and Butland's harmonic mean
/// (SIAM J. Sci. Stat. Comput. 5, 1984), zero at turning points and at both ends.
fn slopes(knots: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = vec![0.0; knots.len()];
    for (index, three) in knots.windows(3).enumerate() {
        let [a, b, c] = [three[0], three[1], three[2]];
        let (h0, h1) = (b.0 - a.0, c.0 - b.0);
        let (d0, d1) = ((b.1 - a.1) / h0, (c.1 - b.1) / h1);
        if d0 * d1 > 0.0 {
            let (w0, w1) = (2.0 * h1 + h0, h1 + 2.0 * h0);
            slopes[index + 1] = (w0 + w1) / (w0 / d0 + w1 / d1);
        }
    }
    slopes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOTS: [(f64, f64); 3] = [(0.0, 10.0), (1.0, 20.0), (3.0, 0.0)];

    #[test]
    fn curves_meet_their_keyframes_and_stay_beyond_them() {
        use Interpolation::{Ease, Hold, Linear, Spline};
        for interpolation in [Linear, Ease, Spline, Hold] {
            let curve = Curve::through(&KNOTS, interpolation);
            for (time, value) in KNOTS {
                assert!((curve.at(time) - value).abs() < 1e-9, "{interpolation:?} at {time}");
            }
            assert_eq!((curve.at(-5.0), curve.at(9.0)), (10.0, 0.0));
            assert_eq!(curve.range(), (0.0, 20.0));
        }
        let at = |interpolation| Curve::through(&KNOTS, interpolation).at(0.25);
        assert_eq!(at(Linear), 12.5);
        assert_eq!(at(Ease), 11.5625);
        assert_eq!(at(Hold), 10.0);
    }

    #[test]
    fn expressions_are_short_trees() {
        let curve = Curve::through(&KNOTS, Interpolation::Linear);
        insta::assert_snapshot!(curve.expr("t"), @"if(lt(t,1),if(lt(t,0),10,10+t*(10)),if(lt(t,3),20+(t-1)*(-10),0))");
        let curve = Curve::through(&KNOTS[..2], Interpolation::Ease);
        insta::assert_snapshot!(curve.expr("t"), @"if(lt(t,0),10,if(lt(t,1),10+t*(t*(30+t*(-20))),20))");
        insta::assert_snapshot!(Curve::constant(7.25).expr("t"), @"7.25");
    }

    fn knots() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((0.01_f64..3.0, -500.0_f64..500.0), 1..20).prop_map(|steps| {
            let mut time = 0.0;
            let mut knot = |(step, value)| {
                time += step;
                (time, value)
            };
            steps.into_iter().map(&mut knot).collect()
        })
    }

    proptest! {
        #[test]
        fn a_spline_never_overshoots(knots in knots(), at in 0.0_f64..1.0) {
            let curve = Curve::through(&knots, Interpolation::Spline);
            for pair in knots.windows(2) {
                let time = pair[0].0 + (pair[1].0 - pair[0].0) * at;
                let (low, high) = (pair[0].1.min(pair[1].1), pair[0].1.max(pair[1].1));
                prop_assert!((low - 1e-6..=high + 1e-6).contains(&curve.at(time)));
            }
        }

        #[test]
        fn a_sum_is_the_sum_at_every_time(a in knots(), b in knots(), time in -1.0_f64..40.0) {
            let (a, b) = (Curve::through(&a, Interpolation::Spline), Curve::through(&b, Interpolation::Linear));
            let sum = Curve::sum(&[(1.0, &a), (-2.0, &b)], 3.0);
            prop_assert!((sum.at(time) - (a.at(time) - 2.0 * b.at(time) + 3.0)).abs() < 1e-5);
        }
    }
}
