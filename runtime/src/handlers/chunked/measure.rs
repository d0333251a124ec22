//! What earlier runs cost here, kept in the cache. Losing it costs a good guess, no call.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::args::Args;
use super::cost::{Basis, Model};
use crate::ffmpeg::probe::VideoStream;
use crate::handler::Context;

/// How much a new measurement counts against all earlier ones.
const NEW: f64 = 0.5;

/// The file for work of one kind: what is done, on how many pixels, with how many cores.
pub(super) fn file(cx: &Context, args: &Args, video: &VideoStream) -> PathBuf {
    let function = &cx.invocation().function;
    let who = match &args.function {
        Some(name) => json!(name),
        None => json!([args.handler, function.resources, function.hardware]),
    };
    let key = json!([who, args.with, video.width, video.height]).to_string();
    let hash = Sha256::digest(key.as_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    cx.tools().cache.join(format!("chunked-{name}.json"))
}

/// What is known.
pub(super) fn load(file: &Path) -> Option<Model> {
    let known: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let figure = |name: &str| known[name].as_f64().filter(|figure| *figure >= 0.0);
    Some(Model {
        startup_seconds: figure("startup_seconds")?,
        seconds_per_frame: figure("seconds_per_frame").filter(|figure| *figure > 0.0)?,
        basis: Basis::Measured,
    })
}

/// Adds what was measured just now.
pub(super) fn store(file: &Path, measured: Model) {
    let mixed = |old: f64, new: f64| old + (new - old) * NEW;
    let model = match load(file) {
        Some(old) => Model {
            startup_seconds: mixed(old.startup_seconds, measured.startup_seconds),
            seconds_per_frame: mixed(old.seconds_per_frame, measured.seconds_per_frame),
            ..old
        },
        None => measured,
    };
    if let Err(error) = write_whole(file, model) {
        tracing::debug!(%error, "what was measured is lost");
    }
}

fn write_whole(file: &Path, model: Model) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut whole = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut whole, &model)?;
    whole.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_kept_and_follow_what_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/costs.json");
        assert_eq!(load(&file), None);
        let model = |startup_seconds, seconds_per_frame| Model {
            startup_seconds,
            seconds_per_frame,
            basis: Basis::Measured,
        };
        store(&file, model(2.0, 0.1));
        store(&file, model(1.0, 0.3));
        assert_eq!(load(&file), Some(model(1.5, 0.2)));
        fs::write(&file, "{\"startup_seconds\": 1}").unwrap();
        assert_eq!(load(&file), None);
    }
}
