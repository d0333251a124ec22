//! Makes sound of a video or of sound: taken out, converted, brought to a loudness, mixed,
//! replaced, removed, drawn.
//!
//! `plan` decides, [`crate::encode::run`] works, `verify` judges; this file is the order of it.

pub mod args;
pub mod loudness;
mod plan;
pub mod verify;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use self::args::Args;
use self::loudness::{Gain, Loudness};
use self::plan::{File, Plan, Sources};
use self::verify::{Evidence, Verified};
use crate::encode::Verify;
use crate::encode::run::{Total, Work};
use crate::ffmpeg::container::Container;
use crate::ffmpeg::exec::{self, Finished};
use crate::ffmpeg::filter::{Chain, Filter};
use crate::ffmpeg::job::Input;
use crate::ffmpeg::picture::{self, PictureCoding, PictureJob, To};
use crate::ffmpeg::probe::{Count, Media};
use crate::ffmpeg::sound::Sound;
use crate::handler::{Context, Handler};
use crate::storage::{InputFile, StagedOutput};
use crate::wire::{Artifact, Failure, FailureKind, Phase, Progress};

/// Width and height of a picture of a waveform.
const WAVEFORM: (u32, u32) = (1600, 240);

/// LU by which a result may miss its target before that is said.
const NEAR: f64 = 0.5;

/// The `audio` handler.
#[derive(Debug)]
pub struct AudioHandler;

/// What `audio` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Where the result is.
    pub output: String,
    /// Its sound's codec; null with `mute`.
    pub codec: Option<String>,
    /// Samples per second.
    pub sample_rate: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// The sound was copied as it was, packet by packet.
    pub copied: bool,
    /// Size of the result in bytes.
    pub output_bytes: u64,
    /// Loudness before and after; null where none was asked for.
    pub loudness: Option<Normalised>,
    /// Where the picture of the waveform is.
    pub waveform: Option<String>,
    /// What was checked before this counted as a result; null with `verify=off`.
    pub verified: Option<Verified>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// How a target was reached.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Normalised {
    /// The integrated loudness that was asked for, in LUFS.
    pub target: f64,
    /// What was measured of the input.
    pub before: Loudness,
    /// What was measured of the finished result.
    pub after: Loudness,
    /// Peaks were limited; otherwise one gain was enough.
    pub limited: bool,
}

impl Handler for AudioHandler {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "audio";
    const ABOUT: &'static str =
        "Makes sound: extract, convert, set loudness, mix, replace, mute, draw.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let container = args.container()?;
        args.check(container)?;
        plan::check_rate(args.wanted_rate(), container)?;
        let opened = Opened::all(&cx, &args).await?;
        let staged = cx.files().output(args.output.as_ref(), &default_name(&args, container))?;
        let drawn =
            args.waveform.as_ref().map(|file| cx.files().output(Some(file), "")).transpose()?;
        let target = staged.path();
        let making = Making { cx: &cx, args: &args, opened: &opened, container, target: &target };
        let made = making.make().await?;
        if let Some(drawn) = &drawn {
            making.draw(&made, drawn).await?;
        }
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = staged.commit("output")?;
        let waveform = drawn.map(|drawn| drawn.commit("waveform")).transpose()?;
        Ok(made.output(&cx, artifact, waveform))
    }
}

/// The files of one call, looked at.
struct Opened {
    files: Vec<(PathBuf, String, Media)>,
    replaces: bool,
}

impl Opened {
    async fn all(cx: &Context, args: &Args) -> Result<Self, Failure> {
        let layers = args.mix.iter().map(|layer| &layer.input);
        let mut files = Vec::new();
        for file in [&args.input].into_iter().chain(&args.replace).chain(layers) {
            files.push(Self::one(cx, file).await?);
        }
        Ok(Opened { files, replaces: args.replace.is_some() })
    }

    async fn one(cx: &Context, file: &InputFile) -> Result<(PathBuf, String, Media), Failure> {
        let path = cx.files().input(file).await?;
        let name = file.as_str();
        let media = cx.tools().inspect(&path, name, Count::Nothing, cx.cancellation()).await?;
        Ok((path, name.to_owned(), media))
    }

    fn main(&self) -> File<'_> {
        let (path, name, media) = self.files.first().expect("the input is always opened");
        File { path, name, media }
    }

    fn sources(&self) -> Sources<'_> {
        let mut others =
            self.files.iter().skip(1).map(|(path, name, media)| File { path, name, media });
        let replace = if self.replaces { others.next() } else { None };
        Sources { main: self.main(), replace, layers: others.collect() }
    }
}

/// One result in the making.
#[derive(Clone, Copy)]
struct Making<'a> {
    cx: &'a Context,
    args: &'a Args,
    opened: &'a Opened,
    container: Container,
    target: &'a Path,
}

/// What was made.
struct Made {
    written: Option<Media>,
    copied: bool,
    loudness: Option<Normalised>,
    verified: Option<Verified>,
    notes: Vec<String>,
}

impl<'a> Making<'a> {
    fn work(self) -> Work<'a> {
        let File { name, media, .. } = self.opened.main();
        Work { cx: self.cx, verb: "process the sound of", name, media }
    }

    async fn make(self) -> Result<Made, Failure> {
        let sources = self.opened.sources();
        let mut notes = Vec::new();
        let before = match self.args.loudness {
            Some(_) => Some(self.measure(&plan::measure(self.args, &sources)?).await?),
            None => None,
        };
        let gain = before.zip(self.args.loudness).and_then(|(before, target)| {
            let gain = before.gain_to(target, self.args.true_peak);
            if gain.is_none() {
                notes.push("there is only silence, so its loudness stays".into());
            }
            gain
        });
        let plan = plan::plan(self.args, &sources, gain, self.container, self.target)?;
        let run = self.run(&plan).await?;
        let (written, verified) = self.verify(&plan, &run).await?;
        let loudness = match (before, self.args.loudness) {
            (Some(before), Some(target)) => {
                Some(self.normalised(before, target, gain, &mut notes).await?)
            }
            _ => None,
        };
        Ok(Made { written, copied: plan.expect.copied, loudness, verified, notes })
    }

    async fn run(self, plan: &Plan) -> Result<Finished, Failure> {
        let seconds = plan.expect.seconds.or(self.opened.main().media.duration);
        let run = self.work().ffmpeg(&plan.job, Total { frames: None, seconds }).await;
        run.map_err(|error| self.work().failed(error))
    }

    async fn measure(self, job: &crate::ffmpeg::job::Job) -> Result<Loudness, Failure> {
        let seconds = self.opened.main().media.duration;
        let run = self.work().ffmpeg(job, Total { frames: None, seconds }).await;
        let run = run.map_err(|error| self.work().failed(error))?;
        Loudness::of(&run.log).ok_or_else(|| {
            Failure::new(FailureKind::Machine, "ffmpeg didn't say what loudness it measured")
                .hint("it needs the filter `ebur128`: `sudo apt-get install ffmpeg`")
                .retryable(false)
        })
    }

    /// Measures the finished result: what coding did to it is in the figures.
    async fn normalised(
        self,
        before: Loudness,
        target: f64,
        gain: Option<Gain>,
        notes: &mut Vec<String>,
    ) -> Result<Normalised, Failure> {
        let track = u32::from(!matches!(self.container, Container::Sound(_)));
        let after = self.measure(&plan::measure_result(self.target, track)).await?;
        let limited = gain.is_some_and(Gain::limits);
        if gain.is_some() && (after.integrated - target).abs() > NEAR {
            notes.push(format!(
                "the loudness is {:.1} LUFS, not {target:.1}: the limiter holds its peaks down",
                after.integrated
            ));
        }
        Ok(Normalised { target, before, after, limited })
    }

    async fn verify(
        self,
        plan: &Plan,
        run: &Finished,
    ) -> Result<(Option<Media>, Option<Verified>), Failure> {
        self.cx.progress(Progress { phase: Phase::Verifying, ..Progress::default() });
        let written = self.work().read_back(self.target, Count::Packets).await?;
        if self.args.verify == Verify::Off {
            return Ok((Some(written), None));
        }
        let decoded = match (self.args.verify, written.audio().first()) {
            (Verify::Full, Some((stream, _))) => Some(self.decode(stream.index).await?),
            _ => None,
        };
        let File { name, media, .. } = self.opened.main();
        let (expect, container) = (plan.expect, self.container);
        let evidence =
            Evidence { name, input: media, expect, container, run, written: &written, decoded };
        let verified = verify::judge(evidence)?;
        Ok((Some(written), Some(verified)))
    }

    /// Decodes a stream of the result, and counts its samples.
    async fn decode(self, stream: u32) -> Result<u64, Failure> {
        let job = plan::measure_result(self.target, stream);
        let run = self.work().ffmpeg(&job, Total::default()).await;
        let run = run.map_err(|error| self.work().failed(error))?;
        Ok(run.log.inputs.get(&(0, stream)).map_or(0, |count| count.samples))
    }

    async fn draw(self, made: &Made, drawn: &StagedOutput) -> Result<(), Failure> {
        let found = made.written.as_ref().and_then(|media| Some(media.audio().first()?.0.index));
        let stream = found.unwrap_or_default();
        let job = PictureJob {
            input: Input::of(self.target),
            stream,
            keyframes_only: false,
            filters: Chain(vec![Filter::Sound(Sound::Waveform { size: WAVEFORM })]),
            coding: PictureCoding::Png,
            most: 1,
            to: To::File(drawn.path()),
            threads: None,
        };
        let (tools, cancel) = (self.cx.tools(), self.cx.cancellation());
        let run = exec::ffmpeg(&tools.ffmpeg, picture::args(&job), cancel, |_| {}).await;
        run.map(|_| ()).map_err(|error| self.work().failed(error))
    }
}

impl Made {
    fn output(self, cx: &Context, artifact: Artifact, waveform: Option<Artifact>) -> Output {
        let sound = self.written.as_ref().and_then(|media| {
            let (stream, sound) = media.audio().into_iter().next()?;
            Some((stream.codec.clone(), sound.sample_rate, sound.channels))
        });
        let output = Output {
            output: artifact.location.clone(),
            codec: sound.as_ref().map(|(codec, ..)| codec.clone()),
            sample_rate: sound.as_ref().map(|(_, rate, _)| *rate),
            channels: sound.as_ref().map(|(.., channels)| *channels),
            copied: self.copied,
            output_bytes: artifact.bytes,
            loudness: self.loudness,
            waveform: waveform.as_ref().map(|artifact| artifact.location.clone()),
            verified: self.verified,
            notes: self.notes,
        };
        cx.add_artifact(artifact);
        waveform.into_iter().for_each(|artifact| cx.add_artifact(artifact));
        output
    }
}

/// The input's name with the extension of the format.
fn default_name(args: &Args, container: Container) -> String {
    let stem = Path::new(args.input.as_str()).file_stem().unwrap_or("output".as_ref());
    format!("{}.{}", stem.to_string_lossy(), container.extension())
}
