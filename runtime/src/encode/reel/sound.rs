//! The sound of segments, cut to the sample and joined. Pure.

use super::Segment;
use crate::encode::tracks;
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::graph::{Graph, Link, Pad};
use crate::ffmpeg::job::{Input, Source};
use crate::ffmpeg::sound::Sound;

/// Samples per second of joined sound.
const RATE: u32 = 48_000;

/// Seconds that are decoded before the first sample, so that a codec whose frames overlap is in step.
const RUN_UP: f64 = 0.5;

/// The input that `segment`'s sound is read from, and the seconds of it before the first sample.
pub(super) fn input(segment: &Segment<'_>) -> (Input, f64) {
    let start = segment.start();
    let seek = (start - RUN_UP).max(0.0);
    let length = Some(start - seek + segment.seconds() + 0.1);
    let from = if seek > 0.0 { Some(seek) } else { None };
    (Input { seek: from, length, ..Input::of(segment.path) }, start - seek)
}

/// Adds a chain for `seconds` of the sound of `segment`, or of silence where it has none. `input` is
/// the job's input that it is read from, from `skip` seconds on.
pub(super) fn add(
    graph: &mut Graph,
    segment: &Segment<'_>,
    input: u32,
    skip: f64,
    seconds: f64,
) -> Link {
    let Some((stream, sound)) = segment.sound() else {
        let trim = Filter::Sound(Sound::TrimAudio { start: 0.0, end: seconds });
        return graph.chain(&[], Chain(vec![Filter::Sound(Sound::Silence { rate: RATE }), trim]));
    };
    let mut chain: Vec<_> = tracks::layout(sound).map(Filter::ChannelLayout).into_iter().collect();
    chain.extend([
        Filter::Sound(Sound::FromZero { rate: Some(RATE) }),
        Filter::ChannelLayout("stereo"),
        Filter::Sound(Sound::PadAudio),
        Filter::Sound(Sound::TrimAudio { start: skip, end: skip + seconds }),
    ]);
    graph.chain(&[Pad::Stream(Source { input, stream: stream.index })], Chain(chain))
}

/// Adds the filter that joins sound.
pub(super) fn join(graph: &mut Graph, parts: &[Link]) -> Link {
    match parts {
        [only] => *only,
        parts => {
            let pads: Vec<Pad> = parts.iter().map(|link| (*link).into()).collect();
            graph.chain(&pads, Chain(vec![Filter::Sound(Sound::JoinAudio(parts.len() as u32))]))
        }
    }
}
