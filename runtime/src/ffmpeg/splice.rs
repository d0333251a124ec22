//! Runs of ffmpeg that cut a video into parts and put parts together without coding them anew. Pure.
//!
//! Parts are files of this program's own, so the script that joins them is too.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::codec::Speed;
use super::{Rational, args, input};

/// Frames that go over as packets.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyJob {
    /// The file.
    pub input: PathBuf,
    /// The stream of it.
    pub stream: u32,
    /// Seconds on the file's own clock at which the first frame, a keyframe, is shown; none is the
    /// start.
    pub from: Option<f64>,
    /// Packets.
    pub packets: Option<u64>,
    /// Where they go: an MP4 file.
    pub output: PathBuf,
}

/// Frames that are coded so that they fit between packets of H.264.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeJob {
    /// The file.
    pub input: PathBuf,
    /// The stream of it.
    pub stream: u32,
    /// Seconds from the start of the file, between the first frame and the one before it.
    pub from: f64,
    /// Frames.
    pub frames: u64,
    /// The number of the parameter sets, other than that of the packets around.
    pub set: u32,
    /// The unit of timestamps.
    pub time_base: Rational,
    /// Constant quality.
    pub crf: u8,
    /// How much work is spent.
    pub speed: Speed,
    /// ffmpeg's name of the pixel format.
    pub pixel_format: String,
    /// Where they go: an MP4 file.
    pub output: PathBuf,
}

/// One of several parts that are joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// An MP4 file.
    pub path: PathBuf,
    /// Seconds until the next part begins.
    pub seconds: f64,
}

/// The arguments of a copy.
pub fn copy_args(job: &CopyJob) -> Vec<OsString> {
    let mut args = begin();
    if let Some(from) = job.from {
        // A little after the keyframe, so that rounding doesn't lead to the one before it; and what
        // is before that point is kept all the same.
        args.extend(words(&[
            "-copyts",
            "-seek_timestamp",
            "1",
            "-ss",
            &format!("{:.6}", from + 0.000_5),
        ]));
    }
    args.extend(read(&job.input, job.stream));
    args.extend(words(&["-c:v", "copy", "-copypriorss", "1"]));
    if let Some(packets) = job.packets {
        args.extend(words(&["-frames:v", &packets.to_string()]));
    }
    args.extend(write(&job.output));
    args
}

/// The arguments of an edge.
pub fn edge_args(job: &EdgeJob) -> Vec<OsString> {
    let mut args = begin();
    if job.from > 0.0 {
        args.extend(words(&["-ss", &format!("{:.6}", job.from)]));
    }
    args.extend(read(&job.input, job.stream));
    let base = format!("{}:{}", job.time_base.num, job.time_base.den);
    let set = format!("sps-id={}", job.set);
    let (frames, crf) = (job.frames.to_string(), job.crf.to_string());
    args.extend(words(&[
        "-frames:v",
        &frames,
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        &base,
    ]));
    args.extend(words(&["-c:v", "libx264", "-preset", args::x264_preset(job.speed), "-crf", &crf]));
    args.extend(words(&["-x264-params", &set, "-pix_fmt", &job.pixel_format]));
    args.extend(write(&job.output));
    args
}

/// The arguments that join the parts that `script` names.
pub fn join_args(script: &Path, time_base: Rational, output: &Path) -> Vec<OsString> {
    let mut args = begin();
    args.extend(words(&["-protocol_whitelist", "file", "-f", "concat", "-safe", "0", "-i"]));
    args.push(input::url(script));
    args.extend(words(&["-map", "0:v", "-c", "copy"]));
    args.extend(words(&["-video_track_timescale", &time_base.den.to_string()]));
    args.extend(write(output));
    args
}

/// A script for ffmpeg's `concat`, which reads what is between apostrophes as it is.
pub fn script(parts: &[Joined]) -> String {
    let mut text = String::from("ffconcat version 1.0\n");
    for Joined { path, seconds } in parts {
        let path = path.to_string_lossy().replace('\'', "'\\''");
        writeln!(text, "file 'file:{path}'\nduration {seconds:.6}")
            .expect("a text takes all that is written to it");
    }
    text
}

fn begin() -> Vec<OsString> {
    words(&["-y", "-hide_banner", "-loglevel", "level+verbose", "-nostats", "-progress", "pipe:1"])
}

fn read(path: &Path, stream: u32) -> Vec<OsString> {
    let mut args = input::guards();
    args.extend([OsString::from("-i"), input::url(path)]);
    args.extend(words(&["-map", &format!("0:{stream}")]));
    args
}

fn write(path: &Path) -> Vec<OsString> {
    let mut args = words(&["-map_metadata", "-1", "-map_chapters", "-1", "-f", "mp4"]);
    args.push(input::url(path));
    args
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(args: Vec<OsString>) -> String {
        let words: Vec<_> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words[7..].join(" ").replace(&input::guards()[3].to_string_lossy().into_owned(), "…")
    }

    #[test]
    fn packets_are_copied_from_a_keyframe_on() {
        let job = CopyJob {
            input: "/in/a.mp4".into(),
            stream: 0,
            from: Some(2.0),
            packets: Some(100),
            output: "/tmp/b.mp4".into(),
        };
        insta::assert_snapshot!(shown(copy_args(&job)), @"-copyts -seek_timestamp 1 -ss 2.000500 -protocol_whitelist file -format_whitelist … -max_streams 128 -max_pixels 134217728 -max_alloc 2147483648 -i file:/in/a.mp4 -map 0:0 -c:v copy -copypriorss 1 -frames:v 100 -map_metadata -1 -map_chapters -1 -f mp4 file:/tmp/b.mp4");
    }

    #[test]
    fn edges_have_parameter_sets_of_their_own() {
        let job = EdgeJob {
            input: "/in/a.mp4".into(),
            stream: 0,
            from: 1.18,
            frames: 20,
            set: 1,
            time_base: Rational { num: 1, den: 12_800 },
            crf: 16,
            speed: Speed::Fast,
            pixel_format: "yuv420p".into(),
            output: "/tmp/a.mp4".into(),
        };
        insta::assert_snapshot!(shown(edge_args(&job)), @"-ss 1.180000 -protocol_whitelist file -format_whitelist … -max_streams 128 -max_pixels 134217728 -max_alloc 2147483648 -i file:/in/a.mp4 -map 0:0 -frames:v 20 -fps_mode passthrough -enc_time_base 1:12800 -c:v libx264 -preset fast -crf 16 -x264-params sps-id=1 -pix_fmt yuv420p -map_metadata -1 -map_chapters -1 -f mp4 file:/tmp/a.mp4");
    }

    #[test]
    fn a_script_names_files_of_any_name() {
        let parts = [Joined { path: "/tmp/it's.mp4".into(), seconds: 0.8 }];
        assert_eq!(
            script(&parts),
            "ffconcat version 1.0\nfile 'file:/tmp/it'\\''s.mp4'\nduration 0.800000\n"
        );
    }
}
