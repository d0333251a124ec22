//! How arguments name files: a path, or `vol://volume/path`.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A parsed file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileRef {
    /// A path on this machine.
    Path(PathBuf),
    /// A path within a volume of the environment.
    Volume {
        /// The volume's name.
        volume: String,
        /// The path within it, without a leading slash.
        path: String,
    },
}

/// Why a text names no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing was given.
    #[error("the name is empty")]
    Empty,
    /// `vol://` without a volume or without a path.
    #[error("expected `vol://VOLUME/PATH`")]
    IncompleteVolume,
    /// A scheme that this target doesn't read.
    #[error("`{0}://` isn't supported here; use a path or `vol://VOLUME/PATH`")]
    Scheme(String),
}

impl FileRef {
    /// Reads what an argument says. A name with `://` is never taken for a path, so that a typo in
    /// a scheme can't become a file of that name.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        match text.split_once("://") {
            None => Ok(FileRef::Path(PathBuf::from(text))),
            Some(("vol", rest)) => match rest.split_once('/') {
                Some((volume, path)) if !volume.is_empty() && !path.is_empty() => {
                    Ok(FileRef::Volume { volume: volume.into(), path: path.into() })
                }
                _ => Err(ReferenceError::IncompleteVolume),
            },
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Err(ReferenceError::Scheme(scheme.into()))
            }
            Some(_) => Ok(FileRef::Path(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileRef::Path(path) => path.display().fmt(f),
            FileRef::Volume { volume, path } => write!(f, "vol://{volume}/{path}"),
        }
    }
}

/// An argument that names a file to read. Its schema has the format `input-file`, by which the
/// command line knows what to bring into the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputFile(String);

/// An argument that names a file to write. Its schema has the format `output-file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputFile(String);

macro_rules! file_argument {
    ($name:ident, $title:literal, $format:literal) => {
        impl $name {
            /// The argument as given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "minLength": 1 })
            }
        }
    };
}

file_argument!(InputFile, "InputFile", "input-file");
file_argument!(OutputFile, "OutputFile", "output-file");
