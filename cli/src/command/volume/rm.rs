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

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let volumes = super::volumes(settings).await?;
    let volume = args.volume.as_str();
    let files = volumes.open(volume).await.map_err(super::explain)?;
    let path = super::parse_path(volume, &args.path)?;
    let shown = super::shown(&path);
    let failed = |error: std::io::Error| {
        CliError::failed(format!("can't remove `{shown}` from volume `{volume}`")).cause(error)
    };
    if path.is_root() {
        return Err(CliError::usage("the root of a volume can't be removed")
            .hint(format!("delete the volume: `vdeploy volume delete {volume}`")));
    }
    let Some(stat) = files.find_itself(&path).await.map_err(failed)? else {
        return Err(super::nothing_at(volume, &files, &path).await);
    };
    if stat.kind == Kind::Folder && !args.recursive {
        return Err(CliError::failed(format!("`{shown}` is a folder"))
            .hint(format!("remove it with `vdeploy volume rm -r {volume} {shown}`")));
    }
    volumes.remove(volume, &path).await.map_err(super::explain)?;
    settings.printer.done(format!("removed `{shown}`"));
    Ok(Exit::Ok)
}
