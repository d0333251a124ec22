//! What each video encoder is told: the same wishes in the words of each. Pure.

use super::Args;
use crate::ffmpeg::codec::{Encoder, Speed, VideoCodec};
use crate::ffmpeg::job::{Keyframes, Rate, Video};
use crate::ffmpeg::pixel::HdrMetadata;

/// Frames between keyframes where they are asked for one by one.
const NEVER: u32 = 100_000;

impl Args {
    /// What codes the picture, and how well.
    pub(super) fn encoder(&mut self, video: &Video) {
        let speed = video.speed;
        match video.encoder {
            Encoder::Copy(_) => {}
            Encoder::X264 => {
                self.add(["-preset", x264_preset(speed)]);
                self.rate("-crf", video.rate);
                if let Some(zones) = seam_zones(video.rate) {
                    self.option("-x264-params", zones);
                }
            }
            Encoder::X265 => {
                self.add(["-preset", x264_preset(speed)]);
                self.rate("-crf", video.rate);
                let params = [Some(x265_params(video)), seam_zones(video.rate)];
                let params: Vec<_> = params.into_iter().flatten().collect();
                self.option("-x265-params", params.join(":"));
            }
            Encoder::SvtAv1 => {
                self.option("-preset", svt_preset(speed));
                self.rate("-crf", video.rate);
                if let Some(params) = video.hdr.as_ref().and_then(svt_params) {
                    self.option("-svtav1-params", params);
                }
            }
            Encoder::Aom => {
                self.option("-cpu-used", aom_cpu_used(speed));
                self.add(["-row-mt", "1"]);
                self.unbounded_rate("-crf", video.rate);
            }
            Encoder::Vp9 => {
                let (deadline, cpu_used) = vp9_speed(speed);
                self.add(["-deadline", deadline, "-cpu-used", cpu_used, "-row-mt", "1"]);
                self.unbounded_rate("-crf", video.rate);
            }
            Encoder::Nvenc { codec, gpu } => {
                self.option("-gpu", gpu);
                self.add(["-preset", nvenc_preset(speed), "-tune", "hq", "-rc", "vbr"]);
                self.unbounded_rate("-cq", nvenc_rate(codec, video.rate));
            }
        }
    }

    fn rate(&mut self, quality: &str, rate: Rate) {
        match rate {
            Rate::Quality(value) | Rate::Chunk { quality: value, .. } => {
                self.option(quality, value);
            }
            Rate::Bitrate(bits) => self.option("-b:v:0", bits),
            Rate::CappedQuality { quality: value, peak } => {
                self.option(quality, value);
                self.cap(peak, peak * 2);
            }
            Rate::CappedBitrate { average, peak } => {
                self.option("-b:v:0", average);
                self.cap(peak, average * 2);
            }
        }
    }

    fn cap(&mut self, peak: u64, buffer: u64) {
        self.option("-maxrate:v:0", peak);
        self.option("-bufsize:v:0", buffer);
    }

    /// Keyframes where they are wanted and nowhere else. x265 and SVT-AV1 take parts of it by
    /// their own parameters only.
    pub(super) fn keyframes(&mut self, video: &Video) {
        let distance = match video.keyframes {
            Keyframes::Free => return,
            Keyframes::Frames(frames) => frames,
            Keyframes::Seconds(seconds) => {
                // In terms of its own grid, so that a late start doesn't make keyframes of many.
                let slot = |time: &str| format!("floor({time}/{seconds})");
                let later = format!("gt({},{})", slot("t"), slot("prev_forced_t"));
                self.option("-force_key_frames:v:0", format!("expr:isnan(prev_forced_t)+{later}"));
                NEVER
            }
        };
        self.option("-g:v:0", distance);
        match video.encoder {
            Encoder::X264 => {
                self.option("-keyint_min:v:0", distance);
                self.add(["-sc_threshold:v:0", "0", "-forced-idr:v:0", "1"]);
            }
            Encoder::X265 => self.add(["-forced-idr:v:0", "1"]),
            Encoder::SvtAv1 | Encoder::Copy(_) => {}
            Encoder::Aom | Encoder::Vp9 => self.option("-keyint_min:v:0", distance),
            Encoder::Nvenc { .. } => {
                self.add(["-no-scenecut:v:0", "1", "-forced-idr:v:0", "1"]);
            }
        }
    }

    /// For encoders whose constant quality is capped by a default bit rate.
    fn unbounded_rate(&mut self, quality: &str, rate: Rate) {
        self.rate(quality, rate);
        if matches!(rate, Rate::Quality(_) | Rate::Chunk { .. } | Rate::CappedQuality { .. }) {
            self.add(["-b:v:0", "0"]);
        }
    }
}

/// The frames on each side of a seam that get more bits, and how much more. Measured with x264 at
/// `medium` and `veryfast`: without it they lose up to 0.008 of SSIM against one pass, or 0.02
/// where the picture is noise.
const SEAM_FRAMES: u64 = 16;
const SEAM_BITS: &str = "1.35";

fn seam_zones(rate: Rate) -> Option<String> {
    let Rate::Chunk { frames, follows, continues, .. } = rate else { return None };
    let last = frames.saturating_sub(1);
    let first = follows.then_some((0, last.min(SEAM_FRAMES - 1)));
    let end = continues.then_some((frames.saturating_sub(SEAM_FRAMES), last));
    let zones = match (first, end) {
        (Some((start, until)), Some((from, end))) if from <= until => vec![(start, end)],
        (first, end) => first.into_iter().chain(end).collect(),
    };
    let zones: Vec<_> = zones.iter().map(|(a, b)| format!("{a},{b},b={SEAM_BITS}")).collect();
    (!zones.is_empty()).then(|| format!("zones={}", zones.join("/")))
}

/// The name of a speed for x264 and x265.
pub(in crate::ffmpeg) fn x264_preset(speed: Speed) -> &'static str {
    match speed {
        Speed::Ultrafast => "ultrafast",
        Speed::Superfast => "superfast",
        Speed::Veryfast => "veryfast",
        Speed::Faster => "faster",
        Speed::Fast => "fast",
        Speed::Medium => "medium",
        Speed::Slow => "slow",
        Speed::Slower => "slower",
        Speed::Veryslow => "veryslow",
    }
}

fn svt_preset(speed: Speed) -> u8 {
    match speed {
        Speed::Ultrafast => 12,
        Speed::Superfast => 11,
        Speed::Veryfast => 10,
        Speed::Faster => 9,
        Speed::Fast => 8,
        Speed::Medium => 7,
        Speed::Slow => 5,
        Speed::Slower => 4,
        Speed::Veryslow => 3,
    }
}

fn aom_cpu_used(speed: Speed) -> u8 {
    match speed {
        Speed::Ultrafast | Speed::Superfast | Speed::Veryfast => 8,
        Speed::Faster => 7,
        Speed::Fast => 6,
        Speed::Medium => 5,
        Speed::Slow => 4,
        Speed::Slower => 3,
        Speed::Veryslow => 2,
    }
}

fn vp9_speed(speed: Speed) -> (&'static str, &'static str) {
    match speed {
        Speed::Ultrafast => ("realtime", "8"),
        Speed::Superfast => ("realtime", "7"),
        Speed::Veryfast => ("realtime", "6"),
        Speed::Faster => ("good", "5"),
        Speed::Fast => ("good", "4"),
        Speed::Medium => ("good", "3"),
        Speed::Slow => ("good", "2"),
        Speed::Slower => ("good", "1"),
        Speed::Veryslow => ("good", "0"),
    }
}

fn nvenc_preset(speed: Speed) -> &'static str {
    match speed {
        Speed::Ultrafast | Speed::Superfast => "p1",
        Speed::Veryfast => "p2",
        Speed::Faster => "p3",
        Speed::Fast | Speed::Medium => "p4",
        Speed::Slow => "p5",
        Speed::Slower => "p6",
        Speed::Veryslow => "p7",
    }
}

/// NVENC's `-cq` goes to 51 for every codec, also where the codec's own scale goes to 63.
fn nvenc_rate(codec: VideoCodec, rate: Rate) -> Rate {
    match (codec, rate) {
        (VideoCodec::Av1, Rate::Quality(value) | Rate::Chunk { quality: value, .. }) => {
            Rate::Quality(of_51(value))
        }
        (VideoCodec::Av1, Rate::CappedQuality { quality, peak }) => {
            Rate::CappedQuality { quality: of_51(quality), peak }
        }
        _ => rate,
    }
}

fn of_51(value: u8) -> u8 {
    u8::try_from(u16::from(value) * 51 / 63).unwrap_or(51)
}

fn x265_params(video: &Video) -> String {
    let mut params = vec!["log-level=error".to_owned()];
    if video.keyframes != Keyframes::Free {
        params.push("open-gop=0:scenecut=0".into());
    }
    if let Keyframes::Frames(frames) = video.keyframes {
        params.push(format!("min-keyint={frames}"));
    }
    let Some(hdr) = &video.hdr else { return params.join(":") };
    params.push("hdr10=1:repeat-headers=1".into());
    if let Some(m) = &hdr.mastering {
        let point = |(x, y): (u32, u32)| format!("({x},{y})");
        params.push(format!(
            "master-display=G{}B{}R{}WP{}L{}",
            point(m.green),
            point(m.blue),
            point(m.red),
            point(m.white),
            point(m.luminance)
        ));
    }
    if let Some((brightest, average)) = hdr.content_light {
        params.push(format!("max-cll={brightest},{average}"));
    }
    params.join(":")
}

/// SVT-AV1 takes the same figures as decimals.
fn svt_params(hdr: &HdrMetadata) -> Option<String> {
    let mut params = Vec::new();
    if let Some(m) = &hdr.mastering {
        let point =
            |(x, y): (u32, u32)| format!("({},{})", decimal(x, 50_000.0), decimal(y, 50_000.0));
        let (most, least) = m.luminance;
        params.push(format!(
            "mastering-display=G{}B{}R{}WP{}L({},{})",
            point(m.green),
            point(m.blue),
            point(m.red),
            point(m.white),
            decimal(most, 10_000.0),
            decimal(least, 10_000.0)
        ));
    }
    if let Some((brightest, average)) = hdr.content_light {
        params.push(format!("content-light={brightest},{average}"));
    }
    (!params.is_empty()).then(|| params.join(":"))
}

fn decimal(value: u32, unit: f64) -> f64 {
    f64::from(value) / unit
}
