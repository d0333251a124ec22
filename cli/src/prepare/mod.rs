//! Reads what an app's functions name: code, argument schemas, handlers. The thin shell before
//! [`crate::desired`].

mod image;
mod schema;
mod source;
mod with;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use vdeploy_runtime::function::Entry;
use vdeploy_runtime::wire::Failure;

pub use image::{image_jobs, worker_hash};
pub use source::{SourceFile, SourceFiles, copy_tree, hash_tree, read_file_of};

use crate::desired::Inputs;
use crate::manifest::{App, Function};
use crate::resource::Source;

/// What was read, and where the code is.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// What functions' files say.
    pub inputs: Inputs,
    /// The code to deploy, each tree once.
    pub sources: Vec<SourceFiles>,
}

/// Why a function's files can't be deployed.
#[derive(Debug, thiserror::Error)]
#[error("function `{function}` can't be deployed")]
pub struct PrepareError {
    /// The function.
    pub function: String,
    /// What is wrong.
    #[source]
    pub problem: FileProblem,
}

/// What is wrong with a file that a function names.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It isn't there.
    #[error("`{0}` isn't there")]
    Missing(String),
    /// It is outside the manifest's folder.
    #[error("`{0}` isn't within the manifest's folder")]
    Outside(String),
    /// It can't be read.
    #[error("can't read `{path}`")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its name isn't text.
    #[error("the name of `{0}` isn't UTF-8")]
    Name(String),
    /// It is a device, a socket or a pipe.
    #[error("`{0}` is neither a file nor a folder")]
    Special(String),
    /// It isn't JSON.
    #[error("`{path}` isn't JSON")]
    NotJson {
        /// The file.
        path: String,
        /// Where it stops being JSON.
        #[source]
        source: serde_json::Error,
    },
    /// It is JSON, but no schema.
    #[error("`{path}` isn't a JSON Schema: {why}")]
    NotSchema {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The arguments that the manifest gives don't fit.
    #[error("`with`: {0}")]
    With(Failure),
    /// The user's binary doesn't describe its handlers.
    #[error("`{binary} --describe` {why}")]
    NoDescription {
        /// The binary.
        binary: String,
        /// What it did.
        why: String,
    },
    /// The user's binary has no such handler.
    #[error("`{binary}` has no handler `{handler}`; it has {}", known.join(", "))]
    NotInBinary {
        /// The binary.
        binary: String,
        /// What was asked for.
        handler: String,
        /// What it has.
        known: Vec<String>,
    },
}

impl FileProblem {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(path) => {
                Some(format!("create `{path}` beside the manifest, or correct its name there"))
            }
            Self::Outside(_) => Some(
                "move it below the folder of `vdeploy.toml`: the deployed copy keeps paths".into(),
            ),
            Self::With(failure) => failure.hint.clone(),
            Self::NoDescription { .. } => Some(
                "build it first; it must link `vdeploy-runtime` and call its `worker::main`".into(),
            ),
            _ => None,
        }
    }
}

/// Reads what the functions of `app` name in `folder`, the manifest's. Nothing is written.
pub fn prepare(app: &App, folder: &Path) -> Result<Prepared, PrepareError> {
    let mut trees = BTreeMap::new();
    let mut schemas = schema::Schemas::default();
    let mut inputs = Inputs::default();
    for (name, function) in &app.functions {
        let failed = |problem| PrepareError { function: name.clone(), problem };
        let entries = entries(function, folder).map_err(failed)?;
        if !entries.is_empty() {
            let source = tree(&mut trees, &app.name, folder, entries).map_err(failed)?;
            inputs.sources.insert(name.clone(), source);
        }
        let schema = schemas.of(function, folder).map_err(failed)?;
        let (with, schema) = with::settle(&function.spec.with, schema, folder)
            .map_err(|failure| failed(FileProblem::With(failure)))?;
        inputs.with.insert(name.clone(), with);
        inputs.schemas.extend(schema.map(|schema| (name.clone(), schema)));
    }
    let mut sources: Vec<_> = trees.into_values().map(|(_, files)| files).collect();
    sources.sort_by(|a, b| a.hash.cmp(&b.hash));
    sources.dedup_by(|a, b| a.hash == b.hash);
    Ok(Prepared { inputs, sources })
}

type Trees = BTreeMap<Vec<PathBuf>, (Source, SourceFiles)>;

/// The tree that `entries` make; read once, however many functions share it.
fn tree(
    trees: &mut Trees,
    app: &str,
    folder: &Path,
    entries: Vec<PathBuf>,
) -> Result<Source, FileProblem> {
    if let Some((source, _)) = trees.get(&entries) {
        return Ok(source.clone());
    }
    let read = source::read_tree(app, folder, &entries)?;
    let source = read.0.clone();
    trees.insert(entries, read);
    Ok(source)
}

/// The files and folders that a function's own code consists of, sorted.
fn entries(function: &Function, folder: &Path) -> Result<Vec<PathBuf>, FileProblem> {
    let mut entries: Vec<_> = function.source.iter().map(PathBuf::from).collect();
    match &function.spec.entry {
        Entry::Builtin { .. } => {}
        Entry::Binary { binary, .. } => entries.push(binary.into()),
        Entry::Command { argv } => {
            let paths = argv.iter().enumerate().filter(|(at, word)| is_path(*at, word, folder));
            entries.extend(paths.map(|(_, word)| PathBuf::from(word)));
        }
    }
    entries.sort();
    entries.dedup();
    Ok(entries)
}

/// Whether a word of a command names a file of the project: the program when it has a slash, an
/// argument when there is such a file or it looks like a script.
fn is_path(at: usize, word: &str, folder: &Path) -> bool {
    const SCRIPTS: [&str; 8] = ["py", "sh", "js", "mjs", "ts", "rb", "pl", "lua"];
    let path = Path::new(word);
    if path.is_absolute() || word.is_empty() || word.starts_with('-') {
        return false;
    }
    if at == 0 {
        return word.contains('/');
    }
    let script = path.extension().is_some_and(|e| SCRIPTS.iter().any(|s| e == *s));
    folder.join(path).is_file() || (script && !word.contains(char::is_whitespace))
}
