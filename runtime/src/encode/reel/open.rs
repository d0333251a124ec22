//! The files that parts are taken from.

use std::ops::Range;
use std::path::PathBuf;

use super::Segment;
use crate::encode::source;
use crate::ffmpeg::index::FrameIndex;
use crate::ffmpeg::probe::{Count, Media};
use crate::handler::Context;
use crate::storage::InputFile;
use crate::wire::Failure;

/// A file, looked at.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Where it is.
    pub path: PathBuf,
    /// What the caller called it.
    pub name: String,
    /// What it is.
    pub media: Media,
    /// Its frames.
    pub index: FrameIndex,
}

impl Opened {
    /// Looks at files; one that is named twice is looked at once.
    pub async fn all(cx: &Context, files: &[InputFile]) -> Result<Vec<Opened>, Failure> {
        let mut opened: Vec<Opened> = Vec::new();
        for file in files {
            if opened.iter().all(|known| known.name != file.as_str()) {
                opened.push(Self::one(cx, file).await?);
            }
        }
        Ok(opened)
    }

    async fn one(cx: &Context, file: &InputFile) -> Result<Opened, Failure> {
        let path = cx.files().input(file).await?;
        let (tools, name, cancel) = (cx.tools(), file.as_str(), cx.cancellation());
        let media = tools.inspect(&path, name, Count::Nothing, cancel).await?;
        let (stream, _) = source::picture_of(&media, name)?;
        let index = tools.frame_index(&path, stream, name, cancel).await?;
        Ok(Opened { path, name: name.into(), media, index })
    }

    /// Some of its frames.
    pub fn segment(&self, frames: Range<usize>) -> Result<Segment<'_>, Failure> {
        let (stream, video) = source::picture_of(&self.media, &self.name)?;
        let Opened { path, name, media, index } = self;
        Ok(Segment { path, name, media, stream, video, index, frames, caption: None })
    }

    /// All of its frames.
    pub fn whole(&self) -> Result<Segment<'_>, Failure> {
        self.segment(0..self.index.frames.len())
    }
}
