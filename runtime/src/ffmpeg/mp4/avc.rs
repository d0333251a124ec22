//! The parameter sets of H.264 in an MP4 file: read out, and written back with others added, so that
//! one track can hold what several encoders made (ISO/IEC 14496-15 §5.3.3.1).
//!
//! Works on the header of a file that ffmpeg has just written with the header at its end.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A header larger than this isn't rewritten.
const MOST_HEADER: u64 = 256 << 20;

/// Where `avcC` is: the boxes around it. `stsd` and the sample entry have fields before their boxes.
const WAY: [(&[u8; 4], usize); 7] = [
    (b"moov", 8),
    (b"trak", 8),
    (b"mdia", 8),
    (b"minf", 8),
    (b"stbl", 8),
    (b"stsd", 16),
    (b"avc1", 86),
];

/// The parameter sets of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    /// Version, profile, compatibility, level and the size of lengths, as they are written.
    head: [u8; 5],
    sequence: Vec<Vec<u8>>,
    picture: Vec<Vec<u8>>,
    /// What some profiles have at the end.
    rest: Vec<u8>,
}

impl ParameterSets {
    /// Reads the content of `avcC`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..5)?.try_into().ok()?;
        let (sequence, after) = sets(bytes, 5, 0x1f)?;
        let (picture, after) = sets(bytes, after, 0xff)?;
        Some(ParameterSets { head, sequence, picture, rest: bytes.get(after..)?.to_vec() })
    }

    /// Reads them from the header of a file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (start, header) = header(&mut file)?;
        let found = find(&header).and_then(|(_, body)| Self::parse(header.get(body)?));
        found.ok_or_else(|| {
            let place = format!("no parameter sets of H.264 in the header at {start}");
            io::Error::new(io::ErrorKind::InvalidData, place)
        })
    }

    /// A number that none of them has, for sets that are to be added.
    pub fn free_number(&self) -> Option<u32> {
        let taken: Vec<_> = self.numbers().collect();
        (1..32).find(|number| !taken.contains(number))
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        // After the NAL header, a sequence has three bytes before its number (ISO/IEC 14496-10 §7.3.2.1.1).
        let sequences = self.sequence.iter().filter_map(|set| exp_golomb(set.get(4..)?));
        let pictures = self.picture.iter().filter_map(|set| exp_golomb(set.get(1..)?));
        sequences.chain(pictures)
    }

    /// Adds sets. None when one has the number of another that is different: such tracks can't be
    /// one.
    pub fn with(mut self, other: &ParameterSets) -> Option<Self> {
        // Profiles below High say nothing of the format of samples, which is then the usual one.
        let agree = self.rest.is_empty() || other.rest.is_empty() || self.rest == other.rest;
        if self.head[4] != other.head[4] || !agree {
            return None;
        }
        if self.rest.is_empty() {
            self.rest.clone_from(&other.rest);
        }
        for set in &other.sequence {
            add(&mut self.sequence, set, 4)?;
        }
        for set in &other.picture {
            add(&mut self.picture, set, 1)?;
        }
        // The profile and the level are those of the more demanding.
        self.head[1] = self.head[1].max(other.head[1]);
        self.head[2] &= other.head[2];
        self.head[3] = self.head[3].max(other.head[3]);
        Some(self)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_vec();
        let groups = [(&self.sequence, 0xe0), (&self.picture, 0)];
        for (sets, reserved) in groups {
            bytes.push(reserved | u8::try_from(sets.len()).unwrap_or(0x1f));
            for set in sets {
                bytes.extend(u16::try_from(set.len()).unwrap_or(0).to_be_bytes());
                bytes.extend(set);
            }
        }
        bytes.extend(&self.rest);
        bytes
    }

    /// Writes them into the header of a file, which has to be at its end.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let (start, mut header) = header(&mut file)?;
        let unusual = || io::Error::new(io::ErrorKind::InvalidData, "the header isn't at the end");
        let (way, body) = find(&header).ok_or_else(unusual)?;
        let bytes = self.bytes();
        let growth = bytes.len() as i64 - body.len() as i64;
        header.splice(body, bytes);
        for at in way {
            let size = u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
            let grown = u32::try_from(i64::from(size) + growth).map_err(|_| unusual())?;
            header[at..at + 4].copy_from_slice(&grown.to_be_bytes());
        }
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&header)?;
        file.set_len(start + header.len() as u64)
    }
}

fn add(sets: &mut Vec<Vec<u8>>, set: &[u8], skip: usize) -> Option<()> {
    let number = exp_golomb(set.get(skip..)?)?;
    let same = sets.iter().find(|known| known.get(skip..).and_then(exp_golomb) == Some(number));
    match same {
        Some(known) if known == set => {}
        Some(_) => return None,
        None => sets.push(set.to_vec()),
    }
    Some(())
}

/// A list of sets: their number, and each with its length.
fn sets(bytes: &[u8], at: usize, mask: u8) -> Option<(Vec<Vec<u8>>, usize)> {
    let count = bytes.get(at)? & mask;
    let mut at = at + 1;
    let mut sets = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        sets.push(bytes.get(at + 2..at + 2 + length)?.to_vec());
        at += 2 + length;
    }
    Some((sets, at))
}

/// The unsigned number at the start of `bytes` (ISO/IEC 14496-10 §9.1).
fn exp_golomb(bytes: &[u8]) -> Option<u32> {
    let bit = |at: usize| bytes.get(at / 8).map(|byte| u32::from(byte >> (7 - at % 8) & 1));
    let zeros = (0..32).position(|at| bit(at) == Some(1))?;
    let value = (zeros..=2 * zeros).try_fold(0_u32, |value, at| Some(value << 1 | bit(at)?))?;
    Some(value - 1)
}

/// Where the header is, the last box of a file, and its bytes.
fn header(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let unusual = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let length = file.metadata()?.len();
    let mut at = 0;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        file.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            1 => u64::from_be_bytes(head[8..].try_into().expect("eight bytes")),
            size => u64::from(size),
        };
        if kind.starts_with(b"moov") {
            if at + size != length || size > MOST_HEADER {
                return Err(unusual("the header isn't at the end"));
            }
            let mut header = vec![0; size as usize];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut header)?;
            return Ok((at, header));
        }
        at = at.checked_add(size.max(8)).ok_or_else(|| unusual("a box is too large"))?;
    }
}

/// Where the sizes of `avcC` and of the boxes around it are in a header, and its content.
fn find(header: &[u8]) -> Option<(Vec<usize>, std::ops::Range<usize>)> {
    let mut way = vec![0];
    let mut inside = WAY[0].1..header.len();
    let rest = WAY[1..].iter().map(|(kind, skip)| (**kind, *skip)).chain([(*b"avcC", 8)]);
    for (kind, skip) in rest {
        let (at, size) = child(header, inside, &kind)?;
        way.push(at);
        inside = at + skip..at + size;
    }
    Some((way, inside))
}

fn child(header: &[u8], inside: std::ops::Range<usize>, kind: &[u8; 4]) -> Option<(usize, usize)> {
    let mut at = inside.start;
    while at + 8 <= inside.end {
        let size = u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?) as usize;
        if size < 8 || at + size > inside.end {
            return None;
        }
        if &header[at + 4..at + 8] == kind {
            return Some((at, size));
        }
        at += size;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets of x264, with these numbers.
    fn avcc(sequence: u8, picture: u8) -> Vec<u8> {
        let mut bytes = vec![1, 100, 0, 31, 0xff, 0xe1, 0, 6, 0x67, 100, 0, 31, sequence, 0x55];
        bytes.extend([1, 0, 3, 0x68, picture, 0x3c]);
        bytes.extend([0xfd, 0xf8, 0xf8, 0]);
        bytes
    }

    #[test]
    fn sets_are_read_and_written_as_they_were() {
        let sets = ParameterSets::parse(&avcc(0b1000_0000, 0b1110_0000)).unwrap();
        assert_eq!(sets.bytes(), avcc(0b1000_0000, 0b1110_0000));
        assert_eq!(sets.numbers().collect::<Vec<_>>(), [0, 0]);
        assert_eq!(sets.free_number(), Some(1));
        assert_eq!(ParameterSets::parse(&[1, 100, 0]), None);
    }

    #[test]
    fn sets_of_other_numbers_are_added_and_of_the_same_must_be_equal() {
        let read = |sequence, picture| ParameterSets::parse(&avcc(sequence, picture)).unwrap();
        let (zero, one) = (read(0b1000_0000, 0b1000_0000), read(0b0100_0000, 0b0100_0000));
        let both = zero.clone().with(&one).unwrap();
        assert_eq!((both.sequence.len(), both.picture.len()), (2, 2));
        assert_eq!(both.clone().with(&one), Some(both));
        assert_eq!(zero.with(&read(0b1000_0001, 0b1000_0000)), None);
    }

    #[test]
    fn numbers_are_read_bit_by_bit() {
        assert_eq!(exp_golomb(&[0b1000_0000]), Some(0));
        assert_eq!(exp_golomb(&[0b0110_0000]), Some(2));
        assert_eq!(exp_golomb(&[0b0001_0110]), Some(10));
        assert_eq!(exp_golomb(&[0]), None);
    }
}
