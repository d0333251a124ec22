//! Finding deployed functions by name and calling them: what the command line, programs and
//! handlers use.

use std::sync::OnceLock;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::args::ArgsSchema;
use crate::catalog::{Catalog, CatalogError, Published};
use crate::dispatch::local::{
    Attendance, CallRecord, DispatchError, Interest, LocalDispatcher, Mode, NewCall, Setup,
};
use crate::dispatch::{CallEvent, What};
use crate::process::ProcessId;
use crate::wire::{CallId, Failure, Outcome};

/// Why a call could not be made or followed. That the function itself failed is an [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No such function.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The arguments are wrong.
    #[error(transparent)]
    Args(#[from] Failure),
    /// The queue or its executor failed.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// No call has that id.
    #[error("no call has the id `{0}`")]
    NoSuchCall(CallId),
}

/// How a call is made, beside its arguments.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// Outputs that exist may be replaced.
    pub overwrite: bool,
    /// Nobody waits for it: it goes on when this process ends.
    pub detached: bool,
    /// Higher runs first within its function.
    pub priority: i32,
}

/// The functions and calls of one environment on this machine.
#[derive(Debug)]
pub struct Client {
    environment: String,
    catalog: Catalog,
    dispatcher: LocalDispatcher,
    attendance: OnceLock<Attendance>,
}

impl Client {
    /// Opens the queue. This process takes part in running it from when it first waits for a
    /// call until [`Client::close`].
    pub fn connect(setup: Setup, environment: &str) -> Result<Self, ClientError> {
        let catalog = Catalog::new(setup.home.environment(environment));
        let dispatcher = LocalDispatcher::open(setup)?;
        let attendance = OnceLock::new();
        Ok(Client { environment: environment.into(), catalog, dispatcher, attendance })
    }

    /// The deployed function called `name`, or `app/name`; `app` is where a bare name is looked
    /// for first.
    pub fn function(&self, name: &str, app: Option<&str>) -> Result<Published, ClientError> {
        Ok(self.catalog.resolve(name, app)?)
    }

    /// Records a call of `function`. `args` are checked first; nothing is recorded if they are
    /// wrong.
    pub async fn spawn(
        &self,
        function: &Published,
        args: Value,
        options: &CallOptions,
    ) -> Result<CallId, ClientError> {
        if let Some(schema) = &function.function.schema {
            ArgsSchema::compile(schema)?.check(&args)?;
        }
        let call = NewCall {
            environment: self.environment.clone(),
            version: function.version,
            function: function.function.clone(),
            args,
            overwrite: options.overwrite,
            priority: options.priority,
            owner: (!options.detached).then(ProcessId::current),
            map: None,
        };
        let ids = self.dispatcher.submit(vec![call]).await?;
        self.wake();
        Ok(ids.into_iter().next().expect("one call was submitted, one id came back"))
    }

    /// What happens to a call from now on. Its end is told at least once, also when it is over.
    pub fn events(&self, call: &CallId) -> mpsc::UnboundedReceiver<CallEvent> {
        self.attendance().watch(Interest::Call(call.clone()))
    }

    /// Waits for a call's outcome.
    pub async fn wait(&self, call: &CallId) -> Result<Outcome, ClientError> {
        let mut events = self.events(call);
        while let Some(event) = events.recv().await {
            if let What::Ended { outcome } = event.what {
                return Ok(outcome);
            }
        }
        Err(DispatchError::Ended.into())
    }

    /// Asks for a call to be cancelled; `false` when it had ended.
    pub async fn cancel(&self, call: &CallId) -> Result<bool, ClientError> {
        let asked = self.dispatcher.cancel(call).await?;
        self.wake();
        Ok(asked)
    }

    /// All that is recorded of a call.
    pub async fn record(&self, call: &CallId) -> Result<CallRecord, ClientError> {
        let record = self.dispatcher.call(call).await?;
        record.ok_or_else(|| ClientError::NoSuchCall(call.clone()))
    }

    /// The queue itself, for looking at many calls.
    pub fn dispatcher(&self) -> &LocalDispatcher {
        &self.dispatcher
    }

    /// Ends this client's part in running the queue, after calls of other commands that it runs.
    pub async fn close(self) -> Result<(), ClientError> {
        match self.attendance.into_inner() {
            Some(attendance) => Ok(attendance.leave().await?),
            None => Ok(()),
        }
    }

    fn attendance(&self) -> &Attendance {
        self.attendance.get_or_init(|| self.dispatcher.attend(Mode::Run))
    }

    fn wake(&self) {
        if let Some(attendance) = self.attendance.get() {
            attendance.wake();
        }
    }
}
