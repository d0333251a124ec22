//! What this machine can really do, proven by encoding a frame.
//!
//! That ffmpeg lists an encoder says nothing: it may lack a library, a driver or a device. So each
//! is tried on one tiny clip, and what was found is remembered for this build of ffmpeg and this
//! driver. Without a GPU nothing is tried for it: there is no device node, and that is the answer.

mod bitstream;
mod device;
mod memory;
mod trial;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use self::bitstream::Bitstream;
use self::memory::Memory;
use crate::ffmpeg::Tools;
use crate::ffmpeg::codec::{Encoder, VideoCodec};
use crate::function::Hardware;
use crate::wire::Failure;

/// Every codec.
pub const CODECS: [VideoCodec; 4] =
    [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9];

/// What was proven of this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capabilities {
    /// The CPU encoder of each codec that was asked about.
    pub software: BTreeMap<VideoCodec, Encoder>,
    /// GPUs that ffmpeg can reach.
    pub gpus: Vec<Gpu>,
    /// Why there are none.
    pub no_gpu: Option<String>,
}

/// One GPU, and what was proven of it. An `Err` is the reason why not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its index, as ffmpeg counts.
    pub index: u32,
    /// Its model.
    pub name: String,
    /// Encoders by codec.
    pub encode: BTreeMap<VideoCodec, Result<(), String>>,
    /// The decoder of each kind of video, and resizing of what it decoded.
    pub decode: BTreeMap<Bitstream, Result<(), String>>,
}

impl Gpu {
    /// It was seen decoding such video.
    pub fn decodes(&self, video: Bitstream) -> bool {
        self.decode.get(&video).is_some_and(Result::is_ok)
    }
}

impl Capabilities {
    /// What this machine can do to make `codec`. Costs a look into the cache when it was asked
    /// before, and asks nothing of GPUs when `hardware` is off or there are none.
    pub async fn of(
        tools: &Tools,
        hardware: Hardware,
        codec: VideoCodec,
        cancel: &CancellationToken,
    ) -> Result<Self, Failure> {
        Self::learn(tools, hardware, &[codec], cancel).await
    }

    /// Everything this machine can do.
    pub async fn all(tools: &Tools, cancel: &CancellationToken) -> Result<Self, Failure> {
        Self::learn(tools, Hardware::Auto, &CODECS, cancel).await
    }

    /// What this machine can do to make `codecs`.
    pub async fn learn(
        tools: &Tools,
        hardware: Hardware,
        codecs: &[VideoCodec],
        cancel: &CancellationToken,
    ) -> Result<Self, Failure> {
        let devices = if hardware == Hardware::Off { Vec::new() } else { device::nvidia() };
        let mut memory = Memory::load(tools, device::driver().as_deref());
        let mut learned = Capabilities::default();
        for codec in codecs {
            if !memory.software.contains_key(codec) {
                let found = trial::software(tools, *codec, cancel).await?;
                memory.software.extend(found.map(|encoder| (*codec, encoder)));
            }
        }
        learned.software = memory.software.clone();
        if devices.is_empty() {
            learned.no_gpu = Some(match hardware {
                Hardware::Off => "`hardware` is `off`".into(),
                _ => "no NVIDIA GPU on this machine".into(),
            });
        } else {
            if memory.gpus.len() != devices.len() {
                memory.gpus = trial::gpus(tools, &devices, cancel).await?;
            }
            learned.gpus = memory.gpus.clone();
        }
        memory.store();
        Ok(learned)
    }
}

/// Whether HDR can be mapped to SDR, found out by doing it.
pub async fn tone_maps(tools: &Tools, cancel: &CancellationToken) -> Result<bool, Failure> {
    trial::tone_mapping(tools, cancel).await.map(|tried| tried.is_ok())
}
