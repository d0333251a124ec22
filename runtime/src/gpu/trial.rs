//! Trials: one tiny clip through each encoder and decoder.

use std::ffi::OsString;

use tokio_util::sync::CancellationToken;

use super::{Bitstream, Gpu};
use crate::ffmpeg::codec::{Encoder, VideoCodec};
use crate::ffmpeg::exec::{self, ExecError};
use crate::ffmpeg::filter::{Filter, HdrTransfer};
use crate::ffmpeg::{Tools, failure};
use crate::wire::Failure;

/// A clip that every encoder takes; ffmpeg makes it by itself.
const CLIP: &str = "testsrc2=s=256x256:r=25:d=0.08";

/// CPU encoders of a codec, best first.
pub(super) fn candidates(codec: VideoCodec) -> &'static [Encoder] {
    match codec {
        VideoCodec::H264 => &[Encoder::X264],
        VideoCodec::Hevc => &[Encoder::X265],
        VideoCodec::Av1 => &[Encoder::SvtAv1, Encoder::Aom],
        VideoCodec::Vp9 => &[Encoder::Vp9],
    }
}

/// The first CPU encoder of `codec` that works.
pub(super) async fn software(
    tools: &Tools,
    codec: VideoCodec,
    cancel: &CancellationToken,
) -> Result<Option<Encoder>, Failure> {
    for encoder in candidates(codec) {
        if run(tools, &["-c:v", encoder.name(), "-f", "null", "-"], cancel).await?.is_ok() {
            return Ok(Some(*encoder));
        }
    }
    Ok(None)
}

/// Maps HDR to SDR on the CPU.
pub(super) async fn tone_mapping(
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Result<(), String>, Failure> {
    let filter = Filter::ToneMap { from: HdrTransfer::Pq, size: (128, 128) };
    // zscale finds no way from the clip's own colours to what an HDR source has.
    let filter = format!(
        "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc,{filter}"
    );
    let args = ["-vf", &filter, "-c:v", "rawvideo", "-f", "null", "-"];
    run(tools, &args, cancel).await
}

/// What each GPU can do.
pub(super) async fn gpus(
    tools: &Tools,
    names: &[String],
    cancel: &CancellationToken,
) -> Result<Vec<Gpu>, Failure> {
    let mut gpus = Vec::new();
    for (index, name) in (0_u32..).zip(names) {
        let mut gpu = Gpu {
            index,
            name: name.clone(),
            encode: Default::default(),
            decode: Default::default(),
        };
        for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
            let encoder = Encoder::Nvenc { codec, gpu: index };
            let args = [
                "-pix_fmt",
                "yuv420p",
                "-c:v",
                encoder.name(),
                "-gpu",
                &index.to_string(),
                "-f",
                "null",
                "-",
            ];
            gpu.encode.insert(codec, run(tools, &args, cancel).await?);
        }
        for kind in Bitstream::ALL {
            gpu.decode.insert(kind, decode(tools, index, kind, cancel).await?);
        }
        gpus.push(gpu);
    }
    Ok(gpus)
}

/// Decodes and resizes on the GPU. A decoder that falls back to the CPU is found out by the
/// resizer, which takes nothing but frames in GPU memory.
async fn decode(
    tools: &Tools,
    gpu: u32,
    kind: Bitstream,
    cancel: &CancellationToken,
) -> Result<Result<(), String>, Failure> {
    let Ok(folder) = tempfile::tempdir() else {
        return Ok(Err("no temporary folder to try the decoder in".into()));
    };
    let clip = folder.path().join("clip.mkv");
    let clip = clip.to_string_lossy();
    let coding: Vec<&str> = kind.coding().iter().copied().chain([clip.as_ref()]).collect();
    if let Err(why) = run(tools, &coding, cancel).await? {
        return Ok(Err(format!("no clip to try the decoder on: {why}")));
    }
    let gpu = gpu.to_string();
    let args = [
        "-y",
        "-loglevel",
        "level+warning",
        "-hwaccel",
        "cuda",
        "-hwaccel_output_format",
        "cuda",
        "-hwaccel_device",
        &gpu,
        "-i",
        &clip,
        "-vf",
        "scale_cuda=w=128:h=128",
        "-f",
        "null",
        "-",
    ];
    attempt(tools, args.map(OsString::from).into(), cancel).await
}

async fn run(
    tools: &Tools,
    output: &[&str],
    cancel: &CancellationToken,
) -> Result<Result<(), String>, Failure> {
    let input = ["-y", "-loglevel", "level+warning", "-f", "lavfi", "-i", CLIP];
    let args = input.iter().chain(output).map(OsString::from).collect();
    attempt(tools, args, cancel).await
}

/// One trial: whether it worked, or in one plain sentence why not. That ffmpeg can't be run at all
/// is no answer but a failure.
async fn attempt(
    tools: &Tools,
    args: Vec<OsString>,
    cancel: &CancellationToken,
) -> Result<Result<(), String>, Failure> {
    match exec::ffmpeg(&tools.ffmpeg, args, cancel, |_| {}).await {
        Ok(_) => Ok(Ok(())),
        Err(ExecError::Failed { log, .. }) => {
            let known = failure::hardware_reason(&log).map(|(reason, _)| reason.to_owned());
            let said = || log.error_lines().next().unwrap_or("ffmpeg failed").to_owned();
            Ok(Err(known.unwrap_or_else(said)))
        }
        Err(error) => Err(failure::failure(error, "can't find out what this machine can do")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// An ffmpeg on a machine whose GPU decodes everything but AV1, and encodes nothing.
    fn tools(folder: &std::path::Path) -> Tools {
        let ffmpeg = folder.join("ffmpeg");
        let script = "#!/bin/sh\ncase \"$*\" in\n\
            *_nvenc*) echo '[x @ 0x1] [error] OpenEncodeSessionEx failed: unsupported device (2)' >&2; exit 1;;\n\
            *-hwaccel*) for clip; do [ -f \"$clip\" ] && codec=$(ffprobe -v error -show_entries \
            stream=codec_name,pix_fmt -of csv=p=0 \"$clip\"); done; echo \"$codec\" >> \"$0.seen\"\n\
            case $codec in av1*) echo '[av1 @ 0x1] [error] Hardware is lacking required capabilities' >&2; exit 1;; esac\n\
            exit 0;;\nesac\nexec ffmpeg \"$@\"\n";
        std::fs::write(&ffmpeg, script).unwrap();
        std::fs::set_permissions(&ffmpeg, std::fs::Permissions::from_mode(0o755)).unwrap();
        Tools { ffmpeg, ffprobe: "ffprobe".into(), cache: folder.join("cache"), onnxruntime: None }
    }

    #[tokio::test]
    async fn every_kind_of_video_is_tried_by_a_clip_of_that_kind() {
        let folder = tempfile::tempdir().unwrap();
        let tools = tools(folder.path());
        let gpus = gpus(&tools, &["NVIDIA T4".into()], &CancellationToken::new()).await.unwrap();
        for (kind, tried) in &gpus[0].decode {
            let is_av1 = matches!(kind, Bitstream::Av1 | Bitstream::Av1Ten);
            assert_eq!(tried.is_err(), is_av1, "{kind:?}: {tried:?}");
        }
        assert_eq!(gpus[0].decode.len(), Bitstream::ALL.len());
        assert!(gpus[0].encode.values().all(Result::is_err));
        let seen = std::fs::read_to_string(folder.path().join("ffmpeg.seen")).unwrap();
        let seen = seen.lines().filter_map(|line| line.trim_end_matches(',').split_once(','));
        let kinds: Vec<_> =
            seen.filter_map(|(codec, format)| Bitstream::of(codec, format)).collect();
        assert_eq!(kinds, Bitstream::ALL);
    }
}
