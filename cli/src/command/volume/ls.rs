//! `vdeploy volume ls`.

use std::io::IsTerminal;

use jiff::Timestamp;
use serde::Serialize;
use vdeploy_runtime::storage::{Kind, Side, Stat, VolumePath};

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;
use crate::ui::one_line;
use crate::ui::table::Table;
use crate::ui::transfer::size;

/// List the files in a volume
///
/// A table on a terminal; on a pipe, bare paths, one per line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The volume
    volume: String,
    /// A folder or a file
    #[arg(default_value = "/")]
    path: String,
    /// List what is in folders too
    #[arg(short, long)]
    recursive: bool,
    /// Show the table on a pipe too
    #[arg(short, long)]
    long: bool,
}

#[derive(Serialize)]
struct Row {
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    modified: Option<Timestamp>,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let files = super::open(settings, &args.volume).await?;
    let path = super::parse_path(&args.volume, &args.path)?;
    let failed = |error: std::io::Error| {
        CliError::failed(format!("can't list `{}`", super::shown(&path))).cause(error)
    };
    let Some(stat) = files.find(&path).await.map_err(failed)? else {
        return Err(super::nothing_at(&args.volume, &files, &path).await);
    };
    let mut rows = Vec::new();
    if stat.kind == Kind::Folder {
        collect(&files, &path, args.recursive, &mut rows).await.map_err(failed)?;
    } else {
        rows.push(row(path.to_string(), &stat));
    }
    print(&rows, args.long, settings)?;
    Ok(Exit::Ok)
}

async fn collect(
    files: &Side,
    folder: &VolumePath,
    recursive: bool,
    rows: &mut Vec<Row>,
) -> std::io::Result<()> {
    for entry in files.list(folder).await? {
        let path = folder.join(&entry.name.to_string_lossy());
        rows.push(row(path.to_string(), &entry.stat));
        if recursive && entry.stat.kind == Kind::Folder && entry.name.to_str().is_some() {
            Box::pin(collect(files, &path, recursive, rows)).await?;
        }
    }
    Ok(())
}

fn row(path: String, stat: &Stat) -> Row {
    let kind = match stat.kind {
        Kind::File => "file",
        Kind::Folder => "dir",
        Kind::Link => "link",
        Kind::Special => "special",
    };
    let size = if stat.kind == Kind::File { stat.size } else { 0 };
    Row { path, kind, size, modified: Timestamp::from_nanosecond(stat.mtime).ok() }
}

fn print(rows: &[Row], long: bool, settings: &Settings) -> std::io::Result<()> {
    let printer = settings.printer;
    if printer.json {
        return printer.data_json(&rows);
    }
    if !long && !std::io::stdout().is_terminal() {
        return rows.iter().try_for_each(|row| printer.data(&row.path));
    }
    let mut table = Table::new(["filename", "type", "modified", "size"]);
    for row in rows {
        let modified = row.modified.map(|at| at.strftime("%F %R UTC").to_string());
        let bytes = if row.kind == "file" { size(row.size) } else { String::new() };
        let modified = modified.unwrap_or_default();
        table.row([one_line(&row.path), row.kind.into(), modified, bytes]);
    }
    printer.data(table.to_string().trim_end())
}
