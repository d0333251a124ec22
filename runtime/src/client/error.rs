//! Why calls can't be made, followed or written down.

use std::io;

use crate::catalog::CatalogError;
use crate::dispatch::local::{Difference, DispatchError};
use crate::settings::SettingsError;
use crate::storage::VolumesError;
use crate::storage::transfer::TransferError;
use crate::wire::{CallId, Failure};

/// Why a call could not be made or followed. That the function itself failed is an [`Outcome`](crate::wire::Outcome).
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No such function.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The arguments are wrong.
    #[error(transparent)]
    Args(#[from] Failure),
    /// The queue or its executor failed.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// An earlier run of the map was another one.
    #[error("map `{map}` was run before with {difference}")]
    DifferentMap {
        /// The map's id.
        map: String,
        /// What differs.
        difference: Difference,
    },
    /// No call has that id.
    #[error("no call has the id `{0}`")]
    NoSuchCall(CallId),
    /// The settings of this process can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The function failed.
    #[error("call `{call}` failed: {failure}")]
    Failed {
        /// The call.
        call: CallId,
        /// Why.
        failure: Failure,
    },
    /// The call was cancelled.
    #[error("call `{0}` was cancelled")]
    Cancelled(CallId),
    /// What was given isn't JSON, or a result isn't what the caller wants.
    #[error("{what} doesn't fit")]
    Type {
        /// The arguments or the result of something.
        what: String,
        /// What doesn't fit.
        #[source]
        source: serde_json::Error,
    },
    /// There is no such volume, or it can't be opened.
    #[error(transparent)]
    Volume(#[from] VolumesError),
    /// Files could not be moved in or out of a volume.
    #[error("can't transfer `{path}`")]
    Transfer {
        /// What was to be moved.
        path: String,
        /// Why not.
        #[source]
        source: TransferError,
    },
    /// A path isn't one, or nothing can be done with what is there.
    #[error("can't use `{path}`")]
    Path {
        /// The path.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl ClientError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Catalog(error) => error.hint(),
            Self::Settings(error) => error.hint(),
            Self::Dispatch(DispatchError::Aws(error)) => error.hint(),
            Self::Args(failure) | Self::Failed { failure, .. } => failure.hint.clone(),
            Self::DifferentMap { .. } => {
                Some("give the map the same function and inputs, or a new id".into())
            }
            Self::NoSuchCall(_) => Some("list the calls there are: `vdeploy calls ls`".into()),
            _ => None,
        }
    }
}
