//! `vdeploy state list`.

use serde_json::json;

use crate::change;
use crate::error::{Exit, Result};
use crate::settings::Settings;

/// List the resources of an app
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The app; without it, the manifest's
    #[arg(long)]
    app: Option<String>,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let app = change::app_name(settings, args.app)?;
    let state = change::known_app(&mut change::store(settings).await?, &app).await?;
    let printer = &settings.printer;
    if printer.json {
        let ids: Vec<_> = state.records.keys().collect();
        let basis = &state.basis;
        printer.data_json(&json!({
            "app": app,
            "lineage": basis.lineage,
            "serial": basis.serial,
            "resources": ids,
        }))?;
        return Ok(Exit::Ok);
    }
    for id in state.records.keys() {
        printer.data(id.to_string())?;
    }
    Ok(Exit::Ok)
}
