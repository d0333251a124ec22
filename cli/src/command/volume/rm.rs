//! `vdeploy volume rm`.

use vdeploy_runtime::storage::Kind;

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Remove a file or a folder from a volume
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The volume
    volume: String,
    /// The file or folder
    path: String,
    /// Remove a folder and everything in it
    #[arg(short, long)]
    recursive: bool,
}

pub(crate) fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let (volume, tree) = super::open(settings, &args.volume)?;
    let path = super::parse_path(volume.name(), &args.path)?;
    let shown = super::shown(&path);
    let failed = |error: std::io::Error| {
        CliError::failed(format!("can't remove `{shown}` from volume `{}`", volume.name()))
            .cause(error)
    };
    if path.is_root() {
        return Err(CliError::usage("the root of a volume can't be removed")
            .hint(format!("delete the volume: `vdeploy volume delete {}`", volume.name())));
    }
    let stat = tree.find_itself(&path).map_err(failed)?;
    let stat = stat.ok_or_else(|| super::nothing_at(&volume, &tree, &path))?;
    if stat.kind == Kind::Folder && !args.recursive {
        return Err(CliError::failed(format!("`{shown}` is a folder"))
            .hint(format!("remove it with `vdeploy volume rm -r {} {shown}`", volume.name())));
    }
    volume.remove(&path).map_err(failed)?;
    settings.printer.done(format!("removed `{shown}`"));
    Ok(Exit::Ok)
}
