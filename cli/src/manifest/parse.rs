//! The one way from text to an [`App`].

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;
use toml::de::DeTable;
use vdeploy_runtime::handlers;

use super::app::App;
use super::check;
use super::decode::Section;
use super::document;
use super::problem::{Lines, ManifestErrors, Problems};
use super::raw::RawManifest;
use super::resolve;

/// Handlers that a manifest may name ahead of this version's worker: such a function can be planned
/// and deployed, and its calls say what is missing until the worker is newer.
const AHEAD: &[&str] = &["overlay"];

/// The app that `text` describes for `environment`, or everything that is wrong with it.
///
/// Other environments are checked too: a mistake in `[env.prod]` is an error today, not on the
/// day of the release.
pub fn parse(text: &str, environment: &str) -> Result<App, ManifestErrors> {
    let registry = handlers::builtin();
    let names: Vec<&str> = registry.names().chain(AHEAD.iter().copied()).collect();
    parse_with(text, environment, &names)
}

fn parse_with(text: &str, environment: &str, handlers: &[&str]) -> Result<App, ManifestErrors> {
    let mut problems = Problems::default();
    let app = read(text, environment, handlers, &mut problems);
    match (app, problems.into_errors()) {
        (_, Some(errors)) => Err(errors),
        (Some(app), None) => Ok(app),
        (None, None) => Err(ManifestErrors { problems: Vec::new() }),
    }
}

fn read(text: &str, environment: &str, handlers: &[&str], problems: &mut Problems) -> Option<App> {
    let document = document::read(text, problems)?;
    let table = document.get_ref();
    // Reading the whole once finds what is wrong in `[env]` itself.
    let whole = RawManifest::read(Section::of(table), problems);
    let lines = Lines::of(text);
    let resolve = |table: &DeTable<'_>, problems: &mut Problems| {
        let raw = RawManifest::read(Section::of(table), problems);
        resolve::app(raw, handlers, &lines, problems)
    };
    for (other, _) in whole.env.iter().flat_map(|environments| &environments.value.0) {
        check::name(other, problems);
        resolve(&document::for_environment(table, &other.value), problems);
    }
    Some(resolve(&document::for_environment(table, environment), problems))
}

/// The JSON Schema of manifests, in the draft that editors of TOML know best.
pub fn schema_text() -> String {
    let settings = SchemaSettings::draft07().with_transform(RecursiveTransform(without_null));
    let schema = settings.into_generator().into_root_schema_for::<RawManifest>();
    format!("{schema:#}", schema = schema.as_value())
}

/// A key may be absent, but TOML has no null.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &mut types[..] {
            let only = only.take();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(forms)) = schema.get_mut("anyOf") {
        forms.retain(|form| form.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = &mut forms[..] {
            let only = std::mem::take(only);
            schema.remove("anyOf");
            schema.ensure_object().extend(only);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESIGN: &str = include_str!("../../../tests/fixtures/design/vdeploy.toml");

    #[test]
    fn the_design_example_parses() {
        let app = parse(DESIGN, "main").unwrap();
        let overlay = &app.functions["render_overlay"];
        assert_eq!(overlay.spec.resources.gpu, ["T4", "L4"]);
        assert_eq!(overlay.spec.resources.ephemeral_disk_bytes, Some(50 << 30));
        assert_eq!(overlay.spec.volumes["/videos"], "footage");
        assert_eq!(overlay.spec.scaling.max_containers, Some(20));
        assert_eq!((overlay.spot, overlay.line), (true, 39));
        let transcode = &app.functions["transcode"].spec;
        assert_eq!(transcode.timeout_seconds, 600.0);
        assert_eq!((transcode.retries.max, transcode.retries.backoff), (3, 2.0));
        assert_eq!(transcode.resources.memory_bytes, Some(8 << 30));
        assert_eq!(app.functions["blur"].args.as_deref(), Some("handlers/blur.schema.json"));
        assert_eq!(app.images["cuda"].os.as_deref(), Some("ubuntu22.04"));
        assert!(app.buckets["library"].read_only);
        assert_eq!(app.targets["aws"].subnets, ["subnet-1"]);
        assert_eq!(app.volumes, ["footage"]);
    }
}
