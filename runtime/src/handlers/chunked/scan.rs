//! When each frame of a video is shown, read from its packets without decoding.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::split::Frame;
use crate::ffmpeg::{exec, failure, input};
use crate::handler::Context;
use crate::wire::Failure;

/// The frames of a stream, in the order of decoding; none when some of them have no time.
/// `shift` is added to the time of each.
pub(super) async fn frames(
    cx: &Context,
    path: &Path,
    name: &str,
    stream: u32,
    shift: f64,
) -> Result<Option<Vec<Frame>>, Failure> {
    let run = exec::capture(
        &cx.tools().ffprobe,
        args(path, stream),
        Some(Duration::MAX),
        cx.cancellation(),
    );
    let text = run
        .await
        .map_err(|error| failure::failure(error, &format!("can't read the frames of `{name}`")))?;
    Ok(parse(&String::from_utf8_lossy(&text), shift))
}

fn args(path: &Path, stream: u32) -> Vec<OsString> {
    let mut args = input::guards();
    let stream = stream.to_string();
    args.extend(
        ["-select_streams", &stream, "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0"]
            .map(OsString::from),
    );
    args.push(input::url(path));
    args
}

/// Lines such as `0.033367,K__`. Packets that an edit list leaves out are marked `D`.
fn parse(text: &str, shift: f64) -> Option<Vec<Frame>> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let shown = lines.filter_map(|line| {
        let (time, flags) = line.split_once(',')?;
        (!flags.contains('D')).then_some((time, flags))
    });
    shown
        .map(|(time, flags)| {
            let time: f64 = time.parse().ok()?;
            Some(Frame { time: time + shift, key: flags.starts_with('K') })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_become_frames() {
        let frames = parse("-0.040000,KD_\n0.000000,K__\n0.080000,___\n0.040000,___,\n", 1.0);
        let frames: Vec<_> = frames.unwrap().iter().map(|frame| (frame.time, frame.key)).collect();
        assert_eq!(frames, [(1.0, true), (1.08, false), (1.04, false)]);
        assert_eq!(parse("N/A,K__\n", 0.0), None);
    }
}
