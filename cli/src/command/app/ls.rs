//! `vdeploy app ls`.

use crate::change;
use crate::error::{Exit, Result};
use crate::settings::Settings;
use crate::store::StateStore;
use crate::ui::table::Table;

/// List the apps of the environment
#[derive(Debug, clap::Args)]
#[command(visible_alias = "list")]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, settings: &Settings) -> Result<Exit> {
    let apps = change::store(settings).await?.apps().await?;
    let printer = &settings.printer;
    if printer.json {
        printer.data_json(&apps)?;
        return Ok(Exit::Ok);
    }
    if apps.is_empty() {
        printer.note(format!("no app is deployed in environment `{}`", settings.environment));
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["app", "version", "functions", "deployed"]);
    for app in apps {
        let deployed = app.deployed_at.map_or("in part".into(), |at| format!("{at:.0}"));
        table.row([app.app, app.version.to_string(), app.functions.to_string(), deployed]);
    }
    printer.data(table.to_string().trim_end())?;
    Ok(Exit::Ok)
}
