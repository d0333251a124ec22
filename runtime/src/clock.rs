//! The time, read in one place so that everything else can be given it.

use jiff::Timestamp;

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
