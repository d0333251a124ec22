//! `vdeploy volume list`.

use std::io::IsTerminal;

use crate::error::{Exit, Result};
use crate::settings::Settings;
use crate::ui::table::Table;

/// List the volumes of the environment
///
/// A table on a terminal, bare names on a pipe.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: &Args, settings: &Settings) -> Result<Exit> {
    let records = super::volumes(settings).await?.list().await.map_err(super::explain)?;
    let printer = settings.printer;
    if printer.json {
        printer.data_json(&records)?;
        return Ok(Exit::Ok);
    }
    if records.is_empty() {
        printer.note(format!("no volumes in environment `{}`", settings.environment));
        printer.note("create one with `vdeploy volume create NAME`");
        return Ok(Exit::Ok);
    }
    if !std::io::stdout().is_terminal() {
        records.iter().try_for_each(|record| printer.data(&record.name))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["name", "created", "created by"]);
    for record in records {
        let created = record.created.map(|at| at.strftime("%F %R UTC").to_string());
        let created_by = record.created_by.map(|app| format!("app {app}"));
        table.row([record.name, created.unwrap_or_default(), created_by.unwrap_or_default()]);
    }
    printer.data(table.to_string().trim_end())?;
    Ok(Exit::Ok)
}
