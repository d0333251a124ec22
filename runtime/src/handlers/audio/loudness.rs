//! Loudness by EBU R128 (ITU-R BS.1770): what ffmpeg's `ebur128` measured, and the gain that leads
//! to a target. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use crate::ffmpeg::filter::Filter;
use crate::ffmpeg::log::Log;
use crate::ffmpeg::sound::Sound;

/// Sound below this is silence, to which no gain leads anywhere (the gate of BS.1770).
const SILENCE: f64 = -69.9;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Loudness {
    /// Integrated loudness in LUFS.
    pub integrated: f64,
    /// Loudness range in LU (EBU Tech 3342).
    pub range: f64,
    /// The highest true peak of all channels, in dBTP.
    pub true_peak: f64,
}

/// How a target is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gain {
    /// Decibels.
    decibels: f64,
    /// Peaks are held below this, where the gain lifts them beyond it.
    ceiling: Option<f64>,
}

impl Loudness {
    /// Reads the summary at the end of a run with `ebur128`; none where there is none. A peak of
    /// nothing at all is `-inf`.
    pub(super) fn of(log: &Log) -> Option<Self> {
        let figure = |name: &str| {
            let line = log.report.iter().rev().find(|line| line.starts_with(name))?;
            line.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok()
        };
        Some(Loudness {
            integrated: figure("I:")?,
            range: figure("LRA:")?,
            true_peak: figure("Peak:")?.max(-144.0),
        })
    }

    /// The gain from here to `target`; none where there is only silence.
    pub(super) fn gain_to(self, target: f64, true_peak: f64) -> Option<Gain> {
        let decibels = target - self.integrated;
        let ceiling = (self.true_peak + decibels > true_peak).then_some(true_peak);
        (self.integrated > SILENCE).then_some(Gain { decibels, ceiling })
    }
}

impl Gain {
    /// A limiter is at work.
    pub(super) fn limits(self) -> bool {
        self.ceiling.is_some()
    }

    /// The filters that apply it. True peaks lie between samples, so the limiter works on four
    /// times as many (BS.1770-4, annex 2) and a little below the ceiling.
    pub(super) fn filters(self, rate: u32) -> Vec<Filter> {
        let mut filters =
            vec![Filter::Sound(Sound::Volume((self.decibels * 100.0).round() / 100.0))];
        if let Some(ceiling) = self.ceiling {
            let fine = rate.saturating_mul(4).clamp(96_000, 192_000);
            filters.extend([
                Filter::Sound(Sound::Rate(fine)),
                Filter::Sound(Sound::Limit(ceiling - 0.2)),
                Filter::Sound(Sound::Rate(rate)),
            ]);
        }
        filters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffmpeg::filter::Chain;

    fn log(text: &str) -> Log {
        let mut log = Log::default();
        text.lines().for_each(|line| log.line(line));
        log
    }

    const SUMMARY: &str = "[Parsed_ebur128_0 @ 0x1] [info] Summary:\n\n  Integrated loudness:\n    \
        I:         -12.5 LUFS\n    Threshold: -23.7 LUFS\n\n  Loudness range:\n    LRA:         4.2 LU\n    \
        Threshold: -34.1 LUFS\n    LRA low:   -15.9 LUFS\n    LRA high:  -11.8 LUFS\n\n  True peak:\n    \
        Peak:       -2.1 dBFS\n";

    #[test]
    fn the_summary_is_read() {
        let expected = Loudness { integrated: -12.5, range: 4.2, true_peak: -2.1 };
        assert_eq!(Loudness::of(&log(SUMMARY)), Some(expected));
        assert_eq!(Loudness::of(&log("[info] nothing of the kind")), None);
        let silent = SUMMARY.replace("-12.5", "-70.0").replace("-2.1", "-inf");
        assert_eq!(Loudness::of(&log(&silent)).unwrap().gain_to(-14.0, -1.0), None);
    }

    #[test]
    fn a_limiter_works_only_where_the_gain_goes_too_far() {
        let filters = |integrated, true_peak, target| {
            let measured = Loudness { integrated, range: 4.0, true_peak };
            Chain(measured.gain_to(target, -1.0).unwrap().filters(48_000)).to_string()
        };
        insta::assert_snapshot!(filters(-12.5, -2.1, -23.0), @"volume=volume=-10.5dB");
        insta::assert_snapshot!(filters(-30.0, -8.0, -14.0), @"volume=volume=16dB,aresample=sample_rate=192000,alimiter=limit=0.870964:level=0:latency=1,aresample=sample_rate=48000");
    }
}
