//! CMAF (ISO/IEC 23000-19): the header of a track, and its samples in chunks. Pure, but for the
//! sections of ISO/IEC 14496-12 that are named here, nothing else is written.

use super::PackagingError;
use super::boxes::{boxed, full, number, numbers};
use crate::ffmpeg::mp4::samples::{MediaKind, Sample, SampleTrack};

/// The only track of each file.
const TRACK: u32 = 1;

/// A picture that is shown as it is stored: identity in 16.16 and 2.30 (§8.3.2).
const UPRIGHT: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Sample flags (§8.8.3.1): needs no other, and others need it.
const SYNC: u32 = 0x0200_0000;

/// Sample flags: needs others, and decoding can't start here.
const NOT_SYNC: u32 = 0x0101_0000;

/// The header of a track: everything a decoder needs before the first segment. `size` is that of
/// the picture in pixels; `language` is an ISO 639-2 code.
pub fn header(track: &SampleTrack, size: (u32, u32), language: &str) -> Vec<u8> {
    let mut out = Vec::new();
    boxed(&mut out, b"ftyp", |out| {
        out.extend(b"iso6");
        number(out, 0);
        out.extend(b"iso6cmfcmp41");
    });
    boxed(&mut out, b"moov", |out| {
        full(out, b"mvhd", 0, 0, |out| {
            numbers(out, &[0, 0, 1000, 0, 0x1_0000, 0x0100_0000, 0, 0]);
            numbers(out, &UPRIGHT);
            numbers(out, &[0, 0, 0, 0, 0, 0, TRACK + 1]);
        });
        boxed(out, b"trak", |out| trak(out, track, size, language));
        boxed(out, b"mvex", |out| {
            full(out, b"trex", 0, 0, |out| numbers(out, &[TRACK, 1, 0, 0, 0]));
        });
    });
    out
}

fn trak(out: &mut Vec<u8>, track: &SampleTrack, (width, height): (u32, u32), language: &str) {
    let is_sound = track.media == MediaKind::Audio;
    // Enabled, and part of the presentation (§8.3.2).
    full(out, b"tkhd", 0, 3, |out| {
        numbers(out, &[0, 0, TRACK, 0, 0, 0, 0, 0]);
        number(out, if is_sound { 0x0100_0000 } else { 0 });
        numbers(out, &UPRIGHT);
        numbers(out, &[width << 16, height << 16]);
    });
    if track.skipped > 0 {
        // Priming is decoded and not heard, and the first picture is decoded before it is shown
        // (§8.6.6). Offsets below zero would say the same of pictures, but not all readers agree
        // on them.
        boxed(out, b"edts", |out| {
            full(out, b"elst", 1, 0, |out| {
                numbers(out, &[1, 0, 0]);
                out.extend(track.skipped.to_be_bytes());
                number(out, 0x1_0000);
            });
        });
    }
    boxed(out, b"mdia", |out| {
        full(out, b"mdhd", 0, 0, |out| {
            numbers(out, &[0, 0, track.timescale, 0, u32::from(packed(language)) << 16]);
        });
        full(out, b"hdlr", 0, 0, |out| {
            number(out, 0);
            out.extend(if is_sound { b"soun" } else { b"vide" });
            numbers(out, &[0, 0, 0]);
            out.extend(if is_sound { b"Sound\0" } else { b"Video\0" });
        });
        boxed(out, b"minf", |out| minf(out, track, is_sound));
    });
}

fn minf(out: &mut Vec<u8>, track: &SampleTrack, is_sound: bool) {
    if is_sound {
        full(out, b"smhd", 0, 0, |out| number(out, 0));
    } else {
        full(out, b"vmhd", 0, 1, |out| numbers(out, &[0, 0]));
    }
    boxed(out, b"dinf", |out| {
        full(out, b"dref", 0, 0, |out| {
            number(out, 1);
            // The media is in this file (§8.7.2).
            full(out, b"url ", 0, 1, |_| {});
        });
    });
    boxed(out, b"stbl", |out| {
        full(out, b"stsd", 0, 0, |out| {
            number(out, 1);
            out.extend(&track.entry);
        });
        for table in [b"stts", b"stsc", b"stco"] {
            full(out, table, 0, 0, |out| number(out, 0));
        }
        full(out, b"stsz", 0, 0, |out| numbers(out, &[0, 0]));
    });
}

/// Three letters in 15 bits (§8.4.2); `und` where there is no such code.
fn packed(language: &str) -> u16 {
    let letters = match <[u8; 3]>::try_from(language.as_bytes()) {
        Ok(letters) if letters.iter().all(u8::is_ascii_lowercase) => letters,
        _ => *b"und",
    };
    letters.iter().fold(0, |code, letter| code << 5 | u16::from(letter - 0x60))
}

/// The mark at the start of a segment.
pub fn segment_mark() -> Vec<u8> {
    let mut out = Vec::new();
    boxed(&mut out, b"styp", |out| {
        out.extend(b"msdh");
        number(out, 0);
        out.extend(b"msdhmsixcmfs");
    });
    out
}

/// What comes before the bytes of the samples of a chunk. `sequence` counts the chunks of a track
/// from 1.
pub fn chunk_header(
    track: &SampleTrack,
    sequence: u32,
    samples: &[Sample],
) -> Result<Vec<u8>, PackagingError> {
    let first = samples.first().map_or(0, |sample| sample.decoded);
    let media: u64 = samples.iter().map(|sample| u64::from(sample.size)).sum();
    let Some(media_size) = u32::try_from(media + 8).ok() else {
        return Err(PackagingError::Codec("a group of pictures is larger than 4 GiB"));
    };
    let mut out = Vec::new();
    // Its size is needed in it: where the samples begin.
    for _ in 0..2 {
        let data_offset = u32::try_from(out.len() + 8).expect("headers are small");
        out.clear();
        boxed(&mut out, b"moof", |out| {
            full(out, b"mfhd", 0, 0, |out| number(out, sequence));
            boxed(out, b"traf", |out| {
                // Offsets count from the start of this box (§8.8.7).
                full(out, b"tfhd", 0, 0x2_0000, |out| number(out, TRACK));
                full(out, b"tfdt", 1, 0, |out| out.extend(first.max(0).to_be_bytes()));
                run(out, track, samples, data_offset);
            });
        });
    }
    number(&mut out, media_size);
    out.extend(b"mdat");
    Ok(out)
}

/// Durations, sizes, flags and offsets of samples (§8.8.8).
fn run(out: &mut Vec<u8>, track: &SampleTrack, samples: &[Sample], data_offset: u32) {
    full(out, b"trun", 1, 0xf01, |out| {
        let count = u32::try_from(samples.len()).expect("a chunk has few samples");
        numbers(out, &[count, data_offset]);
        for sample in samples {
            let flags = if sample.sync { SYNC } else { NOT_SYNC };
            let offset = sample.shown + track.skipped - sample.decoded;
            let offset = i32::try_from(offset).unwrap_or(0).cast_unsigned();
            numbers(out, &[sample.duration, sample.size, flags, offset]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_three_letters() {
        assert_eq!(packed("eng"), 0x15c7);
        assert_eq!(packed("und"), 0x55c4);
        assert_eq!(packed("en"), packed("und"));
        assert_eq!(packed("ENG"), packed("und"));
    }
}
