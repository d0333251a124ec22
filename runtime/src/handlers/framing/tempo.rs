//! How fast it plays: when each frame is shown, and the commands that make sound keep up. Pure.

use std::fmt::Write as _;
use std::path::Path;

use super::args::{Args, Speed};
use crate::ffmpeg::expr::Expr;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::timing::Time;

/// Seconds between two changes of the speed of sound while it ramps.
const STEP: f64 = 0.02;

/// Samples of the frames that sound is cut into while it ramps.
const SAMPLES: u32 = 256;

/// The speed at every time of a part of the input, counted from the start of that part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tempo {
    /// Keyframes of (seconds, speed); constant before the first and after the last.
    keys: Vec<(f64, f64)>,
}

impl Tempo {
    /// What was asked for, if it is any different from the input's own.
    pub(super) fn of(args: &Args) -> Option<Tempo> {
        let from = args.from();
        let keys = match (args.speed, args.ramp.as_slice()) {
            (Some(speed), _) => vec![(0.0, speed)],
            (None, ramp) => ramp.iter().map(|Speed { at, speed }| (at - from, *speed)).collect(),
        };
        args.changes_speed().then_some(Tempo { keys })
    }

    /// Seconds of the result that the first `time` seconds of the part take.
    pub(super) fn shown_at(&self, time: f64) -> f64 {
        self.since_first(time) - self.since_first(0.0)
    }

    /// The same from the first keyframe on, which may lie before the part.
    fn since_first(&self, time: f64) -> f64 {
        let (first, last) = (self.keys[0], self.keys[self.keys.len() - 1]);
        if time <= first.0 {
            return (time - first.0) / first.1;
        }
        let pieces = self.keys.windows(2).map(|pair| {
            let (a, b) = (pair[0], pair[1]);
            took(a, b, (time.min(b.0) - a.0).max(0.0))
        });
        pieces.sum::<f64>() + (time - last.0).max(0.0) / last.1
    }

    /// When each frame is shown.
    pub(super) fn filter(&self) -> Filter {
        let zero = self.since_first(0.0);
        let (first, last) = (self.keys[0], self.keys[self.keys.len() - 1]);
        let line = |from: (f64, f64)| {
            let start = self.since_first(from.0) - zero;
            Expr::polynomial(Time::NOW, from.0, [start, 1.0 / from.1, 0.0, 0.0])
        };
        let pieces: Vec<_> = self
            .keys
            .windows(2)
            .map(|pair| {
                let (a, b) = (pair[0], pair[1]);
                let start = self.since_first(a.0) - zero;
                let slope = (b.1 - a.1) / (b.0 - a.0);
                let expr = match slope.abs() < 1e-9 {
                    true => line(a),
                    false => Expr::logarithm(Time::NOW, a.0, (start, a.1, slope)),
                };
                (a.0, expr)
            })
            .chain([(last.0, line(last))])
            .collect();
        let expr = pieces.iter().rev().fold(None, |later: Option<(f64, Expr)>, (from, expr)| {
            Some((
                *from,
                match later {
                    Some((next, later)) => Expr::before(Time::NOW, next, expr.clone(), later),
                    None => expr.clone(),
                },
            ))
        });
        let (start, after) = expr.expect("there is a last keyframe");
        Filter::Time(Time::At(match self.keys.len() {
            1 => line(first),
            _ => Expr::before(Time::NOW, start, line(first), after),
        }))
    }

    /// What keeps sound in step with the picture, and in its pitch. A ramp takes its commands from
    /// the file at `commands`.
    pub(super) fn sound(&self, commands: &Path) -> Chain {
        let stages = self.stages();
        let first = self.mean(0.0, STEP).powf(1.0 / f64::from(stages));
        let tempo = (0..stages).map(|stage| Filter::Time(Time::Tempo { speed: first, stage }));
        let ramp = [Time::Samples(SAMPLES), Time::Commands(commands.into())].map(Filter::Time);
        let ramp = ramp.into_iter().filter(|_| self.keys.len() > 1);
        Chain(ramp.chain(tempo).collect())
    }

    /// How many filters share the work: each goes from half to twice as fast.
    fn stages(&self) -> u32 {
        let most = self.keys.iter().map(|(_, speed)| speed.ln().abs()).fold(0.0, f64::max);
        ((most / 2_f64.ln() - 1e-9).ceil() as u32).max(1)
    }

    /// The commands of a ramp over `seconds` of sound; none where the speed never changes.
    pub(super) fn commands(&self, seconds: f64) -> Option<String> {
        let last = self.keys.last().filter(|_| self.keys.len() > 1)?.0;
        let (stages, mut commands) = (self.stages(), String::new());
        let steps = (last.min(seconds).max(0.0) / STEP).ceil() as u64;
        for step in 0..=steps {
            let from = step as f64 * STEP;
            let tempo = self.mean(from, STEP).powf(1.0 / f64::from(stages));
            let to_all = (0..stages).map(|stage| format!("atempo@{stage} tempo {tempo:.6}"));
            let _ = writeln!(commands, "{from:.3} {};", to_all.collect::<Vec<_>>().join(", "));
        }
        Some(commands)
    }

    /// The one speed at which `length` seconds from `from` take as long as they do.
    fn mean(&self, from: f64, length: f64) -> f64 {
        length / (self.since_first(from + length) - self.since_first(from))
    }
}

/// Seconds of the result that `u` seconds from keyframe `a` on take: the integral of one over a
/// speed that changes in a straight line.
fn took(a: (f64, f64), b: (f64, f64), u: f64) -> f64 {
    let slope = (b.1 - a.1) / (b.0 - a.0);
    if slope.abs() < 1e-9 { u / a.1 } else { ((a.1 + slope * u) / a.1).ln() / slope }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tempo(mut json: serde_json::Value) -> Tempo {
        json["input"] = "a.mp4".into();
        Tempo::of(&serde_json::from_value(json).unwrap()).unwrap()
    }

    #[test]
    fn a_constant_speed_divides_times() {
        let twice = tempo(json!({ "speed": 2 }));
        assert_eq!(twice.shown_at(3.0), 1.5);
        insta::assert_snapshot!(twice.filter(), @"setpts=expr=(T*(0.5))/TB");
        insta::assert_snapshot!(tempo(json!({ "speed": 5 })).sound(Path::new("/c")), @"atempo@0=tempo=1.709976,atempo@1=tempo=1.709976,atempo@2=tempo=1.709976");
        assert_eq!(twice.commands(9.0), None);
    }

    #[test]
    fn a_ramp_is_the_integral_of_its_speed() {
        let ramp = tempo(json!({ "ramp": [{ "at": 1, "speed": 1 }, { "at": 3, "speed": 2 }] }));
        // Numerically, in a million steps.
        let speed = |t: f64| (1.0 + (t - 1.0) / 2.0).clamp(1.0, 2.0);
        let sum: f64 = (0..1_000_000).map(|i| 4e-6 / speed((f64::from(i) + 0.5) * 4e-6)).sum();
        assert!((ramp.shown_at(4.0) - sum).abs() < 1e-6);
        insta::assert_snapshot!(ramp.filter(), @r"setpts=expr=(if(lt(T\,1)\,1+(T-1)*(1)\,if(lt(T\,3)\,1+log(1+(T-1)*(0.5))*(2)\,2.38629436+(T-3)*(0.5))))/TB");
        let commands = ramp.commands(10.0).unwrap();
        assert_eq!(commands.lines().count(), 151);
        // What the steps of sound take is what the frames take.
        let heard: f64 = commands
            .lines()
            .map(|line| {
                STEP / line
                    .trim_end_matches(';')
                    .rsplit(' ')
                    .next()
                    .unwrap()
                    .parse::<f64>()
                    .unwrap()
            })
            .sum();
        assert!((heard - ramp.shown_at(3.02)).abs() < 1e-4);
    }

    #[test]
    fn keyframes_before_the_start_still_count() {
        let ramp = tempo(
            json!({ "start": 2, "ramp": [{ "at": 0, "speed": 1 }, { "at": 4, "speed": 3 }] }),
        );
        assert_eq!(ramp.shown_at(0.0), 0.0);
        assert!((ramp.shown_at(2.0) - 2.0 * 1.5_f64.ln()).abs() < 1e-9);
    }
}
