//! JSON for programs.

use serde_json::json;

use crate::error::CliError;

pub(super) fn error(error: &CliError) -> String {
    let mut object = json!({
        "message": error.message,
        "causes": error.causes,
        "hints": error.hints,
        "exit": error.exit as u8,
    });
    if let Some(report) = &error.report {
        object["problems"] = report.data.clone();
    }
    json!({ "error": object }).to_string()
}
