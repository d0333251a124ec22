//! Who computes: ONNX Runtime where its library is found, else tract, which is part of this program.
//!
//! `ort` speaks to one library per process, so it is chosen once, at the first model.

use std::path::{Path, PathBuf};

use ort::environment::Environment;
use ort::ep;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorRef;

use super::picture::{Order, Planes};
use crate::wire::{Failure, FailureKind};

/// The variable's value that asks for tract although there may be a library.
const TRACT: &str = "tract";
/// Folders in which images have the library.
const FOLDERS: [&str; 4] =
    ["/usr/lib", "/usr/local/lib", "/opt/onnxruntime/lib", "/usr/lib/x86_64-linux-gnu"];
/// The library's name; releases add their version to it.
const LIBRARY: &str = "libonnxruntime.so";

/// Bytes that the copies of a model may take together.
const WEIGHTS: u64 = 256 << 20;

/// Who computes in this process.
#[derive(Debug)]
pub struct Engine {
    kind: Kind,
    environment: Environment,
    /// Why it isn't ONNX Runtime; none when it is.
    pub fallback: Option<String>,
}

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ONNX Runtime, by a library.
    OnnxRuntime {
        /// Where the library is.
        library: PathBuf,
    },
    /// tract.
    Tract,
}

/// What a network runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The CPU.
    Cpu,
    /// A GPU by CUDA, and its index.
    Cuda(u32),
}

impl Device {
    /// As results name it.
    pub fn name(self) -> String {
        match self {
            Device::Cpu => "cpu".into(),
            Device::Cuda(gpu) => format!("cuda:{gpu}"),
        }
    }
}

impl Kind {
    /// As results name it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::OnnxRuntime { .. } => "onnxruntime",
            Kind::Tract => "tract",
        }
    }
}

impl Engine {
    /// Finds the library, `named` or in one of the usual places, and loads it. One that was named and can't be
    /// loaded is a failure; any other is done without.
    pub fn find(named: Option<&Path>) -> Result<Self, Failure> {
        if named.is_some_and(|named| named.as_os_str() == TRACT) {
            return Engine::tract("`VDEPLOY_ONNXRUNTIME` is `tract`".into());
        }
        if let Some(library) = named {
            return Engine::onnx_runtime(library).map_err(|why| {
                let what = format!("can't use the ONNX Runtime `{}`", library.display());
                Failure::new(FailureKind::Machine, what).cause(why).retryable(false).hint(
                    "name the library of release 1.24 or newer: \
                     `export VDEPLOY_ONNXRUNTIME=/path/to/libonnxruntime.so`",
                )
            });
        }
        let mut reasons = Vec::new();
        for library in candidates() {
            match Engine::onnx_runtime(&library) {
                Ok(engine) => return Ok(engine),
                Err(why) => reasons.push(why),
            }
        }
        let missing = || "there is no ONNX Runtime on this machine".to_owned();
        Engine::tract(reasons.into_iter().next().unwrap_or_else(missing))
    }

    fn onnx_runtime(library: &Path) -> Result<Self, String> {
        let builder = ort::init_from(library).map_err(|error| error.to_string())?;
        let environment =
            builder.with_telemetry(false).build().map_err(|e| e.message().to_owned())?;
        let kind = Kind::OnnxRuntime { library: library.to_owned() };
        Ok(Engine { kind, environment, fallback: None })
    }

    fn tract(why: String) -> Result<Self, Failure> {
        ort::set_api(ort_tract::api());
        let environment = ort::init().build().map_err(|error| {
            Failure::new(FailureKind::Machine, "nothing here can compute a network").cause(error)
        })?;
        Ok(Engine { kind: Kind::Tract, environment, fallback: Some(why) })
    }

    /// Who it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Loads the model at `path`, which takes `batch` pictures at once (none is any number), to be computed by so
    /// many threads.
    pub fn open(
        &self,
        path: &Path,
        batch: Option<usize>,
        (device, threads): (Device, usize),
    ) -> Result<Network, ort::Error> {
        let threads = threads.max(1);
        let several = batch.is_none_or(|batch| batch == 1) && device == Device::Cpu;
        // tract computes a picture with one thread.
        let (copies, threads) = match self.kind {
            Kind::Tract if several => (threads, None),
            Kind::Tract => (1, None),
            Kind::OnnxRuntime { .. } if several => {
                let copies = copies(path, threads);
                (copies, Some(threads / copies))
            }
            Kind::OnnxRuntime { .. } => (1, Some(threads)),
        };
        let open = |_| self.session(path, device, threads);
        let sessions = (0..copies).map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Network { sessions })
    }

    fn session(
        &self,
        path: &Path,
        device: Device,
        threads: Option<usize>,
    ) -> Result<Session, ort::Error> {
        let mut builder: SessionBuilder = Session::builder(&self.environment)?;
        builder = builder.with_optimization_level(GraphOptimizationLevel::Level3)?;
        if let Some(threads) = threads {
            // Threads that wait by turning take from ffmpeg what it decodes with.
            builder = builder.with_intra_threads(threads)?.with_intra_op_spinning(false)?;
        }
        if let Device::Cuda(gpu) = device {
            let gpu = i32::try_from(gpu).unwrap_or(0);
            let provider = ep::CUDA::default().with_device_id(gpu).build().error_on_failure();
            builder = builder.with_execution_providers([provider])?;
        }
        builder.commit_from_file(path)
    }
}

/// How many copies of a model compute a picture each: a picture by one thread takes less work than by
/// several, but each copy has its own weights.
fn copies(path: &Path, threads: usize) -> usize {
    let bytes = std::fs::metadata(path).map_or(u64::MAX, |file| file.len());
    let room = usize::try_from(WEIGHTS / bytes.max(1)).unwrap_or(usize::MAX);
    let most = room.clamp(1, threads);
    // Threads are shared out without a rest.
    (1..=most).rev().find(|copies| threads.is_multiple_of(*copies)).unwrap_or(1)
}

/// Places where the library may be: beside this program, then where images have it.
fn candidates() -> Vec<PathBuf> {
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_path_buf));
    let beside = own.into_iter().flat_map(|own| [own.join("lib"), own]);
    let folders = beside.chain(FOLDERS.map(PathBuf::from));
    folders.flat_map(|folder| libraries(&folder)).collect()
}

/// The libraries of a folder, newest first.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| name(path).starts_with(LIBRARY)).collect();
    found.sort_by_key(|path| std::cmp::Reverse(version(&name(path))));
    found
}

/// The numbers of `libonnxruntime.so.1.31.1`.
fn version(name: &str) -> Vec<u64> {
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// A model that is loaded.
#[derive(Debug)]
pub struct Network {
    sessions: Vec<Session>,
}

/// What came out for several pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Sides, the first of which counts pictures.
    pub shape: Vec<usize>,
    /// All numbers.
    pub values: Vec<f32>,
}

impl Network {
    /// How many pictures it computes side by side.
    pub fn lanes(&self) -> usize {
        self.sessions.len()
    }

    /// Computes `pictures`. Each lane gets pictures of its own, where there are several.
    pub fn run<O: Order>(
        &mut self,
        input: &str,
        pictures: &Planes<O>,
    ) -> Result<Computed, ort::Error> {
        let [count, channels, height, width] = pictures.shape();
        let each = channels * height * width;
        if let [session] = &mut self.sessions[..] {
            return compute(session, input, [count, channels, height, width], pictures.values());
        }
        let share = count.div_ceil(self.sessions.len()).max(1);
        let parts = std::thread::scope(|scope| {
            let lanes = self.sessions.iter_mut().zip(pictures.values().chunks(share * each));
            let start = |(session, values): (&'_ mut Session, &'_ [f32])| {
                let shape = [1, channels, height, width];
                let one = |values| compute(session, input, shape, values);
                values.chunks(each).map(one).collect::<Result<Vec<_>, _>>()
            };
            let lanes: Vec<_> = lanes.map(|lane| scope.spawn(move || start(lane))).collect();
            lanes
                .into_iter()
                .map(|lane| lane.join().expect("computing doesn't panic"))
                .collect::<Vec<_>>()
        });
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        Ok(joined(parts))
    }
}

fn joined(parts: Vec<Computed>) -> Computed {
    let mut shape = parts.first().map_or_else(Vec::new, |part| part.shape.clone());
    if let Some(first) = shape.first_mut() {
        *first = parts.len();
    }
    let values: Vec<_> = parts.into_iter().map(|part| part.values).collect();
    Computed { shape, values: values.concat() }
}

fn compute(
    session: &mut Session,
    input: &str,
    shape: [usize; 4],
    values: &[f32],
) -> Result<Computed, ort::Error> {
    let tensor = TensorRef::from_array_view((shape, values))?;
    let outputs = session.run(ort::inputs![input => tensor])?;
    let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
    let side = |side: &i64| usize::try_from(*side).unwrap_or(0);
    Ok(Computed { shape: shape.iter().map(side).collect(), values: values.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::picture::Rgb;

    #[test]
    fn small_models_are_computed_by_one_thread_a_picture() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = |bytes: u64, threads| {
            file.as_file().set_len(bytes).unwrap();
            copies(file.path(), threads)
        };
        assert_eq!((found(10 << 20, 1), found(10 << 20, 2), found(10 << 20, 16)), (1, 2, 16));
        assert_eq!((found(100 << 20, 8), found(80 << 20, 8), found(80 << 20, 7)), (2, 2, 1));
        assert_eq!(found(300 << 20, 8), 1);
    }

    #[test]
    fn the_newest_library_of_a_folder_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1", "libother.so"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names: Vec<_> = libraries(dir.path())
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["libonnxruntime.so.1.31.1", "libonnxruntime.so.1.9.0"]);
    }

    /// The picture of `expected.json`, whose numbers ONNX Runtime computed.
    fn picture() -> Planes<Rgb> {
        let mut planes = Planes::black(1, (96, 64));
        let values = (0..64_u32).flat_map(|y| (0..96_u32).map(move |x| (x, y)));
        let pixels: Vec<[u32; 3]> =
            values.map(|(x, y)| [7 * x + 3 * y, x * y / 4, 5 * y + x * x / 8]).collect();
        for (at, value) in planes.picture_mut(0).iter_mut().enumerate() {
            *value = (pixels[at % pixels.len()][at / pixels.len()] % 256) as f32 / 255.0;
        }
        planes
    }

    #[test]
    fn tract_computes_what_onnx_runtime_does() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/detect");
        let expected = std::fs::read(fixtures.join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        let engine = Engine::find(Some(Path::new(TRACT))).unwrap();
        for name in ["v5", "v8", "v11", "end2end"] {
            let path = fixtures.join(format!("{name}.onnx"));
            let mut network = engine.open(&path, Some(1), (Device::Cpu, 1)).unwrap();
            let computed = network.run("images", &picture()).unwrap();
            let expected = &expected[name];
            assert_eq!(serde_json::json!(computed.shape), expected["shape"], "{name}");
            let sum: f64 = computed.values.iter().map(|value| f64::from(*value)).sum();
            let wanted = expected["sum"].as_f64().unwrap();
            assert!((sum - wanted).abs() < 1e-3 * wanted.abs(), "{name}: {sum}, not {wanted}");
            let (rows, columns) = (computed.shape[1], computed.shape[2]);
            let upright = name.starts_with("v8") || name.starts_with("v11");
            for (row, wanted) in expected["rows"].as_array().unwrap().iter().enumerate() {
                for (column, wanted) in wanted.as_array().unwrap().iter().enumerate() {
                    let at = if upright { column * columns + row } else { row * columns + column };
                    let (found, wanted) =
                        (f64::from(computed.values[at]), wanted.as_f64().unwrap());
                    assert!(
                        (found - wanted).abs() < 1e-3,
                        "{name} {row} {column}: {found}, not {wanted}"
                    );
                }
            }
            assert!(rows > 0);
        }
    }
}
