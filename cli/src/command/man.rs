//! `vdeploy man`.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man;

use super::Cli;
use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Write man pages, or print the first
///
/// `vdeploy man | man -l -` shows the page of `vdeploy`; with a folder, a page for every command
/// is written to it, such as ~/.local/share/man/man1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to write all pages to
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let command = Cli::command();
    match args.dir {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            settings.printer.data(String::from_utf8_lossy(&page).trim_end())?;
        }
        Some(dir) => {
            write_pages(command, &dir).map_err(|error| {
                CliError::failed(format!("can't write man pages to `{}`", dir.display()))
                    .cause(error)
            })?;
            settings.printer.note(format!("wrote man pages to {}", dir.display()));
        }
    }
    Ok(Exit::Ok)
}

fn write_pages(command: clap::Command, dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command, dir)
}
