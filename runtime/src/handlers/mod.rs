//! The handlers that every worker has.

pub mod audio;
pub mod check;
pub mod chunked;
pub mod clips;
pub mod concat;
pub mod detect;
pub mod echo;
pub mod effects;
pub mod frames;
pub mod framing;
pub mod hls;
pub mod ladder;
pub mod notify;
pub mod overlay;
pub mod pipeline;
pub mod probe;
pub mod sequence;
pub mod stream;
pub mod transcode;

use crate::handler::Registry;

/// All built-in handlers.
pub fn builtin() -> Registry {
    Registry::new()
        .with(audio::AudioHandler)
        .with(check::Check)
        .with(clips::Clips)
        .with(concat::Concat)
        .with(chunked::Chunked)
        .with(detect::Detect::default())
        .with(echo::Echo)
        .with(effects::Effects)
        .with(framing::Framing)
        .with(hls::Hls)
        .with(ladder::Ladder)
        .with(overlay::Overlay)
        .with(frames::Frames)
        .with(probe::Probe)
        .with(sequence::Sequence)
        .with(notify::Notify)
        .with(pipeline::Pipeline)
        .with(probe::Probe)
        .with(stream::Stream)
        .with(transcode::Transcode)
}

/// What is wrong with arguments for `a.mp4`, or `fine`.
#[cfg(test)]
fn verdict<A: serde::de::DeserializeOwned>(
    mut json: serde_json::Value,
    check: fn(&A) -> Result<(), crate::wire::Failure>,
) -> String {
    json["input"] = "a.mp4".into();
    match serde_json::from_value(json) {
        Ok(args) => check(&args).map_or_else(|failure| failure.message, |()| "fine".into()),
        Err(error) => error.to_string(),
    }
}
