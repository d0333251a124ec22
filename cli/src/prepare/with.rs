//! The arguments that a manifest gives to a function's calls, by the schema of its arguments. Pure.

use std::path::Path;

use serde_json::{Map, Value};
use vdeploy_runtime::args::ArgsSchema;
use vdeploy_runtime::wire::Failure;

/// Checks `with` against `schema`. Relative paths in it become those of `folder`, and what it gives
/// isn't required of calls any more.
pub(super) fn settle(
    with: &Map<String, Value>,
    schema: Option<Value>,
    folder: &Path,
) -> Result<(Map<String, Value>, Option<Value>), Failure> {
    let Some(schema) = schema else { return Ok((with.clone(), None)) };
    let mut settled = Value::Object(with.clone());
    let nothing_required = requiring(&schema, |_| false);
    let compiled = ArgsSchema::compile(&nothing_required)?;
    compiled.check(&settled)?;
    compiled.resolve_paths(&mut settled, folder);
    let settled = match settled {
        Value::Object(settled) => settled,
        _ => Map::new(),
    };
    let asked = requiring(&schema, |name| !with.contains_key(name));
    Ok((settled, Some(asked)))
}

/// The schema with only those of its required arguments that `keep` picks.
fn requiring(schema: &Value, keep: impl Fn(&str) -> bool) -> Value {
    let mut schema = schema.clone();
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_some_and(&keep));
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settled(with: Value) -> Result<(Map<String, Value>, Option<Value>), Failure> {
        let schema = json!({ "type": "object", "required": ["input", "size"], "properties": {
            "input": { "type": "string", "format": "input-file" },
            "size": { "type": "integer" } }, "additionalProperties": false });
        settle(with.as_object().unwrap(), Some(schema), Path::new("/app"))
    }

    #[test]
    fn what_is_given_is_not_required_any_more() {
        let (with, schema) = settled(json!({ "input": "a.mp4" })).unwrap();
        assert_eq!(Value::Object(with), json!({ "input": "/app/a.mp4" }));
        assert_eq!(schema.unwrap()["required"], json!(["size"]));
    }

    #[test]
    fn what_no_call_could_take_is_refused() {
        let wrong = settled(json!({ "size": "large" })).unwrap_err();
        assert!(wrong.message.contains("`size` is wrong"), "{wrong:?}");
        assert_eq!(
            settled(json!({ "siez": 1 })).unwrap_err().hint.unwrap(),
            "did you mean `size`?"
        );
    }
}
