//! What `put`, `get` and `cp` share: run a transfer, show how far it is, say what came of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use vdeploy_runtime::storage::transfer::{Event, Failed, Pair, Skipped, Summary, TransferError};
use vdeploy_runtime::storage::{Copying, Kind, Side, VolumePath};

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;
use crate::ui::transfer::{TransferBar, counted, summary_line};
use crate::ui::{Printer, one_line};

/// How many files a message names.
const NAMED: usize = 20;

/// A transfer to be run, and how to talk about it.
pub(super) struct Job {
    /// `put`, `got` or `copied`.
    pub(super) verb: &'static str,
    pub(super) from: Side,
    pub(super) to: Side,
    pub(super) pairs: Vec<Pair>,
    pub(super) overwrite: bool,
    pub(super) index: PathBuf,
    pub(super) names: Names,
}

/// What the paths of a transfer are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) from: Place,
    pub(super) to: Place,
}

/// Where a path is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In a volume.
    Volume(String),
    /// Below a folder of this machine.
    Folder(PathBuf),
}

impl Place {
    fn show(&self, path: &VolumePath) -> String {
        let text = match self {
            Place::Volume(_) => super::shown(path),
            Place::Folder(folder) if path.is_root() => folder.display().to_string(),
            Place::Folder(folder) => folder.join(path.as_str()).display().to_string(),
        };
        one_line(text.strip_prefix("./").unwrap_or(&text))
    }

    fn within(&self) -> String {
        match self {
            Place::Volume(name) => format!(" in volume `{name}`"),
            Place::Folder(_) => String::new(),
        }
    }
}

impl Job {
    /// Runs it. Ctrl-C stops it; what was copied so far is kept for the next time.
    pub(super) async fn run(self, settings: &Settings) -> Result<Exit> {
        let Job { verb, from, to, pairs, overwrite, index, names } = self;
        let printer = settings.printer;
        let (start, bar) = (Instant::now(), Arc::new(TransferBar::scanning(&printer)));
        let shared = bar.clone();
        let cancel = CancellationToken::new();
        let token = cancel.clone();
        let copying = Copying {
            pairs,
            overwrite,
            index: Some(index),
            cancel: token,
            events: Arc::new(move |event: Event| shared.show(event)),
        };
        let result = interruptible(&cancel, from.copy_to(to, copying)).await;
        bar.clear();
        let summary = result.map_err(|error| names.explain(error))?;
        if printer.json {
            printer.data_json(&summary)?;
        }
        names.tell_skipped(&printer, &summary.skipped);
        printer.done(summary_line(verb, &summary, start.elapsed()));
        names.check_failed(&summary)
    }
}

/// Waits for work that watches `cancel`, which Ctrl-C cancels, also until it has stopped.
pub(super) async fn interruptible<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, TransferError>>,
) -> Result<T, TransferError> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        finished = &mut work => finished,
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            work.await
        }
    }
}

/// Runs work that blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    let finished = tokio::task::spawn_blocking(work).await;
    // A panic of the work goes on here.
    finished.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

impl Names {
    pub(super) fn explain(&self, error: TransferError) -> CliError {
        match error {
            TransferError::Exists(paths) => self.exists(&paths),
            TransferError::Blocked { path, found } => self.blocked(&path, found),
            TransferError::Twice(path) => {
                CliError::usage(format!("two files would become `{}`", self.to.show(&path)))
                    .hint("name one of them, or a pattern that matches one of them")
            }
            TransferError::Source(Failed { path, why, .. }) => {
                CliError::failed(format!("can't read `{}`", self.from.show(&path))).cause(why)
            }
            TransferError::Destination(failed) => self.cannot_write(failed),
            TransferError::Cancelled => CliError::new(Exit::Interrupted, "interrupted")
                .hint("run the same command again to go on where this one stopped"),
        }
    }

    fn exists(&self, paths: &[VolumePath]) -> CliError {
        let place = self.to.within();
        let error = match paths {
            [path] => CliError::failed(format!(
                "`{}` already exists{place} with other content",
                self.to.show(path)
            )),
            paths => {
                let count = counted(paths.len() as u64, "file");
                let message = format!("{count} already exist{place} with other content");
                name_some(CliError::failed(message), paths.iter().map(|path| self.to.show(path)))
            }
        };
        error.hint("replace what is there with `--force`, or name another place")
    }

    fn blocked(&self, path: &VolumePath, found: Kind) -> CliError {
        let shown = self.to.show(path);
        let error = CliError::failed(format!("`{shown}`{} is {found}", self.to.within()));
        match found {
            Kind::Folder => error
                .cause("a file never replaces a folder")
                .hint(format!("end the name with a slash to put the file into it: `{shown}/`")),
            _ => error
                .cause("a folder never replaces anything else")
                .hint("name another place, or remove what is there first"),
        }
    }

    fn cannot_write(&self, Failed { path, why, kind }: Failed) -> CliError {
        use std::io::ErrorKind;

        let shown = self.to.show(&path);
        let error = CliError::failed(format!("can't write `{shown}`{}", self.to.within()));
        match kind {
            ErrorKind::ResourceBusy => error.cause("another transfer is writing it"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => error
                .cause(why)
                .hint("free some space and run the same command again; files that were done stay"),
            _ => error.cause(why),
        }
    }

    fn tell_skipped(&self, printer: &Printer, skipped: &[Skipped]) {
        for Skipped { path, kind } in skipped {
            printer.warning(format!("skipped `{}`: it is {kind}", self.from.show(path)));
        }
    }

    /// An error when anything couldn't be copied.
    fn check_failed(&self, summary: &Summary) -> Result<Exit> {
        let failed = &summary.failed;
        if failed.is_empty() {
            return Ok(Exit::Ok);
        }
        let count = counted(failed.len() as u64, "file");
        let lines = failed
            .iter()
            .map(|Failed { path, why, .. }| format!("`{}`: {why}", self.from.show(path)));
        Err(name_some(CliError::failed(format!("{count} couldn't be copied")), lines))
    }
}

/// Adds lines as causes, but not thousands of them.
fn name_some(error: CliError, lines: impl ExactSizeIterator<Item = String>) -> CliError {
    let more = lines.len().saturating_sub(NAMED);
    let error = lines.take(NAMED).fold(error, CliError::cause);
    if more > 0 { error.cause(format!("and {more} more")) } else { error }
}
