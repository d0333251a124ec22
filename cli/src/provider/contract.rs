//! What every provider must do, checked against each that needs nothing but this machine; the target
//! `aws` is held to the same through the command, in tests/it/aws/contract.rs.

use std::collections::BTreeSet;

use vdeploy_runtime::failpoint::Failpoint;
use vdeploy_runtime::function::FunctionSpec;
use vdeploy_runtime::home::Home;
use vdeploy_runtime::secret::SecretStore;
use vdeploy_runtime::storage::Contents;

use super::{Builder, Deployment, LocalProvider, MemoryProvider, Provider, Workshop};
use crate::resource::{Resource, ResourceId, Volume};
use crate::ui::{Printer, Verbosity};

fn function(cpu: f64) -> Resource {
    let entry = serde_json::json!({ "kind": "builtin", "handler": "echo" });
    let spec = serde_json::json!({ "app": "app", "name": "echo", "entry": entry });
    let mut spec: FunctionSpec = serde_json::from_value(spec).unwrap();
    spec.resources.cpu = cpu;
    Resource::Function(Box::new(spec))
}

/// What is there of a resource.
async fn there(provider: &impl Provider, id: ResourceId) -> Option<Resource> {
    let mut seen = provider.observe(&BTreeSet::from([id.clone()])).await.unwrap();
    seen.remove(&id).map(|seen| seen.resource.expect("it isn't damaged"))
}

/// `before` becomes `after` in place.
async fn keeps(provider: &impl Provider, before: Resource, after: Resource) {
    assert_eq!(there(provider, before.id()).await, None);
    provider.create(&before).await.unwrap();
    assert_eq!(there(provider, before.id()).await.as_ref(), Some(&before));
    // What an interrupted creation left is taken over.
    provider.create(&before).await.unwrap();
    provider.update(&before, &after).await.unwrap();
    assert_eq!(there(provider, after.id()).await.as_ref(), Some(&after));
    provider.delete(&after).await.unwrap();
    assert_eq!(there(provider, after.id()).await, None);
    // What is gone already is fine.
    provider.delete(&after).await.unwrap();
    assert!(provider.observe(&BTreeSet::new()).await.unwrap().is_empty());
    assert!(provider.at_once() >= 1);
}

async fn check_all(provider: &impl Provider) {
    let volume = || Resource::Volume(Volume { name: "footage".into() });
    keeps(provider, function(1.0), function(2.0)).await;
    keeps(provider, volume(), volume()).await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    check_all(&MemoryProvider::default()).await;
}

#[tokio::test]
async fn this_machine_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path()).environment("main");
    let printer = Printer {
        verbosity: Verbosity::Quiet,
        json: false,
        progress: false,
        color_stderr: false,
        color_stdout: false,
        unicode: true,
    };
    let workshop = Workshop {
        engine: Default::default(),
        classic: false,
        secrets: SecretStore::of(&home),
        stop: Default::default(),
        printer,
    };
    let builder = Builder::new(workshop, Vec::new(), Default::default());
    let deployment = Deployment {
        version: 1,
        now: jiff::Timestamp::UNIX_EPOCH,
        sources: Vec::new(),
        contents: Contents::Keep,
        builder,
    };
    let failpoint = Failpoint::none();
    check_all(&LocalProvider::new("app", home, deployment, &failpoint)).await;
}
