//! `vdeploy completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Print completions for a shell
///
/// Put them where the shell looks, for example: vdeploy completions bash
/// > ~/.local/share/bash-completion/completions/vdeploy
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: Args, _settings: &Settings) -> Result<Exit> {
    clap_complete::generate(args.shell, &mut Cli::command(), "vdeploy", &mut std::io::stdout());
    Ok(Exit::Ok)
}
