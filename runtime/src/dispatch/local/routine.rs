//! What a call calls: finding it, checking the arguments, and recording the calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::admission::Placement;
use super::id;
use super::queue::QueueError;
use super::record::NewCall;
use super::setup::file_schema;
use super::writer::Writer;
use crate::args::ArgsSchema;
use crate::aws::layout::Engine;
use crate::catalog::{Catalog, CatalogError};
use crate::clock;
use crate::function::{Entry, FunctionSpec};
use crate::storage::FileRef;
use crate::wire::{CallId, Failure, FailureKind};
use crate::worker::frame::{Accepted, Batch, ChildSettings, Routine};

/// One attempt of a call that calls others.
#[derive(Debug)]
pub(super) struct Caller {
    /// Set once the map was cancelled.
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) call: CallId,
    pub(super) attempt: u32,
    pub(super) environment: String,
    pub(super) function: Arc<FunctionSpec>,
    pub(super) version: u64,
    pub(super) catalog: Catalog,
}

/// What is called.
struct Target {
    function: FunctionSpec,
    version: u64,
}

impl Caller {
    /// Records the calls of `batch` at their places in `map`; the failure is the caller's.
    pub(super) async fn place(
        self,
        batch: Batch,
        map: String,
        writer: &Writer,
    ) -> Result<Result<Vec<Accepted>, Failure>, QueueError> {
        let (call, attempt) = (self.call.clone(), self.attempt);
        let (cancelled, placed_in) = (Arc::clone(&self.cancelled), map.clone());
        let prepared = tokio::task::spawn_blocking(move || self.prepare(batch, &map)).await;
        let calls = match prepared {
            Ok(Ok(calls)) => calls,
            Ok(Err(failure)) => return Ok(Err(failure)),
            // Only the end of the whole program ends such a task.
            Err(_) => return Err(QueueError::Closed),
        };
        let now = clock::now();
        let parent = call.clone();
        let place = move |queue: &super::Queue| {
            let placed = queue.place_children(&parent, attempt, &calls, now)?;
            if cancelled.load(Ordering::Acquire) {
                queue.request_cancel_map(&placed_in)?;
            }
            Ok(placed)
        };
        Ok(match writer.write(place).await? {
            Some(placed) => placed.into_iter().map(accepted).collect(),
            None => Err(Failure::new(FailureKind::Cancelled, format!("call `{call}` has ended"))),
        })
    }

    fn prepare(self, batch: Batch, map: &str) -> Result<Vec<(CallId, NewCall)>, Failure> {
        let Batch { routine, settings, first, inputs, .. } = batch;
        let mut target = self.find(routine)?;
        check(&inputs, &target.function, first)?;
        if self.function.container.is_some() {
            stays_in_volumes(&inputs, &target.function)?;
        }
        let overwrite = settings.overwrite;
        apply(settings, &mut target.function);
        let now = clock::now();
        let call = |(index, args)| {
            let new = NewCall {
                environment: self.environment.clone(),
                version: target.version,
                function: target.function.clone(),
                engine: Engine::Local,
                args: target.function.complete(args),
                overwrite,
                fresh: false,
                priority: 0,
                owner: None,
                map: Some((map.to_owned(), index)),
                parent: Some(self.call.clone()),
            };
            (CallId(id::ordered_id("c", now, rand::random())), new)
        };
        Ok((first..).zip(inputs).map(call).collect())
    }

    fn find(&self, routine: Routine) -> Result<Target, Failure> {
        match routine {
            Routine::Function { name } => {
                let found = self.catalog.resolve(&name, Some(&self.function.app));
                let found = found.map_err(|error| not_found(&error))?;
                Ok(Target { function: found.function, version: found.version })
            }
            Routine::Handler { name } => {
                let function = with_handler(&self.function, name)?;
                Ok(Target { function, version: self.version })
            }
        }
    }
}

/// The caller's own function with another handler of the same program.
fn with_handler(caller: &FunctionSpec, handler: String) -> Result<FunctionSpec, Failure> {
    let mut function = caller.clone();
    // A name of its own, by which errors and lists tell it from its caller.
    function.name = format!("{}:{handler}", caller.name);
    function.entry = match &caller.entry {
        Entry::Builtin { .. } => Entry::Builtin { handler },
        Entry::Binary { binary, .. } => Entry::Binary { binary: binary.clone(), handler },
        Entry::Command { .. } => {
            let message = "a program has no other handlers to call";
            return Err(Failure::new(FailureKind::Handler, message));
        }
    };
    function.schema = None;
    function.with.clear();
    function.cache = false;
    Ok(function)
}

pub(super) fn apply(settings: ChildSettings, function: &mut FunctionSpec) {
    if let Some(retries) = settings.retries {
        function.retries = retries;
    }
    if let Some(seconds) = settings.timeout_seconds {
        function.timeout_seconds = seconds;
    }
    if let Some(resources) = settings.resources {
        function.resources = resources;
    }
}

pub(super) fn check(inputs: &[Value], function: &FunctionSpec, first: u64) -> Result<(), Failure> {
    let Some(schema) = &function.schema else { return Ok(()) };
    let schema = ArgsSchema::compile(schema)?;
    for (index, input) in (first..).zip(inputs) {
        schema.check(input).map_err(|mut failure| {
            failure.message = format!("input {index} of `{}`: {}", function.name, failure.message);
            failure
        })?;
    }
    Ok(())
}

/// A function in a container sees no files of this machine, and calls that it makes must not see
/// them for it.
pub(super) fn stays_in_volumes(inputs: &[Value], function: &FunctionSpec) -> Result<(), Failure> {
    let Some(schema) = file_schema(function) else { return Ok(()) };
    let schema = ArgsSchema::compile(&schema)?;
    let named = inputs.iter().flat_map(|input| {
        let files = schema.files(input).into_iter();
        files.filter_map(|file| input.pointer(&file.pointer)?.as_str())
    });
    let mut paths = named.filter(|text| matches!(FileRef::parse(text), Ok(FileRef::Path(_))));
    paths.next().map_or(Ok(()), |path| {
        let message = format!("a function in a container can't pass the path `{path}` to a call");
        Err(Failure::new(FailureKind::InvalidArgs, message)
            .hint("pass files between calls in a volume: `vol://VOLUME/PATH`"))
    })
}

pub(super) fn not_found(error: &CatalogError) -> Failure {
    let mut failure = Failure::new(FailureKind::Handler, error.to_string());
    failure.hint = error.hint();
    match std::error::Error::source(error) {
        Some(source) => failure.cause(source),
        None => failure,
    }
}

pub(super) fn accepted(placement: Placement) -> Result<Accepted, Failure> {
    match placement {
        Placement::New(call) | Placement::Open(call) => Ok(Accepted { call, outcome: None }),
        Placement::Done { call, outcome, .. } => Ok(Accepted { call, outcome: Some(outcome) }),
        Placement::Different(difference) => Err(Failure::new(
            FailureKind::Handler,
            format!("an earlier attempt made this map with {difference}"),
        )
        .hint("give maps that are resumed the same function and inputs in every attempt")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn caller(entry: Entry) -> FunctionSpec {
        let spec = json!({ "app": "reel", "name": "cut", "entry": entry, "timeout_seconds": 7.0,
                           "volumes": { "/videos": "footage" }, "cache": true });
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn another_handler_has_the_policies_and_files_of_its_caller() {
        let parent = caller(Entry::Binary { binary: "bin/own".into(), handler: "cut".into() });
        let child = with_handler(&parent, "encode".into()).unwrap();
        assert_eq!(child.name, "cut:encode");
        let entry = Entry::Binary { binary: "bin/own".into(), handler: "encode".into() };
        assert_eq!(child.entry, entry);
        assert_eq!((child.timeout_seconds, &child.volumes), (7.0, &parent.volumes));
        assert!(!child.cache);
        let program = caller(Entry::Command { argv: vec!["sh".into()] });
        assert!(with_handler(&program, "encode".into()).is_err());
    }

    #[tokio::test]
    async fn calls_recorded_after_their_map_was_cancelled_are_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        let queue = super::super::Queue::open(&file).unwrap();
        let writer = Writer::start(queue, crate::failpoint::Failpoint::none());
        let function = caller(Entry::Builtin { handler: "cut".into() });
        let parent = NewCall {
            environment: "main".into(),
            version: 1,
            function: function.clone(),
            engine: Engine::Local,
            args: json!({}),
            overwrite: false,
            fresh: false,
            priority: 0,
            owner: None,
            map: None,
            parent: None,
        };
        let call = CallId("c-parent".into());
        let insert = {
            let call = call.clone();
            move |queue: &super::super::Queue| {
                queue.insert(&call, &parent, clock::now())?;
                queue.db.execute("UPDATE calls SET state = 'running', attempt = 1", [])
            }
        };
        writer.write(insert).await.unwrap();
        let caller = Caller {
            cancelled: Arc::new(AtomicBool::new(true)),
            call,
            attempt: 1,
            environment: "main".into(),
            function: Arc::new(function),
            version: 1,
            catalog: Catalog::new(crate::home::Home::new(folder.path()).environment("main")),
        };
        let batch = Batch {
            map: 0,
            routine: Routine::Handler { name: "encode".into() },
            settings: ChildSettings::default(),
            first: 0,
            inputs: vec![json!({}), json!({})],
        };
        assert_eq!(caller.place(batch, "m".into(), &writer).await.unwrap().unwrap().len(), 2);
        let cancelled = |queue: &super::super::Queue| {
            let count = "SELECT count(*) FROM calls WHERE map = 'm' AND cancel_requested";
            queue.db.query_row(count, [], |row| row.get::<_, i64>(0))
        };
        assert_eq!(writer.write(cancelled).await.unwrap(), 2);
    }

    #[test]
    fn wrong_inputs_are_named_by_their_place() {
        let mut function = caller(Entry::Builtin { handler: "cut".into() });
        function.schema = Some(json!({ "type": "object", "required": ["input"] }));
        let inputs = [json!({ "input": "a" }), json!({})];
        let failure = check(&inputs, &function, 64).unwrap_err();
        assert_eq!(failure.message, "input 65 of `cut`: argument `input` is missing");
    }
}
