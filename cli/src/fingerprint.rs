//! Content hashes: of resources, never of the text they are shown as. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// 128 bits of SHA-256 as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of what a value serializes to. The order of keys doesn't count.
    pub fn of(value: &impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("resources and plans are plain data");
        let mut hasher = Sha256::new();
        feed(&mut hasher, &value);
        Self::finish(hasher)
    }

    /// The fingerprint of what was fed to `hasher`.
    pub fn finish(hasher: Sha256) -> Self {
        let digest = hasher.finalize();
        Fingerprint(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Fingerprint {
    fn from(digits: String) -> Self {
        Fingerprint(digits)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Every part goes in with its kind and length, so that no two values feed the same bytes.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            hasher.update(format!("{{{}:", entries.len()));
            for (key, value) in entries {
                feed_text(hasher, key);
                feed(hasher, value);
            }
        }
        Value::Array(items) => {
            hasher.update(format!("[{}:", items.len()));
            items.iter().for_each(|item| feed(hasher, item));
        }
        Value::String(text) => feed_text(hasher, text),
        scalar => feed_text(hasher, &format!("={scalar}")),
    }
}

fn feed_text(hasher: &mut Sha256, text: &str) {
    hasher.update(format!("{}:", text.len()));
    hasher.update(text);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_count_and_everything_else_does() {
        let base = Fingerprint::of(&json!({"a": 1, "b": [1, 2]}));
        assert_eq!(base, Fingerprint::of(&json!({"b": [1, 2], "a": 1})));
        for other in [
            json!({"a": 1, "b": [2, 1]}),
            json!({"a": 1, "b": [1], "c": 2}),
            json!({"a": true, "b": [1, 2]}),
            json!({"a": 1}),
        ] {
            assert_ne!(base, Fingerprint::of(&other), "{other}");
        }
    }
}
