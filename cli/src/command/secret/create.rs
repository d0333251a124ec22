//! `vdeploy secret create`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use vdeploy_runtime::secret::{SecretError, SecretValue};

use super::dotenv;
use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Keep a secret
///
/// A value that is typed stays in the shell's history: `KEY=-` asks for it without showing it, or
/// reads it from standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name in the environment
    name: String,
    /// Its values; `KEY=-` reads one from standard input, one line each when there are several
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<String>,
    /// Take values from a file of `KEY=VALUE` lines
    #[arg(long, value_name = "FILE")]
    from_dotenv: Option<PathBuf>,
    /// Take values from a file with a JSON object
    #[arg(long, value_name = "FILE")]
    from_json: Option<PathBuf>,
    /// Replace an existing secret
    #[arg(long)]
    force: bool,
    /// Set these keys of an existing secret and keep its others
    #[arg(long, conflicts_with = "force")]
    merge: bool,
}

type Values = BTreeMap<String, SecretValue>;

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let store = super::secrets(settings).await?;
    if !args.force && !args.merge && store.exists(&args.name).await? {
        return Err(SecretError::Exists(args.name.clone()).into());
    }
    let mut values = if args.merge { store.get(&args.name).await? } else { Values::new() };
    values.extend(read_files(args)?);
    values.extend(read_typed(&args.values, settings)?);
    let keys = values.len();
    store.create(&args.name, values, args.force || args.merge).await?;
    let environment = &settings.environment;
    let plural = if keys == 1 { "" } else { "s" };
    let name = &args.name;
    settings.printer.note(format!("secret `{name}` of `{environment}` has {keys} key{plural}"));
    Ok(Exit::Ok)
}

fn read_files(args: &Args) -> Result<Values> {
    let mut values = Values::new();
    if let Some(path) = &args.from_dotenv {
        let parsed = dotenv::parse(&read_file(path)?)
            .map_err(|line| bad_file(path).cause(format!("line {line} isn't `KEY=VALUE`")))?;
        values.extend(parsed.into_iter().map(|(key, value)| (key, SecretValue::new(value))));
    }
    if let Some(path) = &args.from_json {
        values.extend(parse_json(path, &read_file(path)?)?);
    }
    Ok(values)
}

fn read_file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("can't read `{}`", path.display())).cause(error))
}

fn bad_file(path: &Path) -> CliError {
    CliError::usage(format!("can't take secret values from `{}`", path.display()))
}

/// Errors name a line and a key, never what is there.
fn parse_json(path: &Path, text: &str) -> Result<Values> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        bad_file(path).cause(format!("line {} isn't part of a JSON object", error.line()))
    })?;
    let value = |(key, value)| match value {
        Value::String(text) => Ok((key, SecretValue::new(text))),
        Value::Number(number) => Ok((key, SecretValue::new(number.to_string()))),
        Value::Bool(truth) => Ok((key, SecretValue::new(truth.to_string()))),
        _ => Err(bad_file(path).cause(format!("the value of `{key}` isn't a string"))),
    };
    object.into_iter().map(value).collect()
}

fn read_typed(words: &[String], settings: &Settings) -> Result<Values> {
    let asked = words.iter().filter(|word| word.ends_with("=-")).count();
    let pair = |word: &String| match word.split_once('=') {
        Some((key, "-")) => Ok((key.to_owned(), ask(key, asked == 1, settings)?)),
        Some((key, value)) => Ok((key.to_owned(), SecretValue::new(value))),
        // What was typed may be a value; it is not repeated.
        None => Err(CliError::usage("a value was given without a key")
            .hint("write `KEY=VALUE`, or `KEY=-` to be asked")),
    };
    words.iter().map(pair).collect()
}

/// A value from the terminal, unseen; or from standard input: all of it when it is the only one.
fn ask(key: &str, only: bool, settings: &Settings) -> Result<SecretValue> {
    let mut text = String::new();
    let read = if io::stdin().is_terminal() {
        settings.printer.ask_unseen(key).map(|answer| {
            text = answer;
        })
    } else if only {
        io::stdin().lock().read_to_string(&mut text).map(drop)
    } else {
        io::stdin().lock().read_line(&mut text).map(drop)
    };
    let failed = || CliError::failed(format!("can't read the value of `{key}`"));
    read.map_err(|error| failed().cause(error))?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(failed().cause("nothing was entered"));
    }
    Ok(SecretValue::new(value))
}
