//! What an input is, as far as a planner has to know it.

use crate::ffmpeg::input::Source;
use crate::ffmpeg::probe::{Count, Kind, Media};
use crate::handler::Context;
use crate::wire::Failure;

/// What the file at `path` is; `name` is what the caller called it. HDR metadata that only frames
/// carry is looked up where HDR will be kept.
pub async fn inspect(
    cx: &Context,
    name: &str,
    source: &Source,
    keeps_hdr: bool,
) -> Result<Media, Failure> {
    let tools = cx.tools();
    let mut media = tools.inspect_source(source, name, Count::Nothing, cx.cancellation()).await?;
    let silent = media.video().and_then(|(stream, video)| {
        (keeps_hdr && video.hdr_transfer().is_some() && video.hdr.is_none()).then_some(stream.index)
    });
    if let Some(index) = silent {
        let hdr = tools.hdr_of_first_frame(source, index, cx.cancellation()).await;
        for stream in media.streams.iter_mut().filter(|stream| stream.index == index) {
            if let Kind::Video(video) = &mut stream.kind {
                video.hdr = hdr;
            }
        }
    }
    Ok(media)
}
