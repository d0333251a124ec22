//! Models that are loaded: by a worker once, for all its calls.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::plan;
use super::weights::Weights;
use crate::detect::engine::{Computed, Device, Engine, Network};
use crate::detect::model::{Head, Model};
use crate::detect::onnx::Facts;
use crate::detect::picture::{Planes, Rgb};
use crate::wire::{Failure, FailureKind};

/// Models that a worker keeps.
const KEPT: usize = 2;

/// What a worker has loaded.
#[derive(Debug, Default)]
pub(super) struct Warm {
    engine: OnceLock<Result<Arc<Engine>, Failure>>,
    /// The last that was used is the last.
    loaded: Mutex<Vec<(Key, Arc<Loaded>)>>,
}

/// What a loaded model is told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) sha256: String,
    pub(super) device: Device,
    pub(super) threads: usize,
}

/// A model that is loaded, and was tried.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) model: Model,
    pub(super) head: Head,
    pub(super) network: Mutex<Network>,
    /// Pictures that it computes side by side.
    pub(super) lanes: usize,
}

impl Warm {
    /// Who computes in this process; found at the first call.
    pub(super) fn engine(&self, named: Option<&Path>) -> Result<Arc<Engine>, Failure> {
        self.engine.get_or_init(|| Engine::find(named).map(Arc::new)).clone()
    }

    /// The model of `key`, and whether it was loaded already.
    pub(super) fn model(
        &self,
        engine: &Engine,
        key: &Key,
        (weights, name): (&Weights, &str),
    ) -> Result<(Arc<Loaded>, bool), Failure> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = loaded.iter().position(|(known, _)| known == key) {
            let found = loaded.remove(at);
            loaded.push(found.clone());
            return Ok((found.1, true));
        }
        let made = Arc::new(load(engine, key, &weights.path, name)?);
        if loaded.len() >= KEPT {
            loaded.remove(0);
        }
        loaded.push((key.clone(), Arc::clone(&made)));
        Ok((made, false))
    }
}

/// Loads a model, and computes a black picture: that says what its output is, and whether the device works.
fn load(engine: &Engine, key: &Key, path: &Path, name: &str) -> Result<Loaded, Failure> {
    let model = describe(path, name)?;
    let broken = |error: &ort::Error| {
        let who = engine.kind().name();
        Failure::new(FailureKind::InvalidInput, format!("{who} can't compute the model `{name}`"))
            .cause(first_line(error.message()))
    };
    let how = (key.device, key.threads);
    let mut network = engine.open(path, model.batch, how).map_err(|error| broken(&error))?;
    let black = Planes::<Rgb>::black(plan::at_once(&model, Some(1), 1, None), model.size);
    let Computed { shape, .. } =
        network.run(&model.input, &black).map_err(|error| broken(&error))?;
    let head = model.head(&shape, name)?;
    let lanes = network.lanes();
    Ok(Loaded { model, head, network: Mutex::new(network), lanes })
}

/// What the file says of itself.
fn describe(path: &Path, name: &str) -> Result<Model, Failure> {
    let unlike = |why: &dyn std::fmt::Display| {
        Failure::new(FailureKind::InvalidInput, format!("`{name}` isn't an ONNX model"))
            .cause(why)
            .hint("export one, such as `yolo export model=yolo11n.pt format=onnx`")
    };
    let bytes = std::fs::read(path).map_err(|error| unlike(&error))?;
    Model::of(&Facts::read(&bytes).map_err(|why| unlike(&why))?, name)
}

/// Libraries say a lot, and the cause first.
fn first_line(text: &str) -> String {
    text.lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it doesn't say why")
        .trim()
        .to_owned()
}
