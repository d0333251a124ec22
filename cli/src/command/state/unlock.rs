//! `vdeploy state unlock`.

use crate::change::{self, Site};
use crate::error::{Exit, Result};
use crate::settings::Settings;
use crate::store::LockError;

/// Say who has the environment's lock, and break it if told to
///
/// The lock of a process that died is free at once, on AWS for who comes from the same machine;
/// this is for one that hangs, or died elsewhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Break the lock; what its holder still tries to record is refused
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let printer = &settings.printer;
    let site = Site::open(settings).await?;
    let environment = &settings.environment;
    match site.keeps().try_lock(settings).await? {
        Ok(()) => printer.note(format!("environment `{environment}` isn't locked")),
        Err(LockError::Held { holder }) if args.force => {
            site.keeps().break_lock().await?;
            let who = holder.as_ref().map(change::holder_text);
            let who = who.unwrap_or_else(|| "an operation that didn't say who it is".into());
            printer.note(format!("broke the lock of {who}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Ok)
}
