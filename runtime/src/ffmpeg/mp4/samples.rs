//! The samples of an MP4 file, one after the other: where each lies, when it is decoded and shown.
//!
//! Their tables are read as they are needed, so memory doesn't grow with the file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Boxes, Found, IndexError, Result, one};

/// Bytes of a table that are read at once.
const WINDOW: usize = 16 << 10;

/// A file whose samples can be read.
#[derive(Debug)]
pub struct Movie {
    file: File,
    /// Its tracks, in order.
    pub tracks: Vec<SampleTrack>,
}

/// One track. Times are in ticks, of which [`SampleTrack::timescale`] make a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleTrack {
    /// What it carries.
    pub media: MediaKind,
    /// Ticks per second.
    pub timescale: u32,
    /// How it is coded: the sample entry (§8.5.2), a whole box.
    pub entry: Vec<u8>,
    /// Ticks that pass before its first sample.
    pub delay: i64,
    /// Ticks at its start that are decoded and not shown, such as the priming of AAC.
    pub skipped: i64,
    /// How many samples it has.
    pub samples: u64,
    tables: Tables,
}

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else.
    Other,
}

/// One sample: a frame of video, or a packet of audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where its bytes begin in the file.
    pub at: u64,
    /// Its bytes.
    pub size: u32,
    /// When it is decoded.
    pub decoded: i64,
    /// When it is shown; never depends on the order of decoding.
    pub shown: i64,
    /// How long it is shown.
    pub duration: u32,
    /// Decoding can start here.
    pub sync: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tables {
    durations: Range<u64>,
    compositions: Option<Range<u64>>,
    syncs: Option<Range<u64>>,
    size_of_each: u32,
    sizes: Range<u64>,
    chunks: Range<u64>,
    offsets: Range<u64>,
    wide_offsets: bool,
}

impl Movie {
    /// Opens what ffmpeg wrote: an MP4 that isn't fragmented.
    pub fn open(path: &Path) -> Result<Movie> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut boxes = Boxes { file: &file };
        let top = boxes.inside(0..length)?;
        let parts = boxes.inside(one(&top, b"moov")?.body.clone())?;
        let (movie_scale, _) = boxes.scale(one(&parts, b"mvhd")?)?;
        let mut tracks = Vec::new();
        for trak in parts.iter().filter(|found| &found.kind == b"trak") {
            tracks.push(boxes.sample_track(trak, movie_scale)?);
        }
        Ok(Movie { file, tracks })
    }

    /// The first track of a kind.
    pub fn track(&self, kind: MediaKind) -> Option<&SampleTrack> {
        self.tracks.iter().find(|track| track.media == kind)
    }

    /// The samples of one of its tracks, in the order of decoding.
    pub fn samples<'a>(&'a self, track: &'a SampleTrack) -> Samples<'a> {
        let Tables { durations, compositions, syncs, sizes, chunks, offsets, .. } = &track.tables;
        let table = |range: &Range<u64>| Table::of(&self.file, range.clone());
        Samples {
            track,
            left: track.samples,
            index: 0,
            ticks: 0,
            durations: Runs::of(table(durations)),
            compositions: compositions.as_ref().map(|range| Runs::of(table(range))),
            syncs: syncs.as_ref().map(|range| Syncs { table: table(range), next: None }),
            sizes: table(sizes),
            place: Chunks {
                runs: table(chunks),
                offsets: table(offsets),
                ..Chunks::start(&self.file)
            },
        }
    }

    /// Reads the bytes of a sample into `into`, in place of what is there.
    pub fn read(&self, sample: &Sample, into: &mut Vec<u8>) -> io::Result<()> {
        into.resize(sample.size as usize, 0);
        self.file.read_exact_at(into, sample.at)
    }
}

impl Boxes<&File> {
    fn sample_track(&mut self, trak: &Found, movie_scale: f64) -> Result<SampleTrack> {
        let parts = self.inside(trak.body.clone())?;
        let mdia = self.inside(one(&parts, b"mdia")?.body.clone())?;
        let minf = self.inside(one(&mdia, b"minf")?.body.clone())?;
        let stbl = self.inside(one(&minf, b"stbl")?.body.clone())?;
        let (scale, _) = self.scale(one(&mdia, b"mdhd")?)?;
        let media = match &self.bytes::<4>(&one(&mdia, b"hdlr")?.body, 8)? {
            b"vide" => MediaKind::Video,
            b"soun" => MediaKind::Audio,
            _ => MediaKind::Other,
        };
        let (delay, skipped) = match parts.iter().find(|found| &found.kind == b"edts") {
            Some(edts) => self.edit(edts, scale / movie_scale)?,
            None => (0, 0),
        };
        let stsz = one(&stbl, b"stsz")?;
        let samples = u64::from(self.u32(stsz, 8)?);
        Ok(SampleTrack {
            media,
            timescale: scale as u32,
            entry: self.whole_entry(one(&stbl, b"stsd")?)?,
            delay,
            skipped,
            samples,
            tables: self.tables(&stbl, stsz)?,
        })
    }

    /// The pause before a track, and what is skipped of it (§8.6.6), both in its ticks.
    fn edit(&mut self, edts: &Found, ticks_per_unit: f64) -> Result<(i64, i64)> {
        let boxes = self.inside(edts.body.clone())?;
        let elst = one(&boxes, b"elst")?;
        let wide = self.wide(elst)?;
        let (mut pause, mut skipped) = (0.0, None);
        for entry in 0..u64::from(self.u32(elst, 4)?) {
            let (duration, start) = self.edit_entry(elst, wide, entry)?;
            if start == -1 && skipped.is_none() {
                pause += duration as f64;
            } else if skipped.replace(start).is_some() {
                return Err(IndexError::Unusual("it is put together from several parts"));
            }
        }
        Ok(((pause * ticks_per_unit).round() as i64, skipped.unwrap_or(0)))
    }

    /// The one entry of a sample description (§8.5.2), with its header.
    fn whole_entry(&mut self, stsd: &Found) -> Result<Vec<u8>> {
        let end = self.entry(stsd)?.body.end;
        let start = stsd.body.start + 8;
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        if length > WINDOW {
            return Err(IndexError::Unusual("a codec's description is too long"));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    fn tables(&mut self, stbl: &[Found], stsz: &Found) -> Result<Tables> {
        let after = |found: &Found, bytes: u64| found.body.start + bytes..found.body.end;
        let optional = |kind: &[u8; 4]| stbl.iter().find(|found| &found.kind == kind);
        let wide = optional(b"co64");
        let offsets = match wide {
            Some(found) => found,
            None => one(stbl, b"stco")?,
        };
        Ok(Tables {
            durations: after(one(stbl, b"stts")?, 8),
            compositions: optional(b"ctts").map(|found| after(found, 8)),
            syncs: optional(b"stss").map(|found| after(found, 8)),
            size_of_each: self.u32(stsz, 4)?,
            sizes: after(stsz, 12),
            chunks: after(one(stbl, b"stsc")?, 8),
            offsets: after(offsets, 8),
            wide_offsets: wide.is_some(),
        })
    }
}

/// The numbers of a table, read a window at a time.
#[derive(Debug)]
struct Table<'a> {
    file: &'a File,
    left: Range<u64>,
    window: Vec<u8>,
    at: usize,
}

impl<'a> Table<'a> {
    fn of(file: &'a File, range: Range<u64>) -> Self {
        Table { file, left: range, window: Vec::new(), at: 0 }
    }

    /// The next number; none at the end.
    fn next(&mut self) -> Result<Option<u32>> {
        if self.at == self.window.len() && !self.fill()? {
            return Ok(None);
        }
        let number = self.window[self.at..self.at + 4].try_into();
        self.at += 4;
        Ok(Some(u32::from_be_bytes(number.expect("windows hold whole numbers"))))
    }

    fn expect(&mut self) -> Result<u32> {
        self.next()?.ok_or(IndexError::Unusual("a table ends too early"))
    }

    fn fill(&mut self) -> Result<bool> {
        let length = (self.left.end.saturating_sub(self.left.start)).min(WINDOW as u64) / 4 * 4;
        self.window.resize(length as usize, 0);
        self.at = 0;
        self.file.read_exact_at(&mut self.window, self.left.start)?;
        self.left.start += length;
        Ok(length > 0)
    }
}

/// A table of (how many, value).
#[derive(Debug)]
struct Runs<'a> {
    table: Table<'a>,
    left: u32,
    value: u32,
}

impl<'a> Runs<'a> {
    fn of(table: Table<'a>) -> Self {
        Runs { table, left: 0, value: 0 }
    }

    fn next(&mut self) -> Result<u32> {
        while self.left == 0 {
            self.left = self.table.expect()?;
            self.value = self.table.expect()?;
        }
        self.left -= 1;
        Ok(self.value)
    }
}

/// The numbers of the samples at which decoding can start, from 1.
#[derive(Debug)]
struct Syncs<'a> {
    table: Table<'a>,
    next: Option<u32>,
}

impl Syncs<'_> {
    fn contain(&mut self, number: u64) -> Result<bool> {
        while self.next.is_none_or(|next| u64::from(next) < number) {
            match self.table.next()? {
                Some(next) => self.next = Some(next),
                None => return Ok(false),
            }
        }
        Ok(self.next.is_some_and(|next| u64::from(next) == number))
    }
}

/// Where samples lie: chunk by chunk, so many in each (§8.7.4 and §8.7.5).
#[derive(Debug)]
struct Chunks<'a> {
    runs: Table<'a>,
    offsets: Table<'a>,
    /// The chunk that is read, from 1.
    chunk: u32,
    per_chunk: u32,
    /// The chunk from which on there are so many in each.
    following: Option<(u32, u32)>,
    left: u32,
    at: u64,
}

impl<'a> Chunks<'a> {
    fn start(file: &'a File) -> Self {
        let none = || Table::of(file, 0..0);
        Chunks {
            runs: none(),
            offsets: none(),
            chunk: 0,
            per_chunk: 0,
            following: None,
            left: 0,
            at: 0,
        }
    }

    fn next(&mut self, size: u32, wide: bool) -> Result<u64> {
        while self.left == 0 {
            self.next_chunk(wide)?;
        }
        self.left -= 1;
        let at = self.at;
        self.at += u64::from(size);
        Ok(at)
    }

    fn next_chunk(&mut self, wide: bool) -> Result<()> {
        if self.chunk == 0 {
            self.following = self.run()?;
        }
        self.chunk += 1;
        if let Some((_, count)) = self.following.filter(|(first, _)| *first <= self.chunk) {
            self.per_chunk = count;
            self.following = self.run()?;
        }
        self.left = self.per_chunk;
        let high = if wide { u64::from(self.offsets.expect()?) << 32 } else { 0 };
        self.at = high | u64::from(self.offsets.expect()?);
        Ok(())
    }

    fn run(&mut self) -> Result<Option<(u32, u32)>> {
        let Some(first) = self.runs.next()? else { return Ok(None) };
        let count = self.runs.expect()?;
        self.runs.expect()?;
        Ok(Some((first, count)))
    }
}

/// The samples of one track, in the order of decoding.
#[derive(Debug)]
pub struct Samples<'a> {
    track: &'a SampleTrack,
    left: u64,
    index: u64,
    ticks: i64,
    durations: Runs<'a>,
    compositions: Option<Runs<'a>>,
    syncs: Option<Syncs<'a>>,
    sizes: Table<'a>,
    place: Chunks<'a>,
}

impl Samples<'_> {
    fn sample(&mut self) -> Result<Sample> {
        let Tables { size_of_each, wide_offsets, .. } = self.track.tables;
        let size = if size_of_each > 0 { size_of_each } else { self.sizes.expect()? };
        let at = self.place.next(size, wide_offsets)?;
        let duration = self.durations.next()?;
        let composition = match &mut self.compositions {
            // Version 1 has signed offsets, and version 0 none that reach the highest bit.
            Some(runs) => i64::from(runs.next()?.cast_signed()),
            None => 0,
        };
        self.index += 1;
        let sync = match &mut self.syncs {
            Some(syncs) => syncs.contain(self.index)?,
            None => true,
        };
        let decoded = self.ticks + self.track.delay;
        self.ticks += i64::from(duration);
        let shown = decoded + composition - self.track.skipped;
        Ok(Sample { at, size, decoded, shown, duration, sync })
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let sample = self.sample();
        if sample.is_err() {
            self.left = 0;
        }
        Some(sample)
    }
}
