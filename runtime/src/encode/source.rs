//! What a file offers to work on, and what of it doesn't come along. Pure.

use super::picture::Look;
use crate::ffmpeg::codec::Encoder;
use crate::ffmpeg::probe::{Kind, Media, Stream, VideoStream};
use crate::wire::{Failure, FailureKind};

/// The video stream of a file, or why there is none to work on.
pub fn picture_of<'a>(
    media: &'a Media,
    name: &str,
) -> Result<(&'a Stream, &'a VideoStream), Failure> {
    let fail = |what: &str, cause: &str| {
        Failure::new(FailureKind::InvalidInput, format!("`{name}` {what}"))
            .cause(cause)
            .hint(format!("see what is in it: `ffprobe -hide_banner '{name}'`"))
    };
    if media.format.ends_with("_pipe") {
        return Err(fail(
            "is a picture, not a video",
            &format!("its format is `{}`", media.format),
        ));
    }
    media.video().ok_or_else(|| {
        let has_audio = media.streams.iter().any(|s| matches!(s.kind, Kind::Audio(_)));
        if has_audio {
            fail("has no video, only audio", "this needs a video stream")
        } else {
            fail("has no video", "no stream of it is video with a known size")
        }
    })
}

/// What of the input doesn't come along, or is changed on the way.
pub fn left_behind(media: &Media, chosen: &Stream, look: Look, encoder: Encoder) -> Vec<String> {
    let mut notes = Vec::new();
    for stream in &media.streams {
        match &stream.kind {
            Kind::Video(video) if video.attached_picture => {
                notes.push(format!("cover picture (stream {}) is left out", stream.index));
            }
            Kind::Video(_) if stream.index != chosen.index => {
                notes.push(format!("video stream {} is left out", stream.index));
            }
            Kind::Other => {
                notes
                    .push(format!("data stream {} (`{}`) is left out", stream.index, stream.codec));
            }
            _ => {}
        }
    }
    let Kind::Video(video) = &chosen.kind else { return notes };
    if look.tone_map.is_some() {
        notes.push("HDR is mapped to SDR (BT.709)".into());
    }
    if video.dolby_vision {
        notes.push("Dolby Vision metadata is left out".into());
    }
    if look.keep_hdr.is_some() && video.hdr.is_some() && encoder.is_hardware() {
        notes.push("mastering-display metadata is left out: NVENC doesn't write it".into());
    }
    if video.alpha() {
        notes.push("transparency is left out".into());
    }
    if video.interlaced {
        notes.push("interlaced frames are deinterlaced".into());
    }
    notes
}
