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

/// Lines such as `0.033367,K__`. Packets that an edit list leaves out are marked `D`: they are
/// decoded and not shown, so that the first frame that is shown need not be a keyframe.
fn parse(text: &str, shift: f64) -> Option<Vec<Frame>> {
    let packets: Vec<_> = text.lines().filter_map(|line| line.split_once(',')).collect();
    let left_out = |(_, flags): &(&str, &str)| flags.contains('D');
    let led = packets.first().is_some_and(left_out);
    let shown = packets.into_iter().filter(|packet| !left_out(packet));
    let mut frames = shown
        .map(|(time, flags)| {
            let time: f64 = time.parse().ok()?;
            Some(Frame { time: time + shift, key: flags.starts_with('K') })
        })
        .collect::<Option<Vec<_>>>()?;
    if let Some(first) = frames.iter_mut().min_by(|a, b| a.time.total_cmp(&b.time)) {
        first.key |= led;
    }
    Some(frames)
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

    #[test]
    fn what_an_edit_list_leaves_out_is_decoded_all_the_same() {
        let keys = |text: &str| {
            let frames = parse(text, 0.0).unwrap();
            frames.iter().map(|frame| frame.key).collect::<Vec<_>>()
        };
        assert_eq!(keys("-0.04,_D_\n0.04,___\n0.0,___\n0.08,K__\n"), [false, true, true]);
        assert_eq!(keys("0.04,___\n0.0,___\n0.08,K__\n"), [false, false, true]);
    }
}
