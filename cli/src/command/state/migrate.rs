//! `vdeploy state migrate`.

use clap::ValueEnum;
use serde_json::json;

use crate::change::{self, Guard, Keeps, Site, Store};
use crate::error::{CliError, Exit, Result};
use crate::manifest::StatePlace;
use crate::settings::Settings;
use crate::store::{StateStore, StoreError};

/// Bring the state of target `aws` from its bucket to this machine, or back
///
/// All apps of the environment go, with their versions. Both places are locked meanwhile; a place that
/// holds something newer, or of another deployment, is left as it is, and so is the other. Afterwards,
/// `state` in `[target.aws]` has to say where it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to
    #[arg(long, value_enum)]
    to: Place,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

/// Where a state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Place {
    /// The account's bucket
    Bucket,
    /// This machine
    Local,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let site = match Site::open(settings).await? {
        Site::Aws(site) => site,
        Site::Local(_) => {
            let error = CliError::usage("the state of target `local` stays on this machine");
            return Err(error.hint("name the other target: `vdeploy state migrate --target aws`"));
        }
    };
    let place = |place| Keeps::of_aws(place, &site.session, settings);
    let (here, bucket) = (place(StatePlace::Local), place(StatePlace::Bucket));
    site.session.require_bucket().await?;
    let (from, to) = match args.to {
        Place::Bucket => (here, bucket),
        Place::Local => (bucket, here),
    };
    let first = from.lock(&change::holder(settings, "state migrate")).await?;
    let moved = in_both(args, settings, &from, &to).await;
    first.release().await?;
    let moved = moved?;
    say(args, settings, &moved)
}

/// Takes the other lock too, and moves what there is.
async fn in_both(
    args: &Args,
    settings: &Settings,
    from: &Keeps,
    to: &Keeps,
) -> Result<Vec<String>> {
    let second: Guard = to.lock(&change::holder(settings, "state migrate")).await?;
    let moved = move_all(args, settings, from.store(), to.store()).await;
    second.release().await?;
    moved
}

/// Copies every app, and forgets them where they were once all have arrived.
async fn move_all(
    args: &Args,
    settings: &Settings,
    mut from: Store,
    mut to: Store,
) -> Result<Vec<String>> {
    let mut apps = Vec::new();
    for app in from.names().await? {
        if let Some(archive) = from.export(&app).await? {
            apps.push((app, archive));
        }
    }
    let question = format!("Move the state of {} apps?", apps.len());
    if !apps.is_empty()
        && !args.yes
        && !settings.printer.confirm(&question, settings.interactive)?
    {
        return Err(CliError::failed("nothing was moved"));
    }
    for (app, archive) in &apps {
        to.import(app, archive).await.map_err(explain)?;
        if to.export(app).await?.as_ref() != Some(archive) {
            return Err(CliError::failed(format!("the state of `{app}` didn't arrive as it was")));
        }
    }
    settings.failpoint.hit("state-copied");
    for (app, _) in &apps {
        from.forget(app).await?;
    }
    Ok(apps.into_iter().map(|(app, _)| app).collect())
}

fn explain(error: StoreError) -> CliError {
    let hint = match &error {
        StoreError::Newer { .. } => "what is newer is in use already: nothing has to be moved",
        StoreError::OtherHistory(_) => "destroy the app there, or move it away from there, first",
        _ => return error.into(),
    };
    CliError::from(error).hint(hint)
}

fn say(args: &Args, settings: &Settings, moved: &[String]) -> Result<Exit> {
    let printer = settings.printer;
    let place = match args.to {
        Place::Bucket => "bucket",
        Place::Local => "local",
    };
    if printer.json {
        printer.data_json(&json!({ "moved": moved, "to": place }))?;
    } else {
        moved.iter().try_for_each(|app| printer.data(app))?;
    }
    if moved.is_empty() {
        printer.note("there was no state to move");
    }
    printer.note(format!("write `state = \"{place}\"` in `[target.aws]` of their manifests"));
    Ok(Exit::Ok)
}
