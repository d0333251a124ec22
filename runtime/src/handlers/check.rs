//! Says what this machine can do, proven by trying it, and how to get what is missing.

use std::ffi::OsString;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::ffmpeg::codec::VideoCodec;
use crate::ffmpeg::{Tools, exec, failure};
use crate::gpu::{self, CODECS, Capabilities, Gpu};
use crate::handler::{Context, Handler};
use crate::wire::Failure;

/// The `check` handler.
#[derive(Debug)]
pub struct Check;

/// What `check` takes: nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {}

/// What `check` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Nothing is missing that the CPU can do.
    pub ready: bool,
    /// The ffmpeg that calls use.
    pub ffmpeg: Program,
    /// The ffprobe that calls use.
    pub ffprobe: Program,
    /// CPU cores.
    pub cores: usize,
    /// What encodes each codec on the CPU.
    pub encoders: Vec<SoftwareEncoder>,
    /// GPUs, and what each can do.
    pub gpus: Vec<GpuReport>,
    /// Why there is no GPU to use; null when there is one.
    pub no_gpu: Option<String>,
    /// What is missing, and how to get it.
    pub missing: Vec<Missing>,
}

/// A program.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Program {
    /// Where it is, or its name where `PATH` decides.
    pub path: String,
    /// Its version; null when it can't be run.
    pub version: Option<String>,
}

/// What encodes a codec on the CPU.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SoftwareEncoder {
    /// The codec.
    pub codec: VideoCodec,
    /// ffmpeg's name of the encoder; null when none works.
    pub encoder: Option<String>,
}

/// What one GPU can do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GpuReport {
    /// Its index.
    pub index: u32,
    /// Its model.
    pub name: String,
    /// Each thing that was tried.
    pub abilities: Vec<Ability>,
}

/// One thing that was tried.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ability {
    /// Such as `encode h264` or `decode hevc 10 bits`.
    pub name: String,
    /// It worked.
    pub works: bool,
    /// Why it didn't.
    pub reason: Option<String>,
}

/// Something that is missing.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Missing {
    /// What.
    pub what: String,
    /// How to get it.
    pub hint: String,
}

impl Handler for Check {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "check";
    const ABOUT: &'static str = "Says what this machine can do, proven by trying it.";

    async fn run(&self, cx: Context, _args: Args) -> Result<Output, Failure> {
        examine(cx.tools(), cx.cancellation()).await
    }
}

/// Tries what this machine can do. Nothing that is missing is a failure; only a cancelled trial is.
pub async fn examine(tools: &Tools, cancel: &CancellationToken) -> Result<Output, Failure> {
    let (ffmpeg, ffprobe) =
        tokio::join!(program(&tools.ffmpeg, cancel), program(&tools.ffprobe, cancel));
    let (ffmpeg, ffprobe) = (ffmpeg?, ffprobe?);
    let present = ffmpeg.version.is_some();
    let machine = match present {
        true => Capabilities::all(tools, cancel).await?,
        false => Capabilities::default(),
    };
    let tone_mapping = present && gpu::tone_maps(tools, cancel).await?;
    let missing = missing(&ffmpeg, &ffprobe, &machine, tone_mapping);
    Ok(Output {
        ready: missing.is_empty(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        encoders: CODECS.map(|codec| encoder(&machine, codec)).into(),
        gpus: machine.gpus.iter().map(report).collect(),
        no_gpu: machine.no_gpu,
        ffmpeg,
        ffprobe,
        missing,
    })
}

async fn program(path: &Path, cancel: &CancellationToken) -> Result<Program, Failure> {
    let path_text = path.display().to_string();
    let version = match exec::capture(path, vec![OsString::from("-version")], None, cancel).await {
        Ok(text) => version(&String::from_utf8_lossy(&text)),
        Err(exec::ExecError::Cancelled) => {
            return Err(failure::failure(exec::ExecError::Cancelled, "cancelled"));
        }
        Err(_) => None,
    };
    Ok(Program { path: path_text, version })
}

/// `5.1.9-0+deb12u1` of `ffmpeg version 5.1.9-0+deb12u1 Copyright …`.
fn version(text: &str) -> Option<String> {
    let mut words = text.split_whitespace().skip_while(|word| *word != "version");
    words.nth(1).map(str::to_owned)
}

fn encoder(machine: &Capabilities, codec: VideoCodec) -> SoftwareEncoder {
    let encoder = machine.software.get(&codec).map(|encoder| encoder.name().to_owned());
    SoftwareEncoder { codec, encoder }
}

fn report(gpu: &Gpu) -> GpuReport {
    let encode =
        gpu.encode.iter().map(|(codec, tried)| (format!("encode {}", codec.name()), tried));
    let decode = gpu.decode.iter().map(|(kind, tried)| (format!("decode {}", kind.title()), tried));
    let abilities = encode.chain(decode).map(|(name, tried)| Ability {
        name,
        works: tried.is_ok(),
        reason: tried.as_ref().err().cloned(),
    });
    GpuReport { index: gpu.index, name: gpu.name.clone(), abilities: abilities.collect() }
}

fn missing(
    ffmpeg: &Program,
    ffprobe: &Program,
    machine: &Capabilities,
    tone_mapping: bool,
) -> Vec<Missing> {
    let lacks = |what: String, hint: &str| Missing { what, hint: hint.into() };
    if ffmpeg.version.is_none() || ffprobe.version.is_none() {
        let programs = [ffmpeg, ffprobe].into_iter().filter(|program| program.version.is_none());
        return programs
            .map(|program| lacks(format!("`{}` can't be run", program.path), failure::INSTALL))
            .collect();
    }
    let full = "install a full build of ffmpeg: `sudo apt-get install ffmpeg`";
    let encoders = CODECS.iter().filter(|codec| !machine.software.contains_key(codec));
    let mut missing: Vec<_> = encoders
        .map(|codec| lacks(format!("no encoder for {} works", codec.title()), full))
        .collect();
    if !tone_mapping {
        missing.push(lacks("HDR can't be mapped to SDR: no `zscale` or `tonemap`".into(), full));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_and_builds() {
        let read = |text| version(text);
        assert_eq!(
            read("ffmpeg version 5.1.9-0+deb12u1 Copyright (c)").as_deref(),
            Some("5.1.9-0+deb12u1")
        );
        assert_eq!(read("ffprobe version N-109-gabc Copyright").as_deref(), Some("N-109-gabc"));
        assert_eq!(read("something else"), None);
    }

    #[test]
    fn without_ffmpeg_only_that_is_missing() {
        let gone = || Program { path: "ffmpeg".into(), version: None };
        let missing = missing(&gone(), &gone(), &Capabilities::default(), false);
        assert_eq!(missing.len(), 2);
        assert!(missing[0].hint.contains("apt-get install ffmpeg"));
    }
}
