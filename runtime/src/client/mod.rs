//! Finding deployed functions by name and calling them: what the command line, programs and
//! handlers use.

mod error;
mod files;
mod function;
mod handle;
mod map;
mod memory;
mod results;
mod volume;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::{mpsc, watch};

pub use error::ClientError;
pub use files::{Sender, SentFiles, fetch};
pub(crate) use files::{call_files, get, rename};
pub use function::Function;
pub use handle::Call;
pub use map::{Map, MapEvent, MapItem, MapOptions};
pub use results::{AsCompleted, Results};
pub use volume::Volume;

use crate::args::ArgsSchema;
use crate::aws::Aws;
use crate::aws::catalog::AwsCatalog;
use crate::catalog::{Catalog, Published};
use crate::dispatch::aws::AwsDispatcher;
use crate::dispatch::local::{
    Attendance, CallRecord, DispatchError, Interest, LocalDispatcher, Mode, NewCall, Setup,
    Shortfall,
};
use crate::dispatch::{Dispatcher, Told, What};
use crate::process::ProcessId;
use crate::settings::Settings;
use crate::storage::check_remote;
use crate::wire::{CallId, Outcome};

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

/// The functions and calls of one environment on this machine. Cheap to clone; clones are one
/// client.
///
/// While a client waits for a call, it takes part in running the queue: as its executor when no
/// other process is, and until [`Client::close`] or until its last clone is dropped. Dropped without
/// being closed, it stops what it runs for others, which they take up again.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    environment: String,
    functions: Functions,
    dispatcher: Dispatcher,
    attendance: Mutex<Option<Attendance>>,
    /// Where hashes of files that go along with calls are remembered.
    cache: Option<PathBuf>,
}

impl Client {
    /// A client with the settings of this process: its variables over the user's profile.
    pub async fn from_env() -> Result<Self, ClientError> {
        Client::open(&Settings::from_env()?).await
    }

    /// A client of the target that `settings` name: this machine, or an account of AWS.
    pub async fn open(settings: &Settings) -> Result<Self, ClientError> {
        if settings.target == "local" {
            return Client::connect(settings.setup()?, &settings.environment);
        }
        let aws = settings.aws().await?;
        let cache = settings.home.cache();
        // Without it files are read once more than they had to be.
        let cache = std::fs::create_dir_all(&cache).is_ok().then_some(cache);
        Ok(Client::of_aws(&aws.access, &aws.bucket, &settings.environment, cache))
    }

    /// A client of an account: calls are recorded in `bucket` and run where their function was
    /// deployed to.
    pub fn on_aws(aws: &Aws, bucket: &str, environment: &str) -> Self {
        Client::of_aws(aws, bucket, environment, None)
    }

    fn of_aws(aws: &Aws, bucket: &str, environment: &str, cache: Option<PathBuf>) -> Self {
        let functions = Functions::Aws(AwsCatalog::new(aws.bucket(bucket), environment));
        let dispatcher = Dispatcher::Aws(AwsDispatcher::new(aws, bucket, environment));
        Client::new(environment, functions, dispatcher, cache)
    }

    fn new(
        environment: &str,
        functions: Functions,
        dispatcher: Dispatcher,
        cache: Option<PathBuf>,
    ) -> Self {
        let (environment, attendance) = (environment.into(), Mutex::default());
        let inner = Inner { environment, functions, dispatcher, attendance, cache };
        Client { inner: Arc::new(inner) }
    }

    /// Opens the queue. This process takes part in running it from when it first waits for a
    /// call until [`Client::close`].
    pub fn connect(setup: Setup, environment: &str) -> Result<Self, ClientError> {
        let functions = Functions::Local(Catalog::new(setup.home.environment(environment)));
        let dispatcher = Dispatcher::Local(LocalDispatcher::open(setup)?);
        Ok(Client::new(environment, functions, dispatcher, None))
    }

    /// The deployed function called `name`, or `app/name`; `app` is where a bare name is looked
    /// for first.
    pub async fn function(&self, name: &str, app: Option<&str>) -> Result<Published, ClientError> {
        Ok(match &self.inner.functions {
            Functions::Local(catalog) => catalog.resolve(name, app)?,
            Functions::Aws(catalog) => catalog.resolve(name, app).await?,
            Functions::Memory(published) => memory::resolve(published, name, app)?,
        })
    }

    /// Records a call of `function`. `args` are checked first; nothing is recorded if they are
    /// wrong.
    pub async fn spawn(
        &self,
        function: &Published,
        args: Value,
        options: &CallOptions,
    ) -> Result<CallId, ClientError> {
        let id = self.inner.dispatcher.new_call_id();
        self.submit(&id, function, args, options).await?;
        Ok(id)
    }

    /// Calls `function` for each of `inputs`, which were checked before. Results come while later
    /// inputs are still being read.
    pub fn map<I: Iterator<Item = Value>>(
        &self,
        function: Published,
        inputs: I,
        options: MapOptions,
    ) -> Map<I> {
        Map::new(self.clone(), function, inputs, options)
    }

    /// Records a call under an id that was taken before, so that it can be cancelled whatever
    /// becomes of this future.
    async fn submit(
        &self,
        id: &CallId,
        function: &Published,
        args: Value,
        options: &CallOptions,
    ) -> Result<(), ClientError> {
        if let Some(schema) = &function.function.schema {
            let schema = ArgsSchema::compile(schema)?;
            schema.check(&args)?;
            check_remote(&function.function, &schema, &args)?;
        }
        let call = self.new_call(function, args, options, None);
        self.inner.dispatcher.submit_as(id, call).await?;
        self.wake();
        Ok(())
    }

    fn new_call(
        &self,
        function: &Published,
        args: Value,
        options: &CallOptions,
        map: Option<(String, u64)>,
    ) -> NewCall {
        NewCall {
            environment: self.inner.environment.clone(),
            version: function.version,
            function: function.function.clone(),
            engine: function.engine.clone(),
            args: function.function.complete(args),
            overwrite: options.overwrite,
            fresh: options.fresh,
            priority: options.priority,
            owner: (!options.detached).then(ProcessId::current),
            map,
            parent: None,
        }
    }

    /// What happens to a call from now on, up to its end, also when that is over.
    pub fn events(&self, call: &CallId) -> CallEvents {
        let told = self.watch(Interest::Call(call.clone()));
        CallEvents { client: self.clone(), call: call.clone(), told, catch_up_due: false }
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
        let asked = self.inner.dispatcher.cancel(call).await?;
        self.wake();
        Ok(asked)
    }

    /// All that is recorded of a call.
    pub async fn record(&self, call: &CallId) -> Result<CallRecord, ClientError> {
        let record = self.inner.dispatcher.call(call).await?;
        record.ok_or_else(|| ClientError::NoSuchCall(call.clone()))
    }

    /// What runs calls, for looking at many of them.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.inner.dispatcher
    }

    /// What `function` asks for that this machine doesn't have.
    pub fn shortfalls(&self, function: &Published) -> Vec<Shortfall> {
        let spec = &function.function;
        let machine = self.inner.dispatcher.local().map(LocalDispatcher::capacity);
        machine.map_or_else(Vec::new, |it| it.shortfalls(&spec.resources, spec.hardware))
    }

    /// How many calls this client runs at the moment, its own and those of other commands, without
    /// calls that other calls wait for.
    pub fn running(&self) -> usize {
        self.attendance().as_ref().map_or(0, Attendance::running)
    }

    /// The way to end this client's part from elsewhere; none when it takes no part.
    pub fn mode(&self) -> Option<watch::Sender<Mode>> {
        self.attendance().as_ref().map(Attendance::mode)
    }

    /// Ends this client's part in running the queue, after calls of other commands that it runs.
    pub async fn close(&self) -> Result<(), ClientError> {
        let attendance = self.attendance().take();
        match attendance {
            Some(attendance) => Ok(attendance.leave().await?),
            None => Ok(()),
        }
    }

    /// What happens to calls from now on; from here on this process takes part in the queue's work.
    fn watch(&self, interest: Interest) -> mpsc::UnboundedReceiver<Told> {
        match &self.inner.dispatcher {
            Dispatcher::Aws(aws) => aws.watch(interest),
            Dispatcher::Memory(memory) => memory.watch(interest),
            Dispatcher::Local(local) => {
                let attend = || local.attend(Mode::Run);
                self.attendance().get_or_insert_with(attend).watch(interest)
            }
        }
    }

    /// Runs the queue from now on, as waiting for a call does.
    fn take_part(&self) {
        if let Some(local) = self.inner.dispatcher.local() {
            self.attendance().get_or_insert_with(|| local.attend(Mode::Run)).wake();
        }
    }

    fn attendance(&self) -> MutexGuard<'_, Option<Attendance>> {
        self.inner.attendance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the part in running the queue has ended when nobody asked for it.
    fn why_ended(&self) -> ClientError {
        let failure = self.attendance().as_ref().and_then(Attendance::failure);
        failure.unwrap_or(DispatchError::Ended).into()
    }

    /// Has whoever runs the queue look at it, if that is this process.
    pub(crate) fn wake(&self) {
        if let Some(attendance) = self.attendance().as_ref() {
            attendance.wake();
        }
    }
}

/// Where deployed functions are found.
#[derive(Debug)]
enum Functions {
    Local(Catalog),
    Aws(AwsCatalog),
    Memory(Vec<Published>),
}

/// What happens to one call.
#[derive(Debug)]
pub struct CallEvents {
    client: Client,
    call: CallId,
    told: mpsc::UnboundedReceiver<Told>,
    /// Its end may have been missed.
    catch_up_due: bool,
}

impl CallEvents {
    /// What happens next; the last is [`What::Ended`], which may come twice. Safe to cancel.
    pub async fn next(&mut self) -> Result<What, ClientError> {
        loop {
            if self.catch_up_due {
                let outcome = self.client.record(&self.call).await?.outcome;
                self.catch_up_due = false;
                if let Some(outcome) = outcome {
                    return Ok(What::Ended { outcome });
                }
            }
            match self.told.recv().await {
                Some(Told::Call(event)) => return Ok(event.what),
                Some(Told::Attached) => self.catch_up_due = true,
                // Told to those who look on.
                Some(Told::Detached | Told::Grown) => {}
                None => return Err(self.client.why_ended()),
            }
        }
    }
}
