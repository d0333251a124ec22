//! What an executor needs to know of the machine, and what a worker of a function is started with.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::container::{Bind, ContainerPlan};
use super::elsewhere::Elsewhere;
use super::process_worker::Blueprint;
use super::record::Ready;
use super::reuse::Reusable;
use super::schedule::Capacity;
use crate::engine::EngineAddress;
use crate::environment::volume_variable;
use crate::failpoint::Failpoint;
use crate::ffmpeg::Tools;
use crate::function::{Container, Entry, FunctionSpec};
use crate::handlers::builtin;
use crate::home::Home;
use crate::secret::{Edition, SecretStore};
use crate::storage::Files;
use crate::storage::remote::Remote;
use crate::wire::VERSION;
use crate::worker::frame::Serve;

/// Variables of this process that workers get; nothing else passes by accident.
const PASSED_ON: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What names of variables begin with that a container in the cloud has for its worker program, and
/// functions have no business with.
const PRIVATE: [&str; 4] = ["AWS_", "ECS_", "LAMBDA_", "VDEPLOY_"];

/// Where images have the worker program.
pub const WORKER_IN_IMAGE: &str = "/usr/local/bin/vdeploy-runtime";
/// Where containers have a scratch folder of the size that was asked for.
const SCRATCH_FOLDER: &str = "/scratch";

/// The machine and its folders, as an executor sees them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where everything lies.
    pub home: Home,
    /// ffmpeg and what is known of the machine.
    pub tools: Tools,
    /// The worker program of built-in handlers.
    pub worker: PathBuf,
    /// What there is to claim.
    pub capacity: Capacity,
    /// What the whole machine costs an hour, in any currency.
    pub price_per_hour: Option<f64>,
    /// Where functions are found by name that calls call, if not on this machine.
    pub elsewhere: Option<Elsewhere>,
    /// What runs containers.
    pub engine: EngineAddress,
    /// This process runs in the image of the functions it runs, which get what that sets.
    pub in_image: bool,
    /// Where a test wants this process to die.
    pub failpoint: Failpoint,
}

impl Setup {
    /// What a worker of `function` is started with.
    pub(super) fn blueprint(
        &self,
        environment: &str,
        function: &FunctionSpec,
    ) -> io::Result<Blueprint> {
        let home = self.home.environment(environment);
        let source = function.source.as_ref().map(|hash| home.sources().join(hash));
        let store = SecretStore::of(&home);
        let secrets = store.get_all(&function.secrets).map_err(io::Error::other)?;
        let elsewhere = self.elsewhere.clone().map(|elsewhere| (elsewhere, home.clone()));
        let remote = Remote::of(function, file_schema(function), &store, elsewhere);
        let remote = Arc::new(remote.map_err(io::Error::other)?);
        let mut values = Vec::new();
        let mut env = match &function.container {
            Some(_) => Vec::new(),
            None => inherited(self.in_image),
        };
        env.extend(function.env.iter().map(|(key, value)| (key.into(), value.into())));
        for (key, value) in &secrets {
            env.push((key.into(), value.expose().into()));
            values.push(value.expose().to_owned());
        }
        let mut volumes = existing_volumes(&home.volumes())?;
        let mut tools = self.tools.clone();
        let container = function.container.as_ref().map(|container| {
            let room = self.home.containers().join(room_name());
            let source = source.as_deref();
            let plan = self.container(container, function, room, &volumes, source);
            volumes = mounted(function, &volumes);
            tools = Tools::of_image("/tmp/vdeploy".into());
            env.extend(container_variables());
            plan
        });
        for (name, path) in &volumes {
            env.push((volume_variable(name).into(), path.into()));
        }
        let mut spec = function.clone();
        if !matches!(spec.entry, Entry::Command { .. }) {
            // The arguments were checked against it; typed handlers have no other use for it.
            spec.schema = None;
        }
        // In a container, folders of calls are elsewhere.
        let keeps = matches!(function.entry, Entry::Command { .. }) && container.is_none();
        let serve = Serve {
            v: VERSION,
            spare: keeps.then(|| self.home.spares().join(room_name())),
            function: spec,
            source: source.clone(),
            volumes,
            tools,
            scratch: container.as_ref().and_then(|plan| Some(plan.scratch.as_ref()?.0.clone())),
            log_mark: format!("\x1e{:032x}\n", rand::random::<u128>()),
        };
        Ok(Blueprint {
            program: self.program(function, source.as_deref()),
            container,
            env,
            secrets: values,
            remote,
            serve,
        })
    }

    /// Which secrets a worker of `function` would be started with now.
    pub(super) fn secrets(&self, environment: &str, function: &FunctionSpec) -> Edition {
        let store = SecretStore::of(&self.home.environment(environment));
        store.edition(&function.needed_secrets())
    }

    /// What is needed to find out whether an earlier call of `function` was like this one.
    pub(super) fn reusable(
        &self,
        environment: &str,
        function: &Arc<FunctionSpec>,
        call: &Ready,
    ) -> io::Result<Reusable> {
        let volumes = existing_volumes(&self.home.environment(environment).volumes())?;
        let cache = self.home.cache();
        std::fs::create_dir_all(&cache)?;
        Ok(Reusable {
            environment: environment.to_owned(),
            spec: Arc::clone(function),
            args: call.args.clone(),
            files: Files::without_worker(volumes, &self.home.call(&call.id.0), call.overwrite),
            home: self.home.clone(),
            index: cache.join("content.db"),
            cancel: CancellationToken::new(),
        })
    }

    /// What a second of `claim` costs: its largest share of the machine's price, so that calls
    /// that fill the machine cost as much as the machine.
    pub(super) fn price_per_second(&self, claim: Capacity) -> Option<f64> {
        Some(self.price_per_hour? / 3600.0 * claim.largest_share_of(self.capacity))
    }

    /// The container that a worker of `function` is started in.
    fn container(
        &self,
        container: &Container,
        function: &FunctionSpec,
        room: PathBuf,
        volumes: &BTreeMap<String, PathBuf>,
        source: Option<&Path>,
    ) -> ContainerPlan {
        let own = |path: &Path| Bind { source: path.into(), target: path.into(), read_only: true };
        let volumes = function.volumes.iter().filter_map(|(target, name)| {
            let (source, target) = (volumes.get(name)?.clone(), target.into());
            Some(Bind { source, target, read_only: false })
        });
        let resources = &function.resources;
        let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
        ContainerPlan {
            engine: self.engine.clone(),
            image: container.image.clone(),
            home: self.home.root().to_owned(),
            function: format!("{}/{}", function.app, function.name),
            schema: file_schema(function),
            mounts: volumes.chain(source.map(own)).collect(),
            user: format!("{}:{}", uid.as_raw(), gid.as_raw()),
            cpu: resources.cpu.min(self.capacity.millicpu as f64 / 1000.0),
            memory: resources.memory_bytes.map(|bytes| bytes.min(self.capacity.memory)),
            scratch: resources.ephemeral_disk_bytes.map(|bytes| (SCRATCH_FOLDER.into(), bytes)),
            gpu: !resources.gpu.is_empty() && self.capacity.gpus > 0,
            network: container.network,
            room,
        }
    }

    fn program(&self, function: &FunctionSpec, source: Option<&Path>) -> PathBuf {
        match (&function.entry, source) {
            (Entry::Binary { binary, .. }, Some(source)) => source.join(binary),
            (Entry::Binary { binary, .. }, None) => PathBuf::from(binary),
            _ if function.container.is_some() => WORKER_IN_IMAGE.into(),
            _ => self.worker.clone(),
        }
    }
}

/// The schema by which files are found in the arguments of `function`: its own, or that of a
/// built-in handler which another one calls.
pub(super) fn file_schema(function: &FunctionSpec) -> Option<Value> {
    let builtin = || match &function.entry {
        Entry::Builtin { handler } => Some(builtin().describe(handler)?.args),
        _ => None,
    };
    function.schema.clone().or_else(builtin)
}

/// A name that no other container has.
fn room_name() -> String {
    format!("vdeploy-{:016x}", rand::random::<u64>())
}

/// Where a container sees the volumes that its function mounts; it sees no others.
fn mounted(
    function: &FunctionSpec,
    volumes: &BTreeMap<String, PathBuf>,
) -> BTreeMap<String, PathBuf> {
    let mounts = function.volumes.iter().filter(|(_, name)| volumes.contains_key(*name));
    mounts.map(|(path, name)| (name.clone(), path.into())).collect()
}

/// A home that can be written to, which no image has.
fn container_variables() -> impl Iterator<Item = (OsString, OsString)> {
    [("HOME", "/tmp"), ("TMPDIR", "/tmp")]
        .map(|(key, value)| (key.into(), value.into()))
        .into_iter()
}

#[expect(clippy::disallowed_methods, reason = "passes a named few on to workers, unread")]
fn inherited(in_image: bool) -> Vec<(OsString, OsString)> {
    if in_image {
        let is_private = |name: &OsString| {
            let name = name.to_string_lossy();
            PRIVATE.iter().any(|prefix| name.starts_with(prefix))
        };
        return std::env::vars_os().filter(|(name, _)| !is_private(name)).collect();
    }
    let pass = |name: &str| std::env::var_os(name).map(|value| (name.into(), value));
    PASSED_ON.into_iter().filter_map(pass).collect()
}

fn existing_volumes(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        entries => entries?,
    };
    let mut volumes = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        if let (Ok(name), true) = (entry.file_name().into_string(), entry.file_type()?.is_dir())
            && !name.starts_with('.')
        {
            volumes.insert(name, entry.path());
        }
    }
    Ok(volumes)
}

/// What this machine has to claim.
pub fn machine_capacity() -> Capacity {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let memory = rustix::system::sysinfo();
    Capacity {
        millicpu: cores * 1000,
        memory: memory.totalram as u64 * u64::from(memory.mem_unit),
        gpus: gpu_devices(),
    }
}

/// NVIDIA's driver makes one node per GPU: `/dev/nvidia0`, `/dev/nvidia1`, …
fn gpu_devices() -> u64 {
    (0..64).take_while(|index| Path::new(&format!("/dev/nvidia{index}")).exists()).count() as u64
}
