//! Where findings come from: a model that computes them, files that have them, or calls for parts of the video.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

use super::args::Class;
use super::compute::{Computing, Findings, Used};
use super::record::{BadLine, FrameRecord, Lines};
use super::sink::Sink;
use super::warm::Warm;
use super::work::Busy;
use super::{Job, cannot_write, parts, weights};
use crate::wire::{Failure, FailureKind};

/// Where findings come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A model.
    Model(Box<Computing>),
    /// Files of findings, by what the caller called them.
    Files { files: Vec<(String, PathBuf)>, labels: BTreeMap<String, u32>, used: Option<Box<Used>> },
}

impl Source {
    /// Finds what the arguments name, and loads it.
    pub(super) async fn find(job: Job<'_>, warm: &Arc<Warm>) -> Result<Self, Failure> {
        let Job { cx, args, .. } = job;
        if let Some(model) = &args.model {
            let weights = weights::find(cx, model, args.sha256.as_deref()).await?;
            let computing = Computing::open(job, warm, weights, model.as_str()).await?;
            if args.parts > 1 {
                let files = parts::run(job).await?;
                return Source::files(files, Some(Box::new(computing.used(job))));
            }
            return Ok(Source::Model(Box::new(computing)));
        }
        let mut files = Vec::with_capacity(args.detections.len());
        for file in &args.detections {
            files.push((file.as_str().to_owned(), cx.files().input(file).await?));
        }
        Source::files(files, None)
    }

    /// Reads names and numbers of classes, which findings have in each line.
    fn files(files: Vec<(String, PathBuf)>, used: Option<Box<Used>>) -> Result<Self, Failure> {
        let named = used.iter().flat_map(|used| used.classes.iter().flatten().cloned());
        let mut labels: BTreeMap<String, u32> = named.zip(0..).collect();
        let mut lines = open(&files)?;
        while let Some(record) = lines.next().map_err(|(name, why)| unusable(&name, &why))? {
            labels.extend(record.detections.into_iter().map(|found| (found.label, found.class)));
        }
        Ok(Source::Files { files, labels, used })
    }

    /// The number of a class.
    pub(super) fn class(&self, class: &Class) -> Result<u32, Failure> {
        match self {
            Source::Model(computing) => {
                class.among(computing.loaded.model.names.as_deref().unwrap_or(&[]))
            }
            Source::Files { labels, .. } => match class {
                Class::Number(number) => Ok(*number),
                Class::Name(name) => {
                    labels.get(name).copied().or_else(|| name.parse().ok()).ok_or_else(|| {
                        let known: Vec<_> = labels.keys().map(String::as_str).collect();
                        Failure::new(
                            FailureKind::InvalidArgs,
                            format!("nothing that was found is a `{name}`"),
                        )
                        .hint(format!("there are: {}", known.join(", ")))
                    })
                }
            },
        }
    }

    /// The name of a class.
    pub(super) fn label(&self, class: u32) -> String {
        match self {
            Source::Model(computing) => computing.loaded.model.label(class),
            Source::Files { labels, .. } => {
                let named = labels.iter().find(|(_, number)| **number == class);
                named.map_or_else(|| class.to_string(), |(name, _)| name.clone())
            }
        }
    }

    /// Gives everything to a sink that `sink` makes; to another one where a run has to begin again.
    pub(super) async fn run<'s>(
        &self,
        job: Job<'_>,
        sink: impl Fn() -> Result<Sink<'s>, Failure>,
    ) -> Result<Findings, Failure> {
        match self {
            Source::Model(computing) => computing.run(job, sink).await,
            Source::Files { files, .. } => {
                let mut sink = sink()?;
                let mut lines = open(files)?;
                let mut done = 0;
                while let Some(record) =
                    lines.next().map_err(|(name, why)| unusable(&name, &why))?
                {
                    if job.cx.cancellation().is_cancelled() {
                        return Err(Failure::new(FailureKind::Cancelled, "the call was cancelled"));
                    }
                    done += 1;
                    if job.wants(&record)? {
                        sink.put(record).map_err(|error| cannot_write(&error))?;
                        job.tell(done);
                    }
                }
                let taken = sink.finish().map_err(|error| cannot_write(&error))?;
                Ok(Findings { taken, busy: Busy::default(), fallback: None })
            }
        }
    }

    /// The model, and who computed it.
    pub(super) fn used(&self, job: Job<'_>) -> Option<Used> {
        match self {
            Source::Model(computing) => Some(computing.used(job)),
            Source::Files { used, .. } => used.as_deref().cloned(),
        }
    }

    /// What is worth knowing.
    pub(super) fn notes(&self) -> Vec<String> {
        match self {
            Source::Model(computing) => {
                let tract = computing.engine.fallback.as_ref();
                tract
                    .map(|why| format!("computed by tract, which is slower: {why}"))
                    .into_iter()
                    .collect()
            }
            Source::Files { .. } => Vec::new(),
        }
    }
}

impl Job<'_> {
    /// A record of a file is of this call's range; one of no frame of the video is of another video.
    fn wants(&self, record: &FrameRecord) -> Result<bool, Failure> {
        let frame = usize::try_from(record.frame).unwrap_or(usize::MAX);
        let all = self.clip.index.frames.len();
        if frame >= all {
            let name = self.clip.name;
            return Err(Failure::new(
                FailureKind::InvalidInput,
                format!("the detections aren't those of `{name}`"),
            )
            .cause(format!("they have frame {frame}, and it has {all}")));
        }
        Ok((self.selection.from..self.selection.until).contains(&frame))
    }
}

fn open(files: &[(String, PathBuf)]) -> Result<Lines<BufReader<File>>, Failure> {
    let mut opened = Vec::with_capacity(files.len());
    for (name, path) in files {
        let file = File::open(path).map_err(|error| unusable(name, &error.into()))?;
        opened.push((name.clone(), BufReader::new(file)));
    }
    Lines::new(opened).map_err(|(name, why)| unusable(&name, &why))
}

fn unusable(name: &str, why: &BadLine) -> Failure {
    Failure::new(FailureKind::InvalidInput, format!("can't use the detections `{name}`")).cause(why)
}
