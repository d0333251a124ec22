//! Whether a result holds up: what ffmpeg counted, what the header promised and what is in the
//! file that was written. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Expect, Frames};
use crate::ffmpeg::exec::Finished;
use crate::ffmpeg::log::InputCount;
use crate::ffmpeg::mp4::{self, Index};
use crate::ffmpeg::probe::{Media, Stream};
use crate::wire::{Failure, FailureKind};

/// The share of frames that a damaged input may lose before the result counts as broken.
const TOLERATED_LOSS: f64 = 0.05;

/// How a result was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// ffmpeg's exit status and counts, and a count of the packets in the result: of those in the
    /// index of an MP4 file, which has to match the file's size, or of those that were read.
    Packets,
    /// The same, and the result was decoded.
    Decoded,
}

/// What was verified.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Verified {
    /// Frames that were decoded from the input.
    pub frames_in: u64,
    /// Frames in the result.
    pub frames_out: u64,
    /// Frames of the input that could not be decoded.
    pub frames_lost: u64,
    /// Seconds of the result.
    pub duration_seconds: f64,
    /// Width of the result in pixels.
    pub width: u32,
    /// Height of the result in pixels.
    pub height: u32,
    /// Audio tracks of the result, by codec.
    pub audio: Vec<String>,
    /// How it was checked.
    pub method: Method,
}

/// What is in a file that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Packets of its video.
    pub packets: u64,
    /// Seconds.
    pub duration: Option<f64>,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// It is to be shown turned.
    pub turned: bool,
    /// Codecs of its audio tracks.
    pub audio: Vec<String>,
}

impl Written {
    /// What ffprobe found; none without video.
    pub fn of_media(media: &Media) -> Option<Self> {
        let (stream, picture) = media.video()?;
        Some(Written {
            packets: stream.counted_packets.unwrap_or(0),
            duration: stream.duration.or(media.duration),
            size: (picture.width, picture.height),
            turned: picture.rotation != 0,
            audio: media.audio().iter().map(|(stream, _)| stream.codec.clone()).collect(),
        })
    }

    /// What an index says; none without video.
    pub fn of_index(index: &Index) -> Option<Self> {
        let (track, size) = index.tracks.iter().find_map(|track| match track.kind {
            mp4::Kind::Video { width, height } => Some((track, (width, height))),
            _ => None,
        })?;
        let audio = index.tracks.iter().filter_map(|track| match track.kind {
            mp4::Kind::Audio { codec } => Some(codec.to_owned()),
            _ => None,
        });
        Some(Written {
            packets: track.samples,
            duration: Some(track.duration),
            size,
            turned: false,
            audio: audio.collect(),
        })
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What the caller called the input.
    pub name: &'a str,
    /// What the input's header claims.
    pub input: &'a Media,
    /// What the result should be like.
    pub expect: Expect,
    /// Index of the result among the outputs of the job.
    pub output: u32,
    /// What ffmpeg said.
    pub run: &'a Finished,
    /// What is in the result, as it was read back; none when that is no video.
    pub written: Option<&'a Written>,
    /// Frames that were decoded from the result, if they were.
    pub decoded: Option<u64>,
}

/// Accepts a result, or says what is wrong with it, or with the input that it comes from.
pub fn judge(evidence: Evidence<'_>) -> Result<Verified, Failure> {
    let Evidence { expect, run, written: result, decoded, .. } = evidence;
    let read = run
        .log
        .inputs
        .get(&(expect.source.input, expect.source.stream))
        .copied()
        .unwrap_or_default();
    if read.frames == 0 {
        return Err(no_frames(evidence, read));
    }
    let result = result.ok_or_else(|| broken("it has no video"))?;
    let written = result.packets;
    let duration = result.duration.unwrap_or(run.last.seconds);
    match expect.frames {
        Frames::Exactly(frames) if written != frames => {
            return Err(broken(format!("it has {written} frames, and {frames} were expected")));
        }
        Frames::Near(frames) if written.abs_diff(frames) > 1 => {
            return Err(broken(format!(
                "it has {written} frames, and about {frames} were expected"
            )));
        }
        Frames::Exactly(_) | Frames::Near(_) | Frames::Part => {}
        Frames::Every | Frames::Any => complete(evidence, read, duration)?,
    }
    if expect.frames == Frames::Every && written != read.frames {
        return Err(broken(format!("{} frames went in, {written} came out", read.frames)));
    }
    let counted = run.log.outputs.get(&(evidence.output, 0)).copied();
    if counted.is_some_and(|counted| counted != written) || written == 0 {
        let counted = counted.unwrap_or(0);
        return Err(broken(format!("ffmpeg wrote {counted} frames, the file has {written}")));
    }
    if decoded.is_some_and(|decoded| decoded != written) {
        let decoded = decoded.unwrap_or(0);
        return Err(broken(format!("only {decoded} of its {written} frames can be decoded")));
    }
    let size = result.size;
    if size != expect.size || result.turned {
        let (w, h) = expect.size;
        return Err(broken(format!("it is {}x{}, and {w}x{h} was asked for", size.0, size.1)));
    }
    if result.audio.len() != expect.audio {
        let (has, wants) = (result.audio.len(), expect.audio);
        return Err(broken(format!("it has {has} audio tracks, and {wants} were expected")));
    }
    Ok(Verified {
        frames_in: read.frames,
        frames_out: written,
        frames_lost: lost(evidence, read),
        duration_seconds: duration,
        width: size.0,
        height: size.1,
        audio: result.audio.clone(),
        method: if decoded.is_some() { Method::Decoded } else { Method::Packets },
    })
}

/// Packets that the decoder refused. Packets that an edit list or an open GOP leaves out are no
/// loss: nothing was said about them.
fn lost(evidence: Evidence<'_>, read: InputCount) -> u64 {
    read.packets.saturating_sub(read.frames).min(evidence.run.log.decode_errors)
}

/// Fails when much of the input is missing. Headers lie both ways, so one claim alone is never
/// believed: a truncated file lacks packets *and* time, one with an edit list only packets, one
/// with a wild duration only time.
fn complete(evidence: Evidence<'_>, read: InputCount, duration: f64) -> Result<(), Failure> {
    let Evidence { input, expect, run, .. } = evidence;
    let Some(stream) = input.streams.iter().find(|s| s.index == expect.source.stream) else {
        return Ok(());
    };
    let promised = stream.duration.or(input.duration).unwrap_or(0.0);
    let lacks_time = promised - duration > (promised * TOLERATED_LOSS).max(0.5);
    let lacks_packets = match stream.claimed_frames {
        Some(claimed) => missing(claimed, read.packets),
        None => run.log.ends_early,
    };
    let lost = lost(evidence, read);
    if (lacks_time && lacks_packets) || missing(read.packets, read.packets - lost) {
        return Err(incomplete(evidence, stream, read, duration));
    }
    Ok(())
}

fn missing(of: u64, are: u64) -> bool {
    of.saturating_sub(are) as f64 > of as f64 * TOLERATED_LOSS
}

fn incomplete(evidence: Evidence<'_>, stream: &Stream, read: InputCount, duration: f64) -> Failure {
    let promised = stream.duration.or(evidence.input.duration).unwrap_or(0.0);
    let claim = match stream.claimed_frames {
        Some(frames) => format!("{frames} frames ({promised:.1} s)"),
        None => format!("{promised:.1} s"),
    };
    let failure = Failure::new(
        FailureKind::InvalidInput,
        format!("`{}` is truncated or damaged", evidence.name),
    )
    .cause(format!(
        "its header promises {claim}, and {} frames ({duration:.1} s) could be decoded",
        read.frames
    ));
    evidence
        .run
        .log
        .error_lines()
        .fold(failure, Failure::cause)
        .hint("compare it with the original, or pass `verify=off` to keep what can be decoded")
}

fn no_frames(evidence: Evidence<'_>, read: InputCount) -> Failure {
    let failure = Failure::new(
        FailureKind::InvalidInput,
        format!("no frame of `{}` can be decoded", evidence.name),
    )
    .cause(format!("{} packets of its video were read", read.packets));
    evidence.run.log.error_lines().fold(failure, Failure::cause)
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Verification, "the result doesn't hold up to its checks")
        .cause(why)
        .hint("`verify=off` keeps it all the same; please report this with the input")
}
