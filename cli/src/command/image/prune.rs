//! `vdeploy image prune`.

use serde_json::json;

use crate::change::Site;
use crate::error::{CliError, Exit, Result};
use crate::image;
use crate::settings::Settings;

/// Remove images that vdeploy has built and no deployed function runs in
///
/// A rollback to a version that ran in one of them builds it again, from the project as it was. On
/// target `aws` functions run in what was pushed, so that none of those built for it is needed here.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let docker = super::docker(settings).await?;
    let home = match Site::open(settings).await? {
        Site::Local(_) => settings.home.root().display().to_string(),
        Site::Aws(site) => site.session.bucket,
    };
    let images = image::list(&docker).await.map_err(super::engine_failed)?;
    let unused = |image: &image::BuiltImage| {
        image.home == home && super::ls::users(settings, image).is_empty()
    };
    let unused: Vec<_> = images.into_iter().filter(unused).collect();
    let printer = settings.printer;
    if unused.is_empty() {
        printer.note("every image that was built is used");
    } else {
        let question = format!("Remove {} images that nothing uses?", unused.len());
        if !args.yes && !printer.confirm(&question, settings.interactive)? {
            return Err(CliError::failed("nothing was removed"));
        }
    }
    for image in &unused {
        image::remove(&docker, &image.reference).await.map_err(super::engine_failed)?;
        if !printer.json {
            printer.data(&image.reference)?;
        }
    }
    if printer.json {
        let removed: Vec<_> = unused.iter().map(|image| &image.reference).collect();
        printer.data_json(&json!({ "removed": removed }))?;
    }
    Ok(Exit::Ok)
}
