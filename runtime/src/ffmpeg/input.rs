//! What ffmpeg may do with a file that somebody else made.
//!
//! An upload can be a playlist, a concat script or a pattern that makes ffmpeg open other files or
//! the network. So inputs are absolute `file:` URLs, the only protocol is `file`, only formats that
//! hold their own media may be detected, and sizes have limits. A file that is brought as it is read
//! has an address of `http` instead, of this machine and made by the executor, never by a caller.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::wire::Loopback;

/// Formats that contain all of their media. Left out on purpose: hls, dash, concat, image2
/// patterns, sdp, rtsp, imf, lavfi and everything else that names other files.
const FORMATS: &[&str] = &[
    "mov",
    "mp4",
    "m4a",
    "3gp",
    "3g2",
    "mj2",
    "matroska",
    "webm",
    "avi",
    "flv",
    "live_flv",
    "mpegts",
    "mpeg",
    "mpegvideo",
    "m4v",
    "h264",
    "hevc",
    "vvc",
    "av1",
    "obu",
    "ivf",
    "ogg",
    "asf",
    "mxf",
    "gxf",
    "nut",
    "dv",
    "dirac",
    "dnxhd",
    "mjpeg",
    "mjpeg_2000",
    "vc1",
    "vc1test",
    "rm",
    "wtv",
    "yuv4mpegpipe",
    "swf",
    "nsv",
    "nuv",
    "roq",
    "smk",
    "bink",
    "gif",
    "apng",
    "png_pipe",
    "jpeg_pipe",
    "webp_pipe",
    "bmp_pipe",
    "tiff_pipe",
    "wav",
    "w64",
    "aiff",
    "mp3",
    "aac",
    "flac",
    "ac3",
    "eac3",
    "dts",
    "dtshd",
    "truehd",
    "amr",
    "caf",
    "tta",
    "wv",
    "ape",
    "au",
];

/// Pixels of one picture that a decoder may be asked for: 16384 × 8192.
pub const MAX_PIXELS: u64 = 16_384 * 8_192;

/// Bytes of one piece of memory that ffmpeg may ask for: a header can claim any size.
pub const MAX_ALLOCATION: u64 = 2 << 30;

/// Streams that one file may have.
pub const MAX_STREAMS: u32 = 128;

/// Bytes that an input may have: 1 TiB, days of camera originals.
pub const MAX_BYTES: u64 = 1 << 40;

/// Seconds of media that one job may produce; more is a file made to keep a machine busy.
pub const MAX_SECONDS: f64 = 48.0 * 3600.0;

/// Where an input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of this machine.
    File(PathBuf),
    /// One that the executor holds ready.
    Loopback(Loopback),
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Source {
    fn from(path: &P) -> Self {
        Source::File(path.as_ref().to_owned())
    }
}

impl From<&Source> for Source {
    fn from(source: &Source) -> Self {
        source.clone()
    }
}

impl Source {
    /// The options that belong before it.
    pub fn guards(&self) -> Vec<OsString> {
        match self {
            Source::File(_) => guards(),
            // Its address leads to the executor of this call and nowhere else; that it is media
            // which names no other files is seen to as with any input.
            // An answer that ends early, since the bucket's did, is asked for again from there on.
            Source::Loopback(_) => {
                let again = ["-reconnect", "1", "-reconnect_delay_max", "4"];
                // A proxy of the environment can't reach it.
                let direct = ["-http_proxy", ""];
                let options = again.into_iter().chain(direct).map(OsString::from);
                options.chain(guards_of("http,tcp")).collect()
            }
        }
    }

    /// Its address.
    pub fn url(&self) -> OsString {
        match self {
            Source::File(path) => url(path),
            Source::Loopback(held) => OsString::from(&held.url),
        }
    }
}

/// The options that belong before the input.
pub fn guards() -> Vec<OsString> {
    guards_of("file")
}

fn guards_of(protocols: &str) -> Vec<OsString> {
    [
        "-protocol_whitelist",
        protocols,
        "-format_whitelist",
        &FORMATS.join(","),
        "-max_streams",
        &MAX_STREAMS.to_string(),
        "-max_pixels",
        &MAX_PIXELS.to_string(),
        "-max_alloc",
        &MAX_ALLOCATION.to_string(),
    ]
    .map(OsString::from)
    .into()
}

/// `path` as ffmpeg can't misread it: absolute, so that a leading dash is no option, and with a
/// protocol, so that a colon is no protocol.
pub fn url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
    url
}

/// What a file that ffmpeg can't read seems to be, by how it begins; for messages only.
pub fn looks_like(head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if head.is_empty() {
        Some("it is empty")
    } else if text.starts_with("#EXTM3U") {
        Some("it is a playlist (HLS), and playlists are never followed")
    } else if text.starts_with("ffconcat version") || text.starts_with("file ") {
        Some("it is a concat script, and scripts are never followed")
    } else if text.starts_with("<?xml") || text.starts_with("<MPD") {
        Some("it is XML, perhaps a DASH manifest, and manifests are never followed")
    } else if text.starts_with("v=0") {
        Some("it is a session description (SDP), and those are never followed")
    } else if !head.contains(&0) && std::str::from_utf8(head).is_ok() {
        Some("it is text")
    } else if head.get(4..8) == Some(b"ftyp") {
        Some("it begins like an MP4, but its index (`moov`) is missing: an incomplete upload")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_absolute_and_has_a_protocol() {
        assert_eq!(url(Path::new("/v/-a:b%d?.mp4")), OsString::from("file:/v/-a:b%d?.mp4"));
        assert!(url(Path::new("-i")).to_string_lossy().starts_with("file:/"));
    }

    #[test]
    fn nothing_that_names_other_files_may_be_detected() {
        for format in ["hls", "dash", "concat", "image2", "sdp", "rtsp", "lavfi", "imf"] {
            assert!(!FORMATS.contains(&format), "{format}");
        }
    }

    #[test]
    fn scripts_are_recognised_for_the_message() {
        assert!(looks_like(b"#EXTM3U\n").is_some_and(|why| why.contains("playlist")));
        assert!(looks_like(b"ffconcat version 1.0\n").is_some_and(|why| why.contains("concat")));
        assert_eq!(looks_like(b""), Some("it is empty"));
        assert_eq!(looks_like(b"\x00\x01\x02\x03"), None);
    }
}
