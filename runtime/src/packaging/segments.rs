//! Writes one rendition as segments, and measures them on the way.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::codec::{Coding, SILENCE};
use super::rates::Piece;
use super::ts::Multiplexer;
use super::{PackagingError, Time, cmaf};
use crate::ffmpeg::mp4::samples::{MediaKind, Movie, Sample, SampleTrack};

/// The file of a rendition that comes before its segments.
pub const HEADER: &str = "init.mp4";

/// What segments are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fragmented MP4.
    Cmaf,
    /// MPEG-TS.
    Ts,
}

/// What one rendition is packaged from and to.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// What ffmpeg wrote.
    pub movie: &'a Movie,
    /// Its track that is packaged.
    pub track: &'a SampleTrack,
    /// What segments are made of.
    pub format: Format,
    /// Width and height of the picture in pixels.
    pub size: (u32, u32),
    /// ISO 639-2 code of the language that is spoken.
    pub language: &'a str,
    /// Where segments begin. Pictures need a keyframe at each; sound is cut as near as it can be.
    pub cuts: &'a [Time],
    /// When the picture ends. Sound that begins later is left out, and sound that ends before is
    /// followed by silence.
    pub until: Time,
}

/// Where the bytes of silent samples are: in no file.
const NOWHERE: u64 = u64::MAX;

/// Ticks of a frame of AAC (ISO/IEC 14496-3 §4.5.1.1).
const AAC_FRAME: u32 = 1024;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// The codec's name in playlists.
    pub codec: String,
    /// Ticks per second of all times in here.
    pub timescale: u32,
    /// Its segments, in order.
    pub segments: Vec<Segment>,
    /// Pictures at which decoding can start, in order; none of sound.
    pub keyframes: Vec<Keyframe>,
    /// Frames, or packets of sound.
    pub samples: u64,
    /// When the last one ends.
    pub end: i64,
    /// How much later than zero the first picture came; it stands from zero on all the same.
    pub late: i64,
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When it begins. The first one begins at zero.
    pub start: i64,
    /// Ticks to the next one, or to the end.
    pub length: i64,
    /// Bytes.
    pub bytes: u64,
}

/// One keyframe, with everything that is needed to decode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyframe {
    /// The index of its segment.
    pub segment: usize,
    /// When it is shown.
    pub shown: i64,
    /// Where it begins in the segment.
    pub at: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl Format {
    /// The file of a segment, by its index.
    pub fn segment(self, index: usize) -> String {
        let extension = match self {
            Format::Cmaf => "m4s",
            Format::Ts => "ts",
        };
        format!("segment_{:05}.{extension}", index + 1)
    }
}

impl Written {
    /// Seconds of so many ticks.
    pub fn seconds(&self, ticks: i64) -> f64 {
        Time { ticks, scale: self.timescale }.seconds()
    }

    /// What each segment takes.
    pub fn pieces(&self) -> Vec<Piece> {
        let piece = |segment: &Segment| Piece {
            seconds: self.seconds(segment.length),
            bytes: segment.bytes,
        };
        self.segments.iter().map(piece).collect()
    }
}

/// Writes the segments of a rendition into `folder`, which is made.
pub fn write(
    task: Task<'_>,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<Written, PackagingError> {
    fs::create_dir_all(folder)?;
    let coding = Coding::of_entry(&task.track.entry)?;
    let multiplexer = match task.format {
        Format::Cmaf => {
            fs::write(folder.join(HEADER), cmaf::header(task.track, task.size, task.language))?;
            None
        }
        Format::Ts => Some(Multiplexer::new(task.track, &coding)?),
    };
    let written =
        Written { codec: coding.name()?, timescale: task.track.timescale, ..Written::default() };
    let packager =
        Packager { task, folder, multiplexer, written, open: None, group: Vec::new(), chunks: 0 };
    packager.run(cancel)
}

/// A rendition on its way.
struct Packager<'a> {
    task: Task<'a>,
    folder: &'a Path,
    multiplexer: Option<Multiplexer>,
    written: Written,
    open: Option<BufWriter<File>>,
    /// The samples of the group of pictures, or of the segment of sound, that is gathered.
    group: Vec<Sample>,
    chunks: u32,
}

impl Packager<'_> {
    fn run(mut self, cancel: &CancellationToken) -> Result<Written, PackagingError> {
        let Task { movie, track, .. } = self.task;
        let is_sound = track.media == MediaKind::Audio;
        let mut last = None;
        for sample in movie.samples(track) {
            let mut sample = sample?;
            if is_sound && self.time(&sample) >= self.task.until {
                break;
            }
            if !is_sound && last.is_none() {
                self.begin_at_zero(&mut sample);
            }
            if is_sound {
                // The last frame is said to be shorter, where its end isn't heard.
                sample.duration = sample.duration.max(AAC_FRAME);
            }
            self.take(sample, cancel)?;
            last = Some(sample);
        }
        while let Some(silent) =
            last.map(after).filter(|silent| is_sound && self.time(silent) < self.task.until)
        {
            self.take(silent, cancel)?;
            last = Some(silent);
        }
        self.write_group()?;
        self.close()?;
        match self.task.cuts.get(self.written.segments.len()) {
            Some(cut) if track.media == MediaKind::Video => Err(misaligned(*cut)),
            _ => Ok(self.written),
        }
    }

    /// A first picture that comes late stands from zero on, so that nothing is missing at the start.
    fn begin_at_zero(&mut self, first: &mut Sample) {
        let late = first.shown.clamp(0, first.decoded.max(0));
        first.shown -= late;
        first.decoded -= late;
        first.duration = first.duration.saturating_add(u32::try_from(late).unwrap_or(u32::MAX));
        self.written.late = late;
    }

    fn take(&mut self, sample: Sample, cancel: &CancellationToken) -> Result<(), PackagingError> {
        let begins_segment = self.begins_segment(&sample)?;
        if begins_segment || (sample.sync && self.task.track.media == MediaKind::Video) {
            if cancel.is_cancelled() {
                return Err(PackagingError::Cancelled);
            }
            self.write_group()?;
        }
        if begins_segment {
            self.next_segment(sample.shown)?;
        }
        self.written.end = self.written.end.max(sample.shown + i64::from(sample.duration));
        self.written.samples += 1;
        self.group.push(sample);
        Ok(())
    }

    fn time(&self, sample: &Sample) -> Time {
        Time { ticks: sample.shown, scale: self.task.track.timescale }
    }

    fn begins_segment(&self, sample: &Sample) -> Result<bool, PackagingError> {
        let begun = self.written.segments.len();
        if begun == 0 {
            return Ok(true);
        }
        let Some(cut) = self.task.cuts.get(begun) else { return Ok(false) };
        match self.task.track.media {
            MediaKind::Video if !sample.sync => Ok(false),
            MediaKind::Video if self.time(sample) > *cut => Err(misaligned(*cut)),
            _ => Ok(self.time(sample) >= *cut),
        }
    }

    fn next_segment(&mut self, shown: i64) -> Result<(), PackagingError> {
        self.close()?;
        let index = self.written.segments.len();
        let start = if index == 0 { 0 } else { shown };
        if let Some(last) = self.written.segments.last_mut() {
            last.length = start - last.start;
        }
        let mut file = File::create_new(self.folder.join(self.task.format.segment(index)))
            .map(BufWriter::new)?;
        let mut bytes = 0;
        if self.task.format == Format::Cmaf {
            let mark = cmaf::segment_mark();
            file.write_all(&mark)?;
            bytes = mark.len() as u64;
        }
        self.open = Some(file);
        self.written.segments.push(Segment { start, length: 0, bytes });
        Ok(())
    }

    fn close(&mut self) -> Result<(), PackagingError> {
        if let Some(mut file) = self.open.take() {
            file.flush()?;
        }
        if let Some(last) = self.written.segments.last_mut() {
            last.length = self.written.end - last.start;
        }
        Ok(())
    }

    /// Writes what was gathered.
    fn write_group(&mut self) -> Result<(), PackagingError> {
        let group = std::mem::take(&mut self.group);
        let (Some(first), Some(file)) = (group.first(), self.open.as_mut()) else {
            return Ok(());
        };
        let Task { movie, track, .. } = self.task;
        let mut bytes = Vec::new();
        let (all, to_first) = if let Some(multiplexer) = &mut self.multiplexer {
            let mut packets = Vec::new();
            multiplexer.tables(&mut packets);
            let read = |sample: &Sample, into: &mut Vec<u8>| read(movie, sample, into);
            let to_first = multiplexer.samples(&mut packets, &group, read)?;
            file.write_all(&packets)?;
            (packets.len() as u64, to_first as u64)
        } else {
            self.chunks += 1;
            let header = cmaf::chunk_header(track, self.chunks, &group)?;
            file.write_all(&header)?;
            for sample in &group {
                read(movie, sample, &mut bytes)?;
                file.write_all(&bytes)?;
            }
            let media: u64 = group.iter().map(|sample| u64::from(sample.size)).sum();
            let header = header.len() as u64;
            (header + media, header + u64::from(first.size))
        };
        self.measure(first, all, to_first);
        Ok(())
    }

    /// Records a group of so many bytes, of which its first picture takes `to_first`.
    fn measure(&mut self, first: &Sample, bytes: u64, to_first: u64) {
        let Some(index) = self.written.segments.len().checked_sub(1) else { return };
        let segment = &mut self.written.segments[index];
        if self.task.track.media == MediaKind::Video {
            let (shown, at) = (first.shown, segment.bytes);
            self.written.keyframes.push(Keyframe { segment: index, shown, at, bytes: to_first });
        }
        segment.bytes += bytes;
    }
}

/// The silent sample that follows `last`.
fn after(last: Sample) -> Sample {
    Sample {
        at: NOWHERE,
        size: SILENCE.len() as u32,
        decoded: last.decoded + i64::from(last.duration),
        shown: last.shown + i64::from(last.duration),
        duration: AAC_FRAME,
        sync: true,
    }
}

/// Reads the bytes of a sample, wherever they are.
fn read(movie: &Movie, sample: &Sample, into: &mut Vec<u8>) -> io::Result<()> {
    if sample.at == NOWHERE {
        into.clear();
        into.extend(SILENCE);
        return Ok(());
    }
    movie.read(sample, into)
}

fn misaligned(cut: Time) -> PackagingError {
    PackagingError::Misaligned { seconds: cut.seconds() }
}
