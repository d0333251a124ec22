//! JSON for programs.

use serde_json::json;

use crate::error::CliError;

pub(super) fn error(error: &CliError) -> String {
    json!({
        "error": {
            "message": error.message,
            "causes": error.causes,
            "hints": error.hints,
            "exit": error.exit as u8,
        }
    })
    .to_string()
}
