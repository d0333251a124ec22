//! Which encoder makes the video, and why not another. Pure.

use super::picture::Look;
use crate::ffmpeg::codec::{Encoder, VideoCodec};
use crate::ffmpeg::probe::{Kind, Stream};
use crate::function::Hardware;
use crate::gpu::{Bitstream, Capabilities, Gpu};
use crate::wire::{Failure, FailureKind};

/// Refuses pictures that are too small for every encoder of a codec.
pub fn check_size(codec: VideoCodec, (width, height): (u32, u32)) -> Result<(), Failure> {
    let least = match codec {
        VideoCodec::H264 | VideoCodec::Vp9 => 2,
        VideoCodec::Hevc => 16,
        VideoCodec::Av1 => 64,
    };
    if width >= least && height >= least {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::InvalidArgs,
        format!("{} needs at least {least}x{least} pixels, not {width}x{height}", codec.title()),
    )
    .hint("use `codec=h264`, or ask for a larger `width` and `height`"))
}

/// The encoder, and why it isn't a GPU's although one was wanted.
pub fn choose(
    codec: VideoCodec,
    hardware: Hardware,
    look: Look,
    machine: &Capabilities,
) -> Result<(Encoder, Option<String>), Failure> {
    let why_not = match hardware {
        Hardware::Off => None,
        Hardware::Auto | Hardware::Required => match nvenc(codec, look, machine) {
            Ok(encoder) => return Ok((encoder, None)),
            Err(reason) => Some(reason),
        },
    };
    if hardware == Hardware::Required {
        return Err(no_hardware(codec, why_not.unwrap_or_default()));
    }
    match machine.software.get(&codec) {
        Some(encoder) => Ok((*encoder, why_not)),
        None => Err(no_software(codec)),
    }
}

fn nvenc(codec: VideoCodec, look: Look, machine: &Capabilities) -> Result<Encoder, String> {
    if codec == VideoCodec::Vp9 {
        return Err("NVIDIA GPUs have no VP9 encoder".into());
    }
    if codec == VideoCodec::H264 && look.ten_bit {
        return Err("NVIDIA GPUs don't encode H.264 with 10 bits".into());
    }
    let mut reason = machine.no_gpu.clone();
    for gpu in &machine.gpus {
        match gpu.encode.get(&codec) {
            Some(Ok(())) => return Ok(Encoder::Nvenc { codec, gpu: gpu.index }),
            Some(Err(why)) => reason = Some(format!("{}: {why}", gpu.name)),
            None => {}
        }
    }
    Err(reason.unwrap_or_else(|| "no GPU was found".into()))
}

fn no_hardware(codec: VideoCodec, reason: String) -> Failure {
    Failure::new(
        FailureKind::Machine,
        format!(
            "no GPU of this machine can encode {}, and `hardware` is `required`",
            codec.title()
        ),
    )
    .cause(reason)
    .hint("use `hardware=auto` to fall back to the CPU; `vdeploy check` says what each GPU can do")
    .retryable(false)
}

fn no_software(codec: VideoCodec) -> Failure {
    Failure::new(
        FailureKind::Machine,
        format!("this ffmpeg has no encoder for {} that works", codec.title()),
    )
    .hint("install a full build: `sudo apt-get install ffmpeg`; `vdeploy check` says what it has")
    .retryable(false)
}

/// The GPU that an encoder runs on.
pub fn gpu_of(encoder: Encoder, machine: &Capabilities) -> Option<&Gpu> {
    match encoder {
        Encoder::Nvenc { gpu, .. } => machine.gpus.iter().find(|known| known.index == gpu),
        _ => None,
    }
}

/// Frames can stay on the GPU from decoder to encoder: NVDEC takes the stream, and nothing has to
/// be done that only the CPU does.
pub fn stays_on_gpu(gpu: &Gpu, stream: &Stream, look: Look) -> bool {
    let Kind::Video(video) = &stream.kind else { return false };
    Bitstream::of(&stream.codec, &video.pixel_format).is_some_and(|kind| gpu.decodes(kind))
        && video.rotation == 0
        && !video.interlaced
        && look.tone_map.is_none()
        && look.geometry.crop.is_none()
        && look.geometry.pad.is_none()
}
