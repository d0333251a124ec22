//! A deployed function by its name.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::handle::Call;
use super::results::Results;
use super::{CallOptions, Client, ClientError};
use crate::args::ArgsSchema;
use crate::catalog::Published;
use crate::function::FunctionSpec;
use crate::wire::{CallId, Outcome};

/// A deployed function. Looked up once, when it is first used, and then remembered: calls through
/// one handle are calls of one version, whatever is deployed meanwhile. Cheap to clone.
///
/// Arguments are anything that serialises to a JSON object and results anything that
/// deserialises; [`serde_json::Value`] is both. Relative paths in arguments that name files are
/// those of this process.
///
/// ```no_run
/// use serde::Deserialize;
/// use serde_json::json;
/// use vdeploy_runtime::client::{ClientError, Function};
///
/// #[derive(Deserialize)]
/// struct Probed {
///     width: u32,
///     height: u32,
/// }
///
/// # async fn run() -> Result<(), ClientError> {
/// let probe = Function::from_name("reel-studio", "probe");
/// let clip: Probed = probe.call(json!({ "input": "clips/a.mov" })).await?;
/// println!("{} x {}", clip.width, clip.height);
/// # Ok(())
/// # }
/// ```
///
/// A name that nothing is deployed under is answered with what was probably meant:
///
/// ```
/// use vdeploy_runtime::client::{Client, Function};
/// # use vdeploy_runtime::settings::Settings;
///
/// # #[tokio::main]
/// # async fn main() {
/// # let home = tempfile::tempdir().unwrap();
/// # let mut settings = Settings::from_env().unwrap();
/// # settings.home = vdeploy_runtime::home::Home::new(home.path());
/// # settings.worker = Some(std::env::current_exe().unwrap());
/// let client = Client::connect(settings.setup().unwrap(), "main").unwrap();
/// let error = Function::of(&client, "reel-studio", "prob").published().await.unwrap_err();
/// assert!(error.to_string().contains("there is no function `reel-studio/prob`"));
/// assert!(error.hint().unwrap().contains("vdeploy deploy"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Function {
    inner: Arc<Inner>,
    options: CallOptions,
}

#[derive(Debug)]
struct Inner {
    app: String,
    name: String,
    client: OnceCell<Client>,
    published: OnceCell<Published>,
}

impl Function {
    /// Function `name` of `app`, in the environment that the variables or the profile of this
    /// process name. Nothing is looked up yet.
    ///
    /// Each handle made by this has a client of its own, shared by its clones; [`Function::of`]
    /// shares one between functions.
    pub fn from_name(app: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(OnceCell::new(), app.into(), name.into())
    }

    /// Function `name` of `app`, where `client` looks. Nothing is looked up yet.
    pub fn of(client: &Client, app: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(OnceCell::new_with(Some(client.clone())), app.into(), name.into())
    }

    fn new(client: OnceCell<Client>, app: String, name: String) -> Self {
        let inner = Inner { app, name, client, published: OnceCell::new() };
        Function { inner: Arc::new(inner), options: CallOptions::default() }
    }

    /// Whether outputs that exist may be replaced; they may not by default.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.options.overwrite = overwrite;
        self
    }

    /// Calls of a higher priority start first within their function; 0 by default.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// What was deployed under this name when this handle was first used.
    pub async fn published(&self) -> Result<&Published, ClientError> {
        let client = self.client().await?;
        let find = async || {
            let name = format!("{}/{}", self.inner.app, self.inner.name);
            client.function(&name, None).await
        };
        self.inner.published.get_or_try_init(find).await
    }

    /// Calls it and waits for its result.
    ///
    /// Dropped before it is ready, the call is cancelled: it does not go on for nobody, and what
    /// it has written does not appear.
    pub fn call<R: DeserializeOwned>(
        &self,
        args: impl Serialize,
    ) -> impl Future<Output = Result<R, ClientError>> + Send {
        let args = serde_json::to_value(args);
        async move {
            let (client, published) = (self.client().await?, self.published().await?);
            let mut args = Arguments::of(&published.function)?.take(args)?;
            let sent = client.send_files(published, &mut args, self.options.overwrite).await?;
            let mut cancel = CancelOnDrop::new(client);
            client.submit(&cancel.call, published, args, &self.options).await?;
            let mut outcome = client.wait(&cancel.call).await?;
            cancel.ended = true;
            client.fetch_files(sent, &mut outcome).await?;
            to_result(&cancel.call, &self.inner.name, outcome)
        }
    }

    /// Calls it and returns when that is recorded. The call goes on whatever becomes of the handle
    /// and of this process; when no process runs the queue, the next one that does takes it up.
    pub fn spawn(
        &self,
        args: impl Serialize,
    ) -> impl Future<Output = Result<Call, ClientError>> + Send {
        let args = serde_json::to_value(args);
        async move {
            let (client, published) = (self.client().await?, self.published().await?);
            let args = Arguments::of(&published.function)?.take(args)?;
            let options = CallOptions { detached: true, ..self.options.clone() };
            let id = client.spawn(published, args, &options).await?;
            client.take_part();
            Ok(Call::of(client, id))
        }
    }

    /// Calls it once for each input, as there is room for them. Results come in the order of
    /// inputs; [`Results::as_completed`] gives them as they come. Nothing is called before the
    /// first is asked for.
    pub fn map<R, I>(&self, inputs: I) -> Results<R>
    where
        R: DeserializeOwned + Send + 'static,
        I: IntoIterator<Item: Serialize + 'static>,
        I::IntoIter: Send + 'static,
    {
        Results::new(self.clone(), inputs.into_iter().map(serde_json::to_value))
    }

    /// Ends this process's part in running the queue, after the calls of others that it runs.
    pub async fn close(&self) -> Result<(), ClientError> {
        match self.inner.client.get() {
            Some(client) => client.close().await,
            None => Ok(()),
        }
    }

    pub(super) async fn client(&self) -> Result<&Client, ClientError> {
        self.inner.client.get_or_try_init(async || Client::from_env().await).await
    }

    pub(super) fn name(&self) -> &str {
        &self.inner.name
    }

    pub(super) fn options(&self) -> &CallOptions {
        &self.options
    }
}

/// How arguments of one function become what is recorded.
pub(super) struct Arguments {
    function: String,
    schema: Option<ArgsSchema<'static>>,
}

impl Arguments {
    pub(super) fn of(function: &FunctionSpec) -> Result<Self, ClientError> {
        let schema = function.schema.clone().map(ArgsSchema::owned).transpose()?;
        Ok(Arguments { function: function.name.clone(), schema })
    }

    /// Checks `args` and makes their paths absolute.
    pub(super) fn take(&self, args: serde_json::Result<Value>) -> Result<Value, ClientError> {
        let what = || format!("an argument of `{}`", self.function);
        let mut args = args.map_err(|source| ClientError::Type { what: what(), source })?;
        if let Some(schema) = &self.schema {
            schema.check(&args)?;
            if let Ok(folder) = std::env::current_dir() {
                schema.resolve_paths(&mut args, &folder);
            }
        }
        Ok(args)
    }
}

/// What an outcome is to a caller.
pub(super) fn to_result<R: DeserializeOwned>(
    call: &CallId,
    name: &str,
    outcome: Outcome,
) -> Result<R, ClientError> {
    match outcome {
        Outcome::Succeeded { result, .. } => serde_json::from_value(result).map_err(|source| {
            ClientError::Type { what: format!("the result of `{name}`"), source }
        }),
        Outcome::Failed { failure } => Err(ClientError::Failed { call: call.clone(), failure }),
        Outcome::Cancelled => Err(ClientError::Cancelled(call.clone())),
    }
}

/// A call that is cancelled unless it was seen to end.
struct CancelOnDrop<'c> {
    client: &'c Client,
    call: CallId,
    ended: bool,
}

impl<'c> CancelOnDrop<'c> {
    fn new(client: &'c Client) -> Self {
        CancelOnDrop { client, call: client.dispatcher().new_call_id(), ended: false }
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.client.dispatcher().cancel_soon(self.call.clone());
            self.client.wake();
        }
    }
}
