//! `vdeploy init`.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::error::{CliError, Exit, Result, did_you_mean};
use crate::manifest::nearest_name;
use crate::scaffold::{self, Rendered, TEMPLATES, Template};
use crate::settings::Settings;

/// Start a project: write a manifest and what belongs to it
///
/// Nothing that exists is overwritten. Templates: `vdeploy init --list`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to start from
    #[arg(default_value = "video")]
    template: String,
    /// The folder to write to; made when missing
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// List the templates
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: Args, settings: &Settings) -> Result<Exit> {
    if args.list {
        return list(settings);
    }
    let template = find(&args.template)?;
    let name = app_name(&args.dir);
    let files = scaffold::render(template, &name);
    refuse_existing(&args.dir, &files)?;
    write_all(&args.dir, &files)?;
    report(&args.dir, &name, &files, settings)
}

fn list(settings: &Settings) -> Result<Exit> {
    let printer = &settings.printer;
    if printer.json {
        let one = |t: &Template| json!({ "name": t.name, "about": t.about });
        printer.data_json(&TEMPLATES.iter().map(one).collect::<Vec<_>>())?;
    } else {
        for template in TEMPLATES {
            printer.data(format!("{:<16}{}", template.name, template.about))?;
        }
    }
    Ok(Exit::Ok)
}

fn find(name: &str) -> Result<&'static Template> {
    scaffold::find(name).ok_or_else(|| {
        let error = CliError::usage(format!("no template is named `{name}`"));
        match did_you_mean(name, TEMPLATES.iter().map(|template| template.name)) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error
                .hint(format!("to start in a folder of that name: `vdeploy init video {name}`"))
                .hint("see the templates: `vdeploy init --list`"),
        }
    })
}

/// The folder's name as an app's.
fn app_name(dir: &Path) -> String {
    let folder = std::path::absolute(dir).ok();
    let name = folder.as_deref().and_then(Path::file_name).unwrap_or_default();
    nearest_name(&name.to_string_lossy()).unwrap_or_else(|| "my-app".into())
}

fn refuse_existing(dir: &Path, files: &[Rendered]) -> Result<()> {
    let paths = files.iter().map(|file| dir.join(&file.path));
    let taken: Vec<String> = paths
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| format!("`{}`", clean(&path)))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    let verb = if taken.len() == 1 { "exists" } else { "exist" };
    Err(CliError::usage(format!("{} already {verb}", taken.join(", ")))
        .hint("nothing was written; name another folder: `vdeploy init TEMPLATE DIR`"))
}

/// Writes all files, or none: a failure takes back what was written.
fn write_all(dir: &Path, files: &[Rendered]) -> Result<()> {
    let mut written: Vec<PathBuf> = Vec::new();
    for file in files {
        let path = dir.join(&file.path);
        if let Err(error) = write_new(&path, &file.text) {
            // What can't be removed is in the error's folder for everybody to see.
            written.iter().for_each(|path| drop(std::fs::remove_file(path)));
            return Err(cannot_write(&path, &error));
        }
        written.push(path);
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(text.as_bytes()).inspect_err(|_| drop(std::fs::remove_file(path)))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CliError {
    let failed = CliError::failed(format!("can't write `{}`", clean(path))).cause(error);
    match error.kind() {
        ErrorKind::PermissionDenied => failed.hint("name a folder that you may write to"),
        ErrorKind::NotADirectory => failed.hint("name a folder, not a file"),
        _ => failed,
    }
}

fn report(dir: &Path, name: &str, files: &[Rendered], settings: &Settings) -> Result<Exit> {
    let paths: Vec<String> = files.iter().map(|file| clean(&dir.join(&file.path))).collect();
    let printer = &settings.printer;
    if printer.json {
        printer.data_json(&json!({ "app": name, "files": paths }))?;
        return Ok(Exit::Ok);
    }
    for path in paths {
        printer.note(format!("created {path}"));
    }
    let quote = if dir.to_string_lossy().contains([' ', '\t']) { "'" } else { "" };
    match dir.to_string_lossy().as_ref() {
        "." => printer.note("next: `vdeploy plan`"),
        dir => printer.note(format!("next: `cd {quote}{dir}{quote}`, then `vdeploy plan`")),
    }
    Ok(Exit::Ok)
}

/// A path without the `./` that the default folder brings.
fn clean(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}
