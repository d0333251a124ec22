//! The `vdeploy` command: parse, run, map the error to an exit code.

use std::process::ExitCode;

use clap::Parser;
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
