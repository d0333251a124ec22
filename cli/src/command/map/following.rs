//! What happens to a map, shown and printed, and how it is stopped.

use serde_json::{Value, json};
use vdeploy_runtime::client::{Client, Map, MapEvent, MapItem};
use vdeploy_runtime::dispatch::local::{CallFilter, CallState};
use vdeploy_runtime::wire::Outcome;

use super::{Args, files};
use crate::error::Result;
use crate::interrupt::Interrupts;
use crate::settings::Settings;
use crate::ui::map::MapView;

/// Why a map does not do all that it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A call failed.
    Failed,
    /// Ctrl-C.
    Interrupted,
    /// Who read the results is gone.
    Unread,
}

/// How a map ended.
pub(super) struct Ended {
    pub(super) failed: u64,
    pub(super) stopped: Option<Stop>,
}

/// Shows and prints what happens to a map.
pub(super) struct Following<'c, I> {
    client: &'c Client,
    map: Map<I>,
    sent: files::Sent,
    view: MapView,
    args: &'c Args,
    settings: &'c Settings,
    failed: u64,
    stopped: Option<Stop>,
    interrupts: Interrupts,
    presses: u32,
}

impl<'c, I: Iterator<Item = Value>> Following<'c, I> {
    pub(super) fn new(
        client: &'c Client,
        map: Map<I>,
        (total, sent): (u64, files::Sent),
        args: &'c Args,
        settings: &'c Settings,
    ) -> Result<Self> {
        let interrupts = Interrupts::listen()?;
        let view = MapView::new(settings.printer, total);
        let (failed, stopped, presses) = (0, None, 0);
        Ok(Following {
            client,
            map,
            sent,
            view,
            args,
            settings,
            failed,
            stopped,
            interrupts,
            presses,
        })
    }

    /// Goes on until all calls have ended.
    pub(super) async fn follow(mut self) -> Result<Ended> {
        self.view.note(&format!("map {}", self.map.id()));
        while self.presses < 3 {
            tokio::select! {
                event = self.map.next() => match event {
                    None => break,
                    Some(Ok(MapEvent::Call(index, event))) => self.view.call(index, &event),
                    Some(Ok(MapEvent::Item(mut item))) => {
                        if let Some(sent) = self.sent.remove(&item.index) {
                            self.client.fetch_files(sent, &mut item.outcome).await?;
                        }
                        self.item(&item).await?;
                    }
                    Some(Err(error)) => return Err(error.into()),
                },
                () = self.interrupts.pressed() => self.interrupted().await?,
            }
        }
        self.view.finish();
        if self.stopped.is_some() {
            self.settings.printer.note(format!("to go on: add `--map-id {}`", self.map.id()));
        }
        Ok(Ended { failed: self.failed, stopped: self.stopped })
    }

    async fn item(&mut self, item: &MapItem) -> Result<()> {
        self.view.ended(item);
        if self.stopped.is_some() && item.outcome == Outcome::Cancelled {
            return Ok(());
        }
        if !matches!(item.outcome, Outcome::Succeeded { .. }) {
            self.failed += 1;
            if !self.args.keep_going {
                self.stop(Stop::Failed).await?;
            }
        }
        let is_read = self.args.for_each || print(self.map.id(), item, self.settings)?;
        if is_read { Ok(()) } else { self.stop(Stop::Unread).await }
    }

    /// The first Ctrl-C asks what runs to stop; by the second its workers are ended.
    async fn interrupted(&mut self) -> Result<()> {
        self.presses += 1;
        if self.presses == 1 {
            self.view.note("cancelling; press Ctrl-C again to end it at once");
            return self.stop(Stop::Interrupted).await;
        }
        let (map, states) = (Some(self.map.id().to_owned()), vec![CallState::Running]);
        let running = CallFilter { map, states, ..CallFilter::default() };
        crate::command::call::end_workers(&self.client.dispatcher().calls(running).await?);
        Ok(())
    }

    /// Cancels what hasn't ended. Ctrl-C is the one reason that takes the place of another.
    async fn stop(&mut self, why: Stop) -> Result<()> {
        let first = self.stopped.is_none();
        if first || why == Stop::Interrupted {
            self.stopped = Some(why);
        }
        if first {
            self.map.cancel().await?;
        }
        Ok(())
    }
}

/// Prints a result as a line; `false` when nobody reads it any more.
fn print(map: &str, item: &MapItem, settings: &Settings) -> Result<bool> {
    let mut line = json!({ "map": map, "index": item.index, "call": item.call });
    match &item.outcome {
        Outcome::Succeeded { result, cached_from, .. } => {
            line["status"] = json!("succeeded");
            line["result"] = result.clone();
            if let Some(call) = cached_from {
                line["cached_from"] = json!(call);
            }
        }
        Outcome::Failed { failure } => {
            line["status"] = json!("failed");
            line["error"] = json!(failure);
        }
        Outcome::Cancelled => line["status"] = json!("cancelled"),
    }
    Ok(settings.printer.line(line.to_string())?)
}
