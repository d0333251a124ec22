//! Runs of ffmpeg that make pictures: of chosen frames, or of sound. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::filter::{Chain, Filter};
use super::graph::Graph;
use super::input;
use super::job::{Decode, Input, Source};

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureJob {
    /// What is read. `seek` is a time of the file's own clock here, and lands on the keyframe
    /// before it.
    pub input: Input,
    /// The stream of it.
    pub stream: u32,
    /// Only keyframes are decoded.
    pub keyframes_only: bool,
    /// What is done to it; the last filter makes pictures.
    pub filters: Chain,
    /// How pictures are coded.
    pub coding: PictureCoding,
    /// It ends after so many pictures.
    pub most: u64,
    /// Where they go.
    pub to: To,
    /// Threads of the decoder; none lets it choose.
    pub threads: Option<u16>,
}

/// How pictures are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureCoding {
    /// PNG: lossless.
    Png,
    /// JPEG of a quality from 1 to 100.
    Jpeg(u8),
    /// WebP of a quality from 1 to 100.
    WebP(u8),
    /// Bytes of red, green and blue, without any header.
    Raw(Channels),
    /// Planes of luma and of both chromas, which are half as wide and half as high; 8 bits, without
    /// any header.
    Planes420,
}

/// The order of a pixel's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red: OpenCV's order.
    Bgr,
}

/// Where pictures go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// One file.
    File(PathBuf),
    /// Files of a folder, numbered from zero: see [`numbered`].
    Folder(PathBuf),
    /// Standard output.
    Pipe,
}

impl PictureCoding {
    /// The usual extension.
    pub fn extension(self) -> &'static str {
        match self {
            PictureCoding::Png => "png",
            PictureCoding::Jpeg(_) => "jpg",
            PictureCoding::WebP(_) => "webp",
            PictureCoding::Raw(_) => "rgb",
            PictureCoding::Planes420 => "yuv",
        }
    }
}

/// The file of a picture that went to a folder.
pub fn numbered(folder: &Path, index: u64, coding: PictureCoding) -> PathBuf {
    folder.join(format!("{index:08}.{}", coding.extension()))
}

/// The arguments of `job`, without the program.
pub fn args(job: &PictureJob) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    add(&["-y", "-hide_banner", "-loglevel", "level+verbose", "-nostats"]);
    if job.to != To::Pipe {
        add(&["-progress", "pipe:1", "-stats_period", "0.25"]);
    }
    // Frames keep the times that packets have, so that they can be told by them.
    add(&["-copyts"]);
    if let Some(seconds) = job.input.seek {
        add(&["-noaccurate_seek", "-seek_timestamp", "1", "-ss", &format!("{seconds:.6}")]);
    }
    if let Some(threads) = job.threads {
        add(&["-threads", &threads.to_string()]);
    }
    if let Decode::Cuda { gpu } = job.input.decode {
        add(&["-hwaccel", "cuda", "-hwaccel_output_format", "cuda"]);
        add(&["-hwaccel_device", &gpu.to_string()]);
    }
    if job.keyframes_only {
        add(&["-skip_frame", "nokey"]);
    }
    args.extend(job.input.file.guards());
    args.extend([OsString::from("-i"), job.input.file.url()]);
    args.extend(output(job));
    args
}

fn output(job: &PictureJob) -> Vec<OsString> {
    let mut graph = Graph::default();
    let stream = Source { input: 0, stream: job.stream };
    let mut filters = job.filters.clone();
    if let PictureCoding::Jpeg(_) = job.coding {
        filters.0.push(Filter::JpegPixels);
    }
    let made = graph.chain(&[stream.into()], filters);
    let mut args: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    add(&["-filter_complex", &graph.to_string(), "-map", &made.to_string()]);
    add(&["-fps_mode", "passthrough", "-frames:v", &job.most.to_string()]);
    match job.coding {
        PictureCoding::Png => add(&["-c:v", "png"]),
        PictureCoding::Jpeg(quality) => {
            add(&["-c:v", "mjpeg", "-q:v", &jpeg_scale(quality).to_string()]);
        }
        PictureCoding::WebP(quality) => {
            add(&["-c:v", "libwebp", "-quality", &quality.to_string()]);
        }
        PictureCoding::Planes420 => add(&["-c:v", "rawvideo", "-pix_fmt", "yuv420p"]),
        PictureCoding::Raw(Channels::Rgb) => add(&["-c:v", "rawvideo", "-pix_fmt", "rgb24"]),
        PictureCoding::Raw(Channels::Bgr) => add(&["-c:v", "rawvideo", "-pix_fmt", "bgr24"]),
    }
    match &job.to {
        To::Pipe => add(&["-f", "rawvideo", "pipe:1"]),
        To::File(path) => {
            add(&["-f", "image2", "-update", "1"]);
            args.push(input::url(path));
        }
        To::Folder(folder) => {
            add(&["-f", "image2", "-start_number", "0"]);
            args.push(pattern(folder, job.coding));
        }
    }
    args
}

/// The pattern of [`numbered`]; a percent sign in the folder's own name means itself.
fn pattern(folder: &Path, coding: PictureCoding) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let folder = input::url(folder);
    let mut pattern = Vec::with_capacity(folder.len() + 16);
    for byte in folder.as_bytes() {
        pattern.push(*byte);
        if *byte == b'%' {
            pattern.push(b'%');
        }
    }
    pattern.extend_from_slice(format!("/%08d.{}", coding.extension()).as_bytes());
    OsString::from_vec(pattern)
}

/// ffmpeg's scale of JPEG goes from 2, the best, to 31.
fn jpeg_scale(quality: u8) -> u8 {
    let worse = 100 - u16::from(quality.clamp(1, 100));
    2 + u8::try_from(worse * 29 / 99).unwrap_or(29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffmpeg::cut::Cut;

    fn shown(job: &PictureJob) -> String {
        let words: Vec<_> = args(job).iter().map(|w| w.to_string_lossy().into_owned()).collect();
        let guard = words.iter().position(|word| word == "-protocol_whitelist").unwrap();
        let input = words.iter().position(|word| word == "-i").unwrap();
        [&words[5..guard], &words[input..]].concat().join(" ")
    }

    fn job() -> PictureJob {
        PictureJob {
            input: Input { seek: Some(1.25), ..Input::of("/in/a.mp4") },
            stream: 0,
            keyframes_only: false,
            filters: Chain(vec![Filter::Cut(Cut::SelectTimes(vec![512, 1024]))]),
            coding: PictureCoding::Raw(Channels::Bgr),
            most: 2,
            to: To::Pipe,
            threads: Some(1),
        }
    }

    #[test]
    fn frames_are_told_by_their_times() {
        insta::assert_snapshot!(shown(&job()), @r#"-copyts -noaccurate_seek -seek_timestamp 1 -ss 1.250000 -threads 1 -i file:/in/a.mp4 -filter_complex [0:0]select=expr=eq(pts\,512)+eq(pts\,1024)[l0] -map [l0] -fps_mode passthrough -frames:v 2 -c:v rawvideo -pix_fmt bgr24 -f rawvideo pipe:1"#);
    }

    #[test]
    fn a_folder_of_any_name_is_no_pattern() {
        let to = To::Folder("/out/100%d".into());
        let job = PictureJob { to, coding: PictureCoding::Jpeg(90), ..job() };
        insta::assert_snapshot!(shown(&job), @r#"-progress pipe:1 -stats_period 0.25 -copyts -noaccurate_seek -seek_timestamp 1 -ss 1.250000 -threads 1 -i file:/in/a.mp4 -filter_complex [0:0]select=expr=eq(pts\,512)+eq(pts\,1024),scale=out_range=pc,format=pix_fmts=yuvj420p[l0] -map [l0] -fps_mode passthrough -frames:v 2 -c:v mjpeg -q:v 4 -f image2 -start_number 0 file:/out/100%%d/%08d.jpg"#);
    }

    #[test]
    fn qualities_go_from_best_to_worst() {
        assert_eq!((jpeg_scale(100), jpeg_scale(50), jpeg_scale(1)), (2, 16, 31));
    }
}
