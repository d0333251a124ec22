//! `vdeploy plan`.

use std::path::{Path, PathBuf};

use crate::change::{self, Site};
use crate::error::{CliError, Exit, Result};
use crate::plan::SavedPlan;
use crate::settings::Settings;
use crate::ui;

/// Show what `vdeploy deploy` would change
///
/// Compares the manifest with what was deployed and with what is there now. Changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Plan to remove the app
    #[arg(long)]
    destroy: bool,
    /// With --destroy: remove volumes of the app's with the files in them
    #[arg(long, requires = "destroy")]
    delete_data: bool,
    /// Keep the plan in a file, for `vdeploy deploy --plan FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 3 when there are changes, with 0 when there are none
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let site = Site::open(settings).await?;
    let request = if args.destroy {
        change::to_destroy(change::app_name(settings, None)?, args.delete_data, false)
    } else {
        change::from_manifest(settings, &site)?
    };
    let planned = change::decide(settings, &site, request).await?;
    let printer = &settings.printer;
    if printer.json {
        printer.data_json(&planned.plan)?;
    } else {
        printer.data(ui::plan::on_stdout(&planned.plan, printer))?;
    }
    let pending = !planned.plan.is_empty();
    if let Some(path) = &args.out {
        save(SavedPlan::new(planned.plan, planned.contents, planned.sources), path)?;
        printer.note(format!("apply exactly this with `vdeploy deploy --plan {}`", path.display()));
    }
    Ok(if pending && args.detailed_exitcode { Exit::ChangesPending } else { Exit::Ok })
}

/// Writes the plan beside its place first, so that a full disk leaves no half of one.
fn save(saved: SavedPlan, path: &Path) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        serde_json::to_writer(&mut file, &saved)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| {
        CliError::failed(format!("can't write the plan to `{}`", path.display())).cause(error)
    })
}
