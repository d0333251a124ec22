//! How arguments name files: a path, or `vol://volume/path`.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::path::VolumePath;

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
                Some((volume, path)) if !volume.is_empty() && names_something(path) => {
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

/// Whether a path in a volume is more than the volume itself. What is wrong with one that isn't a
/// path at all is told where it is looked up.
fn names_something(path: &str) -> bool {
    VolumePath::parse(path).map_or(true, |path| !path.is_root())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_path_unless_it_has_a_scheme() {
        for path in ["clip.mp4", "./a b.mp4", "/tmp/x", "a:b", "-", "dir/a://b"] {
            assert_eq!(FileRef::parse(path), Ok(FileRef::Path(path.into())), "{path}");
        }
        let volume = |volume: &str, path: &str| {
            Ok(FileRef::Volume { volume: volume.into(), path: path.into() })
        };
        assert_eq!(FileRef::parse("vol://footage/raw/a.mp4"), volume("footage", "raw/a.mp4"));
        assert_eq!(FileRef::parse("vol://footage/a://b"), volume("footage", "a://b"));
    }

    #[test]
    fn what_names_no_file_says_why() {
        assert_eq!(FileRef::parse(""), Err(ReferenceError::Empty));
        for text in ["vol://", "vol://footage", "vol://footage/", "vol://footage/.", "vol:///a"] {
            assert_eq!(FileRef::parse(text), Err(ReferenceError::IncompleteVolume), "{text}");
        }
        for scheme in ["s3", "https", "bucket", "vl"] {
            let error = FileRef::parse(&format!("{scheme}://a/b")).unwrap_err();
            assert_eq!(error, ReferenceError::Scheme(scheme.into()));
        }
    }
}
