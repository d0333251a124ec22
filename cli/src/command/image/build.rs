//! `vdeploy image build`.

use futures::StreamExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::change;
use crate::error::{CliError, Exit, Result};
use crate::image::Job;
use crate::interrupt::Interrupts;
use crate::settings::Settings;

/// Builds at the same time.
const AT_ONCE: usize = 4;

/// Build images of the manifest, as a deploy would
///
/// Prints what each is called in the engine. What is unchanged is not built again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Images to build [default: all of the manifest]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    for name in &args.names {
        super::find(settings, name)?;
    }
    super::docker(settings).await?;
    let images = super::images(settings)?;
    let wanted = |job: &&Job| args.names.is_empty() || args.names.contains(&job.name);
    let stop = CancellationToken::new();
    let builder = change::builder(settings, &images, &stop);
    let mut interrupts = Interrupts::listen()?;
    let stopping = stop.clone();
    tokio::spawn(async move {
        interrupts.pressed().await;
        stopping.cancel();
    });
    let builds = images.jobs.iter().filter(wanted).map(|job| {
        let builder = &builder;
        async move { (job, builder.build(&job.name, &job.reference).await) }
    });
    let mut ends = futures::stream::iter(builds).buffered(AT_ONCE);
    let mut failed = None;
    while let Some((job, end)) = ends.next().await {
        match end {
            Ok(()) if settings.printer.json => settings
                .printer
                .data_json(&json!({ "image": job.name, "reference": job.reference }))?,
            Ok(()) => settings.printer.data(&job.reference)?,
            Err(_) if stop.is_cancelled() => {
                let message = "interrupted; nothing was tagged";
                return Err(CliError::new(Exit::Interrupted, message));
            }
            Err(failure) => {
                failed.get_or_insert(super::not_built(&job.name, failure));
            }
        }
    }
    failed.map_or(Ok(Exit::Ok), Err)
}
