//! Decides how a video is transcoded: arguments, what the file is and what the machine can do go
//! in, an ffmpeg job and the reasons come out. Pure.

#[cfg(test)]
mod tests;

use super::args::Args;
use crate::encode::picture::{self, Look};
use crate::encode::single::Place;
use crate::encode::{Expect, Frames, Plan, encoder, source, tracks};
use crate::ffmpeg::codec::Encoder;
use crate::ffmpeg::graph::Graph;
use crate::ffmpeg::job::{Decode, Input, Job, Keyframes, Origin, Output, Source, Video};
use crate::ffmpeg::probe::Media;
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::Failure;

/// The whole decision.
pub fn plan(
    args: &Args,
    hardware: Hardware,
    media: &Media,
    machine: &Capabilities,
    place: Place<'_>,
) -> Result<Plan, Failure> {
    let codec = args.coding.codec_in(place.container)?;
    let (stream, video) = source::picture_of(media, place.name)?;
    let look = Look::decide((args.sides.bounds(), args.fit), args.coding.ten_bit, codec, video);
    encoder::check_size(codec, look.geometry.size())?;
    let (encoder, fallback) = encoder::choose(codec, hardware, look, machine)?;
    let on_gpu = args.fps.is_none()
        && encoder::gpu_of(encoder, machine)
            .is_some_and(|gpu| encoder::stays_on_gpu(gpu, stream, look));
    let filters = match on_gpu {
        true => picture::gpu_filters(video, look),
        false => picture::cpu_filters(video, look, args.fps),
    };
    let audio = tracks::audio(media, args.audio, place.container);
    let (subtitles, mut notes) = tracks::subtitles(media, args.subtitles, place.container);
    notes.extend(source::left_behind(media, stream, look, encoder));
    let expect = Expect {
        source: Source { input: 0, stream: stream.index },
        size: look.geometry.size(),
        audio: audio.len(),
        frames: if args.fps.is_none() { Frames::Every } else { Frames::Any },
    };
    let video = Video {
        origin: Origin::Stream(Source { input: 0, stream: stream.index }, filters),
        encoder,
        rate: args.coding.rate(encoder),
        keyframes: Keyframes::Free,
        speed: args.coding.preset,
        time_base: if args.fps.is_none() { stream.time_base.map(picture::coarser) } else { None },
        hdr: video.hdr.filter(|_| look.keep_hdr.is_some()),
    };
    let decode = match encoder {
        Encoder::Nvenc { gpu, .. } if on_gpu => Decode::Cuda { gpu },
        _ => Decode::Software,
    };
    let (path, container) = (place.output.into(), place.container);
    let output = Output { path, container, video: Some(video), audio, subtitles };
    let input = Input { decode, delay: picture::preroll(media, stream), ..Input::of(place.input) };
    let job = Job {
        inputs: vec![input],
        graph: Graph::default(),
        outputs: vec![output],
        threads: args.coding.threads,
    };
    let plan = Plan { job, fallback, notes, expect: vec![expect] };
    Ok(args.part.iter().fold(plan, |plan, part| part.of(plan)))
}
