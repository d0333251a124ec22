//! `vdeploy secret list`.

use crate::error::{Exit, Result};
use crate::settings::Settings;
use crate::ui::table::Table;

/// List secrets and their keys, never their values
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, settings: &Settings) -> Result<Exit> {
    let secrets = super::secrets(settings).await?.list().await?;
    let printer = &settings.printer;
    if printer.json {
        printer.data_json(&secrets)?;
        return Ok(Exit::Ok);
    }
    if secrets.is_empty() {
        printer.note(format!("environment `{}` has no secrets", settings.environment));
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["secret", "keys", "created", "updated"]);
    for secret in secrets {
        let (created, updated) = (secret.created_at, secret.updated_at);
        let (created, updated) = (format!("{created:.0}"), format!("{updated:.0}"));
        table.row([secret.name, secret.keys.join(", "), created, updated]);
    }
    printer.data(table.to_string().trim_end())?;
    Ok(Exit::Ok)
}
