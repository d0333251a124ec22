//! The one way from text to an [`App`].

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;
use vdeploy_runtime::handlers;

use super::app::App;
use super::check;
use super::decode::Section;
use super::document;
use super::problem::{Lines, ManifestErrors, Problems};
use super::raw::RawManifest;
use super::resolve;

/// The app that `text` describes for `environment`, or everything that is wrong with it.
///
/// Other environments are checked too: a mistake in `[env.prod]` is an error today, not on the
/// day of the release.
pub fn parse(text: &str, environment: &str) -> Result<App, ManifestErrors> {
    let registry = handlers::builtin();
    let names: Vec<&str> = registry.names().collect();
    let mut problems = Problems::default();
    let app = read(text, environment, &names, &mut problems);
    match problems.into_errors() {
        Some(errors) => Err(errors),
        None => Ok(app.expect("what can't be read has problems")),
    }
}

/// The app, as far as it can be made out.
fn read(text: &str, environment: &str, handlers: &[&str], problems: &mut Problems) -> Option<App> {
    let document = document::read(text, problems)?;
    let table = document.get_ref();
    let lines = Lines::of(text);
    let whole = RawManifest::read(Section::of(table), problems);
    let environments = whole.env.clone().map(|at| at.value.0).unwrap_or_default();
    let mut app = resolve::app(whole, handlers, &lines, problems);
    for (name, _) in environments {
        check::name(&name, problems);
        let merged = document::for_environment(table, &name.value);
        let raw = RawManifest::read(Section::of(&merged), problems);
        let other = resolve::app(raw, handlers, &lines, problems);
        if name.value == environment {
            app = other;
        }
    }
    Some(app)
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
