//! A call that was made, here or elsewhere.

use std::sync::Arc;

use futures::Stream;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::function::to_result;
use super::{Client, ClientError};
use crate::dispatch::What;
use crate::dispatch::local::CallRecord;
use crate::wire::{CallId, Outcome, Progress};

/// A recorded call. Dropping it changes nothing. Cheap to clone.
///
/// ```no_run
/// use futures::StreamExt;
/// use serde_json::{Value, json};
/// use vdeploy_runtime::client::{Call, ClientError, Function};
///
/// # async fn run() -> Result<(), ClientError> {
/// let transcode = Function::from_name("reel-studio", "transcode");
/// let call = transcode.spawn(json!({ "input": "a.mov", "output": "a.mp4" })).await?;
/// println!("{}", call.id());
///
/// // Later, here or in another process:
/// let call = Call::from_id(call.id().to_string());
/// let mut progress = std::pin::pin!(call.progress());
/// while let Some(progress) = progress.next().await {
///     println!("{:?} frames", progress?.frames);
/// }
/// let result: Value = call.wait().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Call {
    id: CallId,
    client: Arc<OnceCell<Client>>,
}

impl Call {
    /// The call of that id, where the variables or the profile of this process say. Nothing is
    /// looked up yet.
    pub fn from_id(id: impl Into<String>) -> Self {
        Call { id: CallId(id.into()), client: Arc::default() }
    }

    /// The call of that id, where `client` looks.
    pub fn of(client: &Client, id: CallId) -> Self {
        Call { id, client: Arc::new(OnceCell::new_with(Some(client.clone()))) }
    }

    /// Its id.
    pub fn id(&self) -> &CallId {
        &self.id
    }

    /// Waits for its result. Dropped before that, the call goes on.
    pub async fn wait<R: DeserializeOwned>(&self) -> Result<R, ClientError> {
        to_result(&self.id, &self.id.0, self.outcome().await?)
    }

    /// Waits for its outcome: also where its files are, and failures as what they are.
    pub async fn outcome(&self) -> Result<Outcome, ClientError> {
        self.client().await?.wait(&self.id).await
    }

    /// How far it is, from now on until it has ended.
    pub fn progress(&self) -> impl Stream<Item = Result<Progress, ClientError>> + Send + 'static {
        let call = self.clone();
        futures::stream::unfold(State::New(call), |state| async move {
            let mut events = match state {
                State::New(call) => match call.client().await {
                    Ok(client) => client.events(&call.id),
                    Err(error) => return Some((Err(error), State::Over)),
                },
                State::Following(events) => events,
                State::Over => return None,
            };
            loop {
                match events.next().await {
                    Ok(What::Progress { progress }) => {
                        return Some((Ok(progress), State::Following(events)));
                    }
                    Ok(What::Ended { .. }) => return None,
                    Ok(_) => {}
                    Err(error) => return Some((Err(error), State::Over)),
                }
            }
        })
    }

    /// Asks for it to be cancelled; `false` when it had ended.
    pub async fn cancel(&self) -> Result<bool, ClientError> {
        self.client().await?.cancel(&self.id).await
    }

    /// All that is recorded of it.
    pub async fn record(&self) -> Result<CallRecord, ClientError> {
        self.client().await?.record(&self.id).await
    }

    async fn client(&self) -> Result<&Client, ClientError> {
        self.client.get_or_try_init(async || Client::from_env().await).await
    }
}

/// Where a stream of progress is.
enum State {
    New(Call),
    Following(super::CallEvents),
    Over,
}
