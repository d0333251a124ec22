//! What holds for calls wherever they run, checked through the library: in memory, on this machine
//! and in an account.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use vdeploy_runtime::client::{CallOptions, Client, ClientError, Function};
use vdeploy_runtime::dispatch::What;
use vdeploy_runtime::dispatch::local::{CallFilter, CallState};
use vdeploy_runtime::function::{Entry, FunctionSpec};
use vdeploy_runtime::handler::{Context, Handler, Registry};
use vdeploy_runtime::wire::{CallId, Failure, FailureKind, Outcome};

use crate::aws::Deployed;
use crate::client::connect;
use crate::env::{TestEnv, sh};

/// What every place has of the app `demo`: a name, a program, and how often it is tried again.
fn programs() -> [(&'static str, Entry, u32); 3] {
    [
        ("double", sh(r#"sed 's/.*: *\([0-9]*\).*/{"is": \1\1}/'"#), 0),
        ("fails", sh("cat >/dev/null; echo lost the ball >&2; exit 3"), 1),
        ("waits", sh("cat >/dev/null; sleep 60"), 0),
    ]
}

/// What takes the place of a program in memory.
struct Double;
struct Fails;
struct Waits;

type Object = serde_json::Map<String, Value>;

impl Handler for Double {
    type Args = Object;
    type Output = Value;
    const NAME: &'static str = "double";
    const ABOUT: &'static str = "Says a number twice.";

    async fn run(&self, _: Context, args: Object) -> Result<Value, Failure> {
        let twice = format!("{0}{0}", args["n"]).parse::<u64>().unwrap();
        Ok(json!({ "is": twice }))
    }
}

impl Handler for Fails {
    type Args = Object;
    type Output = Value;
    const NAME: &'static str = "fails";
    const ABOUT: &'static str = "Never succeeds.";

    async fn run(&self, _: Context, _: Object) -> Result<Value, Failure> {
        let failure = Failure::new(FailureKind::Handler, "it exited with status 3");
        Err(failure.retryable(true))
    }
}

impl Handler for Waits {
    type Args = Object;
    type Output = Value;
    const NAME: &'static str = "waits";
    const ABOUT: &'static str = "Waits to be cancelled.";

    async fn run(&self, cx: Context, _: Object) -> Result<Value, Failure> {
        cx.cancellation().cancelled().await;
        Err(Failure::new(FailureKind::Cancelled, "it was cancelled"))
    }
}

fn tried_again(function: &mut FunctionSpec, times: u32) {
    function.retries.max = times;
    function.retries.initial_delay_seconds = 0.01;
}

fn in_memory() -> Client {
    let spec = |(name, _, retries): (&str, Entry, u32)| {
        let entry = Entry::Builtin { handler: name.into() };
        let mut spec: FunctionSpec =
            serde_json::from_value(json!({ "app": "demo", "name": name, "entry": entry })).unwrap();
        tried_again(&mut spec, retries);
        spec
    };
    let registry = Registry::new().with(Double).with(Fails).with(Waits);
    Client::in_memory(registry, programs().into_iter().map(spec).collect()).unwrap()
}

fn on_this_machine(env: &TestEnv) -> Client {
    for (name, entry, retries) in programs() {
        env.publish(name, entry, |function| tried_again(function, retries));
    }
    connect(env)
}

/// What happens to a call: whether it started, how often it was tried again, and how it ended.
async fn followed(client: &Client, call: &CallId) -> (bool, usize, Outcome) {
    let (mut events, mut started, mut retries) = (client.events(call), false, 0);
    loop {
        match events.next().await.unwrap() {
            What::Started { .. } => started = true,
            What::Retrying { .. } => retries += 1,
            What::Ended { outcome } => return (started, retries, outcome),
            _ => {}
        }
    }
}

async fn spawned(client: &Client, name: &str, args: Value) -> CallId {
    let function = client.function(name, Some("demo")).await.unwrap();
    client.spawn(&function, args, &CallOptions::default()).await.unwrap()
}

async fn a_call_is_recorded_tried_again_and_ended_once(client: &Client) {
    let call = spawned(client, "fails", json!({})).await;
    let (.., outcome) = followed(client, &call).await;
    let Outcome::Failed { failure } = &outcome else { panic!("{outcome:?}") };
    assert!(failure.to_string().contains("exit"), "{failure}");
    let record = client.record(&call).await.unwrap();
    assert_eq!((record.state, record.attempts.len()), (CallState::Failed, 2), "{record:?}");
    assert_eq!(record.outcome, Some(outcome));
    assert!(record.attempts.iter().all(|attempt| attempt.failure.is_some()), "{record:?}");
    assert!(record.started.is_some() && record.ended.is_some() && record.seconds > 0.0);
    // Who comes late hears of the end all the same.
    assert_eq!(client.wait(&call).await.unwrap(), record.outcome.unwrap());
    assert!(!client.cancel(&call).await.unwrap(), "what has ended can't be cancelled");
    let unknown = client.record(&CallId("c-nothing".into())).await.unwrap_err();
    assert!(matches!(unknown, ClientError::NoSuchCall(_)), "{unknown}");
}

async fn results_come_in_the_order_of_their_inputs(client: &Client) {
    let double = Function::of(client, "demo", "double");
    let said: Value = double.call(json!({ "n": 4 })).await.unwrap();
    assert_eq!(said, json!({ "is": 44 }));
    let results = double.map::<Value, _>((1..6).map(|n| json!({ "n": n })));
    let results: Vec<_> = results.map(|result| result.unwrap()["is"].as_u64()).collect().await;
    assert_eq!(results, [11, 22, 33, 44, 55].map(Some));
    let misspelt = Function::of(client, "demo", "doubel").call::<Value>(json!({})).await;
    assert_eq!(misspelt.unwrap_err().hint().unwrap(), "did you mean `demo/double`?");
}

async fn what_runs_can_be_cancelled(client: &Client) {
    let call = spawned(client, "waits", json!({})).await;
    let mut events = client.events(&call);
    while client.record(&call).await.unwrap().state != CallState::Running {
        // Where starting takes long, other things happen meanwhile.
        let _ = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
    }
    assert!(client.cancel(&call).await.unwrap());
    assert_eq!(client.wait(&call).await.unwrap(), Outcome::Cancelled);
    assert_eq!(client.record(&call).await.unwrap().state, CallState::Cancelled);
}

async fn calls_are_listed_counted_and_forgotten(client: &Client) {
    let calls = client.dispatcher();
    let of = |function: &str, states: &[CallState]| CallFilter {
        environment: Some("main".into()),
        app: Some("demo".into()),
        function: Some(function.into()),
        states: states.to_vec(),
        ..CallFilter::default()
    };
    assert_eq!(calls.count(of("double", &[])).await.unwrap(), 6);
    assert_eq!(calls.count(of("double", &[CallState::Failed])).await.unwrap(), 0);
    assert_eq!(calls.count(of("fails", &[CallState::Failed])).await.unwrap(), 1);
    let newest = calls.calls(CallFilter { limit: Some(1), ..of("waits", &[]) }).await.unwrap();
    assert_eq!(newest.iter().map(|call| call.state).collect::<Vec<_>>(), [CallState::Cancelled]);
    let ids: Vec<_> = calls.calls(of("double", &[])).await.unwrap();
    let ids: Vec<_> = ids.into_iter().map(|call| call.id).collect();
    assert_eq!(calls.outcomes(ids).await.unwrap().len(), 6);
    let end_of_time = jiff::Timestamp::MAX;
    assert_eq!(calls.prune(end_of_time).await.unwrap(), 8);
    assert_eq!(calls.count(CallFilter::default()).await.unwrap(), 0);
}

async fn check_all(client: &Client) {
    a_call_is_recorded_tried_again_and_ended_once(client).await;
    results_come_in_the_order_of_their_inputs(client).await;
    what_runs_can_be_cancelled(client).await;
    calls_are_listed_counted_and_forgotten(client).await;
    client.close().await.unwrap();
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let client = in_memory();
    check_all(&client).await;
    let call = spawned(&client, "fails", json!({})).await;
    let (started, retries, _) = followed(&client, &call).await;
    assert!(started && retries == 1, "events are told as they happen");

    let program: FunctionSpec =
        serde_json::from_value(json!({ "app": "demo", "name": "cat", "entry": sh("cat") }))
            .unwrap();
    let client = Client::in_memory(Registry::new(), vec![program]).unwrap();
    let refused = Function::of(&client, "demo", "cat").call::<Value>(json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("don't run in memory"), "{refused}");
}

#[tokio::test]
async fn this_machine_keeps_the_contract() {
    let env = TestEnv::new();
    check_all(&on_this_machine(&env)).await;
}

#[tokio::test]
async fn an_account_keeps_the_contract() {
    let env = TestEnv::new();
    let Some(place) = Deployed::start(&env, &programs()) else { return };
    check_all(&place.client()).await;
}
