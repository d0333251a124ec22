//! The `vdeploy` command: parse, run, map the error to an exit code.

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;
use vdeploy::command::{self, Cli};
use vdeploy::settings;
use vdeploy::ui::Verbosity;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = settings::printer(cli.global());
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(match printer.verbosity {
            Verbosity::Quiet => LevelFilter::ERROR,
            Verbosity::Normal | Verbosity::Verbose => LevelFilter::WARN,
        })
        .without_time()
        .with_target(false)
        .init();
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
