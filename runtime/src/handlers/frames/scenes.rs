//! Where the picture changes: ffmpeg's own measure of scenes, over the whole video.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::ffmpeg::cut::Cut;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::Graph;
use crate::ffmpeg::job::Source;
use crate::ffmpeg::{Rational, exec, failure, input};
use crate::handler::Context;
use crate::wire::Failure;

/// The times of frames that differ from the one before by more than `change`, in units of `base`.
pub(super) async fn find(
    cx: &Context,
    path: &Path,
    name: &str,
    stream: u32,
    change: f64,
    base: Rational,
) -> Result<Vec<i64>, Failure> {
    let args = args(path, stream, change);
    let listed =
        exec::capture(&cx.tools().ffmpeg, args, Some(Duration::MAX), cx.cancellation()).await;
    let bytes = listed
        .map_err(|error| failure::failure(error, &format!("can't find the scenes of `{name}`")))?;
    Ok(times(&String::from_utf8_lossy(&bytes), base))
}

/// A run that lists the frames it keeps (`framecrc`), made tiny so that this costs nothing.
fn args(path: &Path, stream: u32, change: f64) -> Vec<OsString> {
    let mut graph = Graph::default();
    let small = Filter::Scale { size: (16, 16), to_video_range: false, matrix: None };
    let chain = Chain(vec![Filter::Cut(Cut::SelectScenes(change)), small]);
    let kept = graph.chain(&[Source { input: 0, stream }.into()], chain);
    let mut args: Vec<OsString> = vec!["-nostdin".into(), "-copyts".into()];
    args.extend(input::guards());
    args.extend(["-i".into(), input::url(path)]);
    args.extend(["-filter_complex", &graph.to_string(), "-map", &kept.to_string()].map(Into::into));
    args.extend(["-fps_mode", "passthrough", "-f", "framecrc", "pipe:1"].map(Into::into));
    args
}

/// Reads `#tb 0: 1/12800` and lines of `stream, dts, pts, …`.
fn times(text: &str, base: Rational) -> Vec<i64> {
    let unit = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")?.trim().parse().ok());
    let unit: Rational = unit.unwrap_or(base);
    let scale = unit.value() / base.value();
    let pts = |line: &str| {
        let field = line.split(',').nth(2)?.trim().parse::<f64>().ok()?;
        Some((field * scale).round() as i64)
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(pts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_unit_of_the_stream() {
        let text = "#software: Lavf\n#tb 0: 1/25\n#media_type 0: video\n\
                    0,         25,         25,        1,      384, 0x1\n\
                    0,         50,         50,        1,      384, 0x2\n";
        assert_eq!(times(text, Rational { num: 1, den: 12_800 }), [12_800, 25_600]);
    }
}
