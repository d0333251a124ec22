//! `vdeploy completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::error::{Exit, Result};
use crate::settings::Settings;

/// Print completions for a shell
///
/// Put them where the shell looks, for bash in ~/.local/share/bash-completion/completions/vdeploy,
/// or load them in its start file: `source <(vdeploy completions bash)`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vdeploy", &mut script);
    settings.printer.data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Ok)
}
