//! The handlers that every worker has.

pub mod echo;

use crate::handler::Registry;

/// All built-in handlers.
pub fn builtin() -> Registry {
    Registry::new().with(echo::Echo)
}
