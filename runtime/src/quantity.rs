//! Quantities as people write them: a bare number, or text with a unit. Pure.

use schemars::{Schema, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads a number or a text by `parse`; the error says what was `expected` instead.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Option<T>,
    expected: &str,
) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number or a text")]
    enum Raw {
        Number(f64),
        Text(String),
    }
    let text = match Raw::deserialize(deserializer)? {
        Raw::Number(number) => number.to_string(),
        Raw::Text(text) => text,
    };
    parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` isn't {expected}")))
}

/// The schema of a number as `number` describes it, or of a text that matches `pattern`.
pub(crate) fn schema(pattern: &str, number: Value) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string", "pattern": pattern }, number] })
}
