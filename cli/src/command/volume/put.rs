//! `vdeploy volume put`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use vdeploy_runtime::storage::transfer::{Pair, put_bucket_stream, put_stream};
use vdeploy_runtime::storage::{Kind, Pattern, Side, Tree, VolumePath, stat_path};

use super::stdin::Stdin;
use super::transfer::{Job, Names, Place, blocking, interruptible};
use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;
use crate::ui::one_line;
use crate::ui::transfer::{TransferBar, size};

/// Put a file or a folder into a volume
///
/// Files that are there with the same content are skipped, and an interrupted put goes on where it
/// stopped when it is run again. Files with other content are replaced only with --force. Links,
/// pipes and devices are skipped, with a line for each.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vdeploy volume put footage clip.mp4              /clip.mp4
  vdeploy volume put footage clip.mp4 raw/         /raw/clip.mp4
  vdeploy volume put footage clip.mp4 raw/a.mp4    /raw/a.mp4
  vdeploy volume put footage clips                 /clips/...
  vdeploy volume put footage clips/                /...  (what is in clips, without the folder)
  vdeploy volume put footage clips raw             /raw/...
  vdeploy volume put footage 'clips/*.mp4' raw/    /raw/...  (quoted: the shell would take
                                                   the second match for REMOTE)
  ffmpeg ... | vdeploy volume put footage - raw/a.mp4")]
pub(crate) struct Args {
    /// The volume
    volume: String,
    /// A file, a folder, a pattern in quotes, or `-` for stdin
    local: PathBuf,
    /// Where it goes: with a slash at the end, the folder to put it into; without, its new name
    #[arg(default_value = "/")]
    remote: String,
    /// Replace files with other content
    #[arg(short, long)]
    force: bool,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let to = super::open(settings, &args.volume).await?;
    if args.local == Path::new("-") {
        return put_stdin(args, to, settings).await;
    }
    let name = args.volume.clone();
    let (from, pairs) = find_sources(&args)?;
    let names = Names { from: Place::Folder(from.path().into()), to: Place::Volume(name.clone()) };
    let index = super::volumes(settings).await?.index_path(&name);
    let from = Side::Folder(from);
    Job { verb: "put", from, to, pairs, overwrite: args.force, index, names }.run(settings).await
}

/// What LOCAL names, and where each of it goes.
fn find_sources(args: &Args) -> Result<(Tree, Vec<Pair>)> {
    let failed = |error: io::Error| cannot_read(&args.local).cause(error);
    match stat_path(&args.local).map_err(failed)? {
        Some(stat) if stat.kind == Kind::Folder => {
            let to = destination(args, base_name(&args.local)?)?;
            let tree = Tree::open(&args.local).map_err(failed)?;
            Ok((tree, vec![Pair { from: VolumePath::root(), to }]))
        }
        Some(stat) if stat.kind == Kind::Special => Err(cannot_read(&args.local)
            .cause(format!("it is {}", stat.kind))
            .hint(format!("pipe it in: `cat FILE | vdeploy volume put {} - NAME`", args.volume))),
        Some(_) => find_file(args),
        None => find_matches(args),
    }
}

fn find_file(args: &Args) -> Result<(Tree, Vec<Pair>)> {
    let to = destination(args, base_name(&args.local)?)?;
    if to.is_root() {
        return Err(CliError::usage("a file can't become the root of a volume"));
    }
    // The file behind a link is what is meant, under the name of the link.
    let file = args.local.canonicalize().map_err(|error| cannot_read(&args.local).cause(error))?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let from = parse_local(base_name(&file)?, &args.local)?;
    let tree = Tree::open(folder).map_err(|error| cannot_read(&args.local).cause(error))?;
    Ok((tree, vec![Pair { from, to }]))
}

fn find_matches(args: &Args) -> Result<(Tree, Vec<Pair>)> {
    let missing = || cannot_read(&args.local).cause("there is no such file or folder");
    let text = args.local.to_str().filter(|text| Pattern::is_pattern(text)).ok_or_else(missing)?;
    if !args.remote.ends_with('/') {
        return Err(CliError::usage(format!("`{}` may match many files", one_line(text)))
            .hint(format!("end REMOTE with a slash: `{}/`", args.remote)));
    }
    // Names before the first with a pattern in it are a folder to start from.
    let start = text.find(['*', '?', '[', '{']).unwrap_or_default();
    let (folder, pattern) = match text[..start].rfind('/') {
        Some(slash) => text.split_at(slash + 1),
        None => ("./", text),
    };
    let pattern = Pattern::parse(pattern).map_err(|error| {
        CliError::usage(format!("`{}` isn't a pattern", one_line(text))).cause(error)
    })?;
    let tree = Tree::open(Path::new(folder)).map_err(|_| missing())?;
    let matches = pattern.matches(&tree).map_err(|error| cannot_read(&args.local).cause(error))?;
    if matches.is_empty() {
        return Err(CliError::failed(format!("nothing matches `{}`", one_line(text))));
    }
    let pairs: Result<Vec<_>> = matches
        .into_iter()
        .map(|from| {
            let to = destination(args, from.name().unwrap_or_default())?;
            Ok(Pair { from, to })
        })
        .collect();
    Ok((tree, pairs?))
}

/// Modal's rule: REMOTE is the new name, unless it ends with a slash; then it is a folder.
fn destination(args: &Args, name: &str) -> Result<VolumePath> {
    let remote = super::parse_path(&args.volume, &args.remote)?;
    if !args.remote.ends_with('/') || name.is_empty() {
        return Ok(remote);
    }
    Ok(parse_local(name, &args.local)?.below(&remote))
}

/// The last name of LOCAL as typed: nothing for `clips/`, `.` and `..`, whose contents are meant.
fn base_name(local: &Path) -> Result<&str> {
    let text = local.to_str().ok_or_else(|| {
        cannot_read(local).cause("its name isn't UTF-8").hint("rename it, or pipe it in by `-`")
    })?;
    let name = text.rsplit('/').next().unwrap_or_default();
    Ok(if matches!(name, "." | "..") { "" } else { name })
}

fn parse_local(name: &str, local: &Path) -> Result<VolumePath> {
    VolumePath::parse(name).map_err(|error| cannot_read(local).cause(error))
}

fn cannot_read(local: &Path) -> CliError {
    CliError::failed(format!("can't read `{}`", one_line(&local.to_string_lossy())))
}

async fn put_stdin(args: Args, files: Side, settings: &Settings) -> Result<Exit> {
    let Args { volume, remote, force, .. } = args;
    let path = super::parse_path(&volume, &remote)?;
    if path.is_root() || remote.ends_with('/') {
        return Err(CliError::usage("what comes from stdin needs a name")
            .hint(format!("`vdeploy volume put {volume} - clips/name.mp4`")));
    }
    let printer = settings.printer;
    let (start, bar) = (Instant::now(), Arc::new(TransferBar::streaming(&printer)));
    let (shared, to) = (bar.clone(), path.clone());
    let cancel = CancellationToken::new();
    let (token, mut stdin) = (cancel.clone(), Stdin::until(&cancel)?);
    let result = match files {
        Side::Folder(tree) => {
            let put = move || {
                put_stream(&mut stdin, &tree, &to, force, &token, &|event| shared.show(event))
            };
            interruptible(&cancel, blocking(put)).await
        }
        Side::Bucket(folder) => {
            let events = Arc::new(move |event| shared.show(event));
            let put = put_bucket_stream(stdin, &folder, &to, force, &token, events);
            interruptible(&cancel, put).await
        }
    };
    bar.clear();
    let names = Names { from: Place::Folder("stdin".into()), to: Place::Volume(volume) };
    let bytes = result.map_err(|error| names.explain(error))?;
    if printer.json {
        printer.data_json(&serde_json::json!({ "files": 1, "bytes": bytes }))?;
    }
    let took = start.elapsed().as_secs_f64();
    printer.done(format!("put `{}`, {} in {took:.1} s", super::shown(&path), size(bytes)));
    Ok(Exit::Ok)
}
