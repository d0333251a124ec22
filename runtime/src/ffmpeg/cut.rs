//! Filters that pick frames, cut videos and join them, as data. Pure.

use std::fmt;

use super::Rational;
use super::filter::write;
use super::sound::join;

/// What picks frames, cuts videos and joins them. Times are seconds unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Cut {
    /// Keeps the frames at these times, in units of the stream's time base.
    SelectTimes(Vec<i64>),
    /// Keeps the frames of these numbers, counted from zero.
    SelectFrames(Vec<u64>),
    /// Keeps frames that differ from the one before by more than this share.
    SelectScenes(f64),
    /// Keeps frames from one number to another, that one left out.
    TrimFrames {
        /// The first frame.
        start: u64,
        /// The frame after the last.
        end: u64,
    },
    /// Keeps frames from one time to before another, in units of the stream's time base.
    TrimTimes {
        /// The first time.
        start: i64,
        /// The time that is left out.
        end: i64,
    },
    /// Keeps frames from one second to before another.
    Window {
        /// The first second; none is the start.
        from: Option<f64>,
        /// The second that is left out; none is the end.
        until: Option<f64>,
    },
    /// Begins video at zero.
    VideoFromZero,
    /// Shows each frame for as long, whatever its time was.
    Paced(Rational),
    /// So many frames: the last is repeated, or what is too much is left out.
    ExactFrames(u64),
    /// Joins so many videos.
    JoinVideo(u32),
    /// Fades from one video to the next.
    Crossfade {
        /// How long.
        seconds: f64,
        /// Seconds of the first video at which it begins.
        offset: f64,
    },
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::SelectTimes(times) => {
                let each: Vec<_> = times.iter().map(|time| format!("eq(pts,{time})")).collect();
                write(f, "select", &[("expr", &each.join("+"))])
            }
            Cut::SelectFrames(numbers) => {
                let each: Vec<_> = numbers.iter().map(|number| format!("eq(n,{number})")).collect();
                write(f, "select", &[("expr", &each.join("+"))])
            }
            Cut::SelectScenes(change) => {
                write(f, "select", &[("expr", &format!("gt(scene,{change})"))])
            }
            Cut::TrimFrames { start, end } => {
                let (start, end) = (start.to_string(), end.to_string());
                write(f, "trim", &[("start_frame", &start), ("end_frame", &end)])
            }
            Cut::TrimTimes { start, end } => {
                let (start, end) = (start.to_string(), end.to_string());
                write(f, "trim", &[("start_pts", &start), ("end_pts", &end)])
            }
            Cut::Window { from, until } => window(f, *from, *until),
            Cut::VideoFromZero => write(f, "setpts", &[("expr", "PTS-STARTPTS")]),
            Cut::Paced(rate) => {
                write(f, "settb", &[("expr", &format!("{}/{}", rate.den, rate.num))])?;
                f.write_str(",")?;
                write(f, "setpts", &[("expr", "N")])
            }
            Cut::ExactFrames(count) => {
                write(f, "tpad", &[("stop", "2"), ("stop_mode", "clone")])?;
                f.write_str(",")?;
                write(f, "trim", &[("end_frame", &count.to_string())])
            }
            Cut::JoinVideo(parts) => join(f, *parts, ("1", "0")),
            Cut::Crossfade { seconds, offset } => {
                let (seconds, offset) = (format!("{seconds:.6}"), format!("{offset:.6}"));
                write(f, "xfade", &[("duration", &seconds), ("offset", &offset)])
            }
        }
    }
}

/// In microseconds, as exact as ffmpeg takes them.
fn window(f: &mut fmt::Formatter<'_>, from: Option<f64>, until: Option<f64>) -> fmt::Result {
    let text = |seconds: f64| format!("{seconds:.6}");
    let (from, until) = (from.map(text), until.map(text));
    let options = [("start", from.as_deref()), ("end", until.as_deref())];
    let given: Vec<_> = options.iter().filter_map(|(key, value)| Some((*key, (*value)?))).collect();
    write(f, "trim", &given)
}
