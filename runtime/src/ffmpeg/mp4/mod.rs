//! The index of an MP4 or MOV file: which tracks it has, and of how many samples.
//!
//! Reads what ffmpeg itself has just written, in a millisecond where ffprobe takes as long as it
//! takes to start. Sections are those of ISO/IEC 14496-12:2015. Only headers are read, by seeking,
//! so memory doesn't grow with the file. Whatever is unusual is an error, and ffprobe's to judge.

pub mod avc;
pub mod samples;

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

/// Boxes that one box may hold.
const MAX_BOXES: usize = 1024;

/// The matrix of a picture that is shown as it is stored (§8.3.2): identity in 16.16 and 2.30.
const UPRIGHT: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// The tracks of a file, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// All of them.
    pub tracks: Vec<Track>,
}

/// One track.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// What it carries.
    pub kind: Kind,
    /// Samples: packets, as ffmpeg calls them.
    pub samples: u64,
    /// Seconds that are shown.
    pub duration: f64,
}

/// What a track carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pictures, shown as they are stored.
    Video {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Sound.
    Audio {
        /// ffmpeg's name of the codec.
        codec: &'static str,
    },
    /// Subtitles, chapters, time codes.
    Other,
}

/// Why a file has no index that can be relied on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It can't be read, or ends too early.
    #[error("it can't be read")]
    Read(#[from] io::Error),
    /// It isn't what ffmpeg writes for MP4.
    #[error("{0}")]
    Unusual(&'static str),
}

type Result<T> = std::result::Result<T, IndexError>;

/// Reads the index of `file`. Its boxes have to fill the file, and its samples have to fit into
/// the media data: an index of what isn't there counts nothing.
pub fn read(file: impl Read + Seek) -> Result<Index> {
    let mut file = Boxes { file };
    let length = file.file.seek(SeekFrom::End(0))?;
    let top = file.inside(0..length)?;
    if top.iter().any(|found| &found.kind == b"moof") {
        return Err(IndexError::Unusual("it is fragmented"));
    }
    let moov = one(&top, b"moov")?;
    let parts = file.inside(moov.body.clone())?;
    let (scale, _) = file.scale(one(&parts, b"mvhd")?)?;
    let mut tracks = Vec::new();
    let mut bytes = 0_u64;
    for trak in parts.iter().filter(|found| &found.kind == b"trak") {
        let (track, size) = file.track(trak, scale)?;
        bytes = bytes.saturating_add(size);
        tracks.push(track);
    }
    let media = top.iter().filter(|found| &found.kind == b"mdat");
    if bytes > media.map(|mdat| mdat.body.end - mdat.body.start).sum() {
        return Err(IndexError::Unusual("its samples are larger than its media data"));
    }
    Ok(Index { tracks })
}

/// A box (§4.2): its type, and where its content is.
struct Found {
    kind: [u8; 4],
    body: Range<u64>,
}

fn one<'a>(boxes: &'a [Found], kind: &[u8; 4]) -> Result<&'a Found> {
    let mut found = boxes.iter().filter(|found| &found.kind == kind);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(IndexError::Unusual("a box of its header is missing or there twice")),
    }
}

struct Boxes<F> {
    file: F,
}

impl<F: Read + Seek> Boxes<F> {
    /// The boxes that fill `range`.
    fn inside(&mut self, range: Range<u64>) -> Result<Vec<Found>> {
        let mut boxes = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let found = self.header(at, range.end)?;
            at = found.body.end;
            boxes.push(found);
            if boxes.len() > MAX_BOXES {
                return Err(IndexError::Unusual("it has too many boxes"));
            }
        }
        Ok(boxes)
    }

    fn header(&mut self, at: u64, end: u64) -> Result<Found> {
        let [a, b, c, d, kind @ ..] = self.bytes::<8>(&(at..end), 0)?;
        let (head, size) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (8, end - at),
            1 => (16, u64::from_be_bytes(self.bytes(&(at..end), 8)?)),
            size => (8, u64::from(size)),
        };
        if size < head || size > end - at {
            return Err(IndexError::Unusual("a box is larger than what it is in"));
        }
        Ok(Found { kind, body: at + head..at + size })
    }

    /// `N` bytes at `offset` of `range`, and never what is outside of it.
    fn bytes<const N: usize>(&mut self, range: &Range<u64>, offset: u64) -> Result<[u8; N]> {
        let at = range.start.saturating_add(offset);
        if range.end.saturating_sub(at) < N as u64 {
            return Err(IndexError::Unusual("a box is too short"));
        }
        self.file.seek(SeekFrom::Start(at))?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self, found: &Found, offset: u64) -> Result<u32> {
        self.bytes(&found.body, offset).map(u32::from_be_bytes)
    }

    /// The first byte of a full box (§4.2) says how wide its times are.
    fn wide(&mut self, found: &Found) -> Result<bool> {
        match self.bytes(&found.body, 0)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(IndexError::Unusual("a box is of an unknown version")),
        }
    }

    /// Units per second, and duration in them, of `mvhd` (§8.2.2) and `mdhd` (§8.4.2).
    fn scale(&mut self, found: &Found) -> Result<(f64, u64)> {
        let (scale, duration) = match self.wide(found)? {
            true => (self.u32(found, 20)?, u64::from_be_bytes(self.bytes(&found.body, 24)?)),
            false => (self.u32(found, 12)?, u64::from(self.u32(found, 16)?)),
        };
        match scale {
            0 => Err(IndexError::Unusual("a time scale is zero")),
            scale => Ok((f64::from(scale), duration)),
        }
    }

    /// A track (§8.3.1), and the bytes of its samples. `movie` is the movie's time scale.
    fn track(&mut self, trak: &Found, movie: f64) -> Result<(Track, u64)> {
        let parts = self.inside(trak.body.clone())?;
        let mdia = self.inside(one(&parts, b"mdia")?.body.clone())?;
        let minf = self.inside(one(&mdia, b"minf")?.body.clone())?;
        let stbl = self.inside(one(&minf, b"stbl")?.body.clone())?;
        let (samples, bytes) = self.sizes(one(&stbl, b"stsz")?)?;
        let (timed, ticks) = self.times(one(&stbl, b"stts")?)?;
        if timed != samples {
            return Err(IndexError::Unusual("its samples and their times differ in number"));
        }
        let (scale, _) = self.scale(one(&mdia, b"mdhd")?)?;
        let all = ticks as f64 / scale;
        let shown = match parts.iter().find(|found| &found.kind == b"edts") {
            Some(edts) => self.shown(edts)?.map_or(all, |units| all.min(units as f64 / movie)),
            None => all,
        };
        // Handler types: §8.4.3, and §12 for each kind of media.
        let kind = match &self.bytes::<4>(&one(&mdia, b"hdlr")?.body, 8)? {
            b"vide" => {
                self.upright(one(&parts, b"tkhd")?)?;
                self.picture(one(&stbl, b"stsd")?)?
            }
            b"soun" => Kind::Audio { codec: self.sound(one(&stbl, b"stsd")?)? },
            _ => Kind::Other,
        };
        Ok((Track { kind, samples, duration: shown }, bytes))
    }

    /// Number and bytes of the samples (§8.7.3.2).
    fn sizes(&mut self, stsz: &Found) -> Result<(u64, u64)> {
        let (each, count) = (self.u32(stsz, 4)?, u64::from(self.u32(stsz, 8)?));
        if each > 0 {
            return Ok((count, count * u64::from(each)));
        }
        let mut bytes = 0_u64;
        self.entries(stsz, 12, count, |[size]| bytes += u64::from(size))?;
        Ok((count, bytes))
    }

    /// Number and duration of the samples (§8.6.1.2).
    fn times(&mut self, stts: &Found) -> Result<(u64, u64)> {
        let runs = u64::from(self.u32(stts, 4)?);
        let (mut samples, mut ticks) = (0_u64, 0_u64);
        self.entries(stts, 8, runs, |[count, delta]| {
            samples = samples.saturating_add(count.into());
            ticks = ticks.saturating_add(u64::from(count) * u64::from(delta));
        })?;
        Ok((samples, ticks))
    }

    /// Calls `each` with the `count` entries of `N` numbers at `offset` of `table`.
    fn entries<const N: usize>(
        &mut self,
        table: &Found,
        offset: u64,
        count: u64,
        mut each: impl FnMut([u32; N]),
    ) -> Result<()> {
        let size = count * N as u64 * 4;
        if table.body.end - table.body.start != offset + size {
            return Err(IndexError::Unusual("a table isn't as long as it says"));
        }
        self.file.seek(SeekFrom::Start(table.body.start + offset))?;
        let mut entries = BufReader::new(self.file.by_ref().take(size));
        for _ in 0..count {
            let mut entry = [0; N];
            for number in &mut entry {
                let mut bytes = [0; 4];
                entries.read_exact(&mut bytes)?;
                *number = u32::from_be_bytes(bytes);
            }
            each(entry);
        }
        Ok(())
    }

    /// How much of a track is shown (§8.6.6), in units of the movie; none where nothing is cut.
    fn shown(&mut self, edts: &Found) -> Result<Option<u64>> {
        let boxes = self.inside(edts.body.clone())?;
        let elst = one(&boxes, b"elst")?;
        let wide = self.wide(elst)?;
        let mut shown = None;
        for entry in 0..u64::from(self.u32(elst, 4)?) {
            let (duration, start) = self.edit_entry(elst, wide, entry)?;
            // An edit without media is a pause before the track starts.
            if start != -1 && shown.replace(duration).is_some() {
                return Err(IndexError::Unusual("it is put together from several parts"));
            }
        }
        Ok(shown)
    }

    /// Duration and start of one edit; a pause starts at -1.
    fn edit_entry(&mut self, elst: &Found, wide: bool, entry: u64) -> Result<(u64, i64)> {
        if wide {
            let at = 8 + entry * 20;
            let duration = u64::from_be_bytes(self.bytes(&elst.body, at)?);
            Ok((duration, i64::from_be_bytes(self.bytes(&elst.body, at + 8)?)))
        } else {
            let at = 8 + entry * 12;
            let start = i32::from_be_bytes(self.bytes(&elst.body, at + 4)?);
            Ok((u64::from(self.u32(elst, at)?), i64::from(start)))
        }
    }

    /// Fails for a picture that is turned or stretched for display (§8.3.2).
    fn upright(&mut self, tkhd: &Found) -> Result<()> {
        let at = if self.wide(tkhd)? { 52 } else { 40 };
        for (offset, expected) in (at..).step_by(4).zip(UPRIGHT) {
            if self.u32(tkhd, offset)? != expected {
                return Err(IndexError::Unusual("it is turned for display"));
            }
        }
        Ok(())
    }

    /// The one entry of a sample description (§8.5.2).
    fn entry(&mut self, stsd: &Found) -> Result<Found> {
        let body = stsd.body.start.saturating_add(8)..stsd.body.end;
        match (self.u32(stsd, 4)?, self.inside(body)?.pop()) {
            (1, Some(entry)) => Ok(entry),
            _ => Err(IndexError::Unusual("a track has several codecs or none")),
        }
    }

    /// A visual sample entry (§12.1.3).
    fn picture(&mut self, stsd: &Found) -> Result<Kind> {
        let entry = self.entry(stsd)?;
        let [a, b, c, d] = self.bytes(&entry.body, 24)?;
        let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
        Ok(Kind::Video { width: side(a, b), height: side(c, d) })
    }

    /// The codec of an audio sample entry (§12.2.3).
    fn sound(&mut self, stsd: &Found) -> Result<&'static str> {
        let entry = self.entry(stsd)?;
        match &entry.kind {
            b"ac-3" => Ok("ac3"),
            b"ec-3" => Ok("eac3"),
            b"alac" => Ok("alac"),
            b"Opus" => Ok("opus"),
            b".mp3" => Ok("mp3"),
            b"mp4a" => self.mpeg_sound(&entry),
            _ => Err(IndexError::Unusual("its sound is of an unusual codec")),
        }
    }

    /// What `mp4a` stands for. QuickTime has a longer entry, and wraps the description in `wave`.
    fn mpeg_sound(&mut self, entry: &Found) -> Result<&'static str> {
        let fields = match u16::from_be_bytes(self.bytes(&entry.body, 8)?) {
            0 => 28,
            1 => 44,
            _ => return Err(IndexError::Unusual("its sound has an unknown description")),
        };
        let mut boxes = self.inside(entry.body.start.saturating_add(fields)..entry.body.end)?;
        if let Some(wave) = boxes.iter().find(|found| &found.kind == b"wave") {
            // QuickTime ends it with a box of size 8 and type zero, which reads as any other.
            boxes = self.inside(wave.body.clone())?;
        }
        match self.object_type(one(&boxes, b"esds")?)? {
            0x40 | 0x66..=0x68 => Ok("aac"),
            0x69 | 0x6b => Ok("mp3"),
            _ => Err(IndexError::Unusual("its sound is of an unusual codec")),
        }
    }

    /// The object type of an `esds` (ISO/IEC 14496-14 §5.6): an ES descriptor without options, and
    /// in it a decoder configuration (ISO/IEC 14496-1 §7.2.6.5 and §7.2.6.6).
    fn object_type(&mut self, esds: &Found) -> Result<u8> {
        let es = self.descriptor(esds, 4, 3)?;
        let [_, _, options] = self.bytes(&esds.body, es)?;
        if options & 0xe0 != 0 {
            return Err(IndexError::Unusual("its sound has an unknown description"));
        }
        let decoder = self.descriptor(esds, es + 3, 4)?;
        let [object_type] = self.bytes(&esds.body, decoder)?;
        Ok(object_type)
    }

    /// Where the content of the descriptor at `at` begins: after its tag, and a size of up to four
    /// bytes that ends with the first below 128 (ISO/IEC 14496-1 §8.3.3).
    fn descriptor(&mut self, esds: &Found, at: u64, tag: u8) -> Result<u64> {
        let [found] = self.bytes(&esds.body, at)?;
        for offset in at + 1..=at + 4 {
            let [byte] = self.bytes(&esds.body, offset)?;
            if found == tag && byte < 0x80 {
                return Ok(offset + 1);
            }
        }
        Err(IndexError::Unusual("its sound has an unknown description"))
    }
}

#[cfg(test)]
mod tests;
