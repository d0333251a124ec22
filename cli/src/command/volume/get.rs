//! `vdeploy volume get`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vdeploy_runtime::storage::transfer::{Pair, TransferError, get_bucket_stream, get_stream};
use vdeploy_runtime::storage::{BucketFolder, Kind, Pattern, Side, Tree, VolumePath};

use super::transfer::{Job, Names, Place, blocking};
use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;
use crate::ui::one_line;
use crate::ui::transfer::TransferBar;

/// Get a file or a folder out of a volume
///
/// Files that are there with the same content are skipped, and an interrupted get goes on where it
/// stopped when it is run again. Files with other content are replaced only with --force; files
/// that are only here are never touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vdeploy volume get footage raw/clip.mp4              ./clip.mp4
  vdeploy volume get footage raw/clip.mp4 a.mp4        ./a.mp4
  vdeploy volume get footage raw                       ./raw/...
  vdeploy volume get footage raw here                  ./here/raw/...  if here is a folder,
                                                       else ./here/...
  vdeploy volume get footage / dump                    ./dump/...
  vdeploy volume get footage 'raw/*.mp4' here/         ./here/...
  vdeploy volume get footage raw/clip.mp4 - | ffplay -")]
pub(crate) struct Args {
    /// The volume
    volume: String,
    /// A file, a folder, or a pattern in quotes
    remote: String,
    /// A folder to get it into, its new name, or `-` for stdout
    #[arg(default_value = ".")]
    local: PathBuf,
    /// Replace files with other content
    #[arg(short, long)]
    force: bool,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let from = super::open(settings, &args.volume).await?;
    let sources = find_sources(&args.volume, &from, &args.remote).await?;
    if args.local == Path::new("-") {
        return get_to_stdout(args.volume, from, sources.paths, settings).await;
    }
    let (to, pairs) = destinations(&args.local, sources)?;
    let name = args.volume;
    let names = Names { from: Place::Volume(name.clone()), to: Place::Folder(to.path().into()) };
    let index = super::volumes(settings).await?.index_path(&name);
    let to = Side::Folder(to);
    Job { verb: "got", from, to, pairs, overwrite: args.force, index, names }.run(settings).await
}

/// What REMOTE names.
struct Sources {
    paths: Vec<VolumePath>,
    /// It was a pattern, so there may be any number.
    many: bool,
}

async fn find_sources(volume: &str, files: &Side, remote: &str) -> Result<Sources> {
    let failed = |error: io::Error| {
        CliError::failed(format!("can't read `{}` in volume `{volume}`", one_line(remote)))
            .cause(error)
    };
    let path = super::parse_path(volume, remote)?;
    if files.find(&path).await.map_err(failed)?.is_some() {
        return Ok(Sources { paths: vec![path], many: false });
    }
    if !Pattern::is_pattern(remote) {
        return Err(super::nothing_at(volume, files, &path).await);
    }
    let pattern = Pattern::parse(remote).map_err(|error| {
        CliError::usage(format!("`{}` isn't a pattern", one_line(remote))).cause(error)
    })?;
    let paths = files.matches(&pattern).await.map_err(failed)?;
    if paths.is_empty() {
        let message = format!("nothing matches `{}` in volume `{volume}`", one_line(remote));
        return Err(CliError::failed(message)
            .hint(format!("see what is there with `vdeploy volume ls -r {volume}`")));
    }
    Ok(Sources { paths, many: true })
}

/// Where everything goes: into LOCAL if that is a folder, else LOCAL is the new name.
fn destinations(local: &Path, sources: Sources) -> Result<(Tree, Vec<Pair>)> {
    let Sources { paths, many } = sources;
    let ends_with_slash = local.as_os_str().as_encoded_bytes().ends_with(b"/");
    if many || ends_with_slash || local.is_dir() {
        let pairs = paths.into_iter().map(|from| {
            let to = from.name().map(|name| VolumePath::root().join(name)).unwrap_or_default();
            Pair { from, to }
        });
        return Ok((open_folder(local)?, pairs.collect()));
    }
    let name = local.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let to = match VolumePath::parse(name) {
        Ok(to) if !to.is_root() => to,
        _ => return Err(CliError::usage(format!("`{}` can't be a file", local.display()))),
    };
    let parent = local.parent().filter(|parent| !parent.as_os_str().is_empty());
    let tree = open_folder(parent.unwrap_or(Path::new(".")))?;
    Ok((tree, paths.into_iter().map(|from| Pair { from, to: to.clone() }).collect()))
}

/// Opens a folder of this machine, made when missing.
fn open_folder(path: &Path) -> Result<Tree> {
    std::fs::create_dir_all(path).and_then(|()| Tree::open(path)).map_err(|error| {
        let shown = one_line(&path.to_string_lossy());
        let error_kind = error.kind();
        let failed = CliError::failed(format!("can't write to folder `{shown}`"));
        match error_kind {
            io::ErrorKind::AlreadyExists => failed.cause("it is a file"),
            _ => failed.cause(error),
        }
    })
}

/// Writes the files at `paths` to stdout one after another, those in folders by name.
async fn get_to_stdout(
    volume: String,
    from: Side,
    paths: Vec<VolumePath>,
    settings: &Settings,
) -> Result<Exit> {
    let mut files = Vec::new();
    for path in &paths {
        collect_files(&from, path, &mut files).await.map_err(|error| {
            CliError::failed(format!("can't read `{}`", super::shown(path))).cause(error)
        })?;
    }
    let bar = Arc::new(TransferBar::streaming(&settings.printer));
    let shared = bar.clone();
    // Nothing is left behind when this is killed, so Ctrl-C may just do that.
    let result = match from {
        Side::Folder(tree) => {
            let got = move || {
                let (mut stdout, cancel) = (io::stdout().lock(), CancellationToken::new());
                files.iter().try_for_each(|file| {
                    get_stream(&tree, file, &mut stdout, &cancel, &|event| shared.show(event))
                        .map(drop)
                })
            };
            blocking(got).await
        }
        Side::Bucket(folder) => stream_all(&folder, &files, &shared).await,
    };
    bar.clear();
    match result {
        // Whoever reads has seen enough.
        Err(TransferError::Destination(failed)) if failed.kind == io::ErrorKind::BrokenPipe => {
            Ok(Exit::Ok)
        }
        result => {
            let from = Place::Volume(volume);
            let names = Names { from, to: Place::Folder("stdout".into()) };
            result.map_err(|error| names.explain(error))?;
            Ok(Exit::Ok)
        }
    }
}

async fn stream_all(
    folder: &BucketFolder,
    files: &[VolumePath],
    bar: &TransferBar,
) -> std::result::Result<(), TransferError> {
    let mut stdout = io::stdout();
    for file in files {
        get_bucket_stream(folder, file, &mut stdout, &|event| bar.show(event)).await?;
    }
    Ok(())
}

async fn collect_files(
    side: &Side,
    path: &VolumePath,
    files: &mut Vec<VolumePath>,
) -> io::Result<()> {
    match side.find(path).await? {
        Some(stat) if stat.kind == Kind::Folder => {
            for entry in side.list(path).await? {
                match entry.name.to_str() {
                    Some(name) if matches!(entry.stat.kind, Kind::File | Kind::Folder) => {
                        Box::pin(collect_files(side, &path.join(name), files)).await?;
                    }
                    _ => {}
                }
            }
            Ok(())
        }
        Some(stat) if stat.kind == Kind::File => {
            files.push(path.clone());
            Ok(())
        }
        Some(stat) => Err(io::Error::other(format!("it is {}", stat.kind))),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}
