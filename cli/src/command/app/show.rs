//! `vdeploy app show`.

use serde_json::json;

use crate::change;
use crate::error::{Exit, Result};
use crate::resource::attributes;
use crate::settings::Settings;
use crate::state::{Record, State, Status};

/// Show what an app consists of
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
        let resources: Vec<_> = state.records.values().collect();
        let version = state.current();
        printer.data_json(&json!({ "app": app, "version": version, "resources": resources }))?;
    } else {
        printer.data(text(&app, &state))?;
    }
    Ok(Exit::Ok)
}

fn text(app: &str, state: &State) -> String {
    let version = match state.current() {
        Some(version) => format!("version {}, deployed {:.0}", version.number, version.deployed_at),
        None => "not completely deployed".into(),
    };
    let records = state.records.iter().map(|(id, record)| format!("{id}{}", record_text(record)));
    std::iter::once(format!("{app}: {version}")).chain(records).collect::<Vec<_>>().join("\n")
}

fn record_text(record: &Record) -> String {
    let begun = if record.status == Status::Creating { " (creation was interrupted)" } else { "" };
    let settings: String = attributes(&record.resource)
        .into_iter()
        .map(|attribute| format!("\n  {} = {}", attribute.name, attribute.value))
        .collect();
    format!("{begun}{settings}")
}
