//! How arguments name files: a path, `vol://VOLUME/PATH`, or a place beyond the target, such as
//! `bucket://NAME/PATH`, `s3://BUCKET/KEY` and `https://…`.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::path::VolumePath;
use crate::args::RANGED;
use crate::web::without_secrets;

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
    /// A path within a mounted bucket.
    Bucket {
        /// The name it is mounted by.
        name: String,
        /// The path within it, without a leading slash.
        path: String,
    },
    /// An object of S3.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// A file of the web.
    Web(String),
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
    /// `bucket://` without a name or without a path.
    #[error("expected `bucket://NAME/PATH`")]
    IncompleteBucket,
    /// `s3://` without a bucket or without a key.
    #[error("expected `s3://BUCKET/KEY`")]
    IncompleteObject,
    /// `https://` without a server.
    #[error("expected `https://SERVER/PATH`")]
    IncompleteUrl,
    /// A scheme that is none.
    #[error(
        "`{0}://` isn't supported; use a path, `vol://VOLUME/PATH`, `bucket://NAME/PATH`, \
         `s3://BUCKET/KEY` or `https://SERVER/PATH`"
    )]
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
            Some(("vol", rest)) => match within(rest) {
                Some((volume, path)) => Ok(FileRef::Volume { volume, path }),
                None => Err(ReferenceError::IncompleteVolume),
            },
            Some(("bucket", rest)) => match within(rest) {
                Some((name, path)) => Ok(FileRef::Bucket { name, path }),
                None => Err(ReferenceError::IncompleteBucket),
            },
            Some(("s3", rest)) => match within(rest) {
                Some((bucket, key)) => Ok(FileRef::Object { bucket, key }),
                None => Err(ReferenceError::IncompleteObject),
            },
            Some(("https" | "http", "")) => Err(ReferenceError::IncompleteUrl),
            Some(("https" | "http", _)) => Ok(FileRef::Web(text.into())),
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Err(ReferenceError::Scheme(scheme.into()))
            }
            Some(_) => Ok(FileRef::Path(PathBuf::from(text))),
        }
    }

    /// Whether it is beyond the target: brought in before a call, or taken there after it.
    pub fn is_remote(&self) -> bool {
        match self {
            FileRef::Path(_) | FileRef::Volume { .. } => false,
            FileRef::Bucket { .. } | FileRef::Object { .. } | FileRef::Web(_) => true,
        }
    }
}

/// The name of something that holds files, and a path in it.
fn within(text: &str) -> Option<(String, String)> {
    let (name, path) = text.split_once('/')?;
    (!name.is_empty() && names_something(path)).then(|| (name.into(), path.into()))
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
            FileRef::Bucket { name, path } => write!(f, "bucket://{name}/{path}"),
            FileRef::Object { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            FileRef::Web(url) => f.write_str(&without_secrets(url)),
        }
    }
}

/// An argument that names a file to read. Its schema has the format `input-file`, by which the
/// command line knows what to bring into the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputFile(String);

/// An argument that names a file of which parts are read: where it is in a bucket, they are all that
/// is brought. See [`super::Files::source`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RangedFile(String);

/// An argument that names a file to write. Its schema has the format `output-file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputFile(String);

macro_rules! file_argument {
    ($name:ident, $title:literal, $format:literal $(, $keyword:ident)?) => {
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
                json_schema!({
                    "type": "string",
                    "format": $format,
                    "minLength": 1,
                    $($keyword: true,)?
                })
            }
        }
    };
}

file_argument!(InputFile, "InputFile", "input-file");
file_argument!(RangedFile, "RangedFile", "input-file", RANGED);
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
        for remote in ["bucket://library/a.mp4", "s3://videos/raw/a.mp4", "https://a.example/b"] {
            let reference = FileRef::parse(remote).unwrap();
            assert!(reference.is_remote());
            assert_eq!(reference.to_string(), remote);
        }
    }

    #[test]
    fn what_names_no_file_says_why() {
        assert_eq!(FileRef::parse(""), Err(ReferenceError::Empty));
        for text in ["vol://", "vol://footage", "vol://footage/", "vol://footage/.", "vol:///a"] {
            assert_eq!(FileRef::parse(text), Err(ReferenceError::IncompleteVolume), "{text}");
        }
        for text in ["bucket://", "bucket://library", "bucket:///a"] {
            assert_eq!(FileRef::parse(text), Err(ReferenceError::IncompleteBucket), "{text}");
        }
        assert_eq!(FileRef::parse("s3://videos/"), Err(ReferenceError::IncompleteObject));
        assert_eq!(FileRef::parse("https://"), Err(ReferenceError::IncompleteUrl));
        for scheme in ["gs", "ftp", "vl"] {
            let error = FileRef::parse(&format!("{scheme}://a/b")).unwrap_err();
            assert_eq!(error, ReferenceError::Scheme(scheme.into()));
        }
    }
}
