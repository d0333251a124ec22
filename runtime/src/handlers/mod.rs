//! The handlers that every worker has.

pub mod echo;
pub mod probe;
pub mod transcode;

use crate::handler::Registry;

/// All built-in handlers.
pub fn builtin() -> Registry {
    Registry::new().with(echo::Echo).with(probe::Probe).with(transcode::Transcode)
}
