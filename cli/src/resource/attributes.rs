//! What people see of a resource: its settings in the manifest's words, without defaults.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vdeploy_runtime::function::{BucketMount, Entry, FunctionSpec, Hardware, default_timeout};

use super::{CloudFunction, ComputeEnvironment, NamedImage, Resource, Role};
use crate::fingerprint::Fingerprint;

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name, such as `cpu` or `env.LANG`.
    pub name: String,
    /// Its value, in the manifest's words.
    pub value: Value,
}

/// The settings of a resource that aren't defaults, in the order to show them.
pub fn attributes(resource: &Resource) -> Vec<Attribute> {
    let mut list = List::default();
    match resource {
        Resource::Source(source) => {
            list.set("files", source.files);
            list.set("size", bytes_text(source.bytes));
        }
        Resource::Image(image) => list.image(image),
        Resource::Volume(_) => {}
        Resource::Secret(secret) => list.set_some("keys", non_empty(&secret.keys)),
        Resource::Function(function) => list.function(function),
        Resource::CloudFunction(function) => list.cloud_function(function),
        Resource::Bucket(bucket) => {
            list.set("call_retention_days", bucket.call_retention_days);
        }
        Resource::LogGroup(group) => list.set("retention_days", group.retention_days),
        Resource::Role(role) => list.role(role),
        Resource::Repository(_) => {}
        Resource::LaunchTemplate(template) => {
            list.set("disk", format!("{}GiB", template.disk_gib));
        }
        Resource::Compute(environment) => list.compute(environment),
        Resource::Queue(queue) => {
            list.set("compute_environments", queue.compute_environments.as_slice());
        }
        Resource::Schedule(schedule) => list.set("expression", schedule.expression.as_str()),
    }
    list.0
}

/// Where a bucket is, and what may be done with it.
fn mounted(bucket: &BucketMount) -> String {
    let BucketMount { bucket: name, prefix, endpoint, read_only, .. } = bucket;
    let at = endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
    let only = if *read_only { ", read-only" } else { "" };
    format!("s3://{name}/{prefix}{at}{only}")
}

#[derive(Default)]
struct List(Vec<Attribute>);

impl List {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.push(Attribute { name: name.into(), value: value.into() });
    }

    fn set_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn set_unless<T: PartialEq + Into<Value>>(&mut self, name: &str, value: T, default: &T) {
        if value != *default {
            self.set(name, value);
        }
    }

    fn image(&mut self, image: &NamedImage) {
        self.set_some("builds", image.reference.as_deref());
        let place = image.pushed.as_deref().and_then(|uri| uri.split_once('/'));
        self.set_some("pushes", place.map(|(_, place)| place));
        let recipe = serde_json::to_value(&image.recipe).expect("a recipe is plain data");
        for (name, value) in recipe.as_object().into_iter().flatten() {
            let empty = value.is_null()
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(|map| map.is_empty());
            if !empty {
                self.set(name, value.clone());
            }
        }
    }

    fn function(&mut self, function: &FunctionSpec) {
        self.entry(&function.entry);
        self.set_some("image", function.image.as_deref());
        if let Some(container) = &function.container {
            self.set("container", container.image.as_str());
            self.set_unless("network", container.network, &false);
        }
        self.resources(function);
        self.set_unless(
            "timeout",
            seconds_text(function.timeout_seconds),
            &seconds_text(default_timeout()),
        );
        self.retries(function);
        for (name, value) in &function.env {
            self.set(&format!("env.{name}"), value.as_str());
        }
        for (path, volume) in &function.volumes {
            self.set(&format!("volumes.{path}"), volume.as_str());
        }
        self.set_some("secrets", non_empty(&function.secrets));
        for (name, bucket) in &function.buckets {
            self.set(&format!("buckets.{name}"), mounted(bucket));
        }
        if function.downloads.private {
            self.set("downloads.private", true);
        }
        let largest = function.downloads.max_bytes;
        self.set_some("downloads.max_size", largest.map(bytes_text));
        self.set_some("source", function.source.as_deref());
        self.scaling(function);
        self.set_unless("cache", function.cache, &false);
        let schema = function.schema.as_ref().map(|schema| Fingerprint::of(schema).to_string());
        self.set_some("schema", schema);
    }

    fn cloud_function(&mut self, function: &CloudFunction) {
        let engine = json!(function.engine);
        self.set(
            "engine",
            format!("{} ({})", engine.as_str().unwrap_or_default(), function.reason),
        );
        let price = function.price_per_hour;
        self.set("price", format!("${price:.4} an hour at most, on {}", function.machine));
        self.function(&function.spec);
        self.set("uri", function.image.as_str());
        self.set_some("queue", function.queue.as_deref());
        self.set("role", function.role.as_str());
    }

    fn role(&mut self, role: &Role) {
        self.set("services", role.services.as_slice());
        self.set_some("managed", non_empty(&role.managed));
        let statements = role.policy["Statement"].as_array();
        for statement in statements.into_iter().flatten() {
            let name = format!("allows.{}", statement["Sid"].as_str().unwrap_or("?"));
            let words = |value: &Value| match value {
                Value::Array(list) => {
                    list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
                }
                other => other.as_str().unwrap_or_default().to_owned(),
            };
            let (actions, on) = (words(&statement["Action"]), words(&statement["Resource"]));
            let under = match &statement["Condition"] {
                Value::Null => String::new(),
                condition => format!(" if {condition}"),
            };
            self.set(&name, format!("{actions} on {on}{under}"));
        }
    }

    fn compute(&mut self, environment: &ComputeEnvironment) {
        self.set_some("gpu", environment.gpu.as_deref());
        self.set("spot", environment.spot);
        self.set("instance_types", environment.instance_types.as_slice());
        self.set("max_vcpus", environment.max_vcpus);
        self.set_some("vpc", environment.vpc.as_deref());
        self.set_some("subnets", non_empty(&environment.subnets));
        self.set_some("security_groups", non_empty(&environment.security_groups));
        self.set("launch_template", environment.launch_template.as_str());
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Builtin { handler } => self.set("handler", handler.as_str()),
            Entry::Binary { binary, handler } => {
                self.set("binary", binary.as_str());
                self.set("handler", handler.as_str());
            }
            Entry::Command { argv } => self.set("command", argv.as_slice()),
        }
    }

    fn resources(&mut self, function: &FunctionSpec) {
        let resources = &function.resources;
        self.set_unless("cpu", resources.cpu, &1.0);
        self.set_some("memory", resources.memory_bytes.map(bytes_text));
        self.set_some("ephemeral_disk", resources.ephemeral_disk_bytes.map(bytes_text));
        self.set_some("gpu", non_empty(&resources.gpu));
        if function.hardware != Hardware::Auto {
            self.set("hardware", json!(function.hardware));
        }
    }

    fn retries(&mut self, function: &FunctionSpec) {
        let retries = &function.retries;
        self.set_unless("retries.max", retries.max, &0);
        if *retries == Default::default() {
            return;
        }
        self.set_unless(
            "retries.initial_delay",
            seconds_text(retries.initial_delay_seconds),
            &seconds_text(1.0),
        );
        self.set_unless("retries.backoff", retries.backoff, &2.0);
        self.set_unless(
            "retries.max_delay",
            seconds_text(retries.max_delay_seconds),
            &seconds_text(60.0),
        );
    }

    fn scaling(&mut self, function: &FunctionSpec) {
        let scaling = &function.scaling;
        self.set_unless("min_containers", scaling.min_containers, &0);
        self.set_some("max_containers", scaling.max_containers);
        self.set_unless(
            "scaledown_window",
            seconds_text(scaling.scaledown_window_seconds),
            &seconds_text(60.0),
        );
    }
}

fn non_empty(list: &[String]) -> Option<&[String]> {
    (!list.is_empty()).then_some(list)
}

/// A number of bytes in the largest unit that divides it.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    UNITS
        .into_iter()
        .find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift))
        .map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

/// A number of seconds in the largest unit that divides it.
fn seconds_text(seconds: f64) -> String {
    const UNITS: [(&str, f64); 2] = [("h", 3600.0), ("m", 60.0)];
    UNITS.into_iter().find(|(_, length)| seconds >= *length && seconds % length == 0.0).map_or_else(
        || format!("{seconds}s"),
        |(unit, length)| format!("{}{unit}", seconds / length),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_shown_as_a_manifest_says_them() {
        assert_eq!(bytes_text(8 << 30), "8GiB");
        assert_eq!(bytes_text(1500), "1500B");
        assert_eq!(seconds_text(600.0), "10m");
        assert_eq!(seconds_text(7200.0), "2h");
        assert_eq!(seconds_text(90.0), "90s");
        assert_eq!(seconds_text(0.5), "0.5s");
    }
}
