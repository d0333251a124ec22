//! Frames on their way to boxes: ffmpeg decodes, a thread puts frames into pictures, another computes, and what comes
//! out is taken in the order of frames. Between them are a few buffers that go round, so that whoever is slowest is
//! always busy, and memory doesn't grow with the video.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::warm::Loaded;
use crate::detect::Found;
use crate::detect::head::{self, Limits};
use crate::detect::letterbox::{Letterbox, Scratch};
use crate::detect::picture::{Form, Frame, Order, Planes};
use crate::ffmpeg::exec;
use crate::ffmpeg::failure;
use crate::ffmpeg::picture::{self, PictureJob};
use crate::handler::Context;
use crate::wire::{Failure, FailureKind};

/// Frames that wait at most, decoded and not yet put into a picture.
const FRAMES: usize = 4;
/// Batches that go round: one is filled while one is computed.
const BATCHES: usize = 2;

/// One pass over frames.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    pub(super) cx: &'a Context,
    /// What the caller called the video.
    pub(super) name: &'a str,
    /// What the caller called the model.
    pub(super) model_name: &'a str,
    pub(super) loaded: Arc<Loaded>,
    pub(super) letterbox: Letterbox,
    pub(super) limits: Limits,
    /// Pictures that are computed at once.
    pub(super) batch: usize,
    /// The last batch is filled up, so that every picture is computed alike.
    pub(super) fill: bool,
}

/// How long each worked, all at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Busy {
    pub(super) preparing: Duration,
    pub(super) computing: Duration,
}

/// Pictures that are ready, the first so many of which count.
struct Batch<O> {
    planes: Planes<O>,
    count: usize,
}

impl Pass<'_> {
    /// Runs `job`, whose frames are of `size` and `form`, and gives what was found on each frame to `each`, in their
    /// order. Gives back how many frames there were.
    pub(super) async fn run<O: Order>(
        &self,
        (job, size, form): (&PictureJob, (u32, u32), Form),
        busy: &mut Busy,
        mut each: impl FnMut(Vec<Found>) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let (spare, mut spares) = mpsc::channel(FRAMES);
        for _ in 0..FRAMES {
            spare.try_send(Vec::new()).expect("there is room for all of them");
        }
        let (frame, frames) = mpsc::channel(FRAMES);
        let (batch, batches) = mpsc::channel::<Batch<O>>(BATCHES);
        let (used, reuse) = mpsc::channel(BATCHES);
        for _ in 0..BATCHES {
            let planes = Planes::black(self.batch, self.loaded.model.size);
            used.try_send(planes).expect("there is room for all of them");
        }
        let (result, mut results) = mpsc::channel(BATCHES);
        let prepared = self.prepare((size, form), (frames, spare), (reuse, batch));
        let computed = self.compute(batches, used, result);
        let taken = async move {
            while let Some(found) = results.recv().await {
                for found in found {
                    each(found)?;
                }
            }
            Ok(())
        };
        let args = picture::args(job);
        let bytes = Frame::<O>::bytes_of(size, form);
        let (program, cancel) = (&self.cx.tools().ffmpeg, self.cx.cancellation());
        let read = exec::stream(program, args, bytes, cancel, (&mut spares, frame));
        let (read, taken) = tokio::join!(read, taken);
        busy.preparing += ended(prepared).await?;
        busy.computing += ended(computed).await??;
        taken?;
        let what = || format!("can't take frames of `{}`", self.name);
        read.map_err(|error| failure::failure(error, &what()))
    }

    /// Puts frames into batches, in a thread of its own.
    fn prepare<O: Order>(
        &self,
        (size, form): ((u32, u32), Form),
        (mut frames, spare): (mpsc::Receiver<Vec<u8>>, mpsc::Sender<Vec<u8>>),
        (mut reuse, to): (mpsc::Receiver<Planes<O>>, mpsc::Sender<Batch<O>>),
    ) -> JoinHandle<Duration> {
        let (letterbox, batch, fill) = (self.letterbox.clone(), self.batch, self.fill);
        tokio::task::spawn_blocking(move || {
            let (mut scratch, mut spent) = (Scratch::default(), Duration::ZERO);
            while let Some(mut planes) = reuse.blocking_recv() {
                let mut count = 0;
                while count < batch {
                    let Some(bytes) = frames.blocking_recv() else { break };
                    let started = Instant::now();
                    let frame = Frame::<O>::new(size, form, bytes)
                        .expect("frames are of the size that was asked for");
                    letterbox.fill(&frame, &mut planes, count, &mut scratch);
                    spent += started.elapsed();
                    count += 1;
                    // Nobody takes it once the last frame was read.
                    let _ = spare.try_send(frame.into_bytes());
                }
                let planes = if fill || count == batch { planes } else { planes.first(count) };
                let last = count < batch;
                if count == 0 || to.blocking_send(Batch { planes, count }).is_err() || last {
                    break;
                }
            }
            spent
        })
    }

    /// Computes batches, in a thread of its own.
    fn compute<O: Order>(
        &self,
        mut batches: mpsc::Receiver<Batch<O>>,
        used: mpsc::Sender<Planes<O>>,
        to: mpsc::Sender<Vec<Vec<Found>>>,
    ) -> JoinHandle<Result<Duration, Failure>> {
        let (loaded, letterbox) = (Arc::clone(&self.loaded), self.letterbox.clone());
        let (limits, name) = (self.limits.clone(), self.model_name.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut spent = Duration::ZERO;
            while let Some(Batch { planes, count }) = batches.blocking_recv() {
                let started = Instant::now();
                let found = on_pictures(&loaded, &planes, count, &limits, &name)?;
                spent += started.elapsed();
                let on_source = |mut found: Vec<Found>| {
                    found.iter_mut().for_each(|found| found.rect = letterbox.to_source(found.rect));
                    found
                };
                let _ = used.try_send(planes);
                if to.blocking_send(found.into_iter().map(on_source).collect()).is_err() {
                    break;
                }
            }
            Ok(spent)
        })
    }
}

/// What a thread came to.
async fn ended<T>(thread: JoinHandle<T>) -> Result<T, Failure> {
    thread
        .await
        .map_err(|panic| Failure::new(FailureKind::Handler, "the handler panicked").cause(panic))
}

/// What is on the first `count` pictures.
fn on_pictures<O: Order>(
    loaded: &Loaded,
    planes: &Planes<O>,
    count: usize,
    limits: &Limits,
    name: &str,
) -> Result<Vec<Vec<Found>>, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(FailureKind::InvalidInput, format!("the model `{name}` can't be computed"))
            .cause(why)
    };
    let mut network = loaded.network.lock().unwrap_or_else(PoisonError::into_inner);
    let computed =
        network.run(&loaded.model.input, planes).map_err(|error| failed(&error.message()))?;
    let each = computed.values.len() / computed.shape.first().copied().unwrap_or(1).max(1);
    let pictures = computed.values.chunks_exact(each.max(1)).take(count);
    let found: Vec<_> = pictures
        .map(|values| head::found(loaded.head, values, limits))
        .collect::<Result<_, _>>()
        .map_err(|why| {
            failed(&why)
                .hint("its weights may be damaged, or too large for the type they were exported to")
        })?;
    match found.len() == count {
        true => Ok(found),
        false => Err(failed(&format!("it gave {:?} for {:?}", computed.shape, planes.shape()))),
    }
}
