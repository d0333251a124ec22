//! `vdeploy app rollback`.

use crate::change::{self, Guard, Images, Request, Site};
use crate::error::{CliError, Exit, Result};
use crate::plan::Goal;
use crate::settings::Settings;
use crate::state::State;
use crate::store::StateStore;

/// Make an app what it was at an earlier version
///
/// The code of that version comes back too. The manifest stays as it is: the next `vdeploy deploy`
/// goes by it again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The version; without it, the one before the present one
    #[arg(id = "VERSION")]
    version: Option<u64>,
    /// The app; without it, the manifest's
    #[arg(long)]
    app: Option<String>,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    let app = change::app_name(settings, args.app)?;
    let site = Site::open(settings).await?;
    let rollback = async |guard: &mut Guard| {
        let request = request(&site, app, args.version).await?;
        let planned = change::decide(settings, &site, request).await?;
        change::carry_out(settings, &site, guard, planned, args.yes).await
    };
    site.locked(settings, "rollback", rollback).await
}

async fn request(site: &Site, app: String, version: Option<u64>) -> Result<Request> {
    let mut store = site.store();
    let state = change::known_app(&mut store, &app).await?;
    let version = version.or_else(|| previous(&state)).ok_or_else(|| {
        CliError::failed(format!("app `{app}` has no earlier version to go back to"))
    })?;
    let resources = store.version(&app, version).await?.ok_or_else(|| unknown(&app, version))?;
    Ok(Request {
        app,
        goal: Goal::Rollback(version),
        wanted: resources.into_iter().map(|resource| (resource.id(), resource)).collect(),
        sources: Vec::new(),
        images: Images::default(),
        notes: Vec::new(),
        sweep: false,
    })
}

fn previous(state: &State) -> Option<u64> {
    state.versions.iter().rev().nth(1).map(|version| version.number)
}

fn unknown(app: &str, version: u64) -> CliError {
    CliError::failed(format!("app `{app}` has no version `{version}` that could be gone back to"))
        .hint(format!("list the versions: `vdeploy app history {app}`"))
}
