//! The model's file: where it is on this machine, and that it is the one that was meant.
//!
//! What comes from an address is kept by its content, so that a machine downloads it once, whatever it is called.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use ureq::Agent;
use ureq::config::Config;

use crate::handler::Context;
use crate::storage::InputFile;
use crate::wire::{Failure, FailureKind, Phase, Progress};

/// Bytes of a model that is downloaded, at most.
const MOST_BYTES: u64 = 4 << 30;
/// How long a download may take.
const LIMIT: Duration = Duration::from_secs(1800);
/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// Redirects that are followed.
const MOST_REDIRECTS: u32 = 5;
/// Bytes that are read at once.
const BLOCK: usize = 1 << 20;

/// A model's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weights {
    /// Where it is on this machine.
    pub(super) path: PathBuf,
    /// Its content.
    pub(super) sha256: String,
}

/// Finds the model, downloads it where it is an address that wasn't seen before, and checks it against its pin.
pub(super) async fn find(
    cx: &Context,
    model: &InputFile,
    pin: Option<&str>,
) -> Result<Weights, Failure> {
    let name = model.as_str().to_owned();
    let pin = pin.map(str::to_ascii_lowercase);
    let cancel = cx.cancellation().clone();
    if !is_address(&name) {
        let path = cx.files().input(model).await?;
        return blocking(move || local(path, &name, pin.as_deref(), &cancel)).await;
    }
    let Some(pin) = pin else {
        return Err(Failure::new(FailureKind::InvalidArgs, format!("`{name}` needs a `sha256`"))
            .cause("what an address leads to may change, and a model is a program of a kind")
            .hint("download it once, and give what `sha256sum model.onnx` says"));
    };
    cx.progress(Progress { phase: Phase::Downloading, ..Progress::default() });
    let folder = cx.tools().cache.join("models");
    blocking(move || kept(&folder, &name, &pin, &cancel)).await
}

fn is_address(name: &str) -> bool {
    name.starts_with("https://") || name.starts_with("http://")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| {
        Err(Failure::new(FailureKind::Handler, "looking for the model failed").cause(panic))
    })
}

fn local(
    path: PathBuf,
    name: &str,
    pin: Option<&str>,
    cancel: &CancellationToken,
) -> Result<Weights, Failure> {
    let unreadable = |error: io::Error| {
        Failure::new(FailureKind::InvalidInput, format!("can't read the model `{name}`"))
            .cause(error)
    };
    let mut file = File::open(&path).map_err(unreadable)?;
    let sha256 = copied(&mut file, &mut io::sink(), cancel).map_err(unreadable)?;
    match pin {
        Some(pin) if pin != sha256 => Err(another(name, pin, &sha256)),
        _ => Ok(Weights { path, sha256 }),
    }
}

/// The model of content `pin` in `folder`, from the address where it isn't there.
fn kept(
    folder: &Path,
    address: &str,
    pin: &str,
    cancel: &CancellationToken,
) -> Result<Weights, Failure> {
    let path = folder.join(format!("{pin}.onnx"));
    if let Ok(mut file) = File::open(&path)
        && copied(&mut file, &mut io::sink(), cancel).is_ok_and(|sha256| sha256 == pin)
    {
        return Ok(Weights { path, sha256: pin.to_owned() });
    }
    let failed = |error: io::Error| {
        Failure::new(FailureKind::Machine, format!("can't download `{address}`")).cause(error)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut staged = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut body = open(address)?;
    let sha256 = copied(&mut body, staged.as_file_mut(), cancel).map_err(failed)?;
    if sha256 != pin {
        return Err(another(address, pin, &sha256));
    }
    staged.persist(&path).map_err(|error| failed(error.error))?;
    Ok(Weights { path, sha256 })
}

fn open(address: &str) -> Result<impl Read, Failure> {
    let config = Config::builder()
        .timeout_global(Some(LIMIT))
        .timeout_recv_response(Some(PATIENCE))
        .max_redirects(MOST_REDIRECTS)
        .build();
    let answer = Agent::from(config).get(address).call().map_err(|error| {
        let kind = match error {
            ureq::Error::StatusCode(400..500) => FailureKind::InvalidInput,
            _ => FailureKind::Machine,
        };
        Failure::new(kind, format!("can't download `{address}`")).cause(error)
    })?;
    Ok(answer.into_body().into_with_config().limit(MOST_BYTES).reader())
}

/// Copies everything, and says its SHA-256 in hexadecimal digits.
fn copied(
    from: &mut impl Read,
    to: &mut impl Write,
    cancel: &CancellationToken,
) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        if cancel.is_cancelled() {
            return Err(io::Error::other("it was cancelled"));
        }
        let read = from.read(&mut block)?;
        if read == 0 {
            break;
        }
        hash.update(&block[..read]);
        to.write_all(&block[..read])?;
    }
    to.flush()?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn another(name: &str, pin: &str, sha256: &str) -> Failure {
    Failure::new(FailureKind::InvalidInput, format!("`{name}` isn't the model that was pinned"))
        .cause(format!("its SHA-256 is {sha256}, not {pin}"))
        .hint("if it was changed on purpose, give the new `sha256`")
}
