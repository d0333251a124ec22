//! Filters that change when things happen, as data. Pure.

use std::fmt;
use std::path::PathBuf;

use super::expr::Expr;
use super::filter::write;

/// A step that changes times. Speeds are times as fast as it was.
#[derive(Clone, Debug, PartialEq)]
pub enum Time {
    /// Shows each frame at this time in seconds, an expression of [`Time::NOW`].
    At(Expr),
    /// Shows frames that would be no later than the one before right after it.
    Forward,
    /// Leaves out frames that are no later than the one before. Where a file ends earlier than its
    /// last frame, `overlay` answers that once for each picture that its other, endless input has
    /// in between.
    Distinct,
    /// Plays sound at another speed in the same pitch.
    Tempo {
        /// By how much, 0.5 to 2.
        speed: f64,
        /// Which of several that share the work, for commands: `atempo@` and this.
        stage: u32,
    },
    /// Sends commands from a file to the filters after it.
    Commands(PathBuf),
    /// Cuts sound into frames of this many samples, so that commands come in time.
    Samples(u32),
}

impl Time {
    /// The name of a frame's own time in the expressions of [`Time::At`].
    pub const NOW: &'static str = "T";
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Time::At(expr) => write(f, "setpts", &[("expr", &format!("({expr})/TB"))]),
            Time::Forward => write(f, "setpts", &[("expr", "if(N,max(PTS,PREV_OUTPTS+1),PTS)")]),
            Time::Distinct => write(f, "select", &[("expr", "isnan(prev_pts)+gt(pts,prev_pts)")]),
            Time::Tempo { speed, stage } => {
                write(f, &format!("atempo@{stage}"), &[("tempo", &format!("{speed:.6}"))])
            }
            Time::Commands(path) => write(f, "asendcmd", &[("filename", &path.to_string_lossy())]),
            Time::Samples(count) => {
                write(f, "asetnsamples", &[("n", &count.to_string()), ("p", "0")])
            }
        }
    }
}
