//! Whether the worker program runs with the C library of an image, found out before it is built.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::cuda::defaults;
use crate::manifest::Image;

/// A version of the GNU C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The C libraries of well-known bases, by how their tags begin.
const BASES: [(&str, Version); 13] = [
    ("debian:bullseye", Version(2, 31)),
    ("debian:bookworm", Version(2, 36)),
    ("debian:trixie", Version(2, 41)),
    ("ubuntu:18.04", Version(2, 27)),
    ("ubuntu:20.04", Version(2, 31)),
    ("ubuntu:22.04", Version(2, 35)),
    ("ubuntu:24.04", Version(2, 39)),
    ("amazonlinux:2023", Version(2, 34)),
    ("amazonlinux:2", Version(2, 26)),
    ("rockylinux:8", Version(2, 28)),
    ("rockylinux:9", Version(2, 34)),
    ("almalinux:8", Version(2, 28)),
    ("almalinux:9", Version(2, 34)),
];

/// The base that `image` starts from, if its C library is known.
pub(super) fn of_base(image: &Image) -> Option<(String, Version)> {
    let base = match (image.kind.as_deref(), image.os.as_deref()) {
        (Some("cpu" | "python"), _) => "debian:bookworm-slim".to_owned(),
        (Some(kind), os) => os.unwrap_or(defaults(kind).system).replacen("ubuntu", "ubuntu:", 1),
        (None, _) => image.base.clone()?,
    };
    let known = BASES.iter().find(|(name, _)| base.starts_with(name))?;
    Some((base, known.1))
}

/// The oldest C library that the program at `path` runs with; none for one that needs none.
pub(super) fn needed(path: &Path) -> io::Result<Option<Version>> {
    let mut file = File::open(path)?;
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    // 64 bits, least significant byte first: every machine that this runs on.
    if header[..6] != [0x7f, b'E', b'L', b'F', 2, 1] {
        return Ok(None);
    }
    let sections = Sections {
        offset: u64::from_le_bytes(field(&header, 0x28)),
        count: u16::from_le_bytes(field(&header, 0x3c)),
    };
    let Some(needs) = sections.find(&mut file, VERSIONS_NEEDED)? else { return Ok(None) };
    let names = sections.get(&mut file, needs.link)?.read(&mut file)?;
    Ok(versions(&needs.read(&mut file)?, &names).into_iter().max())
}

/// The type of the section that lists versions of libraries a program needs (`SHT_GNU_verneed`).
const VERSIONS_NEEDED: u32 = 0x6fff_fffe;
/// Sections of this kind are a few kilobytes; more is no program.
const LONGEST: u64 = 16 << 20;

struct Sections {
    offset: u64,
    count: u16,
}

struct Section {
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

impl Sections {
    fn get(&self, file: &mut File, index: u32) -> io::Result<Section> {
        let mut header = [0; 64];
        file.seek(SeekFrom::Start(self.offset.saturating_add(u64::from(index) * 64)))?;
        file.read_exact(&mut header)?;
        Ok(Section {
            kind: u32::from_le_bytes(field(&header, 4)),
            offset: u64::from_le_bytes(field(&header, 0x18)),
            size: u64::from_le_bytes(field(&header, 0x20)),
            link: u32::from_le_bytes(field(&header, 0x28)),
        })
    }

    fn find(&self, file: &mut File, kind: u32) -> io::Result<Option<Section>> {
        for index in 0..self.count {
            let section = self.get(file, u32::from(index))?;
            if section.kind == kind {
                return Ok(Some(section));
            }
        }
        Ok(None)
    }
}

impl Section {
    fn read(&self, file: &mut File) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(self.size.min(LONGEST)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The versions `GLIBC_x.y` among those that a program needs: a list of files, each with a list of
/// versions, both chained by offsets (`Elf64_Verneed`, `Elf64_Vernaux`).
fn versions(needs: &[u8], names: &[u8]) -> Vec<Version> {
    let word = |at: usize| needs.get(at..at + 4).map(|b| u32::from_le_bytes(field(b, 0)) as usize);
    let mut found = Vec::new();
    let mut file = 0;
    loop {
        let (Some(first), Some(next)) = (word(file + 8), word(file + 12)) else { return found };
        let mut version = file + first;
        while let (Some(name), Some(next)) = (word(version + 8), word(version + 12)) {
            found.extend(names.get(name..).and_then(parse));
            if next == 0 {
                break;
            }
            version += next;
        }
        if next == 0 {
            return found;
        }
        file += next;
    }
}

fn parse(name: &[u8]) -> Option<Version> {
    let end = name.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&name[..end]).ok()?.strip_prefix("GLIBC_")?;
    let mut parts = text.split('.');
    Some(Version(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_machine_needs_a_c_library() {
        let own = std::env::current_exe().unwrap();
        let needed = needed(&own).unwrap();
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            assert!(needed > Some(Version(2, 17)) && needed < Some(Version(2, 99)), "{needed:?}");
        }
    }

    #[test]
    fn what_is_no_program_needs_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, [b'#'; 100]).unwrap();
        assert_eq!(needed(&path).unwrap(), None);
    }

    #[test]
    fn bases_are_known_by_their_tags() {
        let cuda = Image { kind: Some("cuda".into()), ..Image::default() };
        assert_eq!(of_base(&cuda), Some(("ubuntu:22.04".into(), Version(2, 35))));
        let own = Image { base: Some("registry.local/x:1".into()), ..Image::default() };
        assert_eq!(of_base(&own), None);
    }
}
