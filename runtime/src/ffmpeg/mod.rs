//! ffmpeg as data and as a process: jobs and arguments are pure, one file spawns.

use std::path::PathBuf;

/// Where ffmpeg and ffprobe are, and where facts about this machine are remembered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tools {
    /// The ffmpeg program; a bare name is looked up in `PATH`.
    pub ffmpeg: PathBuf,
    /// The ffprobe program.
    pub ffprobe: PathBuf,
    /// A folder for what was proven of this machine.
    pub cache: PathBuf,
}
