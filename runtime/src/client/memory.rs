//! Functions that are deployed nowhere.

use std::io;

use super::{Client, Functions};
use crate::catalog::{CatalogError, FORMAT, FunctionName, Published, the_only};
use crate::clock;
use crate::dispatch::Dispatcher;
use crate::dispatch::memory::MemoryDispatcher;
use crate::function::{Entry, FunctionSpec};
use crate::handler::Registry;

impl Client {
    /// A client whose functions are run by this very process, for tests of programs that call
    /// functions: it needs no deploy and no worker. When it is dropped, calls that run go on to their
    /// end, and everything is forgotten after that. See [`crate::dispatch::memory`] for what it
    /// leaves out. Has to be used within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// If there is no room for temporary files.
    pub fn in_memory(registry: Registry, functions: Vec<FunctionSpec>) -> io::Result<Self> {
        let deployed_at = clock::now();
        let publish = |mut function: FunctionSpec| {
            if let (Entry::Builtin { handler }, None) = (&function.entry, &function.schema) {
                function.schema = registry.describe(handler).map(|handler| handler.args);
            }
            let engine = Default::default();
            Published { format: FORMAT, version: 1, deployed_at, function, engine }
        };
        let published = functions.into_iter().map(publish).collect();
        let dispatcher = Dispatcher::Memory(MemoryDispatcher::new(registry)?);
        Ok(Client::new("main", Functions::Memory(published), dispatcher, None))
    }
}

/// The function called `name`, or `app/name`; `app` is where a bare name is looked for first.
pub(super) fn resolve(
    published: &[Published],
    name: &str,
    app: Option<&str>,
) -> Result<Published, CatalogError> {
    let full = |one: &Published| FunctionName::new(&one.function.app, &one.function.name);
    let named = name.split_once('/').or(app.map(|app| (app, name)));
    let named = named.map(|(app, function)| FunctionName::new(app, function));
    let find = |name: &FunctionName| published.iter().find(|one| full(one) == *name).cloned();
    match named.as_ref().and_then(find) {
        Some(found) => Ok(found),
        None => {
            let only = the_only(name, published.iter().map(full).collect())?;
            Ok(find(&only).expect("it is one of them"))
        }
    }
}
