//! Durations and sizes as manifests write them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{Decode, mismatch, number, one_of};
use super::document::Node;
use super::problem::{Problem, Problems};

/// A duration in seconds, written `"10m"`, `"1.5s"` or `"1h30m"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seconds(pub(super) f64);

/// A size in bytes, written `"8GiB"` or `"500MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

/// What a quantity may be written in, and what people write instead.
struct Units {
    factors: &'static [(&'static str, f64)],
    /// The unit that is probably meant by a text that starts so.
    meant: &'static [(&'static str, &'static str)],
    /// The unit of a number without one, when it is small and when it is not.
    bare: [&'static str; 2],
}

const DURATIONS: Units = Units {
    factors: &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)],
    meant: &[("mi", "m"), ("s", "s"), ("m", "ms"), ("h", "h"), ("d", "d")],
    bare: ["s", "s"],
};

const SIZES: Units = Units {
    factors: &[
        ("B", 1.0),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
        ("KB", 1e3),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
    ],
    meant: &[("k", "KiB"), ("m", "MiB"), ("g", "GiB"), ("t", "TiB")],
    bare: ["GiB", "MiB"],
};

impl Decode for Seconds {
    const EXPECTED: &'static str = "a duration such as `\"10m\"`";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let parse = |text: &str| parse_duration(text).map(Seconds);
        decode_quantity(key, node, problems, &DURATIONS, parse)
    }
}

impl Decode for Bytes {
    const EXPECTED: &'static str = "a size such as `\"8GiB\"`";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let parse = |text: &str| parse_size(text).map(Bytes);
        decode_quantity(key, node, problems, &SIZES, parse)
    }
}

fn decode_quantity<T: Decode>(
    key: &str,
    node: &Node<'_>,
    problems: &mut Problems,
    units: &Units,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let text = match (node.get_ref().as_str(), number(node.get_ref())) {
        (Some(text), _) => text.trim().to_owned(),
        (None, Some(number)) => number.to_string(),
        (None, None) => return mismatch::<T>(key, node, problems),
    };
    let parsed = parse(&text).filter(|_| node.get_ref().is_str());
    if parsed.is_none() {
        let problem = match text.parse::<f64>() {
            Ok(_) => Problem::new(&node.span(), format!("`{key}` needs a unit"))
                .label("a number without a unit"),
            Err(_) => Problem::new(&node.span(), format!("`{key}` must be {}", T::EXPECTED)),
        };
        problems.push(problem.hint(units.advice(key, &text)));
    }
    parsed
}

impl Units {
    /// What to write instead of `text`: the same number with the unit that was probably meant.
    fn advice(&self, key: &str, text: &str) -> String {
        let units: Vec<&str> = self.factors.iter().map(|(unit, _)| *unit).collect();
        let units = format!("units are {}", one_of(&units));
        let Some((digits, rest)) = leading_digits(text) else { return units };
        let rest = rest.to_ascii_lowercase();
        let unit = match self.meant.iter().find(|(start, _)| rest.starts_with(start)) {
            Some((_, unit)) => unit,
            None if rest.is_empty() => self.bare[usize::from(digits.len() > 2)],
            None => return units,
        };
        format!("write `{key} = \"{digits}{unit}\"`; {units}")
    }
}

/// The digits at the start of `text` and the letters after them.
fn leading_digits(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim_start()))
}

/// Seconds of `10m`, `1.5s`, `1h30m`.
fn parse_duration(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        seconds += number * unit(&DURATIONS, &after[..end])?;
        rest = &after[end..];
    }
    (!text.is_empty()).then_some(seconds)
}

/// Bytes of `8GiB`, `1.5 GB`.
fn parse_size(text: &str) -> Option<u64> {
    let (number, after) = split_number(text)?;
    let bytes = number * unit(&SIZES, after.trim_start())?;
    (bytes < u64::MAX as f64).then_some(bytes.round() as u64)
}

fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then_some((number, &text[end..]))
}

fn unit(units: &Units, name: &str) -> Option<f64> {
    units.factors.iter().find(|(unit, _)| *unit == name).map(|(_, factor)| *factor)
}

impl JsonSchema for Seconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*([0-9]+(\.[0-9]*)?(ms|s|m|h|d))+\s*$",
            "examples": ["30s", "10m", "1h30m"],
        })
    }
}

impl JsonSchema for Bytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*[0-9]+(\.[0-9]*)?\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*$",
            "examples": ["512MiB", "8GiB"],
        })
    }
}
