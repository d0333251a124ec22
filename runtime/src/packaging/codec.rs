//! What is in a track, by its sample entry: the name that playlists give its codec (RFC 6381), and
//! what decoders have to know beforehand. Pure.

use super::PackagingError;
use super::boxes;

/// Bytes of a visual sample entry before its boxes (ISO/IEC 14496-12 §12.1.3), header included.
const VISUAL: usize = 8 + 78;

/// Bytes of an audio sample entry before its boxes (§12.2.3), header included.
const AUDIO: usize = 8 + 28;

/// A sample entry, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coding {
    /// H.264.
    Avc {
        /// Its `avcC`.
        configuration: Vec<u8>,
    },
    /// HEVC.
    Hevc {
        /// Its `hvcC`.
        configuration: Vec<u8>,
    },
    /// AV1.
    Av1 {
        /// Its `av1C`.
        configuration: Vec<u8>,
    },
    /// AAC.
    Aac {
        /// Its `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
        configuration: Vec<u8>,
    },
}

impl Coding {
    /// Reads a sample entry.
    pub fn of_entry(entry: &[u8]) -> Result<Coding, PackagingError> {
        let kind = entry.get(4..8).unwrap_or_default();
        let configuration = |skip: usize, name: &[u8; 4]| {
            let boxes = boxes::inside(entry.get(skip..).unwrap_or_default());
            let found = boxes.into_iter().find(|(kind, _)| kind == name);
            found.map(|(_, body)| body.to_vec()).ok_or(UNREADABLE)
        };
        match kind {
            b"avc1" => Ok(Coding::Avc { configuration: configuration(VISUAL, b"avcC")? }),
            b"hvc1" => Ok(Coding::Hevc { configuration: configuration(VISUAL, b"hvcC")? }),
            b"av01" => Ok(Coding::Av1 { configuration: configuration(VISUAL, b"av1C")? }),
            b"mp4a" => {
                let esds = configuration(AUDIO, b"esds")?;
                let configuration = audio_config(&esds).ok_or(UNREADABLE)?.to_vec();
                Ok(Coding::Aac { configuration })
            }
            _ => Err(PackagingError::Codec("segments hold H.264, HEVC, AV1 and AAC only")),
        }
    }

    /// The name that playlists and manifests give it.
    pub fn name(&self) -> Result<String, PackagingError> {
        let name = match self {
            Coding::Avc { configuration } => avc(configuration),
            Coding::Hevc { configuration } => hevc(configuration),
            Coding::Av1 { configuration } => av1(configuration),
            Coding::Aac { configuration } => aac(configuration),
        };
        name.ok_or(UNREADABLE)
    }
}

const UNREADABLE: PackagingError = PackagingError::Codec("a codec's description can't be read");

/// A frame of AAC-LC in stereo in which nothing is heard: one channel pair element (ISO/IEC 14496-3
/// §4.4.2.1) without spectrum, and the end.
pub const SILENCE: &[u8] = &[0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80];

/// `avc1.` and profile, constraints and level (ISO/IEC 14496-15 §5.3.3.1, RFC 6381 §3.3).
fn avc(configuration: &[u8]) -> Option<String> {
    let [profile, constraints, level] = configuration.get(1..4)?.try_into().ok()?;
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}

/// Profile, its compatibility in reverse order of bits, tier and level, and the constraint bytes
/// without the zeros at their end (ISO/IEC 14496-15 Annex E).
fn hevc(configuration: &[u8]) -> Option<String> {
    let general: [u8; 12] = configuration.get(1..13)?.try_into().ok()?;
    let space = ["", "A", "B", "C"][usize::from(general[0] >> 6)];
    let tier = if general[0] & 0x20 == 0 { 'L' } else { 'H' };
    let profile = general[0] & 0x1f;
    let compatible =
        u32::from_be_bytes([general[1], general[2], general[3], general[4]]).reverse_bits();
    let level = general[11];
    let constraints = &general[5..11];
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let constraints: String = constraints[..used].iter().map(|byte| format!(".{byte:X}")).collect();
    Some(format!("hvc1.{space}{profile}.{compatible:X}.{tier}{level}{constraints}"))
}

/// Profile, level, tier and bits per sample (AV1 codec ISO media file format binding §5).
fn av1(configuration: &[u8]) -> Option<String> {
    let [profile_level, flags] = configuration.get(1..3)?.try_into().ok()?;
    let (profile, level) = (profile_level >> 5, profile_level & 0x1f);
    let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
    let bits = match (flags & 0x40 != 0, flags & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    Some(format!("av01.{profile}.{level:02}{tier}.{bits:02}"))
}

/// The audio object type; 31 stands for a longer one (ISO/IEC 14496-3 §1.6.2.1).
fn aac(configuration: &[u8]) -> Option<String> {
    let [first, second] = *configuration.first_chunk()?;
    let short = first >> 3;
    let object = if short == 31 { 32 + ((first & 7) << 3 | second >> 5) } else { short };
    Some(format!("mp4a.40.{object}"))
}

/// The decoder's configuration in an `esds`: the descriptor of tag 5 in the one of tag 4 in the one
/// of tag 3 (ISO/IEC 14496-1 §7.2.6).
fn audio_config(esds: &[u8]) -> Option<&[u8]> {
    let stream = descriptor(esds.get(4..)?, 3)?;
    let decoder = descriptor(stream.get(3..)?, 4)?;
    let is_aac = matches!(decoder.first(), Some(0x40 | 0x66..=0x68));
    descriptor(decoder.get(13..)?, 5).filter(|_| is_aac)
}

/// The content of the descriptor that `bytes` begin with. Its size is in groups of seven bits, of
/// which the last is below 128 (§8.3.3).
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, rest) = bytes.split_first()?;
    let groups = rest.iter().take(4).position(|byte| *byte < 0x80)? + 1;
    let size = rest[..groups].iter().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
    rest.get(groups..groups + size).filter(|_| *found == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_players_know() {
        let avc = Coding::Avc { configuration: vec![1, 0x64, 0, 0x1f, 0xff] };
        assert_eq!(avc.name().unwrap(), "avc1.64001f");
        // Main profile, level 3.1, as in the examples of Annex E.
        let hevc = [1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93, 0];
        let hevc = Coding::Hevc { configuration: hevc.into() };
        assert_eq!(hevc.name().unwrap(), "hvc1.1.6.L93.B0");
        let main10 = [1, 0x22, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 150, 0];
        let main10 = Coding::Hevc { configuration: main10.into() };
        assert_eq!(main10.name().unwrap(), "hvc1.2.4.H150.90");
        let av1 = Coding::Av1 { configuration: vec![0x81, 0x04, 0x4c, 0] };
        assert_eq!(av1.name().unwrap(), "av01.0.04M.10");
        let aac = Coding::Aac { configuration: vec![0x11, 0x90] };
        assert_eq!(aac.name().unwrap(), "mp4a.40.2");
        let he = Coding::Aac { configuration: vec![0x2b, 0x11, 0x88] };
        assert_eq!(he.name().unwrap(), "mp4a.40.5");
    }

    #[test]
    fn a_short_description_is_an_error() {
        for configuration in [vec![], vec![1], vec![1, 2]] {
            assert!(Coding::Avc { configuration: configuration.clone() }.name().is_err());
            assert!(Coding::Hevc { configuration }.name().is_err());
        }
        assert!(Coding::of_entry(b"").is_err());
        assert!(Coding::of_entry(&[0; 100]).is_err());
    }

    #[test]
    fn an_esds_as_ffmpeg_writes_it() {
        let esds = [
            0, 0, 0, 0, 3, 0x80, 0x80, 0x80, 0x25, 0, 1, 0, 4, 0x80, 0x80, 0x80, 0x17, 0x40, 0x15,
            0, 0, 0, 0, 1, 0xf4, 0, 0, 1, 0xf4, 0, 5, 0x80, 0x80, 0x80, 5, 0x11, 0x90, 0x56, 0xe5,
            0, 6, 0x80, 0x80, 0x80, 1, 2,
        ];
        assert_eq!(audio_config(&esds), Some(&[0x11, 0x90, 0x56, 0xe5, 0][..]));
        assert_eq!(audio_config(&esds[..20]), None);
    }
}
