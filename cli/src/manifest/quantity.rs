//! Durations and sizes as manifests write them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::decode::{Decode, mismatch, number};
use super::document::Node;
use super::problem::{Problem, Problems};

const DURATION_UNITS: &[(&str, f64)] =
    &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];

const SIZE_UNITS: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

/// A duration in seconds, written `"10m"`, `"1.5s"` or `"1h30m"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seconds(pub(super) f64);

/// A size in bytes, written `"8GiB"` or `"500MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

impl Decode for Seconds {
    const EXPECTED: &'static str = "a duration such as `\"10m\"`";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let parse = |text: &str| parse_duration(text).map(Seconds);
        decode_quantity(key, node, problems, parse, |number| {
            format!("write the unit: `{key} = \"{number}s\"`; units are `ms`, `s`, `m`, `h`, `d`")
        })
    }
}

impl Decode for Bytes {
    const EXPECTED: &'static str = "a size such as `\"8GiB\"`";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let parse = |text: &str| parse_size(text).map(Bytes);
        decode_quantity(key, node, problems, parse, |number| {
            format!(
                "write the unit: `{key} = \"{number}MiB\"`; units are `KiB`, `MiB`, `GiB`, `TiB`, \
                 `KB`, `MB`, `GB`, `TB`"
            )
        })
    }
}

fn decode_quantity<T: Decode>(
    key: &str,
    node: &Node<'_>,
    problems: &mut Problems,
    parse: impl Fn(&str) -> Option<T>,
    with_unit: impl Fn(&str) -> String,
) -> Option<T> {
    let problem = |message: String| Problem::new(&node.span(), message);
    let text = match (node.get_ref().as_str(), number(node.get_ref())) {
        (Some(text), _) => text.trim().to_owned(),
        (None, Some(number)) => number.to_string(),
        (None, None) => return mismatch::<T>(key, node, problems),
    };
    let parsed = parse(&text).filter(|_| node.get_ref().is_str());
    if parsed.is_none() {
        let bare = text.parse::<f64>().is_ok_and(|number| number.is_finite() && number >= 0.0);
        problems.push(if bare {
            problem(format!("`{key}` needs a unit")).label("of what?").hint(with_unit(&text))
        } else {
            problem(format!("`{key}` must be {}", T::EXPECTED))
                .hint(with_unit(digits(&text).unwrap_or("10")))
        });
    }
    parsed
}

/// The number at the start of `text`, for a hint that keeps it.
fn digits(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some(&text[..end]).filter(|digits| !digits.is_empty())
}

/// Seconds of `10m`, `1.5s`, `1h30m`.
fn parse_duration(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        seconds += number * unit(DURATION_UNITS, &after[..end])?;
        rest = &after[end..];
    }
    (!text.is_empty()).then_some(seconds)
}

/// Bytes of `8GiB`, `1.5 GB`.
fn parse_size(text: &str) -> Option<u64> {
    let (number, after) = split_number(text)?;
    let bytes = number * unit(SIZE_UNITS, after.trim_start())?;
    (bytes < u64::MAX as f64).then_some(bytes.round() as u64)
}

fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then_some((number, &text[end..]))
}

fn unit(units: &[(&str, f64)], name: &str) -> Option<f64> {
    units.iter().find(|(unit, _)| *unit == name).map(|(_, factor)| *factor)
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
