//! `vdeploy volume cp`.

use vdeploy_runtime::storage::transfer::Pair;
use vdeploy_runtime::storage::{Kind, Side, VolumePath};

use super::transfer::{Job, Names, Place};
use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Copy files within a volume
///
/// Into DST if that is a folder or ends with a slash, else DST is the new name. Files with other
/// content are replaced only with --force.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The volume
    volume: String,
    /// Files or folders
    #[arg(required = true, value_name = "SRC")]
    sources: Vec<String>,
    /// A folder to copy them into, or the new name of the only one
    #[arg(value_name = "DST")]
    destination: String,
    /// Copy folders and everything in them
    #[arg(short, long)]
    recursive: bool,
    /// Replace files with other content
    #[arg(short, long)]
    force: bool,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let from = super::open(settings, &args.volume).await?;
    let to = super::open(settings, &args.volume).await?;
    let pairs = find_pairs(&args, &from).await?;
    let name = args.volume;
    let names = Names { from: Place::Volume(name.clone()), to: Place::Volume(name.clone()) };
    let index = super::volumes(settings).await?.index_path(&name);
    Job { verb: "copied", from, to, pairs, overwrite: args.force, index, names }.run(settings).await
}

async fn find_pairs(args: &Args, files: &Side) -> Result<Vec<Pair>> {
    let volume = &args.volume;
    let destination = super::parse_path(volume, &args.destination)?;
    let there = look(files, &destination).await?;
    let into = args.destination.ends_with('/') || there == Some(Kind::Folder);
    if args.sources.len() > 1 && !into {
        return Err(CliError::usage(format!("`{}` isn't a folder", args.destination))
            .cause("many files can't get one name")
            .hint(format!("end it with a slash to make it one: `{}/`", args.destination)));
    }
    let mut pairs = Vec::new();
    for source in &args.sources {
        let from = super::parse_path(volume, source)?;
        let Some(kind) = look(files, &from).await? else {
            return Err(super::nothing_at(volume, files, &from).await);
        };
        let to = match from.name() {
            Some(name) if into => destination.join(name),
            _ => destination.clone(),
        };
        check(&from, &to, kind, args.recursive)?;
        pairs.push(Pair { from, to });
    }
    Ok(pairs)
}

async fn look(files: &Side, path: &VolumePath) -> Result<Option<Kind>> {
    let found = files.find(path).await.map_err(|error| {
        CliError::failed(format!("can't look at `{}`", super::shown(path))).cause(error)
    })?;
    Ok(found.map(|stat| stat.kind))
}

fn check(from: &VolumePath, to: &VolumePath, kind: Kind, recursive: bool) -> Result<()> {
    let shown = super::shown(from);
    if kind == Kind::Folder && !recursive {
        return Err(CliError::failed(format!("`{shown}` is a folder"))
            .hint("copy it and everything in it with `-r`"));
    }
    if to == from {
        return Err(CliError::failed(format!("`{shown}` can't be copied onto itself")));
    }
    if to.is_within(from) {
        return Err(CliError::failed(format!("`{shown}` can't be copied into itself")));
    }
    Ok(())
}
