//! What was proven, kept in a file of the cache: for one build of ffmpeg and one driver.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Gpu;
use crate::environment;
use crate::ffmpeg::Tools;
use crate::ffmpeg::codec::{Encoder, VideoCodec};

/// What is known, and where it is kept. The file may vanish at any time: everything in it can be
/// learned again, so no error about it stops a call.
#[derive(Debug, Default)]
pub(super) struct Memory {
    file: Option<PathBuf>,
    stored: Proven,
    pub(super) software: BTreeMap<VideoCodec, Encoder>,
    pub(super) gpus: Vec<Gpu>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Proven {
    software: BTreeMap<VideoCodec, String>,
    gpus: Vec<Gpu>,
}

impl Memory {
    pub(super) fn load(tools: &Tools, driver: Option<&str>) -> Self {
        let Some(file) = file(tools, driver) else { return Memory::default() };
        let stored: Proven = fs::read(&file)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        let software = stored
            .software
            .iter()
            .filter_map(|(codec, name)| Some((*codec, software_encoder(*codec, name)?)))
            .collect();
        Memory { file: Some(file), software, gpus: stored.gpus.clone(), stored }
    }

    /// Keeps what is new. What may be otherwise in a minute isn't kept: a GPU without memory.
    pub(super) fn store(&self) {
        let lasting = |gpu: &Gpu| {
            gpu.encode.values().all(|tried| !tried.as_ref().is_err_and(|why| why.contains(" left")))
        };
        let software = self.software.iter().map(|(c, e)| (*c, e.name().to_owned())).collect();
        let gpus = if self.gpus.iter().all(lasting) { self.gpus.clone() } else { Vec::new() };
        let proven = Proven { software, gpus };
        let Some(file) = self.file.as_ref().filter(|_| proven != self.stored) else { return };
        // Losing this costs one trial; failing because of it would cost a call.
        let _ = write_whole(file, &proven);
    }
}

fn write_whole(file: &Path, proven: &Proven) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut whole = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut whole, proven)?;
    whole.persist(file)?;
    Ok(())
}

fn software_encoder(codec: VideoCodec, name: &str) -> Option<Encoder> {
    super::trial::candidates(codec).iter().copied().find(|encoder| encoder.name() == name)
}

/// The file for this ffmpeg, told by its place, size and time, and this driver.
fn file(tools: &Tools, driver: Option<&str>) -> Option<PathBuf> {
    let program = located(&tools.ffmpeg)?;
    let metadata = fs::metadata(&program).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    let key = format!("{}\n{}\n{modified}\n{driver:?}", program.display(), metadata.len());
    let hash = Sha256::digest(key.as_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Some(tools.cache.join(format!("machine-{name}.json")))
}

fn located(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.into());
    }
    let path = environment::search_path()?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
