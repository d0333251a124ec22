//! From a TOML value to a typed one. What is wrong is noted, and reading goes on without it, so
//! that all mistakes of a file are found at once.

use std::borrow::Cow;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Node;
use super::problem::{Problem, Problems};
use crate::error::did_you_mean;

/// A type that a manifest can hold.
pub(super) trait Decode: Sized {
    /// What is right here, with its article: "a number".
    const EXPECTED: &'static str;

    /// The value of `key`; none, with a note of why, when it isn't [`Decode::EXPECTED`].
    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self>;
}

/// A table of the manifest.
pub(super) trait Table {
    /// Keys that are there with a wrong value, which was noted already: what follows from their
    /// absence needs no note.
    fn wrong(&self) -> &[&'static str];
}

/// A value, and where the manifest says it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table whose keys are names that the user gives.
#[derive(Clone, Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(At<String>, At<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<T: Decode> Decode for At<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let value = T::decode(key, node, problems)?;
        Some(At { value, span: node.span() })
    }
}

impl<T: Decode> Decode for Entries<T> {
    const EXPECTED: &'static str = "a table";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::Table(table) = node.get_ref() else {
            return mismatch::<Self>(key, node, problems);
        };
        let entries = table.iter().filter_map(|(name, value)| {
            let name = At { value: name.get_ref().to_string(), span: name.span() };
            let value = At::decode(&name.value, value, problems)?;
            Some((name, value))
        });
        Some(Entries(in_text_order(entries.collect())))
    }
}

fn in_text_order<T>(mut entries: Vec<(At<String>, At<T>)>) -> Vec<(At<String>, At<T>)> {
    entries.sort_by_key(|(name, _)| name.span.start);
    entries
}

impl<T: Decode> Decode for Vec<At<T>> {
    const EXPECTED: &'static str = "a list";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::Array(items) = node.get_ref() else {
            let hint = node
                .get_ref()
                .as_str()
                .map(|text| format!("write it as a list: `{key} = [{text:?}]`"));
            return mismatch_with::<Self>(key, node, hint, problems);
        };
        Some(items.iter().filter_map(|item| At::decode(key, item, problems)).collect())
    }
}

impl Decode for String {
    const EXPECTED: &'static str = "a string";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        match node.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => mismatch::<Self>(key, node, problems),
        }
    }
}

impl Decode for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        match node.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => mismatch::<Self>(key, node, problems),
        }
    }
}

impl Decode for f64 {
    const EXPECTED: &'static str = "a number";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        match number(node.get_ref()) {
            Some(value) if value.is_finite() => Some(value),
            _ => mismatch::<Self>(key, node, problems),
        }
    }
}

impl Decode for u32 {
    const EXPECTED: &'static str = "a whole number, 0 or more";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        match node.get_ref() {
            DeValue::Integer(integer) => {
                u32::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            _ => None,
        }
        .or_else(|| mismatch::<Self>(key, node, problems))
    }
}

/// Anything that is JSON, too.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Json(pub(super) Value);

impl Decode for Json {
    const EXPECTED: &'static str = "a value that JSON has, too";

    fn decode(key: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        json(node.get_ref()).map(Json).or_else(|| mismatch::<Self>(key, node, problems))
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean", "array", "object"] })
    }
}

/// A value as JSON; none where JSON has none: dates, infinity.
fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok()?.into()
        }
        DeValue::Float(float) => serde_json::Number::from_f64(float.as_str().parse().ok()?)?.into(),
        DeValue::Datetime(_) => return None,
        DeValue::Array(items) => {
            items.iter().map(|item| json(item.get_ref())).collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => {
            let entry = |(key, value): (&Spanned<Cow<'_, str>>, &Node<'_>)| {
                Some((key.get_ref().to_string(), json(value.get_ref())?))
            };
            Value::Object(table.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}

/// The number that a value is, if it is one.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|value| value as f64)
        }
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    }
}

/// Notes that `key` holds something else than a `T`.
pub(super) fn mismatch<T: Decode>(
    key: &str,
    node: &Node<'_>,
    problems: &mut Problems,
) -> Option<T> {
    mismatch_with(key, node, unquoted::<T>(key, node), problems)
}

fn mismatch_with<T: Decode>(
    key: &str,
    node: &Node<'_>,
    hint: Option<String>,
    problems: &mut Problems,
) -> Option<T> {
    let found = describe(node.get_ref());
    let problem = Problem::new(&node.span(), format!("`{key}` must be {}", T::EXPECTED))
        .label(format!("this is {found}"));
    problems.push(match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    });
    None
}

/// Advice for a string that holds what was expected without its quotes.
fn unquoted<T: Decode>(key: &str, node: &Node<'_>) -> Option<String> {
    let text = node.get_ref().as_str()?;
    let value = DeValue::parse(text).ok()?;
    T::decode(key, &value, &mut Problems::default())?;
    Some(format!("write it without quotes: `{key} = {text}`"))
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(integer) if integer.as_str().starts_with('-') => "a negative number",
        DeValue::Float(float) if !float.as_str().contains(|c: char| c.is_ascii_digit()) => {
            "not a finite number"
        }
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A table with known keys, while it is read.
pub(super) struct Section<'a, 'i> {
    table: &'a DeTable<'i>,
}

impl<'a, 'i> Section<'a, 'i> {
    /// The table that `node` is; none, with a note, when it is none.
    pub(super) fn open<T: Decode>(
        key: &str,
        node: &'a Node<'i>,
        problems: &mut Problems,
    ) -> Option<Self> {
        match node.get_ref() {
            DeValue::Table(table) => Some(Section { table }),
            _ => {
                mismatch::<T>(key, node, problems);
                None
            }
        }
    }

    /// A table that is known to be one.
    pub(super) fn of(table: &'a DeTable<'i>) -> Self {
        Section { table }
    }

    /// The value of `key`, if there is a right one.
    pub(super) fn take<T: Decode>(&self, key: &str, problems: &mut Problems) -> Option<At<T>> {
        self.table.get(key).and_then(|node| At::decode(key, node, problems))
    }

    /// Of keys without a right value, those that are there with a wrong one.
    pub(super) fn wrong(&self, absent: &[(&'static str, bool)]) -> Vec<&'static str> {
        let keys = absent.iter().filter(|(_, absent)| *absent).map(|(key, _)| *key);
        keys.filter(|key| self.table.contains_key(*key)).collect()
    }

    /// Notes the keys that `what` doesn't have.
    pub(super) fn close(self, what: &str, known: &[&str], problems: &mut Problems) {
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            problems.push(unknown_key(key, what, known));
        }
    }
}

fn unknown_key(key: &Spanned<Cow<'_, str>>, what: &str, known: &[&str]) -> Problem {
    let name = key.get_ref();
    let hint = match did_you_mean(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("{what} may have {}", one_of(known)),
    };
    Problem::new(&key.span(), format!("unknown key `{name}`"))
        .label(format!("{what} has no such key"))
        .hint(hint)
}

/// `a`, `b` or `c`.
pub(super) fn one_of<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}ByName", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

/// Declares a table of the manifest: a struct whose fields are its keys, all optional, with their
/// reader and their JSON Schema. Doc comments become the schema's descriptions.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident, $what:literal { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    ) => {
        #[derive(Clone, Debug, Default, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$meta])*
        pub(super) struct $name {
            #[schemars(skip)]
            wrong: Vec<&'static str>,
            $($(#[$field_meta])* pub(super) $field: Option<$crate::manifest::decode::At<$type>>,)*
        }

        impl $name {
            /// Its keys.
            pub(super) const KEYS: &[&str] = &[$(stringify!($field)),*];

            /// What a table says, and a note of what is wrong with it.
            pub(super) fn read(
                section: $crate::manifest::decode::Section<'_, '_>,
                problems: &mut $crate::manifest::problem::Problems,
            ) -> Self {
                $(let $field = section.take(stringify!($field), problems);)*
                let absent: &[(&'static str, bool)] =
                    &[$((stringify!($field), $field.is_none())),*];
                let wrong = section.wrong(absent);
                section.close($what, Self::KEYS, problems);
                $name { wrong, $($field),* }
            }
        }

        impl $crate::manifest::decode::Table for $name {
            fn wrong(&self) -> &[&'static str] {
                &self.wrong
            }
        }

        impl $crate::manifest::decode::Decode for $name {
            const EXPECTED: &'static str = "a table";

            fn decode(
                key: &str,
                node: &$crate::manifest::document::Node<'_>,
                problems: &mut $crate::manifest::problem::Problems,
            ) -> Option<Self> {
                let section =
                    $crate::manifest::decode::Section::open::<Self>(key, node, problems)?;
                Some(Self::read(section, problems))
            }
        }
    };
}

pub(super) use section;
