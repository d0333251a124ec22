//! One call: how it is made, and what is waited for.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Calls, Children};
use crate::dispatch::What;
use crate::function::{Resources, Retries};
use crate::wire::{CallId, Failure, FailureKind};
use crate::worker::frame::{ChildSettings, Routine};

/// What is to be called, and how; made by [`crate::Context::function`] and
/// [`crate::Context::handler`].
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) calls: Calls,
    pub(super) cancel: CancellationToken,
    pub(super) routine: Routine,
    pub(super) settings: ChildSettings,
}

impl Call {
    pub(crate) fn new(calls: Calls, cancel: CancellationToken, routine: Routine) -> Self {
        Call { calls, cancel, routine, settings: ChildSettings::default() }
    }

    /// Retries in place of those that the function declares.
    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.settings.retries = Some(retries);
        self
    }

    /// A time limit for each attempt, in place of the function's.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout_seconds = Some(timeout.as_secs_f64());
        self
    }

    /// What each call claims, in place of what the function declares.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.settings.resources = Some(resources);
        self
    }

    /// Outputs that exist may be replaced.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.settings.overwrite = overwrite;
        self
    }

    /// Calls that succeeded in an earlier attempt of this handler, under the same `name` and with
    /// the same arguments at the same place, are not made again: their outcome comes at once.
    ///
    /// Each `name` is for one map of the handler. What such calls made must outlive the attempt:
    /// artifacts and volumes do, the scratch folder of the handler doesn't.
    #[must_use]
    pub fn resume(mut self, name: impl Into<String>) -> Self {
        self.settings.resume = Some(name.into());
        self
    }

    /// Files that the calls make without a place of their own are brought to where this handler runs, if
    /// they ran elsewhere, and named there in results; they are there until the attempt ends. On one
    /// machine they are there anyway.
    #[must_use]
    pub fn bring_files(mut self) -> Self {
        self.settings.files = true;
        self
    }

    /// Calls it and waits for its result. Dropped before that, the call is cancelled.
    pub fn call<R: DeserializeOwned + Send>(
        self,
        args: impl Serialize,
    ) -> impl Future<Output = Result<R, Failure>> + Send {
        self.one(args).only_result()
    }

    /// Calls it and waits until that is recorded. The call goes on while this handler does other
    /// things, and is cancelled when this handler ends before it.
    pub fn spawn(
        self,
        args: impl Serialize,
    ) -> impl Future<Output = Result<Child, Failure>> + Send {
        let mut children = self.one(args);
        async move {
            children.submit()?;
            children.accepted().await?;
            children.keep = true;
            let id = children.open.keys().next().cloned();
            let id = id.or_else(|| children.ready.front().map(|event| event.call.clone()));
            match id {
                Some(id) => Ok(Child { id, children }),
                None => Err(Failure::new(FailureKind::Handler, "the call was not recorded")),
            }
        }
    }

    /// Calls it once for each input. Inputs are taken as there is room for them; nothing is
    /// called before the first [`Children::next`].
    pub fn map<I>(self, inputs: I) -> Children
    where
        I: IntoIterator<Item: Serialize + 'static>,
        I::IntoIter: Send + 'static,
    {
        self.map_values(inputs.into_iter().map(serde_json::to_value))
    }

    fn one(self, args: impl Serialize) -> Children {
        self.map_values(std::iter::once(serde_json::to_value(args)))
    }

    fn map_values<I>(self, inputs: I) -> Children
    where
        I: Iterator<Item = serde_json::Result<Value>> + Send + 'static,
    {
        Children::new(self, inputs)
    }
}

/// A call that was made and not waited for yet. Dropped, it goes on until this handler ends.
#[derive(Debug)]
pub struct Child {
    id: CallId,
    children: Children,
}

impl Child {
    /// Its id.
    pub fn id(&self) -> &CallId {
        &self.id
    }

    /// What happens to it next; none after its end. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<What>, Failure> {
        Ok(self.children.next().await?.map(|event| event.what))
    }

    /// Waits for its result.
    pub async fn wait<R: DeserializeOwned + Send>(self) -> Result<R, Failure> {
        self.children.only_result().await
    }

    /// Asks for it to be cancelled.
    pub fn cancel(&mut self) {
        self.children.cancel();
    }
}
