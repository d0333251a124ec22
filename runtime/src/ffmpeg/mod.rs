//! ffmpeg as data and as a process: jobs and arguments are pure, one file spawns.
//!
//! A [`job::Job`] says what is wanted, [`args`] turns it into an argv, [`exec`] runs it and gives
//! back what ffmpeg counted, [`failure`] turns what went wrong into one plain sentence.

pub mod args;
pub mod codec;
pub mod container;
pub mod cut;
pub mod drawing;
pub mod effect;
pub mod exec;
pub mod expr;
pub mod failure;
pub mod filter;
pub mod graph;
pub mod index;
pub mod input;
pub mod inspect;
pub mod job;
pub mod log;
pub mod mp4;
pub mod picture;
pub mod pixel;
pub mod probe;
pub mod progress;
pub mod rational;
pub mod sound;
pub mod splice;
pub mod timing;

use std::path::PathBuf;

pub use rational::Rational;

/// Where ffmpeg and ffprobe are, and where facts about this machine are remembered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tools {
    /// The ffmpeg program; a bare name is looked up in `PATH`.
    pub ffmpeg: PathBuf,
    /// The ffprobe program.
    pub ffprobe: PathBuf,
    /// A folder for what was proven of this machine.
    pub cache: PathBuf,
    /// The library of ONNX Runtime, where one was named.
    #[serde(default)]
    pub onnxruntime: Option<PathBuf>,
}

impl Tools {
    /// What an image has: the programs in its `PATH`, and a folder that is gone with the container.
    pub fn of_image(cache: PathBuf) -> Self {
        Tools { ffmpeg: "ffmpeg".into(), ffprobe: "ffprobe".into(), cache, onnxruntime: None }
    }
}
