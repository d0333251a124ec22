//! The frames of a video stream in the order in which they are shown: when each is, and at which
//! of them decoding can begin. Parsing is pure.
//!
//! Times are taken from packets, without decoding. Where packets don't tell (no times, or packets
//! that show nothing), the stream is decoded once, and nobody seeks in it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::exec;
use super::probe::Stream;
use super::{Rational, Tools, failure, input};
use crate::wire::{Failure, FailureKind};

/// All frames that are shown, in that order.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameIndex {
    /// The unit of `pts`, in seconds.
    pub time_base: Rational,
    /// The frames.
    pub frames: Vec<FrameAt>,
    /// Decoding can begin at keyframes.
    pub seekable: bool,
}

/// One frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameAt {
    /// When it is shown, on the file's own clock.
    pub pts: i64,
    /// A decoder can begin with it.
    pub key: bool,
    /// How many packets come before its own in the file.
    pub order: usize,
    /// Where its packet lies in the file, as far as the format tells.
    pub position: Option<u64>,
}

impl FrameIndex {
    /// Seconds from the first frame to the frame at `index`.
    pub fn seconds(&self, index: usize) -> f64 {
        let first = self.frames.first().map_or(0, |frame| frame.pts);
        let at = self.frames.get(index).map_or(first, |frame| frame.pts);
        (at - first) as f64 * self.time_base.value()
    }

    /// Seconds that the last frame is shown: as long as the one before it.
    pub fn last_duration(&self) -> f64 {
        match self.frames.as_slice() {
            [.., before, last] => (last.pts - before.pts) as f64 * self.time_base.value(),
            _ => 0.04,
        }
    }

    /// Seconds from the first frame to the end of the last.
    pub fn duration(&self) -> f64 {
        self.seconds(self.frames.len().saturating_sub(1)) + self.last_duration()
    }

    /// The frame that is shown at `seconds` after the first; none past the end.
    pub fn at(&self, seconds: f64) -> Option<usize> {
        // A time that was rounded to milliseconds still means the frame that begins there.
        let rounded = seconds + 0.000_6;
        let after = self.frames.partition_point(|frame| {
            let first = self.frames.first().map_or(0, |frame| frame.pts);
            (frame.pts - first) as f64 * self.time_base.value() <= rounded
        });
        (seconds < self.duration() - 1e-6).then(|| after.checked_sub(1)).flatten()
    }

    /// The last keyframe at or before the frame at `index`.
    pub fn key_before(&self, index: usize) -> Option<usize> {
        if !self.seekable {
            return None;
        }
        self.frames.get(..=index)?.iter().rposition(|frame| frame.key)
    }
}

impl Tools {
    /// The index of one stream of a file; `name` is what the caller called the file.
    pub async fn frame_index(
        &self,
        path: &Path,
        stream: &Stream,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<FrameIndex, Failure> {
        let time_base = stream.time_base.unwrap_or(Rational { num: 1, den: 90_000 });
        if !hides_packets(&stream.codec) {
            let text = self.listing(packet_args(path, stream.index), name, cancel).await?;
            if let Some(frames) = packets(&text) {
                return Ok(FrameIndex { time_base, frames, seekable: true });
            }
        }
        let text = self.listing(frame_args(path, stream.index), name, cancel).await?;
        let frames = frames(&text).filter(|frames| !frames.is_empty()).ok_or_else(|| {
            Failure::new(FailureKind::InvalidInput, format!("the frames of `{name}` have no times"))
                .hint("put it into another container first: transcode it to `.mp4`")
        })?;
        Ok(FrameIndex { time_base, frames, seekable: false })
    }

    async fn listing(
        &self,
        args: Vec<OsString>,
        name: &str,
        cancel: &CancellationToken,
    ) -> Result<String, Failure> {
        let listed = exec::capture(&self.ffprobe, args, Some(Duration::MAX), cancel).await;
        let bytes = listed.map_err(|error| {
            failure::failure(error, &format!("can't list the frames of `{name}`"))
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Codecs some of whose packets are never shown: VP8's alternate references.
fn hides_packets(codec: &str) -> bool {
    codec == "vp8"
}

fn packet_args(path: &Path, stream: u32) -> Vec<OsString> {
    listing_args(path, stream, &["-show_entries", "packet=pts,dts,pos,flags"])
}

fn frame_args(path: &Path, stream: u32) -> Vec<OsString> {
    listing_args(path, stream, &["-show_entries", "frame=key_frame,best_effort_timestamp"])
}

fn listing_args(path: &Path, stream: u32, what: &[&str]) -> Vec<OsString> {
    let mut args = input::guards();
    args.extend(["-of", "csv=p=0", "-select_streams", &stream.to_string()].map(OsString::from));
    args.extend(what.iter().map(OsString::from));
    args.push(input::url(path));
    args
}

/// Reads lines of `pts,dts,pos,flags`. None when packets don't say when they are shown, or say it of two
/// for the same instant.
fn packets(text: &str) -> Option<Vec<FrameAt>> {
    let mut frames = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut fields = line.split(',');
        let pts: i64 = fields.next()?.parse().ok()?;
        let position = fields.nth(1)?.parse().ok();
        let flags = fields.next()?;
        if !flags.contains('D') {
            let order = frames.len();
            frames.push(FrameAt { pts, key: flags.starts_with('K'), order, position });
        }
    }
    frames.sort_by_key(|frame| frame.pts);
    let doubled = frames.windows(2).any(|pair| pair[0].pts == pair[1].pts);
    (!frames.is_empty() && !doubled && frames[0].key).then_some(frames)
}

/// Reads lines of `key_frame,best_effort_timestamp`. A frame whose time isn't later than the one
/// before is put right after it, so that each has a time of its own.
fn frames(text: &str) -> Option<Vec<FrameAt>> {
    let mut frames: Vec<FrameAt> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut fields = line.split(',');
        let key = fields.next()? == "1";
        let said: Option<i64> = fields.next().and_then(|field| field.parse().ok());
        let least = frames.last().map(|frame| frame.pts + 1);
        let pts = said.max(least)?;
        frames.push(FrameAt { pts, key, ..FrameAt::default() });
    }
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(pts: &[i64], keys: &[usize]) -> FrameIndex {
        let frame = |(at, pts): (usize, &i64)| FrameAt {
            pts: *pts,
            key: keys.contains(&at),
            ..FrameAt::default()
        };
        let frames = pts.iter().enumerate().map(frame).collect();
        FrameIndex { time_base: Rational { num: 1, den: 1000 }, frames, seekable: true }
    }

    #[test]
    fn packets_are_put_into_the_order_in_which_they_are_shown() {
        let text = "0,-80,48,K_\n160,-40,90,__\n80,0,N/A,__\n40,40,9,_D\n120,80,9,__,side\n";
        let frames = packets(text).unwrap();
        let pts: Vec<_> = frames.iter().map(|frame| frame.pts).collect();
        assert_eq!(pts, [0, 80, 120, 160]);
        assert!(frames[0].key && !frames[1].key);
        assert_eq!((frames[0].position, frames[1].position, frames[1].order), (Some(48), None, 2));
        assert_eq!(packets("N/A,0,0,K_\n"), None);
        assert_eq!(packets("0,0,0,K_\n0,40,0,__\n"), None);
    }

    #[test]
    fn frames_without_times_of_their_own_get_one() {
        let pts = |text| frames(text).map(|f| f.iter().map(|f| f.pts).collect::<Vec<_>>());
        assert_eq!(pts("1,0\n0,0\n0,N/A\n0,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(pts("1,N/A\n"), None);
    }

    #[test]
    fn a_time_means_the_frame_that_is_shown_then() {
        let index = index(&[1000, 1040, 1100, 1120], &[0]);
        assert_eq!(index.at(0.0), Some(0));
        assert_eq!(index.at(0.05), Some(1));
        assert_eq!(index.at(0.0999), Some(2));
        assert_eq!(index.at(0.13), Some(3));
        assert_eq!(index.at(5.0), None);
        assert!((index.duration() - 0.14).abs() < 1e-9);
    }

    #[test]
    fn decoding_begins_at_the_keyframe_before() {
        let index = index(&[0, 40, 80, 120], &[0, 2]);
        assert_eq!((index.key_before(1), index.key_before(2)), (Some(0), Some(2)));
    }
}
