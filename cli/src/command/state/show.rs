//! `vdeploy state show`.

use crate::change;
use crate::error::{CliError, Exit, Result, did_you_mean};
use crate::settings::Settings;

/// Print what is remembered of a resource, as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The resource, such as `function.transcode`
    id: String,
    /// The app; without it, the manifest's
    #[arg(long)]
    app: Option<String>,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let id = change::parse_id(&args.id)?;
    let app = change::app_name(settings, args.app)?;
    let state = change::known_app(&mut change::store(settings).await?, &app).await?;
    let record = state.records.get(&id).ok_or_else(|| {
        let known: Vec<_> = state.records.keys().map(ToString::to_string).collect();
        let error = CliError::failed(format!("app `{app}` has no resource `{id}`"));
        match did_you_mean(&args.id, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("list its resources: `vdeploy state list`"),
        }
    })?;
    settings.printer.data_json(record)?;
    Ok(Exit::Ok)
}
