//! How a step's arguments name what came before: `${input}`, `${output}`, `${STEP}` for a step's
//! output and `${STEP.a.b}` for anything in its result. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::wire::{Failure, FailureKind};

/// What can be named.
pub type Known = BTreeMap<String, Value>;

/// Puts what is named in place of its names. A text that is one name becomes the value itself, of
/// whatever type; in longer texts names become text. `$${` stands for `${`.
pub fn fill(value: &Value, known: &Known) -> Result<Value, Failure> {
    match value {
        Value::String(text) => filled(text, known),
        Value::Array(items) => {
            items.iter().map(|item| fill(item, known)).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| Ok((key.clone(), fill(value, known)?)))
            .collect::<Result<_, _>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}

fn filled(text: &str, known: &Known) -> Result<Value, Failure> {
    let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    if let Some(name) = whole.filter(|name| !name.contains(['$', '{', '}'])) {
        return lookup(name, known);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out += before;
            out += "${";
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}').ok_or_else(|| {
            wrong(format!("`{text}` has a `${{` without its `}}`"))
                .hint("write `$${` for the characters themselves")
        })?;
        out += before;
        match lookup(name, known)? {
            Value::String(text) => out += &text,
            other => out += &other.to_string(),
        }
        rest = after;
    }
    Ok(Value::String(out + rest))
}

fn lookup(name: &str, known: &Known) -> Result<Value, Failure> {
    let (first, path) = match name.split_once('.') {
        Some((first, path)) => (first, Some(path)),
        None => (name, None),
    };
    let unknown = |what: String| {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        wrong(what).hint(format!("known here: {}", names.join(", ")))
    };
    let value = known.get(first).ok_or_else(|| unknown(format!("nothing is named `{first}`")))?;
    let found = match (path, value) {
        (None, Value::Object(result)) => result.get("output"),
        (None, other) => Some(other),
        (Some(path), value) => value.pointer(&format!("/{}", path.replace('.', "/"))),
    };
    found.cloned().ok_or_else(|| unknown(format!("there is no `{name}`")))
}

fn wrong(message: String) -> Failure {
    Failure::new(FailureKind::InvalidArgs, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> Known {
        let probe = json!({ "width": 640, "streams": [{ "codec": "h264" }], "output": "/a.mp4" });
        Known::from([("probe".into(), probe), ("input".into(), json!("/in.mp4"))])
    }

    #[test]
    fn names_become_values_of_their_type() {
        let args = json!({ "input": "${input}", "width": "${probe.width}", "list": ["${probe}"],
                           "text": "${probe.streams.0.codec} of ${input}, $${x}", "n": 1 });
        assert_eq!(
            fill(&args, &known()).unwrap(),
            json!({ "input": "/in.mp4", "width": 640, "list": ["/a.mp4"],
                    "text": "h264 of /in.mp4, ${x}", "n": 1 })
        );
    }

    #[test]
    fn what_is_not_known_is_named() {
        let message = |text: &str| fill(&json!(text), &known()).unwrap_err().message;
        assert_eq!(message("${later}"), "nothing is named `later`");
        assert_eq!(message("a ${probe.height}"), "there is no `probe.height`");
        assert_eq!(message("a ${probe"), "`a ${probe` has a `${` without its `}`");
    }
}
