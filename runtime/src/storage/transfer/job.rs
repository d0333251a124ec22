//! One file on its way: read block by block, hashed, and written to a part if it has one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::hash::{BLOCK, BlockHash, Hasher};
use super::part::Part;
use crate::storage::tree::Stat;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) source: File,
    pub(super) stat: Stat,
    /// When reading began, in nanoseconds since 1970.
    pub(super) read_at: i128,
    pub(super) copy: Option<Copy>,
}

/// Where what is read goes.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) part: Part,
    /// The part already shares the source's blocks on disk.
    pub(super) cloned: bool,
}

/// What a thread reads into; kept from block to block.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    source: Vec<u8>,
    part: Vec<u8>,
}

/// What was done about a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) hash: BlockHash,
    pub(super) bytes: u64,
    /// It was already in the part, and was compared.
    pub(super) resumed: bool,
}

impl Copy {
    /// Goes on with `part`, or has the filesystem share the blocks of `source` if it can.
    pub(super) fn new(part: Part, source: &File, stat: &Stat) -> Self {
        let cloned = part.found() == 0 && stat.size > 0 && part.clone_from(source);
        Copy { part, cloned }
    }
}

impl Job {
    pub(super) fn blocks(&self) -> u64 {
        self.stat.size.div_ceil(BLOCK)
    }

    /// Reads, hashes and writes one block. Holes are neither read nor written.
    pub(super) fn block(
        &self,
        number: u64,
        hasher: &Hasher,
        buffers: &mut Buffers,
    ) -> io::Result<Done> {
        let start = number * BLOCK;
        let bytes = BLOCK.min(self.stat.size - start);
        let source = match &self.copy {
            Some(Copy { part, cloned: true }) => part.file(),
            _ => &self.source,
        };
        let data = data_ranges(source, start, start + bytes)?;
        buffers.source.clear();
        buffers.source.resize(bytes as usize, 0);
        if !data.is_empty() {
            source.read_exact_at(&mut buffers.source, start)?;
        }
        let hash = match data.is_empty() && bytes == BLOCK {
            true => hasher.zeros(),
            false => hasher.block(&buffers.source),
        };
        let resumed = match &self.copy {
            Some(Copy { part, cloned: false }) => write(part, start, &data, buffers)?,
            _ => false,
        };
        Ok(Done { hash, bytes, resumed })
    }
}

/// Writes a block unless it is already there; tells which.
fn write(part: &Part, start: u64, data: &[(u64, u64)], buffers: &mut Buffers) -> io::Result<bool> {
    let Buffers { source, part: found } = buffers;
    if part.found() <= start {
        for &(from, to) in data {
            part.write(&source[(from - start) as usize..(to - start) as usize], from)?;
        }
        return Ok(false);
    }
    let length = (part.found() - start).min(source.len() as u64) as usize;
    found.resize(length, 0);
    part.file().read_exact_at(found, start)?;
    let same = found == &source[..length];
    if !same || length < source.len() {
        part.write(source, start)?;
    }
    Ok(same && length == source.len())
}

/// The parts of a file that hold data, within a range; the rest are holes.
fn data_ranges(file: &File, start: u64, end: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    let mut at = start;
    while at < end {
        let from = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(from) if from < end => from,
            Ok(_) | Err(Errno::NXIO) => break,
            // This filesystem doesn't tell.
            Err(Errno::INVAL | Errno::NOTSUP) => return Ok(vec![(start, end)]),
            Err(errno) => return Err(errno.into()),
        };
        let to = rustix::fs::seek(file, SeekFrom::Hole(from))?.min(end);
        ranges.push((from, to));
        at = to;
    }
    Ok(ranges)
}
