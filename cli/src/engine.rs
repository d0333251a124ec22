//! Which engine of AWS runs a function, on what, and what an hour of that costs. Pure.
//!
//! Lambda starts fast and is billed by the millisecond, and has no GPU, at most 15 minutes, 10 GiB
//! and 6 CPUs. Whatever needs more, or cheaper interruptible machines, is a job of Batch.

use serde::{Deserialize, Serialize};
use vdeploy_runtime::function::FunctionSpec;

use crate::hardware::{LAMBDA_GIB_SECOND, Prices};

/// Seconds that a call may take on Lambda.
pub const LAMBDA_SECONDS: f64 = 900.0;
/// MiB of memory, and of disk, that Lambda has at most.
pub const LAMBDA_MIB: u64 = 10_240;
/// MiB of memory for which Lambda gives one CPU.
const LAMBDA_MIB_PER_CPU: f64 = 1769.0;
/// MiB of disk that Lambda gives for nothing.
const LAMBDA_DISK_MIB: u64 = 512;
/// MiB for each CPU of a job whose function doesn't say.
const BATCH_MIB_PER_CPU: u64 = 2048;

/// What the manifest says about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// What fits.
    #[default]
    Auto,
    /// Batch.
    Batch,
    /// Lambda.
    Lambda,
}

/// What runs a function on AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// AWS Batch.
    Batch,
    /// AWS Lambda.
    Lambda,
}

/// An engine for a function, and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The engine.
    pub engine: Engine,
    /// Why that one.
    pub reason: String,
    /// CPUs of one call; on Lambda they follow from the memory.
    pub vcpus: u32,
    /// MiB of memory of one call.
    pub memory_mib: u64,
    /// MiB of disk of one call; none leaves it to the engine.
    pub disk_mib: Option<u64>,
    /// What it probably runs on, such as `g6.xlarge`.
    pub machine: String,
    /// US dollars that an hour of one call costs at most.
    pub price_per_hour: f64,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEngine {
    /// No known machine has that much.
    #[error("no machine of AWS that is known here has {0}")]
    NoMachine(String),
    /// Lambda was asked for and can't.
    #[error("Lambda can't run it: it needs {0}")]
    BeyondLambda(String),
}

/// What of a function is more than Lambda has; none when nothing is.
pub fn beyond_lambda(spec: &FunctionSpec, spot: bool) -> Option<String> {
    let resources = &spec.resources;
    let mib = |bytes: Option<u64>| bytes.map_or(0, to_mib);
    if !resources.gpu.is_empty() {
        Some("a GPU".into())
    } else if spec.timeout_seconds > LAMBDA_SECONDS {
        Some(format!("more than 15 minutes ({:.0} s)", spec.timeout_seconds))
    } else if mib(resources.memory_bytes) > LAMBDA_MIB {
        Some(format!("more than 10 GiB of memory ({} MiB)", mib(resources.memory_bytes)))
    } else if mib(resources.ephemeral_disk_bytes) > LAMBDA_MIB {
        Some(format!("more than 10 GiB of disk ({} MiB)", mib(resources.ephemeral_disk_bytes)))
    } else if resources.cpu * LAMBDA_MIB_PER_CPU > LAMBDA_MIB as f64 * 1.04 {
        Some(format!("more than 6 CPUs ({})", resources.cpu))
    } else if spot {
        Some("interruptible machines (`spot`)".into())
    } else {
        None
    }
}

/// The engine for a function.
pub fn choose(
    spec: &FunctionSpec,
    spot: bool,
    wish: Wish,
    prices: &Prices,
) -> Result<Choice, NoEngine> {
    let beyond = beyond_lambda(spec, spot);
    match (wish, beyond) {
        (Wish::Batch, _) => batch(spec, "the manifest says so".into(), prices),
        (Wish::Lambda, Some(needs)) => Err(NoEngine::BeyondLambda(needs)),
        (Wish::Lambda, None) => Ok(lambda(spec, "the manifest says so".into())),
        (Wish::Auto, Some(needs)) => batch(spec, format!("it needs {needs}"), prices),
        (Wish::Auto, None) => {
            let minutes = spec.timeout_seconds / 60.0;
            let reason = format!("it is short ({minutes:.0} min at most) and needs no GPU");
            Ok(lambda(spec, reason))
        }
    }
}

fn batch(spec: &FunctionSpec, reason: String, prices: &Prices) -> Result<Choice, NoEngine> {
    let resources = &spec.resources;
    let vcpus = (resources.cpu.ceil() as u32).max(1);
    let memory_mib =
        resources.memory_bytes.map_or(u64::from(vcpus) * BATCH_MIB_PER_CPU, to_mib).max(64);
    let models: Vec<Option<&str>> = match resources.gpu.as_slice() {
        [] => vec![None],
        models => models.iter().map(|model| Some(model.as_str())).collect(),
    };
    let mut found = Vec::new();
    for model in models {
        let machine = prices.cheapest(model, vcpus, memory_mib).ok_or_else(|| {
            let gpu = model.map_or(String::new(), |model| format!(" and {model}"));
            NoEngine::NoMachine(format!("{vcpus} CPUs, {memory_mib} MiB of memory{gpu}"))
        })?;
        found.push(machine);
    }
    let (machine, price_per_hour) = found[0];
    let disk_mib = resources.ephemeral_disk_bytes.map(to_mib);
    let machine = machine.name.to_owned();
    let engine = Engine::Batch;
    Ok(Choice { engine, reason, vcpus, memory_mib, disk_mib, machine, price_per_hour })
}

fn lambda(spec: &FunctionSpec, reason: String) -> Choice {
    let resources = &spec.resources;
    let for_cpus = (resources.cpu * LAMBDA_MIB_PER_CPU).ceil() as u64;
    let asked = resources.memory_bytes.map_or(0, to_mib);
    let memory_mib = for_cpus.max(asked).clamp(128, LAMBDA_MIB);
    let disk = resources.ephemeral_disk_bytes.map_or(LAMBDA_DISK_MIB, to_mib);
    Choice {
        engine: Engine::Lambda,
        reason,
        vcpus: (memory_mib as f64 / LAMBDA_MIB_PER_CPU).ceil() as u32,
        memory_mib,
        disk_mib: Some(disk.max(LAMBDA_DISK_MIB)),
        machine: format!("Lambda with {memory_mib} MiB"),
        price_per_hour: memory_mib as f64 / 1024.0 * 3600.0 * LAMBDA_GIB_SECOND,
    }
}

/// Whole MiB that hold these bytes.
fn to_mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl FnOnce(&mut FunctionSpec)) -> FunctionSpec {
        let entry = serde_json::json!({"kind": "builtin", "handler": "transcode"});
        let spec = serde_json::json!({"app": "a", "name": "f", "entry": entry});
        let mut spec = serde_json::from_value(spec).unwrap();
        change(&mut spec);
        spec
    }

    fn engine(wish: Wish, change: impl FnOnce(&mut FunctionSpec)) -> String {
        match choose(&spec(change), false, wish, &Prices::default()) {
            Ok(choice) => format!(
                "{:?} on {} at ${:.4}/h: {}",
                choice.engine, choice.machine, choice.price_per_hour, choice.reason
            ),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_engine_follows_from_what_a_function_needs() {
        let lines = [
            engine(Wish::Auto, |_| {}),
            engine(Wish::Auto, |f| f.resources.gpu = vec!["L4".into()]),
            engine(Wish::Auto, |f| f.timeout_seconds = 1800.0),
            engine(Wish::Auto, |f| f.resources.memory_bytes = Some(16 << 30)),
            engine(Wish::Auto, |f| f.resources.cpu = 6.0),
            engine(Wish::Auto, |f| f.resources.cpu = 8.0),
            engine(Wish::Batch, |_| {}),
            engine(Wish::Lambda, |f| f.resources.gpu = vec!["T4".into()]),
            engine(Wish::Auto, |f| f.resources.memory_bytes = Some(4 << 40)),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        Lambda on Lambda with 1769 MiB at $0.1037/h: it is short (5 min at most) and needs no GPU
        Batch on g6.xlarge at $0.8048/h: it needs a GPU
        Batch on c6i.large at $0.0452/h: it needs more than 15 minutes (1800 s)
        Batch on r6i.xlarge at $0.1340/h: it needs more than 10 GiB of memory (16384 MiB)
        Lambda on Lambda with 10240 MiB at $0.6000/h: it is short (5 min at most) and needs no GPU
        Batch on c6i.4xlarge at $0.3617/h: it needs more than 6 CPUs (8)
        Batch on c6i.large at $0.0452/h: the manifest says so
        Lambda can't run it: it needs a GPU
        no machine of AWS that is known here has 1 CPUs, 4194304 MiB of memory
        ");
    }
}
