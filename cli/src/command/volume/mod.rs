//! `vdeploy volume`: one file per subcommand; here what they share.

mod cp;
mod create;
mod delete;
mod get;
mod list;
mod ls;
mod put;
mod rename;
mod rm;
mod stdin;
mod transfer;

use clap::Subcommand;
use vdeploy_runtime::storage::{Side, VolumePath, VolumeStore, VolumesError};

use crate::error::{CliError, Exit, Result, did_you_mean};
use crate::settings::Settings;

/// Create volumes, and move files in and out of them
///
/// A volume keeps files for the functions of an environment. Paths in a volume start at its root,
/// with or without a leading slash.
#[derive(Debug, Subcommand)]
pub(crate) enum Args {
    Create(create::Args),
    List(list::Args),
    Ls(ls::Args),
    Put(put::Args),
    Get(get::Args),
    Rm(rm::Args),
    Cp(cp::Args),
    Rename(rename::Args),
    Delete(delete::Args),
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args {
        Args::Create(args) => create::run(&args, settings).await,
        Args::List(args) => list::run(&args, settings).await,
        Args::Ls(args) => ls::run(&args, settings).await,
        Args::Put(args) => put::run(args, settings).await,
        Args::Get(args) => get::run(args, settings).await,
        Args::Rm(args) => rm::run(&args, settings).await,
        Args::Cp(args) => cp::run(args, settings).await,
        Args::Rename(args) => rename::run(&args, settings).await,
        Args::Delete(args) => delete::run(&args, settings).await,
    }
}

/// The volumes of the environment and the target that were chosen.
async fn volumes(settings: &Settings) -> Result<VolumeStore> {
    Ok(settings.base.volumes().await?)
}

/// The files of volume `name`.
async fn open(settings: &Settings, name: &str) -> Result<Side> {
    volumes(settings).await?.open(name).await.map_err(explain)
}

/// A path in a volume, as typed.
fn parse_path(volume: &str, text: &str) -> Result<VolumePath> {
    VolumePath::parse(text).map_err(|error| {
        CliError::usage(format!("`{text}` isn't a path in volume `{volume}`")).cause(error)
    })
}

/// A path as people see it: from the root of its volume.
fn shown(path: &VolumePath) -> String {
    format!("/{path}")
}

fn explain(error: VolumesError) -> CliError {
    let plain = CliError::failed(error.to_string());
    match error {
        VolumesError::Name(_) => CliError::usage(plain.message).hint(
            "use letters, digits, `-`, `_` and `.`, fewer than 64, starting with a letter or digit",
        ),
        VolumesError::NotFound { name, known } => {
            let create = format!("create it with `vdeploy volume create {name}`");
            match did_you_mean(&name, known.iter().map(String::as_str)) {
                Some(near) => plain.hint(format!("did you mean `{near}`?")).hint(create),
                None => plain.hint(create),
            }
        }
        VolumesError::Exists(_) => plain.hint("see all with `vdeploy volume list`"),
        VolumesError::NotEmpty(name) => {
            plain.hint(format!("delete its files too with `vdeploy volume delete {name} -y`"))
        }
        VolumesError::Aws(error) => {
            let failed = CliError::failed(error.to_string()).cause(&error.cause);
            match error.hint() {
                Some(hint) => failed.hint(hint),
                None => failed,
            }
        }
        VolumesError::Io { source, .. } => plain.cause(source),
    }
}

/// The error for a path that names nothing, with the name it was probably meant to be.
async fn nothing_at(name: &str, files: &Side, path: &VolumePath) -> CliError {
    let parent = path.parent();
    let error = CliError::failed(format!("`{}` isn't in volume `{name}`", shown(path)));
    let names: Vec<_> = files
        .list(&parent)
        .await
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| entry.name.into_string().ok())
        .collect();
    match did_you_mean(path.name().unwrap_or_default(), names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{}`?", shown(&parent.join(near)))),
        None => error.hint(format!("see what is there with `vdeploy volume ls {name}`")),
    }
}
