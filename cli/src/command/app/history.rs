//! `vdeploy app history`.

use crate::change;
use crate::error::{Exit, Result};
use crate::settings::Settings;
use crate::ui::table::Table;

/// List the versions of an app that can be gone back to
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The app; without it, the manifest's
    app: Option<String>,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let app = change::app_name(settings, args.app)?;
    let state = change::known_app(&mut change::store(settings).await?, &app).await?;
    let printer = &settings.printer;
    if printer.json {
        printer.data_json(&state.versions)?;
        return Ok(Exit::Ok);
    }
    if state.versions.is_empty() {
        printer.note(format!("app `{app}` has no version to go back to"));
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["version", "deployed", "added", "changed", "destroyed", "about"]);
    for version in state.versions.iter().rev() {
        let summary = &version.summary;
        let about = version.rollback_to.map(|to| format!("rollback to {to}"));
        table.row([
            version.number.to_string(),
            format!("{:.0}", version.deployed_at),
            summary.add.to_string(),
            summary.change.to_string(),
            summary.destroy.to_string(),
            about.unwrap_or_default(),
        ]);
    }
    printer.data(table.to_string().trim_end())?;
    Ok(Exit::Ok)
}
