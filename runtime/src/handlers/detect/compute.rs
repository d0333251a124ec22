//! A model at work: who computes it, and its findings on the frames of a range.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::args::Channels;
use super::plan::{self, Reading, Selection, Who};
use super::record::{Detection, FrameRecord, rounded};
use super::sink::{Sink, Taken};
use super::warm::{Key, Loaded, Warm};
use super::weights::Weights;
use super::work::{Busy, Pass};
use super::{Job, cannot_write};
use crate::detect::Found;
use crate::detect::engine::{Device, Engine};
use crate::detect::head::Limits;
use crate::detect::letterbox::Letterbox;
use crate::detect::picture::{Bgr, Form, Order, Rgb};
use crate::ffmpeg::codec::VideoCodec;
use crate::ffmpeg::job::Decode;
use crate::ffmpeg::picture::PictureJob;
use crate::function::Hardware;
use crate::gpu::Capabilities;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// The model, and who computed it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Used {
    /// Which layout its output has: `yolov5`, `yolov8/v11` or `end-to-end`.
    pub layout: String,
    /// What its exporter calls it.
    pub description: Option<String>,
    /// Names of its classes.
    pub classes: Option<Vec<String>>,
    /// Width of what it takes.
    pub width: u32,
    /// Height of what it takes.
    pub height: u32,
    /// The SHA-256 of its file.
    pub sha256: String,
    /// Who computed it: `onnxruntime` or `tract`.
    pub runtime: String,
    /// What on: `cpu` or `cuda:N`.
    pub device: String,
    /// Threads that computed.
    pub threads: usize,
    /// Pictures that were computed at once.
    pub batch: usize,
    /// It was loaded by an earlier call of this worker.
    pub warm: bool,
}

/// A model at work.
#[derive(Debug)]
pub(super) struct Computing {
    pub(super) engine: Arc<Engine>,
    weights: Weights,
    name: String,
    pub(super) loaded: Arc<Loaded>,
    who: Who,
    threads: usize,
    was_warm: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) taken: Taken,
    pub(super) busy: Busy,
    pub(super) fallback: Option<String>,
}

impl Computing {
    /// Finds out who computes, and loads the model; on the CPU where a GPU can't.
    pub(super) async fn open(
        job: Job<'_>,
        warm: &Arc<Warm>,
        weights: Weights,
        name: &str,
    ) -> Result<Self, Failure> {
        let Job { cx, args, clip, .. } = job;
        cx.progress(Progress { phase: Phase::Starting, ..Progress::default() });
        let hardware = args.coding.hardware(cx);
        let learned = Capabilities::of(cx.tools(), hardware, VideoCodec::H264, cx.cancellation());
        let machine = learned.await?;
        let (warm, name, named) =
            (Arc::clone(warm), name.to_owned(), cx.tools().onnxruntime.clone());
        let threads = threads(args.coding.threads);
        let (stream, video) = (clip.stream.clone(), clip.video.clone());
        // Loading may take seconds.
        let loading = tokio::task::spawn_blocking(move || {
            let engine = warm.engine(named.as_deref())?;
            let mut who = plan::who(hardware, &machine, engine.kind(), (&stream, &video))?;
            let key = |device| Key { sha256: weights.sha256.clone(), device, threads };
            let mut loaded = warm.model(&engine, &key(who.device), (&weights, &name));
            if let (Err(why), Device::Cuda(_)) = (&loaded, who.device)
                && hardware != Hardware::Required
            {
                who = Who::cpu(Some(format!("the GPU can't compute: {}", why.causes.join(": "))));
                loaded = warm.model(&engine, &key(Device::Cpu), (&weights, &name));
            }
            let (loaded, was_warm) = loaded?;
            Ok(Computing { engine, weights, name, loaded, who, threads, was_warm })
        });
        loading.await.map_err(|panic| {
            Failure::new(FailureKind::Handler, "loading the model failed").cause(panic)
        })?
    }

    pub(super) fn used(&self, job: Job<'_>) -> Used {
        let Loaded { model, head, .. } = self.loaded.as_ref();
        Used {
            layout: head.name().into(),
            description: model.description.clone(),
            classes: model.names.clone(),
            width: model.size.0,
            height: model.size.1,
            sha256: self.weights.sha256.clone(),
            runtime: self.engine.kind().name().into(),
            device: self.who.device.name(),
            threads: self.threads,
            batch: self.batch(job),
            warm: self.was_warm,
        }
    }

    /// Pictures that are computed at once. One frame is one picture, as far as the model lets it be.
    fn batch(&self, job: Job<'_>) -> usize {
        let asked = if job.selection.count() == 1 { Some(1) } else { job.args.batch };
        let memory = job.cx.invocation().function.resources.memory_bytes;
        let lanes = if job.selection.count() == 1 { 1 } else { self.loaded.lanes };
        plan::at_once(&self.loaded.model, asked, lanes, memory)
    }

    pub(super) async fn run<'s>(
        &self,
        job: Job<'_>,
        sink: impl Fn() -> Result<Sink<'s>, Failure>,
    ) -> Result<Findings, Failure> {
        match job.args.channels {
            Channels::Rgb => self.run_in::<Rgb, _>(job, sink).await,
            Channels::Bgr => self.run_in::<Bgr, _>(job, sink).await,
        }
    }

    /// Reads from the keyframe before the range; where that brings too few frames, from further before.
    async fn run_in<'s, O: Order, F>(&self, job: Job<'_>, sink: F) -> Result<Findings, Failure>
    where
        F: Fn() -> Result<Sink<'s>, Failure>,
    {
        let Job { args, clip, selection, .. } = job;
        let reading = Reading {
            path: clip.path,
            stream: clip.stream,
            video: clip.video,
            index: clip.index,
            selection,
            channels: O::CHANNELS,
        };
        let names = self.loaded.model.names.as_deref().unwrap_or(&[]);
        let classes =
            args.classes.iter().map(|class| class.among(names)).collect::<Result<Vec<_>, _>>()?;
        let letterbox = Letterbox::new(clip.size, self.loaded.model.size);
        let pass = Pass {
            cx: job.cx,
            name: clip.name,
            model_name: &self.name,
            loaded: Arc::clone(&self.loaded),
            letterbox,
            limits: Limits {
                confidence: args.confidence,
                iou: args.iou,
                classes: (!classes.is_empty()).then_some(classes),
                most: args.max_detections as usize,
            },
            batch: self.batch(job),
            fill: selection.count() > 1,
        };
        let mut fallback = self.who.fallback.clone();
        let mut tries: Vec<_> =
            reading.starts().into_iter().map(|from| (self.who.decode, from)).collect();
        if self.who.decode != Decode::Software {
            tries.extend(reading.starts().into_iter().map(|from| (Decode::Software, from)));
        }
        let expected = selection.count() as u64;
        let mut busy = Busy::default();
        for (decode, from) in tries {
            if decode == Decode::Software && self.who.decode != Decode::Software {
                fallback = Some("the GPU can't decode this video".into());
            }
            let (pictures, size, form) = reading.job(decode, from, &pass.letterbox);
            let mut sink = sink()?;
            match self.once::<O>(job, &pass, (&pictures, size, form), &mut busy, &mut sink).await {
                Ok(frames) if frames == expected => {
                    let taken = sink.finish().map_err(|error| cannot_write(&error))?;
                    return Ok(Findings { taken, busy, fallback });
                }
                Err(failure)
                    if decode == Decode::Software || failure.kind == FailureKind::Cancelled =>
                {
                    return Err(failure);
                }
                Ok(_) | Err(_) => {}
            }
        }
        Err(damaged(job))
    }

    /// One run of ffmpeg, and what is found on its frames.
    async fn once<O: Order>(
        &self,
        job: Job<'_>,
        pass: &Pass<'_>,
        run: (&PictureJob, (u32, u32), Form),
        busy: &mut Busy,
        sink: &mut Sink<'_>,
    ) -> Result<u64, Failure> {
        let mut frames = job.selection.frames();
        let mut done = 0;
        let take = |found: Vec<Found>| {
            let Some(frame) = frames.next() else { return Ok(()) };
            let model = &self.loaded.model;
            let detection = |found: &Found| Detection::new(found, model.label(found.class));
            let record = FrameRecord {
                frame: frame as u64,
                seconds: rounded(job.clip.index.seconds(frame), 1e6),
                detections: found.iter().map(detection).collect(),
            };
            sink.put(record).map_err(|error| cannot_write(&error))?;
            done += 1;
            job.tell(done);
            Ok(())
        };
        pass.run::<O>(run, busy, take).await
    }
}

/// As many as were asked for, or as there are cores.
fn threads(asked: Option<u16>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or_else(cores, usize::from)
}

fn damaged(job: Job<'_>) -> Failure {
    let Selection { from, until, .. } = job.selection;
    Failure::new(FailureKind::InvalidInput, format!("`{}` is damaged", job.clip.name))
        .cause(format!("a frame between {from} and {} is listed, and can't be decoded", until - 1))
        .hint("leave those frames out, or detect on a copy that was transcoded with `verify=off`")
}
