//! What went wrong with ffmpeg, in one plain sentence with its causes and what to do. Pure.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::exec::ExecError;
use super::log::Log;
use crate::wire::{Failure, FailureKind};

/// A message of ffmpeg's or a driver's, and what it means to a person.
struct Known {
    /// Part of the line.
    sign: &'static str,
    kind: FailureKind,
    meaning: &'static str,
    hint: &'static str,
}

/// Messages that mean the same whatever the job was.
const KNOWN: &[Known] = &[
    Known {
        sign: "No space left on device",
        kind: FailureKind::Output,
        meaning: "the disk is full",
        hint: "free some space, or name an output on another disk: `df -h`",
    },
    Known {
        sign: "Disk quota exceeded",
        kind: FailureKind::Output,
        meaning: "the disk quota is used up",
        hint: "free some space, or name an output on another disk: `df -h`",
    },
    Known {
        sign: "File too large",
        kind: FailureKind::Output,
        meaning: "the output is larger than this file system or process may write",
        hint: "look at `ulimit -f`, or name an output on another disk",
    },
    Known {
        sign: "Cannot allocate memory",
        kind: FailureKind::Machine,
        meaning: "there is not enough memory",
        hint: "give the function more `memory`, or fewer `threads`",
    },
    Known {
        sign: "Unknown encoder",
        kind: FailureKind::Machine,
        meaning: "this build of ffmpeg lacks the encoder",
        hint: "install a full build: `sudo apt-get install ffmpeg`; `vdeploy check` says what it has",
    },
    Known {
        sign: "No such filter",
        kind: FailureKind::Machine,
        meaning: "this build of ffmpeg lacks a filter",
        hint: "install a full build: `sudo apt-get install ffmpeg`; `vdeploy check` says what it has",
    },
    Known {
        sign: "Permission denied",
        kind: FailureKind::Output,
        meaning: "a file may not be read or written",
        hint: "look at the permissions of the input and of the output's folder",
    },
];

/// What NVIDIA's driver and ffmpeg's NVENC code say, and what each of it means.
const HARDWARE: &[(&str, &str, &str)] = &[
    (
        "Cannot load libcuda.so.1",
        "no NVIDIA driver can be loaded",
        "use a machine or container with a GPU: `docker run --gpus all`",
    ),
    (
        "Cannot load libnvidia-encode.so.1",
        "the driver's encoder library isn't there",
        "let the container have it: `NVIDIA_DRIVER_CAPABILITIES=video,compute,utility`",
    ),
    (
        "nvcuvid",
        "the driver's decoder library isn't there",
        "let the container have it: `NVIDIA_DRIVER_CAPABILITIES=video,compute,utility`",
    ),
    (
        "minimum required Nvidia driver for nvenc",
        "the driver is older than this build of ffmpeg wants",
        "update the NVIDIA driver, or use an older ffmpeg",
    ),
    (
        "Driver does not support the required nvenc API version",
        "the driver is older than this build of ffmpeg wants",
        "update the NVIDIA driver, or use an older ffmpeg",
    ),
    (
        "unsupported device (2)",
        "this GPU has no encoder (A100, H100, H200 and B200 have none)",
        "use a T4, L4, A10G or L40S",
    ),
    (
        "OpenEncodeSessionEx failed: out of memory (10)",
        "the GPU has no memory or no encoder session left",
        "run fewer calls at once: `max_containers`",
    ),
    (
        "incompatible client key (21)",
        "the GPU has no encoder session left",
        "run fewer calls at once: `max_containers`",
    ),
    (
        "10 bit encode not supported",
        "this GPU can't encode 10 bits in this codec",
        "use `codec=hevc` or `ten_bit=false`",
    ),
    (
        "B frames as references are not supported",
        "this GPU can't refer to B-frames in this codec",
        "use another `codec`, or `hardware=off`",
    ),
    (
        "RC lookahead not supported",
        "this GPU can't look ahead while it encodes",
        "use `hardware=off`, or a newer GPU such as an L4",
    ),
    (
        "Lossless encoding not supported",
        "this GPU can't encode without loss",
        "use a `crf` above 0, or `hardware=off`",
    ),
    (
        " exceeds ",
        "the picture is larger than this GPU can encode",
        "use a smaller `width` and `height`, `codec=hevc`, or `hardware=off`",
    ),
    (
        "No CUDA capable devices found",
        "there is a driver, but no GPU is visible",
        "reserve a GPU for the function: `gpu = [\"L4\"]`",
    ),
    (
        "CUDA_ERROR_NO_DEVICE",
        "there is a driver, but no GPU is visible",
        "reserve a GPU for the function: `gpu = [\"L4\"]`",
    ),
    ("No decoder surfaces left", "the GPU's decoder ran out of surfaces", "use `hardware=off`"),
    (
        "Codec not supported",
        "this GPU can't encode this codec",
        "use an L4 or L40S for AV1, or another `codec`",
    ),
    (
        "support required NVENC features",
        "this GPU can't encode this codec or with these settings",
        "use an L4 or L40S for AV1, or another `codec`",
    ),
    (
        "Unknown encoder",
        "this build of ffmpeg lacks the encoder",
        "use a build of ffmpeg with NVENC",
    ),
    (
        "Impossible to convert between the formats",
        "a step of this needs the picture in the CPU's memory",
        "use `hardware=off`, and report this with the arguments",
    ),
    (
        "Hardware is lacking required capabilities",
        "this GPU can't decode this codec",
        "use `hardware=off`",
    ),
    (
        "hwaccel initialisation returned error",
        "this GPU can't decode this video",
        "use `hardware=off`",
    ),
    ("No capable devices found", "no GPU can encode this", "`vdeploy check` says what each can do"),
];

/// How to get ffmpeg.
pub const INSTALL: &str =
    "install it: `sudo apt-get install ffmpeg` (macOS: `brew install ffmpeg`)";

/// `error` as the failure of a call; `what` is what was being done, such as
/// "can't transcode `clip.mp4`". The last things that ffmpeg said become the causes.
pub fn failure(error: ExecError, what: &str) -> Failure {
    match error {
        ExecError::Missing(program) => {
            let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
            Failure::new(FailureKind::Machine, format!("`{name}` isn't installed"))
                .cause(format!("there is no program `{}`", program.display()))
                .hint(INSTALL)
                .retryable(false)
        }
        ExecError::Start { program, source } => {
            Failure::new(FailureKind::Machine, format!("can't run `{}`", program.display()))
                .cause(source)
        }
        ExecError::Cancelled => Failure::new(FailureKind::Cancelled, "the call was cancelled"),
        error @ (ExecError::TooLong { .. } | ExecError::Endless { .. }) => {
            Failure::new(FailureKind::InvalidInput, what).cause(error)
        }
        ExecError::Failed { status, log } => ended(status, &log, what),
    }
}

/// Why hardware wasn't used, as (reason, hint); none when nothing that was said is known.
pub fn hardware_reason(log: &Log) -> Option<(&'static str, &'static str)> {
    let said: Vec<&str> =
        log.error_lines().chain(log.hardware.iter().map(String::as_str)).collect();
    HARDWARE
        .iter()
        .find(|(sign, ..)| said.iter().any(|line| line.contains(sign)))
        .map(|(_, reason, hint)| (*reason, *hint))
}

fn ended(status: ExitStatus, log: &Log, what: &str) -> Failure {
    if let Some(signal) = log.signal.or_else(|| status.signal()) {
        return stopped(signal, what);
    }
    let known = KNOWN.iter().find(|known| log.error_lines().any(|line| line.contains(known.sign)));
    let failure = match known {
        Some(known) => Failure::new(known.kind, what).cause(known.meaning).hint(known.hint),
        None => Failure::new(FailureKind::InvalidInput, what),
    };
    let failure = failure.retryable(known.is_some_and(|k| k.kind == FailureKind::Output));
    match log.errors.is_empty() {
        true => failure.cause(format!("ffmpeg ended with {status} and said nothing")),
        false => log.error_lines().fold(failure, Failure::cause),
    }
}

fn stopped(signal: i32, what: &str) -> Failure {
    const INTERRUPT: i32 = 2;
    const KILL: i32 = 9;
    const FILE_TOO_LARGE: i32 = 25;
    match signal {
        INTERRUPT => Failure::new(FailureKind::Cancelled, "the call was interrupted"),
        FILE_TOO_LARGE => Failure::new(FailureKind::Output, what)
            .cause("the output is larger than this process may write")
            .hint("look at `ulimit -f`, or name an output on another disk"),
        KILL => Failure::new(FailureKind::WorkerLost, what)
            .cause("ffmpeg was killed (signal 9), perhaps because memory ran out")
            .hint("give the function more `memory`, or fewer `threads`"),
        signal => Failure::new(FailureKind::WorkerLost, what)
            .cause(format!("ffmpeg was ended by signal {signal}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Box<Log> {
        let mut log = Log::default();
        lines.iter().for_each(|line| log.line(line));
        Box::new(log)
    }

    fn failed(lines: &[&str]) -> Failure {
        let status = ExitStatus::from_raw(1 << 8);
        failure(ExecError::Failed { status, log: log(lines) }, "can't transcode `a.mp4`")
    }

    #[test]
    fn a_missing_program_says_how_to_install_it() {
        let failure = failure(ExecError::Missing("/opt/ffmpeg".into()), "can't");
        assert_eq!(failure.message, "`ffmpeg` isn't installed");
        assert!(failure.hint.as_deref().is_some_and(|h| h.contains("apt-get install ffmpeg")));
        assert!(!failure.retryable);
    }

    #[test]
    fn a_full_disk_is_named_and_may_be_tried_again() {
        let failure = failed(&["[error] av_interleaved_write_frame(): No space left on device"]);
        assert_eq!(failure.kind, FailureKind::Output);
        assert_eq!(failure.causes[0], "the disk is full");
        assert!(failure.retryable);
    }

    #[test]
    fn unknown_errors_are_quoted() {
        let failure = failed(&["[h264 @ 0x1] [error] something odd"]);
        assert_eq!(failure.causes, ["something odd"]);
        assert_eq!(failure.kind, FailureKind::InvalidInput);
    }

    /// What NVENC, NVDEC and the driver say, as ffmpeg prints it, and what is made of it.
    #[test]
    fn every_known_message_has_a_reason_and_a_fix() {
        let lines = [
            "[error] Cannot load libcuda.so.1",
            "[error] Cannot load libnvidia-encode.so.1",
            "[error] The minimum required Nvidia driver for nvenc is 520.56.06 or newer",
            "[error] Cannot load libnvcuvid.so.1",
            "[error] Failed loading nvcuvid.",
            "[error] Driver does not support the required nvenc API version. Required: 12.1 Found: 11.0",
            "[error] OpenEncodeSessionEx failed: unsupported device (2): (no details)",
            "[error] OpenEncodeSessionEx failed: out of memory (10): (no details)",
            "[error] OpenEncodeSessionEx failed: incompatible client key (21): (no details)",
            "[fatal] No capable devices found",
            "[error] Provided device doesn't support required NVENC features",
            "[warning] Codec not supported by nvenc",
            "[warning] 10 bit encode not supported by nvenc",
            "[warning] B frames as references are not supported by nvenc",
            "[warning] RC lookahead not supported by nvenc",
            "[warning] Width 8192 exceeds 4096 of nvenc",
            "[error] No CUDA capable devices found",
            "[error] Impossible to convert between the formats supported by the filter",
            "[error] No decoder surfaces left",
            "[warning] Failed setup for format cuda: hwaccel initialisation returned error.",
            "[warning] Hardware is lacking required capabilities",
        ];
        let said: String = lines
            .iter()
            .map(|line| {
                let (reason, hint) = hardware_reason(&log(&[line])).unwrap_or((line, "UNKNOWN"));
                format!("{reason}; {hint}\n")
            })
            .collect();
        assert!(!said.contains("UNKNOWN"), "{said}");
    }

    #[test]
    fn driver_messages_become_reasons() {
        let reason = |line| hardware_reason(&log(&[line])).map(|(reason, _)| reason);
        assert_eq!(
            reason("[h264_nvenc @ 0x1] [error] Cannot load libcuda.so.1"),
            Some("no NVIDIA driver can be loaded")
        );
        assert_eq!(
            reason(
                "[h264_nvenc @ 0x1] [error] OpenEncodeSessionEx failed: unsupported device (2): (no details)"
            ),
            Some("this GPU has no encoder (A100, H100, H200 and B200 have none)")
        );
        assert_eq!(reason("[error] Conversion failed!"), None);
    }
}
