//! What handlers that encode begin with: the input, what it is, and what this machine can do to it.

use super::Coding;
use super::inspect::inspect;
use super::run::Work;
use crate::ffmpeg::codec::VideoCodec;
use crate::ffmpeg::input::Source;
use crate::ffmpeg::probe::Media;
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::handler::Context;
use crate::wire::Failure;

/// An input that was looked at.
#[derive(Debug)]
pub struct Opened<'a> {
    cx: &'a Context,
    /// What the caller called it.
    pub name: &'a str,
    /// Where it is read.
    pub source: Source,
    /// What it is.
    pub media: Media,
    /// Whether a GPU is used.
    pub hardware: Hardware,
    /// What this machine can do to make the codecs that are wanted.
    pub machine: Capabilities,
}

impl<'a> Opened<'a> {
    /// Looks at the input called `name`, and at the machine meanwhile. `keeps_hdr` is whether any
    /// result does.
    pub async fn of(
        cx: &'a Context,
        name: &'a str,
        coding: &Coding,
        (codecs, keeps_hdr): (&[VideoCodec], bool),
    ) -> Result<Self, Failure> {
        let source = cx.files().source(name).await?;
        let hardware = coding.hardware(cx);
        let (media, machine) = tokio::join!(
            inspect(cx, name, &source, keeps_hdr),
            Capabilities::learn(cx.tools(), hardware, codecs, cx.cancellation())
        );
        Ok(Opened { cx, name, source, media: media?, hardware, machine: machine? })
    }

    /// Work on it; `verb` is what the handler does, as in "can't transcode".
    pub fn work<'w>(&'w self, verb: &'w str) -> Work<'w> {
        Work { cx: self.cx, verb, name: self.name, media: &self.media }
    }
}
