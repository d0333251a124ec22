//! Returns its arguments: to try things, and to measure what surrounds a call.

use serde_json::{Map, Value};

use crate::handler::{Context, Handler};
use crate::wire::Failure;

/// The `echo` handler.
#[derive(Debug)]
pub struct Echo;

impl Handler for Echo {
    type Args = Map<String, Value>;
    type Output = Map<String, Value>;

    const NAME: &'static str = "echo";
    const ABOUT: &'static str = "Returns its arguments.";

    async fn run(&self, _cx: Context, args: Self::Args) -> Result<Self::Output, Failure> {
        Ok(args)
    }
}
