//! Arguments against their JSON Schema: checked, typed from `key=value`, and searched for files.

mod explain;

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value};

use self::explain::Explainer;
use crate::storage::FileRef;
use crate::wire::{Failure, FailureKind};

/// The keyword of a schema by which a handler says that it reads only parts of a file: `true`, or a JSON
/// Pointer to what in its arguments has it do so.
pub(crate) const RANGED: &str = "x-ranged";
/// The keyword by which a handler says that it gets a file from an address of the web itself, and
/// keeps it from call to call.
const FETCHED: &str = "x-fetched";

/// A function's schema, compiled once for any number of calls.
#[derive(Debug)]
pub struct ArgsSchema<'a> {
    schema: Cow<'a, Value>,
    validator: jsonschema::Validator,
}

/// One thing that is wrong with arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, naming the argument in backticks.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// Whether a file argument is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Format `input-file`.
    Input,
    /// Format `output-file`.
    Output,
}

/// An argument that names a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileArgument {
    /// Where it is in the arguments, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// Read or written.
    pub direction: Direction,
    /// Parts of it are enough for whoever reads it.
    pub ranged: bool,
    /// Whoever reads it gets it from an address of the web itself.
    pub fetched: bool,
}

/// Files that were found, and the arguments they were found in.
struct Found<'v> {
    args: &'v Value,
    files: Vec<FileArgument>,
}

impl Found<'_> {
    /// Whether a file's schema has a keyword that holds: always, or as soon as something is given.
    fn says(&self, schema: &Value, keyword: &str) -> bool {
        match schema.get(keyword) {
            Some(Value::String(pointer)) => {
                self.args.pointer(pointer).is_some_and(|value| !value.is_null())
            }
            value => value == Some(&Value::Bool(true)),
        }
    }
}

impl<'a> ArgsSchema<'a> {
    /// Compiles `schema`; fails when it isn't a JSON Schema.
    pub fn compile(schema: &'a Value) -> Result<Self, Failure> {
        Self::of(Cow::Borrowed(schema))
    }

    /// [`ArgsSchema::compile`] for one that outlives what it was read from.
    pub fn owned(schema: Value) -> Result<ArgsSchema<'static>, Failure> {
        ArgsSchema::of(Cow::Owned(schema))
    }

    fn of(schema: Cow<'a, Value>) -> Result<Self, Failure> {
        let validator = jsonschema::validator_for(&schema).map_err(|error| {
            Failure::new(FailureKind::Handler, "the function's schema isn't a JSON Schema")
                .cause(error)
        })?;
        Ok(ArgsSchema { schema, validator })
    }

    /// Everything that is wrong with `args`.
    pub fn problems(&self, args: &Value) -> Vec<Problem> {
        let explainer = Explainer { schema: self, args };
        self.validator.iter_errors(args).flat_map(|error| explainer.explain(&error)).collect()
    }

    /// Fails with all problems in one message unless `args` are right.
    pub fn check(&self, args: &Value) -> Result<(), Failure> {
        let mut problems = self.problems(args).into_iter();
        let Some(first) = problems.next() else { return Ok(()) };
        let mut failure = Failure::new(FailureKind::InvalidArgs, first.message);
        failure.hint = first.hint;
        failure.causes = problems.map(|problem| problem.message).collect();
        Err(failure)
    }

    /// Types `key=value` pairs by the schema: `1080` is a number where one is wanted and a text
    /// where a text is.
    pub fn from_pairs<'p>(
        &self,
        pairs: impl IntoIterator<Item = &'p str>,
    ) -> Result<Value, Failure> {
        let mut args = Map::new();
        for pair in pairs {
            let (key, text) = pair.split_once('=').ok_or_else(|| {
                Failure::new(FailureKind::InvalidArgs, format!("`{pair}` isn't `key=value`"))
                    .hint("pass pairs such as `quality=720p`, or a JSON object: `--args '{…}'`")
            })?;
            let value = typed(text, self.property(key));
            if args.insert(key.into(), value).is_some() {
                return Err(Failure::new(
                    FailureKind::InvalidArgs,
                    format!("argument `{key}` is given twice"),
                ));
            }
        }
        Ok(Value::Object(args))
    }

    /// The arguments in `args` that name files, wherever the schema puts them.
    pub fn files(&self, args: &Value) -> Vec<FileArgument> {
        let mut found = Found { args, files: Vec::new() };
        self.find_files(&self.schema, args, &mut String::new(), &mut found);
        found.files
    }

    /// Whether there is an argument `output` that names a file to write.
    pub fn takes_output(&self) -> bool {
        let path = Value::String("file".into());
        let found = |schema| {
            let mut found = Found { args: &Value::Null, files: Vec::new() };
            self.find_files(schema, &path, &mut String::new(), &mut found);
            found.files.iter().any(|file| file.direction == Direction::Output)
        };
        self.property("output").is_some_and(found)
    }

    /// Makes relative paths absolute, so that they mean the same wherever the call runs.
    pub fn resolve_paths(&self, args: &mut Value, folder: &Path) {
        for file in self.files(args) {
            let Some(value) = args.pointer_mut(&file.pointer) else { continue };
            let Some(text) = value.as_str() else { continue };
            if let Ok(FileRef::Path(path)) = FileRef::parse(text)
                && let Some(absolute) = folder.join(path).to_str()
            {
                *value = Value::String(absolute.to_owned());
            }
        }
    }

    /// The names of all arguments, in the order in which the schema gives them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        explain::names(self.deref(&self.schema))
    }

    fn property(&self, key: &str) -> Option<&Value> {
        self.deref(&self.schema).get("properties")?.get(key)
    }

    /// Follows `$ref` within the document.
    fn deref<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        target.and_then(|pointer| self.schema.pointer(pointer)).unwrap_or(schema)
    }

    fn find_files(
        &self,
        schema: &Value,
        value: &Value,
        pointer: &mut String,
        found: &mut Found<'_>,
    ) {
        let schema = self.deref(schema);
        let direction = match schema.get("format").and_then(Value::as_str) {
            Some("input-file") => Some(Direction::Input),
            Some("output-file") => Some(Direction::Output),
            _ => None,
        };
        if let (Some(direction), Value::String(_)) = (direction, value) {
            let (ranged, fetched) = (found.says(schema, RANGED), found.says(schema, FETCHED));
            found.files.push(FileArgument { pointer: pointer.clone(), direction, ranged, fetched });
            return;
        }
        for branch in ["anyOf", "oneOf", "allOf"] {
            for schema in schema.get(branch).and_then(Value::as_array).into_iter().flatten() {
                self.find_files(schema, value, pointer, found);
            }
        }
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    if let Some(schema) = schema.pointer(&format!("/properties/{}", escape(key))) {
                        self.descend(schema, value, &escape(key), pointer, found);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (index, value) in items.iter().enumerate() {
                        self.descend(schema, value, &index.to_string(), pointer, found);
                    }
                }
            }
            _ => {}
        }
    }

    fn descend(
        &self,
        schema: &Value,
        value: &Value,
        step: &str,
        pointer: &mut String,
        found: &mut Found<'_>,
    ) {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(step);
        self.find_files(schema, value, pointer, found);
        pointer.truncate(length);
    }
}

fn typed(text: &str, schema: Option<&Value>) -> Value {
    let wants = |wanted: &str| match schema.and_then(|schema| schema.get("type")) {
        Some(Value::String(name)) => name == wanted,
        Some(Value::Array(names)) => names.iter().any(|name| name == wanted),
        _ => false,
    };
    if wants("string") {
        return Value::String(text.into());
    }
    let is_plain_text = schema.is_some_and(|schema| {
        let choices = schema.get("enum").and_then(Value::as_array);
        choices.is_some_and(|choices| choices.iter().any(|choice| choice == text))
    });
    if is_plain_text {
        return Value::String(text.into());
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "input": { "type": "string", "format": "input-file", "description": "What to read." },
                "more": { "type": "array", "items": { "$ref": "#/$defs/Track" } },
                "output": { "anyOf": [{ "type": "string", "format": "output-file" }, { "type": "null" }] },
                "width": { "type": ["integer", "null"], "minimum": 2 },
                "quality": { "enum": ["720p", "1080p", null] },
                "mute": { "type": "boolean" },
                "chain": { "type": "array", "items": { "oneOf": [
                    { "type": "object", "required": ["effect"], "additionalProperties": false,
                      "properties": { "effect": { "type": "string", "const": "blur" },
                                      "sigma": { "type": "number", "description": "Pixels." } } },
                    { "type": "object", "required": ["effect"], "additionalProperties": false,
                      "properties": { "effect": { "type": "string", "const": "edges" } } },
                ] } },
                "rungs": { "type": ["array", "null"], "items": { "anyOf": [
                    { "$ref": "#/$defs/Quality" }, { "$ref": "#/$defs/Rung" } ] } },
            },
            "required": ["input"],
            "additionalProperties": false,
            "$defs": {
                "Track": { "type": "object", "properties": {
                    "file": { "type": "string", "format": "input-file" } } },
                "Quality": { "oneOf": [{ "type": "string", "const": "720p" },
                                       { "type": "string", "const": "1080p" }] },
                "Rung": { "type": "object", "additionalProperties": false, "properties": {
                    "height": { "type": ["integer", "null"], "minimum": 2 },
                    "bitrate": { "description": "Bits per second, such as `5M`.", "anyOf": [
                        { "anyOf": [{ "type": "string", "pattern": "^[0-9]+[kM]?$" },
                                    { "type": "number" }] },
                        { "type": "null" } ] } } },
            },
        })
    }

    fn problems(args: &Value) -> String {
        let schema = schema();
        let compiled = ArgsSchema::compile(&schema).unwrap();
        let lines = compiled.problems(args);
        let text = |p: &Problem| format!("{} | {}", p.message, p.hint.as_deref().unwrap_or("-"));
        lines.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn right_arguments_have_no_problems() {
        assert_eq!(problems(&json!({ "input": "a.mp4", "width": 640, "quality": "720p" })), "");
    }

    #[test]
    fn every_problem_names_its_argument_and_what_would_be_right() {
        assert_snapshot!(problems(&json!({ "widht": 3, "mute": "yes", "width": 0 })), @r#"
        argument `mute` is wrong: "yes" is not of type "boolean" | -
        argument `width` is wrong: 0 is less than the minimum of 2 | -
        there is no argument `widht` | did you mean `width`?
        argument `input` is missing | `input`: What to read.
        "#);
    }

    #[test]
    fn what_may_be_several_things_is_told_by_its_tag() {
        let chain = |step: Value| problems(&json!({ "input": "a", "chain": [step] }));
        assert_snapshot!(chain(json!({ "effect": "blur", "sgima": 3 })), @"there is no argument `chain.0.sgima` of effect `blur` | did you mean `sigma`?");
        assert_snapshot!(chain(json!({ "effect": "edges", "sigma": 3 })), @"there is no argument `chain.0.sigma` of effect `edges` | it takes `effect`");
        assert_snapshot!(chain(json!({ "effect": "blur", "sigma": "3" })), @r#"argument `chain.0.sigma` is wrong: "3" is not of type "number" | `sigma`: Pixels."#);
        assert_snapshot!(chain(json!({ "effect": "blurr" })), @"argument `chain.0.effect` can't be `blurr` | did you mean `blur`?");
        assert_snapshot!(chain(json!({ "effect": 7 })), @"argument `chain.0.effect` can't be `7` | it is one of `blur`, `edges`");
        assert_snapshot!(chain(json!({ "sigma": 3 })), @"argument `chain.0.effect` is missing | it is one of `blur`, `edges`");
        assert_snapshot!(chain(json!("blur")), @"argument `chain.0` can't be `blur` | -");
    }

    #[test]
    fn what_may_be_several_things_is_told_by_its_type() {
        let rungs = |rung: Value| problems(&json!({ "input": "a", "rungs": ["720p", rung] }));
        assert_snapshot!(rungs(json!({ "heigth": 480 })), @"there is no argument `rungs.1.heigth` | did you mean `height`?");
        assert_snapshot!(rungs(json!({ "height": 0 })), @"argument `rungs.1.height` is wrong: 0 is less than the minimum of 2 | -");
        assert_snapshot!(rungs(json!({ "bitrate": "fast" })), @"argument `rungs.1.bitrate` can't be `fast` | `bitrate`: Bits per second, such as `5M`.");
        assert_snapshot!(rungs(json!("721p")), @"argument `rungs.1` can't be `721p` | did you mean `720p`?");
        assert_snapshot!(rungs(json!(720)), @"argument `rungs.1` can't be `720` | did you mean `720p`?");
    }

    #[test]
    fn pairs_are_typed_by_the_schema() {
        let schema = schema();
        let compiled = ArgsSchema::compile(&schema).unwrap();
        let args = compiled
            .from_pairs(["input=123", "width=640", "mute=true", "quality=720p", "output=a=b"])
            .unwrap();
        let expected = json!({
            "input": "123", "width": 640, "mute": true, "quality": "720p", "output": "a=b" });
        assert_eq!(args, expected);
    }

    #[test]
    fn a_pair_without_a_sign_or_given_twice_is_refused() {
        let schema = schema();
        let compiled = ArgsSchema::compile(&schema).unwrap();
        assert!(compiled.from_pairs(["input"]).is_err());
        assert!(compiled.from_pairs(["width=1", "width=2"]).is_err());
    }

    #[test]
    fn files_are_found_wherever_they_are_and_made_absolute() {
        let schema = schema();
        let compiled = ArgsSchema::compile(&schema).unwrap();
        let mut args = json!({
            "input": "a.mp4", "output": "vol://v/o.mp4", "more": [{ "file": "b/c.wav" }] });
        let pointers: Vec<_> = compiled.files(&args).into_iter().map(|f| f.pointer).collect();
        assert_eq!(pointers, ["/input", "/output", "/more/0/file"]);
        assert!(compiled.takes_output());
        compiled.resolve_paths(&mut args, Path::new("/clips"));
        let expected = json!({
            "input": "/clips/a.mp4", "output": "vol://v/o.mp4", "more": [{ "file": "/clips/b/c.wav" }] });
        assert_eq!(args, expected);
    }

    #[test]
    fn parts_of_a_video_are_enough_for_some_of_its_frames() {
        let schema = crate::handlers::builtin().describe("transcode").unwrap().args;
        let schema = ArgsSchema::compile(&schema).unwrap();
        let ranged = |part: Value| {
            let args = json!({ "input": "vol://v/a.mp4", "output": "b.mp4", "part": part });
            let found = schema.files(&args).into_iter().map(|file| (file.pointer, file.ranged));
            found.collect::<Vec<_>>()
        };
        let files = |input| vec![("/input".to_owned(), input), ("/output".to_owned(), false)];
        assert_eq!(ranged(json!({ "kind": "frames", "shift": 0.0, "frames": 25 })), files(true));
        assert_eq!(
            ranged(json!({ "kind": "sound", "shift": 0.0, "container": "mp4" })),
            files(false)
        );
        assert_eq!(ranged(Value::Null), files(false));
    }
}
