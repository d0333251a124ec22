//! What a validator found, said in terms of the arguments: which one, of which kind of thing, and
//! what would be right.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::{ArgsSchema, Problem, dotted, escape};
use crate::suggestion::did_you_mean;

/// Characters of a value that a message repeats.
const REPEATED: usize = 60;

/// A validator's findings for these arguments, told by the schema.
pub(super) struct Explainer<'a> {
    pub(super) schema: &'a ArgsSchema<'a>,
    pub(super) args: &'a Value,
}

impl<'a> Explainer<'a> {
    pub(super) fn explain(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        self.explain_at(error, self.place(error.instance_path().as_str()))
    }

    /// `schema` is what holds at the error's place, where anything is known of it.
    fn explain_at(&self, error: &ValidationError<'_>, schema: Option<&'a Value>) -> Vec<Problem> {
        let place = error.instance_path().as_str();
        match error.kind() {
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                unexpected.iter().map(|key| self.unknown(place, key)).collect()
            }
            Kind::Required { property } => {
                vec![self.missing(place, property.as_str().unwrap_or_default())]
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                self.explain_union(error, context, schema)
            }
            Kind::Pattern { .. } | Kind::Enum { .. } | Kind::Constant { .. } => {
                vec![self.impossible(place, error.instance(), schema)]
            }
            _ if place.is_empty() => {
                vec![Problem { message: format!("the arguments are wrong: {error}"), hint: None }]
            }
            _ => vec![Problem {
                message: format!("argument `{}` is wrong: {error}", dotted(place)),
                hint: self.about(place),
            }],
        }
    }

    /// A value may be one of several things. If it can be told which one is meant, only what is
    /// wrong with it as that one is said.
    fn explain_union(
        &self,
        error: &ValidationError<'_>,
        context: &[Vec<ValidationError<'static>>],
        schema: Option<&'a Value>,
    ) -> Vec<Problem> {
        let place = error.instance_path().as_str();
        let value = error.instance().as_ref();
        let branches = schema.and_then(branches).unwrap_or(&[]);
        let meant = self.schema.meant(branches, value);
        let Some((errors, branch)) = meant.and_then(|at| Some((context.get(at)?, &branches[at])))
        else {
            return vec![self.impossible(place, value, schema)];
        };
        let branch = self.schema.deref(branch);
        let explain = |error: &ValidationError<'static>| {
            let same = error.instance_path().as_str() == place;
            if same { self.explain_at(error, Some(branch)) } else { self.explain(error) }
        };
        errors.iter().flat_map(explain).collect()
    }

    /// A value that is none of those that `schema` allows.
    fn impossible(&self, place: &str, value: &Value, schema: Option<&'a Value>) -> Problem {
        let tags = schema.map(|schema| self.schema.tags(schema)).unwrap_or_default();
        if let (Value::Object(map), Some((tag, _))) = (value, tags.first()) {
            let names: Vec<_> = tags.iter().filter(|(t, _)| t == tag).map(|(_, n)| *n).collect();
            let place = format!("{place}/{}", escape(tag));
            return match map.get(*tag) {
                Some(other) => self.none_of(&place, other, &names),
                None => Problem {
                    message: format!("argument `{}` is missing", dotted(&place)),
                    hint: Some(format!("it is one of {}", quoted(&names))),
                },
            };
        }
        let names = schema.map(|schema| self.schema.constants(schema)).unwrap_or_default();
        self.none_of(place, value, &names)
    }

    fn none_of(&self, place: &str, value: &Value, names: &[&str]) -> Problem {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let shown: String = text.chars().take(REPEATED).collect();
        let more = if shown.len() < text.len() { "…" } else { "" };
        let message = format!("argument `{}` can't be `{shown}{more}`", dotted(place));
        let hint = match did_you_mean(&text, names.iter().copied()) {
            Some(name) => Some(format!("did you mean `{name}`?")),
            None if names.is_empty() => self.about(place),
            None => Some(format!("it is one of {}", quoted(names))),
        };
        Problem { message, hint }
    }

    fn missing(&self, place: &str, name: &str) -> Problem {
        let place = format!("{place}/{}", escape(name));
        let message = format!("argument `{}` is missing", dotted(&place));
        Problem { message, hint: self.about(&place) }
    }

    fn unknown(&self, place: &str, key: &str) -> Problem {
        let schema = self.settled(place);
        let known: Vec<&str> = schema.map(|schema| names(schema).collect()).unwrap_or_default();
        let hint = match did_you_mean(key, known.iter().copied()) {
            Some(name) => Some(format!("did you mean `{name}`?")),
            None if known.is_empty() => None,
            None => Some(format!("it takes {}", quoted(&known))),
        };
        let place = format!("{place}/{}", escape(key));
        let kind = schema.and_then(|schema| self.kind(schema)).unwrap_or_default();
        Problem { message: format!("there is no argument `{}`{kind}", dotted(&place)), hint }
    }

    /// Which of several things an object is, by its tag.
    fn kind(&self, schema: &'a Value) -> Option<String> {
        let (tag, name) = self.schema.tags(schema).into_iter().next()?;
        Some(format!(" of {tag} `{name}`"))
    }

    /// What the schema says about an argument, for a hint.
    fn about(&self, place: &str) -> Option<String> {
        let (parent, name) = place.rsplit_once('/')?;
        let name = unescape(name);
        // Of an entry of a list, what is said of the list.
        if name.parse::<usize>().is_ok() {
            return self.about(parent);
        }
        let argument = self.settled(parent)?.get("properties")?.get(&name)?;
        let description = argument.get("description")?.as_str()?;
        let first = description.split("\n\n").next().unwrap_or(description).replace('\n', " ");
        let example = argument.get("examples").and_then(|examples| examples.get(0)?.as_str());
        let example =
            example.map_or_else(String::new, |example| format!(" For example `{example}`."));
        Some(format!("`{name}`: {first}{example}"))
    }

    /// The schema of what is at a place, a JSON Pointer, as far as there is one.
    fn place(&self, place: &str) -> Option<&'a Value> {
        let Some((parent, step)) = place.rsplit_once('/') else {
            return Some(self.schema.deref(&self.schema.schema));
        };
        let parent = self.settled(parent)?;
        let child = parent.get("properties").and_then(|all| all.get(unescape(step)));
        let child = child.or_else(|| parent.get("items").filter(|_| step.parse::<usize>().is_ok()));
        child.map(|child| self.schema.deref(child))
    }

    /// The same, where it may be several things, as the one that is meant.
    fn settled(&self, place: &str) -> Option<&'a Value> {
        let mut schema = self.place(place)?;
        let value = self.args.pointer(place)?;
        while let Some(branches) = branches(schema) {
            let Some(meant) = self.schema.meant(branches, value) else { break };
            schema = self.schema.deref(&branches[meant]);
        }
        Some(schema)
    }
}

impl ArgsSchema<'_> {
    /// Which of several schemas somebody meant who wrote `value`.
    fn meant<'s>(&'s self, branches: &'s [Value], value: &Value) -> Option<usize> {
        let mut tagged = false;
        for (index, branch) in branches.iter().enumerate() {
            let branch = self.deref(branch);
            if !self.is_kind(branch, value) {
                continue;
            }
            match self.is_tagged(branch, value) {
                Some(true) => return Some(index),
                Some(false) => tagged = true,
                None if tagged => {}
                None => return Some(index),
            }
        }
        None
    }

    /// Whether a value is of the kind of JSON that a schema describes.
    fn is_kind<'s>(&'s self, schema: &'s Value, value: &Value) -> bool {
        if let Some(branches) = branches(schema) {
            return branches.iter().any(|branch| self.is_kind(self.deref(branch), value));
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let same = |name: &str| name == kind || (name == "integer" && kind == "number");
        match schema.get("type") {
            Some(Value::String(name)) => same(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(same),
            _ => true,
        }
    }

    /// Whether a value has the constants that a schema tells its kind by; none without such.
    fn is_tagged<'s>(&'s self, schema: &'s Value, value: &Value) -> Option<bool> {
        if let Some(constant) = schema.get("const") {
            return Some(constant == value);
        }
        if branches(schema).is_some() {
            return None;
        }
        let tags = self.tags(schema);
        (!tags.is_empty())
            .then(|| tags.iter().all(|(tag, name)| value.get(tag).is_some_and(|v| v == name)))
    }

    /// The constant properties by which the things that a schema allows are told apart.
    fn tags<'s>(&'s self, schema: &'s Value) -> Vec<(&'s str, &'s str)> {
        let Some(branches) = branches(schema) else {
            let properties = schema.get("properties").and_then(Value::as_object);
            let constant = |(key, value): (&'s String, &'s Value)| {
                Some((key.as_str(), value.get("const")?.as_str()?))
            };
            return properties.into_iter().flatten().filter_map(constant).collect();
        };
        branches.iter().flat_map(|branch| self.tags(self.deref(branch))).collect()
    }

    /// The texts that a schema allows, where it lists them.
    fn constants<'s>(&'s self, schema: &'s Value) -> Vec<&'s str> {
        let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        let listed = listed.chain(schema.get("const")).filter_map(Value::as_str);
        let nested = branches(schema).unwrap_or(&[]).iter();
        listed.chain(nested.flat_map(|branch| self.constants(self.deref(branch)))).collect()
    }
}

/// The things that a value may be, if they are several.
fn branches(schema: &Value) -> Option<&[Value]> {
    let branches = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    branches.as_array().map(Vec::as_slice)
}

/// The names of the properties of an object, in the order in which the schema gives them.
pub(super) fn names(schema: &Value) -> impl Iterator<Item = &str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|properties| properties.keys()).map(String::as_str)
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}
