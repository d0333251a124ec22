//! Whether a result is all of the sound: samples that were decoded, that were encoded, and what the
//! file that was written says. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::Expect;
use crate::ffmpeg::container::{Container, SoundFile};
use crate::ffmpeg::exec::Finished;
use crate::ffmpeg::probe::Media;
use crate::wire::{Failure, FailureKind};

/// Seconds by which coded sound may differ: a codec's frame at the start and one at the end.
const TOLERANCE: f64 = 0.15;

/// Samples that decoders may give more or less than were encoded: priming and padding.
const PRIMING: u64 = 4096;

/// What was verified. Samples are those of each channel.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Verified {
    /// Samples that were decoded from the input; null where its packets were copied, or where its
    /// sound isn't heard.
    pub samples_in: Option<u64>,
    /// Samples that were encoded; null where packets were copied.
    pub samples_out: Option<u64>,
    /// Packets of the sound in the result.
    pub packets: u64,
    /// Packets of the picture in the result, all of the input's; null without a picture.
    pub frames: Option<u64>,
    /// Seconds of the result.
    pub duration_seconds: f64,
    /// How it was checked.
    pub method: Method,
}

/// How a result was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// ffmpeg's counts, and the packets and the duration of what was written.
    Packets,
    /// The same, and the result was decoded.
    Decoded,
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence<'a> {
    pub(super) name: &'a str,
    pub(super) input: &'a Media,
    pub(super) expect: Expect,
    pub(super) container: Container,
    pub(super) run: &'a Finished,
    pub(super) written: &'a Media,
    /// Samples that were decoded from the result, if they were.
    pub(super) decoded: Option<u64>,
}

/// Accepts a result, or says what is wrong with it or with the input.
pub(super) fn judge(evidence: Evidence<'_>) -> Result<Verified, Failure> {
    let Evidence { expect, written, .. } = evidence;
    let tracks = written.audio();
    if tracks.len() != expect.tracks {
        return Err(broken(format!(
            "{} audio tracks came out, not {}",
            tracks.len(),
            expect.tracks
        )));
    }
    let frames = picture(evidence)?;
    let sound = tracks.first().map(|(stream, sound)| (*stream, sound.sample_rate));
    let packets = sound.and_then(|(stream, _)| stream.counted_packets).unwrap_or(0);
    let said = sound.and_then(|(stream, _)| stream.duration).or(written.duration).unwrap_or(0.0);
    let mut verified = Verified {
        samples_in: None,
        samples_out: None,
        packets,
        frames,
        duration_seconds: said,
        method: if evidence.decoded.is_some() { Method::Decoded } else { Method::Packets },
    };
    match sound {
        None => {}
        Some(_) if expect.copied => copied(evidence, packets)?,
        Some((_, rate)) => {
            let (samples_in, samples_out) = encoded(evidence, rate, said)?;
            verified.samples_in = samples_in;
            verified.samples_out = Some(samples_out);
            if evidence.container == Container::Sound(SoundFile::Adts) {
                // The format has no place for a duration.
                verified.duration_seconds = samples_out as f64 / f64::from(rate);
            }
        }
    }
    Ok(verified)
}

/// Every packet of the picture came along.
fn picture(evidence: Evidence<'_>) -> Result<Option<u64>, Failure> {
    let Some(stream) = evidence.expect.picture else { return Ok(None) };
    let log = &evidence.run.log;
    let read = log.inputs.get(&(0, stream)).map_or(0, |count| count.packets);
    let written = evidence.written.video().and_then(|(stream, _)| stream.counted_packets);
    let written = written.unwrap_or(0);
    if written == 0 || written != read {
        return Err(broken(format!("{read} frames went in, {written} came out")));
    }
    Ok(Some(written))
}

fn copied(evidence: Evidence<'_>, packets: u64) -> Result<(), Failure> {
    let Some(source) = evidence.expect.heard else { return Ok(()) };
    let read = evidence.run.log.inputs.get(&(0, source.stream)).copied().unwrap_or_default();
    if read.packets == 0 {
        return Err(no_sound(evidence));
    }
    if packets != read.packets {
        return Err(broken(format!("{} packets went in, {packets} came out", read.packets)));
    }
    Ok(())
}

/// Checks counts of samples; gives back those that were decoded and those that were encoded.
fn encoded(evidence: Evidence<'_>, rate: u32, said: f64) -> Result<(Option<u64>, u64), Failure> {
    let Evidence { expect, run, container, .. } = evidence;
    let samples_in = expect.heard.map(|_| complete(evidence)).transpose()?;
    let track = u32::from(expect.picture.is_some());
    let samples_out = run.log.samples.get(&(0, track)).copied().unwrap_or(0);
    let made = samples_out as f64 / f64::from(rate.max(1));
    if let Some(expected) = expected_seconds(evidence, samples_in) {
        let more_is_wrong = expect.seconds.is_some();
        if expected - made > TOLERANCE || (more_is_wrong && made - expected > TOLERANCE) {
            return Err(broken(format!("{expected:.3} s were expected, {made:.3} s came out")));
        }
    }
    let exact = matches!(container, Container::Sound(file) if file.is_lossless());
    let differs = (said - made).abs() > if exact { 0.002 } else { TOLERANCE };
    if differs && container != Container::Sound(SoundFile::Adts) {
        return Err(broken(format!("{made:.3} s were encoded, the file has {said:.3} s")));
    }
    if let Some(decoded) =
        evidence.decoded.filter(|decoded| decoded.abs_diff(samples_out) > PRIMING)
    {
        return Err(broken(format!("only {decoded} of its {samples_out} samples can be decoded")));
    }
    Ok((samples_in, samples_out))
}

fn expected_seconds(evidence: Evidence<'_>, samples_in: Option<u64>) -> Option<f64> {
    let Expect { seconds, late, heard, .. } = evidence.expect;
    let source = heard?;
    let rate = evidence.input.audio().into_iter().find(|(s, _)| s.index == source.stream)?.1;
    let decoded = samples_in? as f64 / f64::from(rate.sample_rate.max(1));
    seconds.or(Some(decoded + late))
}

/// The samples that were decoded, unless much of what the header promises is missing.
fn complete(evidence: Evidence<'_>) -> Result<u64, Failure> {
    let Evidence { input, expect, run, name, .. } = evidence;
    let source = expect.heard.unwrap_or_default();
    let read = run.log.inputs.get(&(source.input, source.stream)).copied().unwrap_or_default();
    let found = input.audio().into_iter().find(|(stream, _)| stream.index == source.stream);
    let Some((stream, sound)) = found.filter(|_| read.samples > 0) else {
        return Err(no_sound(evidence));
    };
    let decoded = read.samples as f64 / f64::from(sound.sample_rate.max(1));
    let promised = stream.duration.or(input.duration).unwrap_or(0.0);
    let lacks_time = promised - decoded > (promised * 0.05).max(0.5);
    let lacks_packets = match stream.claimed_frames {
        Some(claimed) => claimed.saturating_sub(read.packets) * 20 > claimed,
        None => run.log.ends_early,
    };
    if lacks_time && lacks_packets {
        let failure = Failure::new(
            FailureKind::InvalidInput,
            format!("`{name}` is truncated or damaged"),
        )
        .cause(format!(
            "its header promises {promised:.1} s of sound, and {decoded:.1} s could be decoded"
        ));
        return Err(run.log.error_lines().fold(failure, Failure::cause).hint(
            "compare it with the original, or pass `verify=off` to keep what can be decoded",
        ));
    }
    Ok(read.samples)
}

fn no_sound(evidence: Evidence<'_>) -> Failure {
    let message = format!("no sound of `{}` can be decoded", evidence.name);
    let failure = Failure::new(FailureKind::InvalidInput, message);
    evidence.run.log.error_lines().fold(failure, Failure::cause)
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Verification, "the result doesn't hold up to its checks")
        .cause(why)
        .hint("`verify=off` keeps it all the same; please report this with the input")
}
