//! What an image can do, found out inside it: `vdeploy-runtime check --in-image`, which every build
//! ends with.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::environment::variable;
use crate::ffmpeg::{Tools, exec};
use crate::handlers::check;
use crate::wire::VERSION;

/// Where images keep ONNX Runtime.
const ONNX_RUNTIME: &str = "/opt/onnxruntime/lib";
/// Libraries that come with the driver, from the machine and not from the image.
const OF_THE_DRIVER: [&str; 4] =
    ["libcuda.so", "libnvcuvid.so", "libnvidia-encode.so", "libnvidia"];

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InImage {
    /// The version of messages that the worker program speaks.
    pub v: u32,
    /// The user that the image starts programs as.
    pub uid: u32,
    /// The version of ffmpeg; none when it can't be run.
    pub ffmpeg: Option<String>,
    /// Encoders that encoded a frame, by ffmpeg's names.
    pub encoders: Vec<String>,
    /// ffmpeg was built with NVENC, which needs a GPU to be tried.
    pub nvenc: bool,
    /// Shared libraries that nothing in the image provides.
    pub unresolved: Vec<String>,
    /// What of the driver the image asks for.
    pub driver_capabilities: Option<String>,
    /// What is missing that calls need.
    pub missing: Vec<String>,
}

/// Finds out, and prints it as JSON.
pub(super) fn check() -> ExitCode {
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(examine()))
        .and_then(|found| writeln!(io::stdout(), "{}", serde_json::to_string(&found)?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: can't check this image: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn examine() -> io::Result<InImage> {
    let tools = Tools::of_image(std::env::temp_dir());
    let found = check::examine(&tools, &CancellationToken::new()).await;
    let found = found.map_err(|failure| io::Error::other(failure.message))?;
    let listed = said("ffmpeg", &["-hide_banner", "-encoders"]).await;
    Ok(InImage {
        v: VERSION,
        uid: rustix::process::geteuid().as_raw(),
        ffmpeg: found.ffmpeg.version,
        encoders: found.encoders.into_iter().filter_map(|software| software.encoder).collect(),
        nvenc: listed.contains("h264_nvenc"),
        unresolved: unresolved(),
        driver_capabilities: variable("NVIDIA_DRIVER_CAPABILITIES"),
        missing: found.missing.into_iter().map(|missing| missing.what).collect(),
    })
}

/// What the loader doesn't find for ffmpeg and for ONNX Runtime.
fn unresolved() -> Vec<String> {
    let path = crate::environment::search_path().unwrap_or_default();
    let ffmpeg = std::env::split_paths(&path).map(|folder| folder.join("ffmpeg"));
    let mut programs: Vec<_> = ffmpeg.filter(|path| path.is_file()).take(1).collect();
    let libraries = std::fs::read_dir(ONNX_RUNTIME).into_iter().flatten().flatten();
    let libraries = libraries.map(|entry| entry.path());
    programs.extend(libraries.filter(|path| path.to_string_lossy().contains(".so")));
    let mut missing = Vec::new();
    for program in programs {
        missing.extend(not_found(&ldd(&program)));
    }
    missing.sort();
    missing.dedup();
    missing
}

/// The names in what `ldd` says that it didn't find, but for those of the driver.
fn not_found(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.split_once(" => not found"));
    names
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| !OF_THE_DRIVER.iter().any(|driver| name.starts_with(driver)))
        .collect()
}

/// What the loader would load for `program`; nothing when it can't be asked.
#[expect(clippy::disallowed_methods, reason = "this is no ffmpeg, and runs in an image alone")]
fn ldd(program: &Path) -> String {
    let said = std::process::Command::new("ldd").arg(program).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default()
}

/// What a program prints; nothing when it can't be run.
async fn said(program: &str, args: &[&str]) -> String {
    let args = args.iter().map(OsString::from).collect();
    let said = exec::capture(Path::new(program), args, None, &CancellationToken::new()).await;
    String::from_utf8_lossy(&said.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_are_missing_are_named_unless_the_driver_brings_them() {
        let said = "\tlinux-vdso.so.1 (0x0)\n\tlibnppig.so.12 => not found\n\
                    \tlibcuda.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x0)\n";
        assert_eq!(not_found(said), ["libnppig.so.12"]);
    }
}
