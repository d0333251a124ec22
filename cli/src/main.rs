//! The `vdeploy` command: parse, run, map the error to an exit code.

use std::process::ExitCode;

use clap::Parser;
use vdeploy::command::{self, Cli};
use vdeploy::settings;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = settings::printer(cli.global());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(command::run(cli)),
        Err(error) => {
            Err(vdeploy::error::CliError::failed("can't start the async runtime").cause(error))
        }
    };
    match result {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            printer.error(&error);
            ExitCode::from(error.exit as u8)
        }
    }
}
