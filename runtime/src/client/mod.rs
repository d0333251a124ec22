//! Finding deployed functions by name and calling them: what the command line, programs and
//! handlers use.

mod map;

use std::sync::OnceLock;

use serde_json::Value;
use tokio::sync::{mpsc, watch};

pub use map::{Map, MapEvent, MapItem, MapOptions};

use crate::args::ArgsSchema;
use crate::catalog::{Catalog, CatalogError, Published};
use crate::dispatch::local::{
    Attendance, CallRecord, DispatchError, Interest, LocalDispatcher, Mode, NewCall, Setup,
    Shortfall,
};
use crate::dispatch::{Told, What};
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
    /// An earlier run of the map had another input at this place, from 0.
    #[error("map `{map}` was run before with another input {place}")]
    DifferentMap {
        /// The map's id.
        map: String,
        /// Which input, from 0.
        place: u64,
    },
    /// No call has that id.
    #[error("no call has the id `{0}`")]
    NoSuchCall(CallId),
}

/// How a call is made, beside its arguments.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// Outputs that exist may be replaced.
    pub overwrite: bool,
    /// It runs, even if the function is cached and an earlier call was alike.
    pub fresh: bool,
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
        let call = self.new_call(function, args, options, None);
        let id = self.dispatcher.submit(call).await?;
        self.wake();
        Ok(id)
    }

    /// Calls `function` for each of `inputs`, which were checked before. Results come while later
    /// inputs are still being read.
    pub fn map<I: Iterator<Item = Value>>(
        &self,
        function: Published,
        inputs: I,
        options: MapOptions,
    ) -> Map<'_, I> {
        Map::new(self, function, inputs, options)
    }

    fn new_call(
        &self,
        function: &Published,
        args: Value,
        options: &CallOptions,
        map: Option<(String, u64)>,
    ) -> NewCall {
        NewCall {
            environment: self.environment.clone(),
            version: function.version,
            function: function.function.clone(),
            args,
            overwrite: options.overwrite,
            fresh: options.fresh,
            priority: options.priority,
            owner: (!options.detached).then(ProcessId::current),
            map,
            parent: None,
        }
    }

    /// What happens to a call from now on, up to its end, also when that is over.
    pub fn events(&self, call: &CallId) -> CallEvents<'_> {
        let told = self.attendance().watch(Interest::Call(call.clone()));
        CallEvents { client: self, call: call.clone(), told }
    }

    /// Waits for a call's outcome.
    pub async fn wait(&self, call: &CallId) -> Result<Outcome, ClientError> {
        let mut events = self.events(call);
        loop {
            if let What::Ended { outcome } = events.next().await? {
                return Ok(outcome);
            }
        }
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

    /// What `function` asks for that this machine doesn't have.
    pub fn shortfalls(&self, function: &Published) -> Vec<Shortfall> {
        let spec = &function.function;
        self.dispatcher.capacity().shortfalls(&spec.resources, spec.hardware)
    }

    /// How many calls this client runs at the moment, its own and those of other commands.
    pub fn running(&self) -> usize {
        self.attendance.get().map_or(0, Attendance::running)
    }

    /// The way to end this client's part from elsewhere; none when it takes no part.
    pub fn mode(&self) -> Option<watch::Sender<Mode>> {
        self.attendance.get().map(Attendance::mode)
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

    /// Why the part in running the queue has ended when nobody asked for it.
    fn why_ended(&self) -> ClientError {
        let failure = self.attendance.get().and_then(Attendance::failure);
        failure.unwrap_or(DispatchError::Ended).into()
    }

    fn wake(&self) {
        if let Some(attendance) = self.attendance.get() {
            attendance.wake();
        }
    }
}

/// What happens to one call.
#[derive(Debug)]
pub struct CallEvents<'c> {
    client: &'c Client,
    call: CallId,
    told: mpsc::UnboundedReceiver<Told>,
}

impl CallEvents<'_> {
    /// What happens next; the last is [`What::Ended`], which may come twice. Safe to cancel.
    pub async fn next(&mut self) -> Result<What, ClientError> {
        loop {
            match self.told.recv().await {
                Some(Told::Call(event)) => return Ok(event.what),
                Some(Told::Attached) => {
                    if let Some(outcome) = self.client.record(&self.call).await?.outcome {
                        return Ok(What::Ended { outcome });
                    }
                }
                // Told to those who look on.
                Some(Told::Detached | Told::Grown) => {}
                None => return Err(self.client.why_ended()),
            }
        }
    }
}
