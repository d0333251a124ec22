//! Functions of a manifest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use vdeploy_runtime::function::{
    Downloads, Entry, FunctionSpec, Hardware, Resources, Retries, Scaling, default_timeout,
};

use super::app::Function;
use super::check;
use super::cron;
use super::decode::{At, Entries, Json, Table};
use super::problem::{Problem, Problems};
use super::quantity::{Bytes, Seconds};
use super::raw::{RawDownloads, RawFunction, RawRetries};
use super::resolve::{Known, text, values, variables};
use crate::error::did_you_mean;
use crate::hardware;

/// The function that a `[function.NAME]` means.
pub(super) fn resolve(
    name: &At<String>,
    raw: RawFunction,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Function {
    let entry = entry(name, &raw, known, problems);
    own_files(&raw, problems);
    gpus(&raw, problems);
    if let Some(image) = &raw.image {
        check::reference("image", image, &known.images, problems);
    }
    let contained = contained(&raw, known, problems);
    if let Some(schedule) = &raw.schedule {
        cron::check(schedule, problems);
    }
    Function {
        description: text(raw.description),
        source: raw.source.map(|list| values(list.value)).unwrap_or_default(),
        args: text(raw.args),
        spot: raw.spot.is_some_and(|spot| spot.value),
        schedule: raw.schedule.map(|at| cron::fields(&at.value).to_owned()),
        engine: raw.engine.map(|at| at.value).unwrap_or_default(),
        codecs: raw
            .codecs
            .map(|list| list.value.iter().map(|codec| codec.value.0.to_owned()).collect())
            .unwrap_or_default(),
        line: known.lines.position(name.span.start).0,
        contained,
        network: raw.network.is_some_and(|network| network.value),
        spec: FunctionSpec {
            app: known.app.to_owned(),
            name: name.value.clone(),
            entry,
            image: text(raw.image),
            container: None,
            scaling: scaling(
                raw.min_containers,
                raw.max_containers,
                raw.scaledown_window,
                problems,
            ),
            resources: Resources {
                cpu: cpu(raw.cpu, problems),
                memory_bytes: bytes("memory", raw.memory, problems),
                ephemeral_disk_bytes: bytes("ephemeral_disk", raw.ephemeral_disk, problems),
                gpu: raw
                    .gpu
                    .map(|gpu| hardware::canonical(values(gpu.value.0)))
                    .unwrap_or_default(),
            },
            hardware: raw.hardware.map(|at| at.value).unwrap_or_default(),
            timeout_seconds: timeout(raw.timeout, problems),
            retries: raw.retries.map(|at| retries(at.value, problems)).unwrap_or_default(),
            env: variables(raw.env, problems),
            volumes: raw.volumes.map(|at| mounts(at.value, known, problems)).unwrap_or_default(),
            secrets: raw.secrets.map(|at| secrets(at.value, known, problems)).unwrap_or_default(),
            source: None,
            buckets: known.buckets.clone(),
            downloads: raw.downloads.map(|at| downloads(at.value, problems)).unwrap_or_default(),
            cache: raw.cache.is_some_and(|cache| cache.value),
            with: with(raw.with),
            schema: None,
        },
    }
}

fn downloads(raw: RawDownloads, problems: &mut Problems) -> Downloads {
    Downloads {
        max_bytes: bytes("max_size", raw.max_size, problems),
        private: raw.private.is_some_and(|private| private.value),
    }
}

fn with(raw: Option<At<Entries<Json>>>) -> Map<String, Value> {
    let entries = raw.map(|entries| entries.value.0).unwrap_or_default();
    entries.into_iter().map(|(name, value)| (name.value, value.value.0)).collect()
}

/// Whether the function runs in a container: as it says, or as its target does. Without an image
/// there is none.
fn contained(raw: &RawFunction, known: &Known<'_>, problems: &mut Problems) -> bool {
    let Some(isolation) = &raw.isolation else { return known.contained && raw.image.is_some() };
    let contained = isolation.value.0 == "docker";
    if contained && raw.image.is_none() {
        problems.push(
            Problem::new(&isolation.span, "a function without an image can't run in a container")
                .hint("add `image = \"NAME\"` and `[image.NAME]`"),
        );
    }
    contained
}

/// What runs: exactly one of `handler` and `command`.
fn entry(
    name: &At<String>,
    raw: &RawFunction,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Entry {
    if let (Some(binary), None) = (&raw.binary, &raw.handler) {
        problems.push(
            Problem::new(&binary.span, "`binary` needs a `handler`")
                .label("which of its handlers?")
                .hint("add `handler = \"NAME\"`, the name of a handler in that binary"),
        );
    }
    match (&raw.handler, &raw.command) {
        (Some(handler), Some(command)) => problems.push(
            Problem::new(&command.span, "a function has a `handler` or a `command`, not both")
                .related(&handler.span, "the other one")
                .hint("remove one of them"),
        ),
        (None, None) if raw.wrong().iter().any(|key| ["handler", "command"].contains(key)) => {}
        (None, None) => problems.push(nothing_runs(name)),
        (Some(handler), None) => check_handler(handler, raw, known, problems),
        (None, Some(command)) => check_command(command, problems),
    }
    entry_of(raw)
}

fn nothing_runs(name: &At<String>) -> Problem {
    Problem::new(&name.span, format!("function `{}` runs nothing", name.value))
        .label("neither `handler` nor `command`")
        .hint("add `handler = \"transcode\"`, or `command = [\"python3\", \"main.py\"]`")
}

fn entry_of(raw: &RawFunction) -> Entry {
    let handler = raw.handler.as_ref().map(|at| at.value.clone());
    let binary = raw.binary.as_ref().map(|at| at.value.clone());
    let command = raw.command.as_ref().map(|at| values(at.value.clone()));
    match (handler, binary) {
        (Some(handler), Some(binary)) => Entry::Binary { binary, handler },
        (Some(handler), None) => Entry::Builtin { handler },
        (None, _) => Entry::Command { argv: command.unwrap_or_default() },
    }
}

fn check_handler(
    handler: &At<String>,
    raw: &RawFunction,
    known: &Known<'_>,
    problems: &mut Problems,
) {
    if let Some(args) = &raw.args {
        problems.push(
            Problem::new(&args.span, "`args` belongs to a `command`")
                .related(&handler.span, "a handler brings the schema of its arguments")
                .hint("remove `args`"),
        );
    }
    check::text("handler", handler, problems);
    let builtin = raw.binary.is_none() && !handler.value.trim().is_empty();
    if !builtin || known.handlers.contains(&handler.value.as_str()) {
        return;
    }
    let hint = match did_you_mean(&handler.value, known.handlers.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!(
            "it may be {}; a handler of your own needs `binary`",
            super::decode::one_of(known.handlers)
        ),
    };
    problems.push(
        Problem::new(&handler.span, format!("no handler is named `{}`", handler.value)).hint(hint),
    );
}

fn check_command(command: &At<Vec<At<String>>>, problems: &mut Problems) {
    match command.value.first() {
        None => problems.push(
            Problem::new(&command.span, "`command` is empty")
                .hint("name a program: `command = [\"python3\", \"main.py\"]`"),
        ),
        Some(program) => check::text("command", program, problems),
    }
    for word in command.value.iter().skip(1).filter(|word| word.value.contains('\0')) {
        check::text("command", word, problems);
    }
}

fn own_files(raw: &RawFunction, problems: &mut Problems) {
    for path in raw.source.iter().flat_map(|list| &list.value) {
        check::own_path("source", path, problems);
    }
    for (key, path) in [("args", &raw.args), ("binary", &raw.binary)] {
        if let Some(path) = path {
            check::own_path(key, path, problems);
        }
    }
}

/// Models that exist, and can do what `hardware` asks for.
fn gpus(raw: &RawFunction, problems: &mut Problems) {
    let required = raw.hardware.as_ref().filter(|at| at.value == Hardware::Required);
    let mut seen = BTreeSet::new();
    for gpu in raw.gpu.iter().flat_map(|at| &at.value.0) {
        let Some(model) = hardware::find(&gpu.value) else {
            problems.push(unknown_gpu(gpu));
            continue;
        };
        if !seen.insert(model.name) {
            problems.push(
                Problem::new(&gpu.span, format!("`{}` is named twice", gpu.value))
                    .hint("name each model once, the one you prefer first"),
            );
        }
        let av1 = raw.codecs.iter().flat_map(|list| &list.value).find(|c| c.value.0 == "av1");
        if let Some(av1) = av1.filter(|_| model.encoders > 0 && !model.av1_encode) {
            problems.push(
                Problem::new(&gpu.span, format!("`{}` doesn't encode AV1", model.name))
                    .label("its encoders know H.264 and HEVC")
                    .related(&av1.span, "but AV1 is to be encoded")
                    .hint("use a model that does, such as `L4` or `L40S`, or another codec"),
            );
        }
        if let Some(required) = required.filter(|_| model.encoders == 0) {
            problems.push(
                Problem::new(&gpu.span, format!("`{}` has no video encoder", model.name))
                    .label("no NVENC on this model")
                    .related(&required.span, "but one is required")
                    .hint(
                        "use a model that encodes, such as `L4` or `T4`, or `hardware = \"auto\"`",
                    ),
            );
        }
    }
}

fn unknown_gpu(gpu: &At<String>) -> Problem {
    let problem = Problem::new(&gpu.span, format!("no GPU model is named `{}`", gpu.value));
    if let Some((model, _)) = gpu.value.split_once(':').filter(|(m, _)| hardware::find(m).is_some())
    {
        return problem
            .label("a call claims one GPU")
            .hint(format!("write `{model}`, and `vdeploy map` to use several at once"));
    }
    problem.hint(match hardware::suggest(&gpu.value) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("it may be {}", super::decode::one_of(&hardware::names())),
    })
}

fn cpu(cpu: Option<At<f64>>, problems: &mut Problems) -> f64 {
    let Some(cpu) = cpu else { return Resources::default().cpu };
    check::more_than_zero("cpu", &cpu.span, cpu.value, problems);
    cpu.value
}

fn bytes(key: &str, bytes: Option<At<Bytes>>, problems: &mut Problems) -> Option<u64> {
    let bytes = bytes?;
    check::more_than_zero(key, &bytes.span, bytes.value.0 as f64, problems);
    Some(bytes.value.0)
}

fn timeout(timeout: Option<At<Seconds>>, problems: &mut Problems) -> f64 {
    let Some(timeout) = timeout else { return default_timeout() };
    check::more_than_zero("timeout", &timeout.span, timeout.value.0, problems);
    timeout.value.0
}

fn retries(raw: RawRetries, problems: &mut Problems) -> Retries {
    let default = Retries::default();
    let RawRetries(raw) = raw;
    let seconds = |at: Option<At<Seconds>>| at.map(|at| at.value.0);
    if let (Some(initial), Some(most)) = (&raw.initial_delay, &raw.max_delay)
        && initial.value.0 > most.value.0
    {
        problems.push(
            Problem::new(&most.span, "`max_delay` is shorter than `initial_delay`")
                .related(&initial.span, "the first wait")
                .hint("swap them, or leave `max_delay` out"),
        );
    }
    let initial_delay = seconds(raw.initial_delay).unwrap_or(default.initial_delay_seconds);
    Retries {
        max: check::number("max", raw.max, 0..=100, problems).unwrap_or(default.max),
        initial_delay_seconds: initial_delay,
        backoff: check::number("backoff", raw.backoff, 1.0..=10.0, problems)
            .unwrap_or(default.backoff),
        max_delay_seconds: seconds(raw.max_delay)
            .unwrap_or(default.max_delay_seconds.max(initial_delay)),
    }
}

fn scaling(
    min: Option<At<u32>>,
    max: Option<At<u32>>,
    window: Option<At<Seconds>>,
    problems: &mut Problems,
) -> Scaling {
    if let (Some(min), Some(max)) = (&min, &max)
        && min.value > max.value
        && max.value > 0
    {
        problems.push(
            Problem::new(&min.span, "`min_containers` is more than `max_containers`")
                .related(&max.span, "the most there may be")
                .hint("swap them, or leave one out"),
        );
    }
    if let Some(max) = &max {
        check::more_than_zero("max_containers", &max.span, max.value, problems);
    }
    let default = Scaling::default();
    Scaling {
        min_containers: min.map_or(default.min_containers, |min| min.value),
        max_containers: max.map(|max| max.value),
        scaledown_window_seconds: window
            .map_or(default.scaledown_window_seconds, |window| window.value.0),
    }
}

fn secrets(list: Vec<At<String>>, known: &Known<'_>, problems: &mut Problems) -> Vec<String> {
    for secret in &list {
        check::reference("secret", secret, &known.secrets, problems);
    }
    values(list)
}

/// Volumes by mount path: each path and each volume once.
fn mounts(
    entries: Entries<String>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let mut mounts: BTreeMap<String, (String, At<String>)> = BTreeMap::new();
    let mut places: BTreeMap<String, At<String>> = BTreeMap::new();
    for (path, volume) in entries.0 {
        check_volume(&volume, known, problems);
        let Some(normal) = mount_path(&path, problems) else { continue };
        if let Some((_, first)) = mounts.get(&normal) {
            problems.push(
                Problem::new(&path.span, format!("two volumes are mounted at `{normal}`"))
                    .related(&first.span, "the first one")
                    .hint("mount each volume at a path of its own"),
            );
        }
        if let Some(first) = places.insert(volume.value.clone(), path.clone()) {
            problems.push(
                Problem::new(&volume.span, format!("volume `{}` is mounted twice", volume.value))
                    .related(&first.span, "here already")
                    .hint("mount it once"),
            );
        }
        mounts.insert(normal, (volume.value, path));
    }
    mounts.into_iter().map(|(path, (volume, _))| (path, volume)).collect()
}

fn check_volume(volume: &At<String>, known: &Known<'_>, problems: &mut Problems) {
    if known.buckets.contains_key(&volume.value) {
        problems.push(
            Problem::new(&volume.span, format!("`{}` is a bucket, not a volume", volume.value))
                .hint(format!(
                    "remove it here and name its files as `bucket://{}/KEY` in arguments",
                    volume.value
                )),
        );
        return;
    }
    check::reference("volume", volume, &known.volumes, problems);
}

/// A mount path without what changes nothing.
fn mount_path(path: &At<String>, problems: &mut Problems) -> Option<String> {
    let parts: Vec<&str> =
        path.value.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let absolute = path.value.starts_with('/');
    if absolute && !parts.is_empty() && !parts.contains(&"..") && !path.value.contains('\0') {
        return Some(format!("/{}", parts.join("/")));
    }
    problems.push(
        Problem::new(&path.span, format!("no volume can be mounted at `{}`", path.value))
            .hint("use an absolute path below `/`, without `..`, such as `/videos`"),
    );
    None
}
