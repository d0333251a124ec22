//! The inputs of a map, all checked before the first call.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map as Object, Value};
use vdeploy_runtime::args::ArgsSchema;
use vdeploy_runtime::catalog::Published;
use vdeploy_runtime::storage::check_remote;
use vdeploy_runtime::wire::Failure;

use super::{Args, glob};
use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Inputs that were checked, in a file of their own so that any number of them can be.
pub(super) struct Prepared {
    pub(super) file: File,
    pub(super) count: u64,
    pub(super) refused: u64,
}

impl Prepared {
    pub(super) fn inputs(mut self) -> Result<impl Iterator<Item = Value>> {
        self.file.rewind()?;
        let lines = BufReader::new(self.file).lines();
        Ok(lines.map_while(io::Result::ok).filter_map(|line| serde_json::from_str(&line).ok()))
    }
}

/// Checks every input before the first call; a wrong one ends it, or with `--keep-going` is said
/// and left out.
pub(super) fn prepare(args: &Args, function: &Published, settings: &Settings) -> Result<Prepared> {
    let anything = Value::Bool(true);
    let schema = ArgsSchema::compile(function.function.schema.as_ref().unwrap_or(&anything))?;
    let mut prepared = Prepared { file: tempfile::tempfile()?, count: 0, refused: 0 };
    let mut writer = io::BufWriter::new(prepared.file.try_clone()?);
    let names = if args.starmap { Some(argument_names(&schema, function)?) } else { None };
    for input in inputs(args, names, &settings.folder)? {
        let checked = input.and_then(|input| check(input, args, (function, &schema), settings));
        match checked {
            Ok(values) => {
                writeln!(writer, "{values}")?;
                prepared.count += 1;
            }
            Err(error) if args.keep_going => {
                settings.printer.error(&error);
                prepared.refused += 1;
            }
            Err(error) => {
                return Err(error.hint("nothing was started; `--keep-going` leaves it out"));
            }
        }
    }
    writer.flush()?;
    Ok(prepared)
}

/// One input as it was given, and how to name it in an error.
struct Input {
    name: String,
    values: Object<String, Value>,
    /// What placeholders in common arguments stand for.
    file: Option<(PathBuf, usize)>,
}

/// The names that the values of --starmap are given.
fn argument_names(schema: &ArgsSchema<'_>, function: &Published) -> Result<Vec<String>> {
    let names: Vec<_> = schema.names().map(str::to_owned).collect();
    if names.is_empty() {
        let message = format!("`{}` doesn't say which arguments it takes", function.function.name);
        return Err(CliError::usage(message)
            .hint("give it a schema (`args` in the manifest), or pass JSON objects"));
    }
    Ok(names)
}

fn inputs(
    args: &Args,
    names: Option<Vec<String>>,
    folder: &Path,
) -> Result<Box<dyn Iterator<Item = Result<Input>>>> {
    if let Some(pattern) = &args.glob {
        return matching(pattern, &args.each, folder);
    }
    let name = args.inputs.clone().unwrap_or_default();
    let reader: Box<dyn BufRead> = if name == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(&name).map_err(|error| {
            CliError::usage(format!("can't read inputs from `{name}`")).cause(error)
        })?;
        Box::new(BufReader::new(file))
    };
    let shown = if name == "-" { "stdin".to_owned() } else { name };
    let lines = reader
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
    Ok(Box::new(
        lines.map(move |(number, line)| parse_line(&shown, number + 1, line, names.as_deref())),
    ))
}

fn parse_line(
    file: &str,
    number: usize,
    line: io::Result<String>,
    names: Option<&[String]>,
) -> Result<Input> {
    let name = format!("line {number} of {file}");
    let kind = if names.is_some() { "array" } else { "object" };
    let wrong = |cause: String| CliError::usage(format!("{name} isn't a JSON {kind}")).cause(cause);
    let line = line.map_err(|error| wrong(error.to_string()))?;
    let Some(names) = names else {
        let values = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        return Ok(Input { name, values, file: None });
    };
    let given: Vec<Value> =
        serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
    if given.len() > names.len() {
        let (given, taken) = (given.len(), names.len());
        let message = format!("{name} has {given} values and the function takes {taken}");
        return Err(CliError::usage(message).hint(format!("they are {}", names.join(", "))));
    }
    Ok(Input { name, values: names.iter().cloned().zip(given).collect(), file: None })
}

fn matching(
    pattern: &str,
    each: &str,
    folder: &Path,
) -> Result<Box<dyn Iterator<Item = Result<Input>>>> {
    let paths = glob::files(pattern, folder)?;
    if paths.is_empty() {
        return Err(CliError::usage(format!("no file matches `{pattern}`"))
            .hint("quote the pattern, so that the shell leaves it alone"));
    }
    let each = each.to_owned();
    Ok(Box::new(paths.into_iter().enumerate().map(move |(index, path)| {
        let path = path?;
        let name = format!("`{}`", path.display());
        let text = path.to_str().ok_or_else(|| {
            CliError::usage(format!("{name} can't be an argument: its name isn't UTF-8"))
        })?;
        let values = Object::from_iter([(each.clone(), Value::String(text.to_owned()))]);
        Ok(Input { name, values, file: Some((path, index)) })
    })))
}

fn check(
    input: Input,
    args: &Args,
    (function, schema): (&Published, &ArgsSchema<'_>),
    settings: &Settings,
) -> Result<Value> {
    let named = |failure: Failure| {
        let mut error = CliError::from(failure);
        error.exit = Exit::Usage;
        error.message = format!("{}: {}", input.name, error.message);
        error
    };
    let common = args.common.iter().map(|pair| fill(pair, input.file.as_ref()));
    let common: Vec<String> = common.collect();
    let mut values = schema.from_pairs(common.iter().map(String::as_str)).map_err(named)?;
    if let Value::Object(object) = &mut values {
        object.extend(input.values.clone());
    }
    schema.check(&values).map_err(named)?;
    check_remote(&function.function, schema, &values).map_err(named)?;
    schema.resolve_paths(&mut values, &settings.folder);
    Ok(values)
}

fn fill(text: &str, file: Option<&(PathBuf, usize)>) -> String {
    let Some((path, index)) = file else { return text.to_owned() };
    let part =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    text.replace("{stem}", &part(path.file_stem()))
        .replace("{name}", &part(path.file_name()))
        .replace("{index}", &index.to_string())
}
