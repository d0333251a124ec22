//! The worker binary that images contain and the local target runs: all built-in handlers.

use std::process::ExitCode;

fn main() -> ExitCode {
    vdeploy_runtime::worker::main(vdeploy_runtime::handlers::builtin())
}
