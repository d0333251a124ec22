//! Parts become one file again: packets are copied, nothing is coded anew. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::ffmpeg::container::Container;
use crate::ffmpeg::input;

/// What ffmpeg's `concat` demuxer reads: each chunk, and how long it lasts until the next begins.
/// `starts` are the seconds at which they begin, the first at zero.
pub fn script(chunks: &[PathBuf], starts: &[f64]) -> String {
    let micros = |seconds: f64| (seconds * 1e6).round() as i64;
    let mut script = String::from("ffconcat version 1.0\n");
    for (index, chunk) in chunks.iter().enumerate() {
        // In quotes nothing is special but the quote itself.
        let path = input::url(chunk).to_string_lossy().replace('\'', r"'\''");
        script.push_str(&entry("file", &format!("'{path}'")));
        if let (Some(start), Some(next)) = (starts.get(index), starts.get(index + 1)) {
            // Rounded from the start of the whole, so that errors don't add up.
            let length = micros(*next) - micros(*start);
            let seconds = format!("{}.{:06}", length / 1_000_000, length % 1_000_000);
            script.push_str(&entry("duration", &seconds));
        }
    }
    script
}

fn entry(key: &str, value: &str) -> String {
    format!("{key} {value}\n")
}

/// The arguments that copy the pictures of `script` and everything else of `sound` into `output`.
/// The first picture is shown at `first` seconds, as sound may begin before it.
pub fn args(
    script: &Path,
    sound: &Path,
    output: &Path,
    (container, first): (Container, f64),
) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["-y", "-hide_banner", "-loglevel", "level+verbose", "-nostats", "-progress", "pipe:1"]
            .map(OsString::from)
            .into();
    args.extend(["-itsoffset".into(), format!("{first:.6}").into()]);
    // The script is our own, and so is all that it names.
    args.extend(
        ["-protocol_whitelist", "file", "-f", "concat", "-safe", "0", "-i"].map(OsString::from),
    );
    args.push(input::url(script));
    args.extend(["-protocol_whitelist", "file", "-i"].map(OsString::from));
    args.push(input::url(sound));
    args.extend(
        [
            "-map",
            "0:v:0",
            "-map",
            "1:a?",
            "-map",
            "1:s?",
            "-map_metadata",
            "1",
            "-map_chapters",
            "1",
            "-c",
            "copy",
            "-max_muxing_queue_size",
            "4096",
        ]
        .map(OsString::from),
    );
    if container.is_mp4() {
        args.extend(["-movflags", "+faststart"].map(OsString::from));
    }
    args.extend(["-f", container.name()].map(OsString::from));
    args.push(input::url(output));
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_add_up_and_names_are_quoted() {
        let chunks = ["/c/0.mp4".into(), "/c/it's\\1.mp4".into(), "/c/2.mp4".into()];
        let starts = [0.0, 10.0 / 3.0, 20.0 / 3.0];
        insta::assert_snapshot!(script(&chunks, &starts), @r"
        ffconcat version 1.0
        file 'file:/c/0.mp4'
        duration 3.333333
        file 'file:/c/it'\''s\1.mp4'
        duration 3.333334
        file 'file:/c/2.mp4'
        ");
    }
}
