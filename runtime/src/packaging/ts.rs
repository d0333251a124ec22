//! MPEG-TS (ISO/IEC 13818-1) with one stream: H.264 or AAC. Pure.

use super::PackagingError;
use super::codec::Coding;
use crate::ffmpeg::mp4::samples::{Sample, SampleTrack};

/// Bytes of a packet (§2.4.3.2).
const PACKET: usize = 188;

/// Where the programme's map is.
const MAP_PID: u16 = 0x1000;

/// Where the stream is.
const STREAM_PID: u16 = 0x100;

/// Ticks per second of all times.
const CLOCK: i64 = 90_000;

/// What is added to all times, so that those before the first picture aren't negative. Subtitles
/// beside such segments have to say it.
pub const START: i64 = 10 * CLOCK;

/// Ticks by which the clock runs ahead of decoding: how long players may buffer.
const AHEAD: i64 = CLOCK / 2;

/// Bytes of sound that are gathered into one PES packet, so that stuffing stays small.
const GATHERED: usize = 2800;

/// Writes packets; goes on counting them over all segments of a rendition.
#[derive(Debug)]
pub struct Multiplexer {
    stream: Stream,
    timescale: u32,
    table_count: [u8; 2],
    stream_count: u8,
}

#[derive(Debug)]
enum Stream {
    Avc {
        /// Bytes of the length before each NAL unit.
        length: usize,
        /// What a decoder needs before the first picture, with start codes.
        parameters: Vec<u8>,
    },
    Aac {
        /// The header of a frame without its length.
        adts: [u8; 7],
    },
}

impl Multiplexer {
    /// For a track; fails for codecs that TS segments don't hold.
    pub fn new(track: &SampleTrack, coding: &Coding) -> Result<Self, PackagingError> {
        let stream = match coding {
            Coding::Avc { configuration } => avc(configuration),
            Coding::Aac { configuration } => aac(configuration),
            _ => return Err(PackagingError::Codec("TS segments hold H.264 and AAC only")),
        };
        let stream = stream.ok_or(PackagingError::Codec("a codec's description can't be read"))?;
        let timescale = track.timescale;
        Ok(Multiplexer { stream, timescale, table_count: [0; 2], stream_count: 0 })
    }

    /// Appends the tables that a decoder needs to start.
    pub fn tables(&mut self, out: &mut Vec<u8>) {
        let map = MAP_PID.to_be_bytes();
        // Programme 1 (§2.4.4.3).
        let pat = [0, 1, 0xe0 | map[0], map[1]];
        self.table(out, 0, 0, 0, &pat);
        let pid = STREAM_PID.to_be_bytes();
        let kind = if matches!(self.stream, Stream::Avc { .. }) { 0x1b } else { 0x0f };
        // The clock is in the stream itself (§2.4.4.8).
        let pmt = [0xe0 | pid[0], pid[1], 0xf0, 0, kind, 0xe0 | pid[0], pid[1], 0xf0, 0];
        self.table(out, MAP_PID, 2, 1, &pmt);
    }

    fn table(&mut self, out: &mut Vec<u8>, pid: u16, id: u8, which: usize, content: &[u8]) {
        let length = u8::try_from(content.len() + 9).expect("tables are short");
        let mut section = vec![id, 0xb0, length, 0, 1, 0xc1, 0, 0];
        section.extend(content);
        section.extend(crc(&section).to_be_bytes());
        let count = &mut self.table_count[which];
        let start = out.len();
        let pid = pid.to_be_bytes();
        out.extend([0x47, 0x40 | pid[0], pid[1], 0x10 | *count, 0]);
        *count = (*count + 1) & 15;
        out.extend(section);
        out.resize(start + PACKET, 0xff);
    }

    /// Appends the samples whose bytes `read` gives. Returns how long `out` was after the first one.
    pub fn samples(
        &mut self,
        out: &mut Vec<u8>,
        samples: &[Sample],
        mut read: impl FnMut(&Sample, &mut Vec<u8>) -> std::io::Result<()>,
    ) -> Result<usize, PackagingError> {
        let mut bytes = Vec::new();
        let mut pes = Vec::new();
        let mut first_end = None;
        let mut begun: Option<&Sample> = None;
        for (index, sample) in samples.iter().enumerate() {
            read(sample, &mut bytes)?;
            let begins = *begun.get_or_insert(sample);
            match &self.stream {
                Stream::Avc { length, parameters } => {
                    annex_b(&mut pes, &bytes, *length, sample.sync.then_some(parameters))
                        .ok_or(PackagingError::Codec("a frame isn't made of NAL units"))?;
                }
                Stream::Aac { adts } => frame(&mut pes, &bytes, *adts),
            }
            let is_sound = matches!(self.stream, Stream::Aac { .. });
            if !is_sound || pes.len() >= GATHERED || index + 1 == samples.len() {
                self.packets(out, begins, &pes);
                pes.clear();
                begun = None;
                first_end.get_or_insert(out.len());
            }
        }
        Ok(first_end.unwrap_or(out.len()))
    }

    fn clock(&self, ticks: i64) -> i64 {
        let scaled = i128::from(ticks) * i128::from(CLOCK) / i128::from(self.timescale);
        START + i64::try_from(scaled).unwrap_or(0)
    }

    /// One PES packet (§2.4.3.6) in as many packets as it takes.
    fn packets(&mut self, out: &mut Vec<u8>, sample: &Sample, content: &[u8]) {
        let is_video = matches!(self.stream, Stream::Avc { .. });
        let (shown, decoded) = (self.clock(sample.shown), self.clock(sample.decoded));
        let decoded = if is_video { decoded } else { shown };
        let mut pes = vec![0, 0, 1, if is_video { 0xe0 } else { 0xc0 }];
        let both = shown != decoded;
        let head: u8 = if both { 10 } else { 5 };
        // Pictures may be longer than the field can say; zero says so.
        let length = if is_video { 0 } else { content.len() + 3 + usize::from(head) };
        pes.extend(u16::try_from(length).unwrap_or(0).to_be_bytes());
        pes.extend([0x84, if both { 0xc0 } else { 0x80 }, head]);
        pes.extend(stamp(if both { 3 } else { 2 }, shown));
        if both {
            pes.extend(stamp(1, decoded));
        }
        pes.extend(content);
        let mut field = Some(clock_field(decoded - AHEAD, sample.sync));
        let mut rest = &pes[..];
        while !rest.is_empty() {
            rest = self.packet(out, field.take(), rest, rest.len() == pes.len());
        }
    }

    /// One packet, filled with `content` as far as it goes; returns what is left of it.
    fn packet<'a>(
        &mut self,
        out: &mut Vec<u8>,
        field: Option<[u8; 7]>,
        content: &'a [u8],
        first: bool,
    ) -> &'a [u8] {
        let pid = STREAM_PID.to_be_bytes();
        let mut adaptation = field.map(Vec::from).unwrap_or_default();
        let reserved = if adaptation.is_empty() { 0 } else { adaptation.len() + 1 };
        let (now, later) = content.split_at(content.len().min(PACKET - 4 - reserved));
        let spare = PACKET - 4 - reserved - now.len();
        let has_field = spare > 0 || reserved > 0;
        if spare > 1 && adaptation.is_empty() {
            adaptation.push(0);
            adaptation.resize(spare - 1, 0xff);
        } else if reserved > 0 {
            adaptation.resize(adaptation.len() + spare, 0xff);
        }
        let control = if has_field { 0x30 } else { 0x10 };
        out.extend([0x47, u8::from(first) << 6 | pid[0], pid[1], control | self.stream_count]);
        self.stream_count = (self.stream_count + 1) & 15;
        if has_field {
            out.push(u8::try_from(adaptation.len()).expect("a packet is short"));
            out.extend(adaptation);
        }
        out.extend(now);
        later
    }
}

/// A time of 33 bits, with marks between them (§2.4.3.6).
fn stamp(mark: u8, time: i64) -> [u8; 5] {
    let bits = |shift: u32| (time >> shift) as u8;
    [mark << 4 | (bits(30) & 7) << 1 | 1, bits(22), bits(15) << 1 | 1, bits(7), bits(0) << 1 | 1]
}

/// The flags of an adaptation field (§2.4.3.4) and the clock in it; its extension is always zero.
fn clock_field(time: i64, random_access: bool) -> [u8; 7] {
    let bits = |shift: u32| (time >> shift) as u8;
    let flags = if random_access { 0x50 } else { 0x10 };
    [flags, bits(25), bits(17), bits(9), bits(1), (bits(0) & 1) << 7 | 0x7e, 0]
}

/// What a decoder of H.264 has to know, out of an `avcC` (ISO/IEC 14496-15 §5.3.3.1).
fn avc(configuration: &[u8]) -> Option<Stream> {
    let length = usize::from(configuration.get(4)? & 3) + 1;
    let mut parameters = Vec::new();
    let mut rest = configuration.get(5..)?;
    for mask in [0x1f, 0xff] {
        let (count, after) = rest.split_first()?;
        rest = after;
        for _ in 0..count & mask {
            let (size, after) = rest.split_first_chunk::<2>()?;
            let (set, after) = after.split_at_checked(u16::from_be_bytes(*size).into())?;
            unit(&mut parameters, set);
            rest = after;
        }
    }
    Some(Stream::Avc { length, parameters })
}

/// The header of AAC frames (ISO/IEC 13818-7 §6.2), out of an `AudioSpecificConfig`.
fn aac(configuration: &[u8]) -> Option<Stream> {
    let [first, second] = *configuration.first_chunk()?;
    let object = first >> 3;
    let frequency = (first & 7) << 1 | second >> 7;
    let channels = second >> 3 & 15;
    // The header has two bits for the object type less one, and no room for other frequencies.
    if !(1..=4).contains(&object) || frequency > 12 || !(1..=7).contains(&channels) {
        return None;
    }
    let adts = [
        0xff,
        0xf1,
        (object - 1) << 6 | frequency << 2 | channels >> 2,
        (channels & 3) << 6,
        0,
        0x1f,
        0xfc,
    ];
    Some(Stream::Aac { adts })
}

/// Appends a frame of AAC with its header.
fn frame(out: &mut Vec<u8>, bytes: &[u8], mut adts: [u8; 7]) {
    let length = bytes.len() + adts.len();
    adts[3] |= (length >> 11) as u8 & 3;
    adts[4] = (length >> 3) as u8;
    adts[5] |= (length as u8 & 7) << 5;
    out.extend(adts);
    out.extend(bytes);
}

/// Appends a picture with start codes in place of lengths, after a delimiter and the parameters if
/// there are any. None where lengths don't fit.
fn annex_b(
    out: &mut Vec<u8>,
    mut bytes: &[u8],
    length: usize,
    parameters: Option<&Vec<u8>>,
) -> Option<()> {
    const DELIMITER: u8 = 9;
    unit(out, &[DELIMITER, 0xf0]);
    out.extend(parameters.into_iter().flatten());
    while !bytes.is_empty() {
        let (size, rest) = bytes.split_at_checked(length)?;
        let size = size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let (nal, rest) = rest.split_at_checked(size)?;
        if nal.first().is_some_and(|head| head & 0x1f != DELIMITER) {
            unit(out, nal);
        }
        bytes = rest;
    }
    Some(())
}

fn unit(out: &mut Vec<u8>, nal: &[u8]) {
    out.extend([0, 0, 0, 1]);
    out.extend(nal);
}

/// The checksum of tables (§2.4.4, Annex A).
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            let next = crc << 1;
            if crc & 0x8000_0000 == 0 { next } else { next ^ 0x04c1_1db7 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sound() -> Multiplexer {
        let stream = aac(&[0x11, 0x90]).unwrap();
        Multiplexer { stream, timescale: 48_000, table_count: [0; 2], stream_count: 0 }
    }

    fn sample(size: u32) -> Sample {
        Sample { at: 0, size, decoded: 0, shown: 0, duration: 1024, sync: true }
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn times_are_read_as_they_were_written() {
        let [a, b, c, d, e] = stamp(2, 0x1_2345_6789).map(i64::from);
        let time = (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1;
        assert_eq!(time, 0x1_2345_6789);
    }

    #[test]
    fn aac_that_its_header_cannot_say_is_refused() {
        assert!(aac(&[0x11, 0x90]).is_some());
        assert!(aac(&[0xf8, 0x90]).is_none());
        assert!(aac(&[]).is_none());
    }

    proptest! {
        #[test]
        fn packets_hold_all_of_the_content_and_are_counted(size in 0_u32..1200) {
            let mut multiplexer = sound();
            let mut out = Vec::new();
            let content: Vec<u8> = (0..size).map(|byte| byte as u8).collect();
            let read = |_: &Sample, into: &mut Vec<u8>| { into.clone_from(&content); Ok(()) };
            multiplexer.samples(&mut out, &[sample(size)], read).unwrap();
            prop_assert_eq!(out.len() % PACKET, 0);
            let mut found: Vec<u8> = Vec::new();
            for (count, packet) in out.chunks(PACKET).enumerate() {
                prop_assert_eq!((packet[0], packet[3] & 15), (0x47, count as u8 & 15));
                let skip = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
                found.extend(&packet[4 + skip..]);
            }
            prop_assert_eq!(&found[14 + 7..], &content[..]);
        }
    }
}
