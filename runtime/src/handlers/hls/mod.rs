//! Makes a stream of a video, for HLS and DASH: several renditions out of one decode, cut into
//! segments at the same frames, with playlists that say what was measured.
//!
//! `plan` decides, [`crate::encode`] works and judges, [`crate::packaging`] writes the stream;
//! this file is the order of it.

pub mod args;
mod language;
mod package;
pub mod plan;
mod stills;
#[cfg(test)]
mod tests;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use self::args::Args;
use self::package::{MANIFEST, MASTER, Order, Package};
use self::plan::{HlsPlan, Place};
use crate::encode::ladder::open::{self as ladder, make_folder};
use crate::encode::open::Opened;
use crate::encode::run::Work;
use crate::encode::verify::Verified;
use crate::ffmpeg::codec::Encoder;
use crate::ffmpeg::exec::Finished;
use crate::ffmpeg::picture::{self, PictureJob};
use crate::ffmpeg::{exec, failure};
use crate::function::Hardware;
use crate::handler::{Context, Handler};
use crate::packaging::PackagingError;
use crate::packaging::rates;
use crate::packaging::segments::Format;
use crate::wire::{Artifact, Failure, FailureKind, Phase, Progress};

/// The folder for what is encoded and not packaged yet.
const WORK: &str = ".encoded";

/// The `hls` handler.
#[derive(Debug)]
pub struct Hls;

/// What `hls` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The folder that the stream is in.
    pub output: String,
    /// The playlist that players open, in the folder.
    pub master_playlist: String,
    /// The DASH manifest, in the folder; null for TS segments.
    pub dash_manifest: Option<String>,
    /// A picture to show before playing, in the folder; null without thumbnails.
    pub poster: Option<String>,
    /// The WebVTT track of small pictures, in the folder; null without thumbnails.
    pub thumbnails: Option<String>,
    /// Renditions of the picture, in the order that was asked for.
    pub renditions: Vec<Rendition>,
    /// Names of the sound tracks, the one that players choose first.
    pub audio: Vec<String>,
    /// Names of the subtitle tracks.
    pub subtitles: Vec<String>,
    /// Seconds of the stream.
    pub duration_seconds: f64,
    /// Segments of each rendition.
    pub segments: usize,
    /// Why the CPU was used although a GPU was wanted; null when that isn't so.
    pub fallback: Option<String>,
    /// Seconds that ffmpeg worked.
    pub seconds: f64,
    /// Seconds of video per second of work.
    pub speed: f64,
    /// Size of the input in bytes.
    pub input_bytes: u64,
    /// Size of the whole stream in bytes.
    pub output_bytes: u64,
    /// What of the input didn't come along, or was changed on the way.
    pub notes: Vec<String>,
}

/// One rendition of the picture.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Rendition {
    /// Its name, and that of its folder.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The codec, as playlists name it.
    pub codec: String,
    /// The encoder that was used, by ffmpeg's name.
    pub encoder: String,
    /// Bits per second on average, measured.
    pub average_bitrate: u64,
    /// The largest bit rate of its segments, measured.
    pub peak_bitrate: u64,
    /// What was checked before this counted as a result; null with `verify=off`.
    pub verified: Option<Verified>,
}

impl Handler for Hls {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "hls";
    const ABOUT: &'static str = "Makes a stream of a video, for HLS and DASH, in several sizes.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        let rungs = args.rungs();
        args.check(&rungs)?;
        let Args { input, output, coding, .. } = &args;
        let order = ladder::Order { input, output: output.as_ref(), coding, rungs: &rungs };
        let (opened, folder) = ladder::open(&cx, order).await?;
        let Opened { name, source, media, machine, .. } = &opened;
        let (work, hardware) = (opened.work("make a stream of"), opened.hardware);
        let place = Place { input: source, name, work: &folder.path.join(WORK) };
        make_folder(place.work).await?;
        let planned = |hardware| plan::plan(&args, &rungs, hardware, media, machine, place);
        let hls = planned(hardware)?;
        let started = Instant::now();
        let on_cpu = || planned(Hardware::Off).map(|hls| hls.plan);
        let (plan, run) = work.run(hls.plan.clone(), hardware, on_cpu).await?;
        let seconds = started.elapsed().as_secs_f64();
        let stream = Stream { work, args: &args, hls: HlsPlan { plan, ..hls }, run: &run };
        let verified = stream.verify().await?;
        let package = stream.package(&folder.path).await?;
        cx.progress(Progress { phase: Phase::Uploading, ..Progress::default() });
        let artifact = folder.staged.commit("output")?;
        let output = stream.output(&package, verified, seconds, &artifact);
        cx.add_artifact(artifact);
        Ok(output)
    }
}

/// What was encoded, on its way to a stream.
struct Stream<'a> {
    work: Work<'a>,
    args: &'a Args,
    hls: HlsPlan,
    run: &'a Finished,
}

impl Stream<'_> {
    /// Has every rendition of the picture judged.
    async fn verify(&self) -> Result<Vec<Option<Verified>>, Failure> {
        let mut verified = Vec::new();
        for index in 0..self.hls.pictures.len() {
            let depth = self.args.coding.verify;
            verified.push(self.work.verify(&self.hls.plan, index, self.run, depth).await?);
        }
        Ok(verified)
    }

    /// Writes the stream into `target`, and removes what it is made of.
    async fn package(&self, target: &Path) -> Result<Package, Failure> {
        let order = Order {
            plan: self.hls.clone(),
            format: self.args.format(),
            segment_seconds: self.args.segment_seconds,
            output: target.into(),
        };
        let cancel = self.work.cx.cancellation().clone();
        let segmented = {
            let order = order.clone();
            blocking(move || order.segments(&cancel)).await
        };
        let mut package = segmented.map_err(|error| self.unfit(&error))?;
        if self.args.thumbnails {
            self.stills(&mut package, target).await?;
        }
        let ended = blocking(move || {
            order.playlists(&package)?;
            std::fs::remove_dir_all(order.output.join(WORK))?;
            Ok(package)
        });
        ended.await.map_err(|error| self.unfit(&error))
    }

    /// Makes the poster and the small pictures.
    async fn stills(&self, package: &mut Package, target: &Path) -> Result<(), Failure> {
        make_folder(&stills::folder(target)).await?;
        let thumbnails = package.thumbnails.clone();
        let all = &self.hls.pictures;
        let (sheets, poster) = (thumbnails.sheets(all, target), stills::poster(all, target));
        tokio::try_join!(self.still(sheets), self.still(poster))?;
        let tiles = thumbnails.tiles(&stills::folder(target));
        package.presentation.tiles =
            Some(tiles.map_err(|error| self.unfit(&PackagingError::File(error)))?);
        Ok(())
    }

    async fn still(&self, job: Option<PictureJob>) -> Result<(), Failure> {
        let Some(job) = job else { return Ok(()) };
        let (tools, cancel) = (self.work.cx.tools(), self.work.cx.cancellation());
        let ran = exec::ffmpeg(&tools.ffmpeg, picture::args(&job), cancel, |_| {}).await;
        ran.map_err(|error| {
            let what = format!("can't make pictures of `{}`", self.work.name);
            failure::failure(error, &what)
        })?;
        Ok(())
    }

    fn unfit(&self, error: &PackagingError) -> Failure {
        let message = format!("can't make a stream of `{}`", self.work.name);
        let failure = match error {
            PackagingError::Cancelled => Failure::new(FailureKind::Cancelled, message),
            PackagingError::File(_) => Failure::new(FailureKind::Output, message),
            _ => Failure::new(FailureKind::Verification, message)
                .hint("please report this with the input, and what `vdeploy check` says"),
        };
        let source = std::error::Error::source(error).map(ToString::to_string);
        source.into_iter().fold(failure.cause(error), Failure::cause)
    }

    fn output(
        &self,
        package: &Package,
        verified: Vec<Option<Verified>>,
        seconds: f64,
        artifact: &Artifact,
    ) -> Output {
        let all = &package.presentation;
        let target = f64::from(all.target);
        let outputs = &self.hls.plan.job.outputs;
        let renditions = all.pictures.iter().zip(verified).zip(outputs);
        let renditions = renditions.map(|((picture, verified), output)| Rendition {
            name: picture.folder.clone(),
            width: picture.size.0,
            height: picture.size.1,
            codec: picture.written.codec.clone(),
            encoder: output
                .video
                .as_ref()
                .map_or("none", |video| Encoder::name(video.encoder))
                .into(),
            average_bitrate: rates::average(&picture.written.pieces()),
            peak_bitrate: rates::peak(&picture.written.pieces(), target),
            verified,
        });
        let folder = all.tiles.as_ref().map(|tiles| tiles.folder.clone());
        Output {
            output: artifact.location.clone(),
            master_playlist: MASTER.into(),
            dash_manifest: (all.format == Format::Cmaf).then(|| MANIFEST.into()),
            poster: folder.as_ref().map(|_| stills::POSTER.into()),
            thumbnails: folder.map(|folder| format!("{folder}/{}", stills::TRACK)),
            renditions: renditions.collect(),
            audio: all.sounds.iter().map(|sound| sound.name.clone()).collect(),
            subtitles: all.subtitles.iter().map(|track| track.name.clone()).collect(),
            duration_seconds: package.duration,
            segments: all.pictures.first().map_or(0, |first| first.written.segments.len()),
            fallback: self.hls.plan.fallback.clone(),
            seconds,
            speed: self.run.last.seconds / seconds,
            input_bytes: self.work.media.bytes,
            output_bytes: artifact.bytes,
            notes: self.hls.plan.notes.clone(),
        }
    }
}

/// Work on files, away from the threads that wait for events.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PackagingError> + Send + 'static,
) -> Result<T, PackagingError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|stopped| Err(PackagingError::File(stopped.into())))
}
