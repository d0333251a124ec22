//! Which function a name means, and why none was found.

use std::io;
use std::path::PathBuf;

use super::FunctionName;
use crate::aws::AwsError;
use crate::suggestion::did_you_mean;

/// Why a function wasn't found, listed or published.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No app is deployed in this environment.
    #[error("nothing is deployed in this environment, so there is no function `{name}`")]
    NothingDeployed {
        /// What was asked for.
        name: String,
    },
    /// There are functions, but not this one.
    #[error("no function `{name}` is deployed")]
    NotFound {
        /// What was asked for.
        name: String,
        /// What was probably meant.
        suggestion: Option<FunctionName>,
        /// What there is, sorted.
        deployed: Vec<FunctionName>,
    },
    /// Several apps have a function of this name.
    #[error("several apps have a function `{name}`")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The candidates, sorted.
        candidates: Vec<FunctionName>,
    },
    /// The record can't be read or written.
    #[error("can't access `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// AWS can't be asked.
    #[error("can't {}: {}", .0.doing, .0.cause)]
    Aws(#[from] AwsError),
    /// The record isn't what `vdeploy deploy` writes.
    #[error("`{}` isn't the record of a function", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The record was written by a later version of this program.
    #[error("`{}` was written by a later version of vdeploy (format {format})", path.display())]
    Later {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
}

impl CatalogError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NothingDeployed { .. } => Some(
                "deploy the app first: `vdeploy deploy`, or name its environment with `-e`".into(),
            ),
            Self::NotFound { suggestion: Some(name), .. } => {
                Some(format!("did you mean `{name}`?"))
            }
            Self::NotFound { deployed, .. } => Some(format!("deployed are {}", listing(deployed))),
            Self::Ambiguous { candidates, .. } => {
                Some(format!("say which one: {}", listing(candidates)))
            }
            Self::Damaged { .. } => Some("write it anew with `vdeploy deploy`".into()),
            Self::Aws(error) => error.hint(),
            Self::Io { .. } | Self::Later { .. } => None,
        }
    }
}

/// The most names that a hint lists.
const LISTED: usize = 6;

fn listing(names: &[FunctionName]) -> String {
    let shown: Vec<_> = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The one function of all that are deployed whose bare name this is.
pub(crate) fn the_only(
    name: &str,
    deployed: Vec<FunctionName>,
) -> Result<FunctionName, CatalogError> {
    let candidates: Vec<_> = deployed.iter().filter(|n| n.function == name).cloned().collect();
    match candidates.as_slice() {
        [] => Err(not_found(name, deployed)),
        [only] => Ok(only.clone()),
        _ => Err(CatalogError::Ambiguous { name: name.into(), candidates }),
    }
}

pub(crate) fn not_found(name: &str, deployed: Vec<FunctionName>) -> CatalogError {
    if deployed.is_empty() {
        return CatalogError::NothingDeployed { name: name.into() };
    }
    let full: Vec<String> = deployed.iter().map(FunctionName::to_string).collect();
    let in_full = did_you_mean(name, full.iter().map(String::as_str));
    let alone = || {
        let function = name.rsplit('/').next().unwrap_or(name);
        did_you_mean(function, deployed.iter().map(|n| n.function.as_str()))
    };
    let suggestion = match in_full {
        Some(full) => deployed.iter().find(|n| n.to_string() == full),
        None => alone().and_then(|function| deployed.iter().find(|n| n.function == function)),
    };
    CatalogError::NotFound { name: name.into(), suggestion: suggestion.cloned(), deployed }
}
