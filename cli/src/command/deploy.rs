//! `vdeploy deploy`.

use std::path::{Path, PathBuf};

use crate::change::{self, Guard, Planned, Site};
use crate::error::{CliError, Exit, Result};
use crate::plan::{SavedPlan, SavedPlanError};
use crate::settings::Settings;
use crate::store::StateStore;

/// Make what the manifest describes, after showing the plan
///
/// What was interrupted or failed is taken up again by the same command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
    /// Apply a plan that `vdeploy plan --out` kept, without asking; refused if anything was
    /// deployed since
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    match args.plan {
        Some(path) => apply_saved(&path, settings).await,
        None => {
            let site = Site::open(settings).await?;
            let request = change::from_manifest(settings, &site)?;
            let deploy = async |guard: &mut Guard| {
                let planned = change::decide(settings, &site, request).await?;
                change::carry_out(settings, &site, guard, planned, args.yes).await
            };
            site.locked(settings, "deploy", deploy).await
        }
    }
}

async fn apply_saved(path: &Path, settings: &Settings) -> Result<Exit> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("can't read plan `{shown}`")).cause(error))?;
    let saved = SavedPlan::parse(&text).map_err(|error| refuse(path, &error))?;
    let settings = Settings {
        target: saved.plan.target.clone(),
        environment: saved.plan.environment.clone(),
        ..settings.clone()
    };
    let site = Site::open(&settings).await?;
    let apply = async |guard: &mut Guard| {
        let state = site.store().load(&saved.plan.app).await?;
        saved.check_basis(&state.basis).map_err(|error| refuse(path, &error))?;
        let contents = saved.contents();
        // Away from the project, a plan is applied with the images that are there.
        let images = crate::manifest::load(&settings)
            .and_then(|found| {
                let site = &site;
                change::images(&settings, site, &found.app, &found.root, &found.path)
            })
            .unwrap_or_default();
        let SavedPlan { plan, sources, .. } = saved;
        let planned = Planned { plan, sources, images, contents };
        change::carry_out(&settings, &site, guard, planned, true).await
    };
    site.locked(&settings, "deploy", apply).await
}

fn refuse(path: &Path, error: &SavedPlanError) -> CliError {
    let message = match error {
        SavedPlanError::Stale => format!("saved plan `{}` is stale", path.display()),
        _ => format!("can't apply plan `{}`", path.display()),
    };
    CliError::failed(message)
        .caused_by(error)
        .hint(format!("plan again: `vdeploy plan --out {}`", path.display()))
}
