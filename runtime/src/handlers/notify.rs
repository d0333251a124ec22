//! Tells a URL something, signed and tried again.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::handler::{Context, Handler};
use crate::webhook::{Delivery, Webhook};
use crate::wire::Failure;

/// The `notify` handler.
#[derive(Debug)]
pub struct Notify;

/// What `notify` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// Where it is told, and how.
    pub webhook: Webhook,
    /// What is told, as JSON.
    #[serde(default)]
    pub body: Map<String, Value>,
}

impl Handler for Notify {
    type Args = Args;
    type Output = Delivery;

    const NAME: &'static str = "notify";
    const ABOUT: &'static str = "Tells a URL something: a signed webhook.";

    async fn run(&self, cx: Context, args: Args) -> Result<Delivery, Failure> {
        let body = Value::Object(args.body).to_string();
        args.webhook.deliver(&cx.invocation().call.0, body, cx.cancellation()).await
    }
}
