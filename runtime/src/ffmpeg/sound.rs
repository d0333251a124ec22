//! Filters of sound, as data. Pure.

use std::fmt;

use super::filter::write;

/// What is done to sound.
#[derive(Clone, Debug, PartialEq)]
pub enum Sound {
    /// Makes sound louder by so many decibels, or quieter.
    Volume(f64),
    /// Sound that begins at zero: what is missing at the start and in gaps is silence, what is
    /// before zero is cut.
    FromZero {
        /// Samples per second of the result; none keeps them.
        rate: Option<u32>,
    },
    /// Sound at this many samples per second.
    Rate(u32),
    /// Sound from one second to another, counted anew from zero.
    TrimAudio {
        /// The first second.
        start: f64,
        /// The second that isn't heard any more.
        end: f64,
    },
    /// Silence after the end, for ever.
    PadAudio,
    /// Silence for so many milliseconds before the start.
    Delay(u64),
    /// Adds up the sound of so many streams, for as long as the first lasts.
    Mix(u32),
    /// Silence, for ever; it has no input.
    Silence {
        /// Samples per second.
        rate: u32,
    },
    /// Holds peaks below so many decibels of full scale.
    Limit(f64),
    /// Measures loudness by EBU R128, and says it in the log.
    MeasureLoudness,
    /// Draws sound as one picture.
    Waveform {
        /// Width and height.
        size: (u32, u32),
    },
    /// Joins so many streams of sound.
    JoinAudio(u32),
    /// Fades from one sound to the next.
    CrossfadeAudio {
        /// How long.
        seconds: f64,
    },
}

impl fmt::Display for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sound::Volume(decibels) => write(f, "volume", &[("volume", &format!("{decibels}dB"))]),
            Sound::FromZero { rate } => from_zero(f, *rate),
            Sound::Rate(rate) => write(f, "aresample", &[("sample_rate", &rate.to_string())]),
            Sound::TrimAudio { start, end } => trim_audio(f, *start, *end),
            Sound::PadAudio => write(f, "apad", &[]),
            Sound::Delay(ms) => write(f, "adelay", &[("delays", &ms.to_string()), ("all", "1")]),
            Sound::Mix(inputs) => {
                let inputs = inputs.to_string();
                let options = [("inputs", inputs.as_str()), ("duration", "first")];
                write(f, "amix", &[options[0], options[1], ("normalize", "0")])
            }
            Sound::Silence { rate } => {
                write(f, "anullsrc", &[("r", &rate.to_string()), ("cl", "stereo")])
            }
            Sound::Limit(decibels) => {
                let limit = format!("{:.6}", 10_f64.powf(decibels / 20.0));
                write(f, "alimiter", &[("limit", &limit), ("level", "0"), ("latency", "1")])
            }
            Sound::MeasureLoudness => write(f, "ebur128", &[("peak", "true")]),
            Sound::Waveform { size: (w, h) } => {
                let size = format!("{w}x{h}");
                write(
                    f,
                    "showwavespic",
                    &[("size", &size), ("colors", "0x3b82f6"), ("filter", "peak")],
                )
            }
            Sound::JoinAudio(parts) => join(f, *parts, ("0", "1")),
            Sound::CrossfadeAudio { seconds } => {
                write(f, "acrossfade", &[("duration", &format!("{seconds:.6}"))])
            }
        }
    }
}

fn from_zero(f: &mut fmt::Formatter<'_>, rate: Option<u32>) -> fmt::Result {
    let rate = rate.map(|rate| rate.to_string());
    let mut options: Vec<_> = rate.iter().map(|rate| ("sample_rate", rate.as_str())).collect();
    options.extend([("async", "1"), ("first_pts", "0")]);
    write(f, "aresample", &options)
}

fn trim_audio(f: &mut fmt::Formatter<'_>, start: f64, end: f64) -> fmt::Result {
    let (start, end) = (format!("{start:.6}"), format!("{end:.6}"));
    write(f, "atrim", &[("start", &start), ("end", &end)])?;
    f.write_str(",")?;
    write(f, "asetpts", &[("expr", "PTS-STARTPTS")])
}

pub(super) fn join(
    f: &mut fmt::Formatter<'_>,
    parts: u32,
    (video, audio): (&str, &str),
) -> fmt::Result {
    write(f, "concat", &[("n", &parts.to_string()), ("v", video), ("a", audio)])
}
