//! The `vdeploy` command: parse, run, map the error to an exit code.

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use vdeploy::command::{self, Cli};
use vdeploy::settings;
use vdeploy::ui::Verbosity;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = settings::printer(cli.global());
    let level = match printer.verbosity {
        Verbosity::Quiet => LevelFilter::ERROR,
        Verbosity::Normal | Verbosity::Verbose => LevelFilter::WARN,
    };
    let lines = fmt::layer().with_writer(std::io::stderr).without_time().with_target(false);
    // What libraries have to say comes as an error, or is no concern of the user's.
    let own = Targets::new().with_target("vdeploy", level);
    tracing_subscriber::registry().with(lines).with(own).init();
    let result = match runtime(&cli) {
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

/// Half of the cores where others are to have the rest: threads that wake each other up take time from
/// small calls.
fn runtime(cli: &Cli) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if cli.runs_calls() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        builder.worker_threads((cores / 2).max(1));
    }
    builder.enable_all().build()
}
