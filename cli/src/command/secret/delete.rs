//! `vdeploy secret delete`.

use crate::change;
use crate::error::{CliError, Exit, Result};
use crate::resource::{Kind, ResourceId};
use crate::settings::Settings;
use crate::store::StateStore;

/// Delete a secret
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name in the environment
    name: String,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let Args { name, yes } = args;
    let store = super::secrets(settings).await?;
    if !store.exists(name).await? {
        return store.delete(name).await.map(|()| Exit::Ok);
    }
    let users = change::store(settings).await?.users(&ResourceId::new(Kind::Secret, name)).await?;
    let used = match users.as_slice() {
        [] => String::new(),
        users => format!("; used by {}", users.join(", ")),
    };
    let question = format!("Delete secret `{name}` of `{}`{used}?", settings.environment);
    if !yes && !settings.printer.confirm(&question, settings.interactive)? {
        return Err(CliError::failed(format!("secret `{name}` was not deleted")));
    }
    store.delete(name).await?;
    settings.printer.note(format!("deleted secret `{name}`"));
    Ok(Exit::Ok)
}
