//! What is done with each frame's findings, one after the other: numbered, written, followed, drawn.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use super::record::{self, FrameRecord};
use super::script::Script;
use crate::detect::path::{Sighting, Sightings};
use crate::detect::tracker::{Settings, Tracker};
use crate::ffmpeg::index::FrameIndex;

/// Frames whose findings are in a result itself; more are in its file alone.
const MOST_FRAMES: usize = 300;

/// Takes findings.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    index: &'a FrameIndex,
    lines: BufWriter<File>,
    tracker: Option<Tracker>,
    follow: Option<u32>,
    script: Option<Script<BufWriter<File>>>,
    /// Frames whose end isn't known before the next.
    shown: Option<FrameRecord>,
    /// Seconds by which the first frame is later than libass's zero.
    late: f64,
    pub(super) taken: Taken,
}

/// What was taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Frames.
    pub(super) frames: u64,
    /// Things on them.
    pub(super) detections: u64,
    /// Objects that were told apart.
    pub(super) objects: u64,
    /// Each frame; none where they are too many.
    pub(super) records: Option<Vec<FrameRecord>>,
    /// What may be the followed object.
    pub(super) sightings: Sightings,
    /// Frames and their seconds, where one object is followed.
    pub(super) times: Vec<(u64, f64)>,
}

impl<'a> Sink<'a> {
    /// Writes lines to the file at `path`.
    pub(super) fn new(index: &'a FrameIndex, path: &Path) -> io::Result<Self> {
        Ok(Sink {
            index,
            lines: BufWriter::new(File::create(path)?),
            tracker: None,
            follow: None,
            script: None,
            shown: None,
            late: 0.0,
            taken: Taken { records: Some(Vec::new()), ..Taken::default() },
        })
    }

    /// Objects get numbers.
    pub(super) fn tracked(mut self, settings: Settings) -> Self {
        self.tracker = Some(Tracker::new(settings));
        self
    }

    /// Objects of this class are remembered.
    pub(super) fn following(mut self, class: Option<u32>) -> Self {
        self.follow = class;
        self
    }

    /// Boxes go into the script at `path` too, for a picture of `size`.
    pub(super) fn drawn(mut self, path: &Path, size: (u32, u32), late: f64) -> io::Result<Self> {
        self.script = Some(Script::new(BufWriter::new(File::create(path)?), size)?);
        self.late = late;
        Ok(self)
    }

    /// Takes what is on one frame; frames ascend.
    pub(super) fn put(&mut self, mut record: FrameRecord) -> io::Result<()> {
        if let Some(tracker) = &mut self.tracker {
            let found: Vec<_> = record.detections.iter().map(record::Detection::found).collect();
            let ids = tracker.update(record.frame, &found);
            record.detections.iter_mut().zip(ids).for_each(|(detection, id)| detection.id = id);
        }
        record::write(&mut self.lines, &record)?;
        let ids = record.detections.iter().filter_map(|detection| detection.id);
        self.taken.objects = ids.fold(self.taken.objects, u64::max);
        self.taken.frames += 1;
        self.taken.detections += record.detections.len() as u64;
        self.remember(&record);
        match &mut self.taken.records {
            Some(records) if records.len() < MOST_FRAMES => records.push(record.clone()),
            records => *records = None,
        }
        self.draw(Some(record))
    }

    fn remember(&mut self, record: &FrameRecord) {
        let Some(class) = self.follow else { return };
        let (frame, seconds) = (record.frame, record.seconds);
        self.taken.times.push((frame, seconds));
        for detection in record.detections.iter().filter(|detection| detection.class == class) {
            let Some(id) = detection.id else { continue };
            let found = detection.found();
            let (score, rect) = (found.score, found.rect);
            self.taken.sightings.add(Sighting { frame, seconds, id, score, rect });
        }
    }

    /// Draws the frame before, now that its end is known, and keeps this one.
    fn draw(&mut self, record: Option<FrameRecord>) -> io::Result<()> {
        let Some(script) = &mut self.script else { return Ok(()) };
        let frame = |record: &FrameRecord| usize::try_from(record.frame).unwrap_or(usize::MAX);
        if let Some(shown) = &self.shown {
            let until = record.as_ref().map_or(frame(shown) + 1, frame);
            let times = (edge(self.index, frame(shown)), edge(self.index, until));
            script.show(shown, (times.0 + self.late, times.1 + self.late))?;
        }
        self.shown = record;
        Ok(())
    }

    /// Writes what is still to be written.
    pub(super) fn finish(mut self) -> io::Result<Taken> {
        self.draw(None)?;
        if let Some(script) = self.script {
            script.finish()?;
        }
        self.lines.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(self.taken)
    }
}

/// The second from which `frame` is shown in a script: halfway from the frame before, so that rounding to hundredths
/// can't take it to another frame.
fn edge(index: &FrameIndex, frame: usize) -> f64 {
    match frame {
        0 => -1.0,
        frame if frame < index.frames.len() => {
            (index.seconds(frame - 1) + index.seconds(frame)) / 2.0
        }
        _ => index.duration(),
    }
}
