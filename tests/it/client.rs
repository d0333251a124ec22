//! The library that programs call functions with.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use vdeploy_runtime::client::{Call, Client, ClientError, Function, Volume};
use vdeploy_runtime::function::Entry;
use vdeploy_runtime::home::Home;
use vdeploy_runtime::settings::Settings;
use vdeploy_runtime::wire::Outcome;

use crate::env::{TestEnv, sh};

pub fn connect(env: &TestEnv) -> Client {
    let mut settings = Settings::from_env().unwrap();
    settings.home = Home::new(env.vdeploy_home());
    let worker = std::path::Path::new(env!("CARGO_BIN_EXE_vdeploy"));
    settings.worker = Some(worker.with_file_name("vdeploy-runtime"));
    Client::connect(settings.setup().unwrap(), "main").unwrap()
}

fn echo_env() -> TestEnv {
    let env = TestEnv::new();
    env.publish("echo", Entry::Builtin { handler: "echo".into() }, |_| {});
    env
}

#[derive(Debug, PartialEq, Deserialize)]
struct Said {
    n: u32,
}

#[tokio::test]
async fn a_function_is_called_with_types_and_looked_up_once() {
    let env = echo_env();
    let client = connect(&env);
    let echo = Function::of(&client, "demo", "echo");
    let said: Said = echo.call(json!({ "n": 1 })).await.unwrap();
    assert_eq!(said, Said { n: 1 });
    env.publish_script("echo", "echo '{\"n\": 99}'");
    let said: Value = echo.call(json!({ "n": 2 })).await.unwrap();
    assert_eq!(said, json!({ "n": 2 }), "the version that was found first");
    let error = echo.call::<Said>(json!({ "m": 2 })).await.unwrap_err();
    assert!(matches!(error, ClientError::Type { .. }), "{error}");
    let error = Function::of(&client, "demo", "ehco").call::<Value>(json!({})).await.unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `demo/echo`?");
    client.close().await.unwrap();
}

#[tokio::test]
async fn results_come_in_order_or_as_they_come_and_failures_in_their_place() {
    let env = echo_env();
    env.publish_script("odd", r#"read -r a; case "$a" in *1*) exit 1;; *) echo "$a";; esac"#);
    let client = connect(&env);
    let echo = Function::of(&client, "demo", "echo");
    let inputs = (0..300).map(|n| json!({ "n": n }));
    let said: Vec<Said> = echo.map(inputs).try_collect().await.unwrap();
    assert!(said.iter().enumerate().all(|(n, said)| said.n == n as u32));
    let odd = Function::of(&client, "demo", "odd");
    let results: Vec<_> = odd.map::<Said, _>((0..3).map(|n| json!({ "n": n }))).collect().await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let mut places: Vec<_> = odd
        .map::<Value, _>((0..3).map(|n| json!({ "n": n })))
        .as_completed()
        .map(|(index, _)| index)
        .collect()
        .await;
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2]);
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_wrong_input_ends_a_map_after_those_before_it() {
    let env = TestEnv::new();
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    env.publish("strict", sh("cat"), |function| function.schema = Some(schema));
    let client = connect(&env);
    let strict = Function::of(&client, "demo", "strict");
    let inputs = vec![json!({ "n": 0 }), json!({ "n": "one" }), json!({ "n": 2 })];
    let results: Vec<_> = strict.map::<Value, _>(inputs).collect().await;
    assert_eq!(results.len(), 2);
    assert!(matches!(&results[1], Err(ClientError::Args(_))), "{results:?}");
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled() {
    let env = TestEnv::new();
    let said = r#"echo '{"progress": {"fraction": 0.5}}' > "$VDEPLOY_EVENTS"; exec sleep 1000"#;
    env.publish_script("waits", said);
    let client = connect(&env);
    let waits = Function::of(&client, "demo", "waits");
    {
        let mut call = std::pin::pin!(waits.call::<Value>(json!({})));
        let short = tokio::time::timeout(Duration::from_millis(300), &mut call).await;
        assert!(short.is_err());
    }
    let mut map = waits.map::<Value, _>(vec![json!({}), json!({})]);
    let first = tokio::time::timeout(Duration::from_millis(300), map.next()).await;
    assert!(first.is_err());
    drop(map);
    client.close().await.unwrap();
    let calls = env.vdeploy("calls ls --json").exits(0).json();
    let states: Vec<_> = calls.as_array().unwrap().iter().map(|c| c["state"].clone()).collect();
    assert_eq!(states, ["cancelled"; 3]);
}

#[tokio::test]
async fn a_spawned_call_is_found_by_its_id_followed_and_cancelled() {
    let env = echo_env();
    let said = r#"echo '{"progress": {"fraction": 0.5}}' > "$VDEPLOY_EVENTS"; exec sleep 1000"#;
    env.publish_script("waits", said);
    let client = connect(&env);
    let spawned = Function::of(&client, "demo", "waits").spawn(json!({})).await.unwrap();
    let call = Call::of(&client, spawned.id().clone());
    let progress: Vec<_> = call.progress().take(1).try_collect().await.unwrap();
    assert_eq!(progress[0].fraction, Some(0.5));
    assert!(call.cancel().await.unwrap());
    assert_eq!(spawned.outcome().await.unwrap(), Outcome::Cancelled);
    assert!(!call.cancel().await.unwrap());
    let gone = Call::of(&client, vdeploy_runtime::CallId("c-nothing".into()));
    assert!(matches!(gone.wait::<Value>().await, Err(ClientError::NoSuchCall(_))));
    // What this process doesn't wait for goes on without it.
    let echo = Function::of(&client, "demo", "echo").spawn(json!({ "n": 5 })).await.unwrap();
    client.close().await.unwrap();
    let ended = env.run(["calls", "get", &echo.id().0, "--wait"]).exits(0).json();
    assert_eq!(ended, json!({ "n": 5 }));
}

#[tokio::test]
async fn folders_go_into_volumes_and_come_back() {
    let env = TestEnv::new();
    env.vdeploy("volume create footage").exits(0);
    env.write("clips/a.txt", "one");
    env.write("clips/deep/b.txt", "two");
    let home = Home::new(env.vdeploy_home()).environment("main");
    let footage = Volume::of(&home, "footage");
    let put = footage.put(env.project().join("clips"), "raw").await.unwrap();
    assert_eq!((put.files, put.bytes), (2, 6));
    let names: Vec<_> =
        footage.ls("raw").await.unwrap().iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(names, ["raw/a.txt", "raw/deep"]);
    env.write("clips/a.txt", "other");
    let error = footage.put(env.project().join("clips/a.txt"), "raw/").await.unwrap_err();
    assert!(matches!(error, ClientError::Transfer { .. }), "{error}");
    let replaced = footage.clone().overwrite(true);
    replaced.put(env.project().join("clips/a.txt"), "raw/").await.unwrap();
    footage.get("raw", env.project().join("back")).await.unwrap();
    assert_eq!(std::fs::read(env.project().join("back/a.txt")).unwrap(), b"other");
    assert!(Volume::of(&home, "fotage").ls("/").await.is_err());
}
