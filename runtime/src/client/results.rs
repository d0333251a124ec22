//! The results of a map as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::function::{Arguments, to_result};
use super::{Client, ClientError, Function, Map, MapEvent, MapOptions};
use crate::dispatch::What;
use crate::dispatch::overall::{self, Overall};
use crate::wire::Progress;

type Inputs = Box<dyn Iterator<Item = serde_json::Result<Value>> + Send>;
type Observer = Box<dyn FnMut(&Progress) + Send>;
type Indexed<R> = Pin<Box<dyn Stream<Item = (u64, Result<R, ClientError>)> + Send>>;

/// A stream of the results of a map, in the order of inputs. A call that fails is an error in its
/// place, and the others go on; an input that is wrong is one after all results of those before it,
/// and ends the stream. Dropped before its end, the calls that have not ended are cancelled.
///
/// ```no_run
/// use futures::TryStreamExt;
/// use serde_json::{Value, json};
/// use vdeploy_runtime::client::{ClientError, Function};
///
/// # async fn run() -> Result<(), ClientError> {
/// let probe = Function::from_name("reel-studio", "probe");
/// let inputs = ["a.mov", "b.mov"].map(|input| json!({ "input": input }));
/// let probed: Vec<Value> = probe
///     .map(inputs)
///     .on_progress(|all| println!("{}", all.message.as_deref().unwrap_or_default()))
///     .try_collect()
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct Results<R> {
    start: Option<Start>,
    running: Option<Indexed<R>>,
}

/// A map that was not begun.
struct Start {
    function: Function,
    inputs: Inputs,
    total: Option<u64>,
    observer: Option<Observer>,
    ordered: bool,
}

impl<R: DeserializeOwned + Send + 'static> Results<R> {
    pub(super) fn new(
        function: Function,
        inputs: impl Iterator<Item = serde_json::Result<Value>> + Send + 'static,
    ) -> Self {
        let (total, inputs) = (overall::total(&inputs), Box::new(inputs));
        let start = Start { function, inputs, total, observer: None, ordered: true };
        Results { start: Some(start), running: None }
    }

    /// Calls `observer` whenever the map got further, with how far all its calls are together.
    #[must_use]
    pub fn on_progress(mut self, observer: impl FnMut(&Progress) + Send + 'static) -> Self {
        if let Some(start) = &mut self.start {
            start.observer = Some(Box::new(observer));
        }
        self
    }

    /// The results as they come, each with the place of its input.
    #[must_use]
    pub fn as_completed(mut self) -> AsCompleted<R> {
        if let Some(start) = &mut self.start {
            start.ordered = false;
        }
        AsCompleted { results: self }
    }

    fn poll_indexed(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(u64, Result<R, ClientError>)>> {
        if let Some(start) = self.start.take() {
            self.running = Some(Box::pin(start.run()));
        }
        match &mut self.running {
            Some(running) => running.as_mut().poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

impl<R> fmt::Debug for Results<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("begun", &self.start.is_none()).finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned + Send + 'static> Stream for Results<R> {
    type Item = Result<R, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_indexed(cx).map(|next| next.map(|(_, result)| result))
    }
}

/// A stream of the results of a map as they come, each with the place of its input, from 0.
#[derive(Debug)]
pub struct AsCompleted<R> {
    results: Results<R>,
}

impl<R: DeserializeOwned + Send + 'static> Stream for AsCompleted<R> {
    type Item = (u64, Result<R, ClientError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.results.poll_indexed(cx)
    }
}

impl Start {
    fn run<R: DeserializeOwned>(self) -> impl Stream<Item = (u64, Result<R, ClientError>)> + Send {
        futures::stream::unfold(State::New(Box::new(self)), |state| async move {
            let mut running = match state {
                State::New(start) => match start.begin().await {
                    Ok(running) => running,
                    Err(error) => return Some(((0, Err(error)), State::Over)),
                },
                State::Running(running) => running,
                State::Over => return None,
            };
            let (index, result) = running.next().await?;
            let over = matches!(&result, Err(error) if ends_the_map(error));
            Some(((index, result), if over { State::Over } else { State::Running(running) }))
        })
    }

    async fn begin(self) -> Result<Box<Running>, ClientError> {
        let client = self.function.client().await?.clone();
        let published = self.function.published().await?.clone();
        let wrong = Arc::default();
        let arguments = Arguments::of(&published.function)?;
        let inputs = checked(self.inputs, arguments, Arc::clone(&wrong));
        let call = self.function.options().clone();
        let options = MapOptions { id: None, ordered: self.ordered, call };
        let map = client.map(published, inputs, options);
        Ok(Box::new(Running {
            name: self.function.name().to_owned(),
            overall: Overall::new(self.total),
            observer: self.observer,
            client,
            map,
            wrong,
            over: false,
        }))
    }
}

/// Only what happens to one call leaves the others as they are.
fn ends_the_map(error: &ClientError) -> bool {
    let of_one_call = matches!(
        error,
        ClientError::Failed { .. } | ClientError::Cancelled(_) | ClientError::Type { .. }
    );
    !of_one_call
}

enum State {
    New(Box<Start>),
    Running(Box<Running>),
    Over,
}

type Checked = Box<dyn Iterator<Item = Value> + Send>;

struct Running {
    name: String,
    client: Client,
    map: Map<Checked>,
    overall: Overall,
    observer: Option<Observer>,
    /// Why inputs ended before their end.
    wrong: Wrong,
    over: bool,
}

type Wrong = Arc<Mutex<Option<ClientError>>>;

impl Running {
    async fn next<R: DeserializeOwned>(&mut self) -> Option<(u64, Result<R, ClientError>)> {
        loop {
            match self.map.next().await {
                Some(Ok(MapEvent::Call(index, event))) => self.observe(index, &event.what),
                Some(Ok(MapEvent::Item(item))) => {
                    let what = What::Ended { outcome: item.outcome };
                    self.observe(item.index, &what);
                    let What::Ended { outcome } = what else { continue };
                    return Some((item.index, to_result(&item.call, &self.name, outcome)));
                }
                Some(Err(error)) => return Some((self.map.taken(), Err(error))),
                None => {
                    self.over = true;
                    let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return wrong.map(|error| (self.map.taken(), Err(error)));
                }
            }
        }
    }

    fn observe(&mut self, index: u64, what: &What) {
        if let Some(observer) = &mut self.observer {
            self.overall.take(index, what);
            observer(&self.overall.progress());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over {
            self.client.dispatcher().cancel_map_soon(self.map.id().to_owned());
            self.client.wake();
        }
    }
}

/// The inputs up to the first that is wrong, which goes to `wrong`.
fn checked(inputs: Inputs, arguments: Arguments, wrong: Wrong) -> Checked {
    Box::new(inputs.map_while(move |input| {
        let refused = |error| *wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        arguments.take(input).map_err(refused).ok()
    }))
}
