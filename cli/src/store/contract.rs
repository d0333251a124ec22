//! What every store must do, checked against each.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{MemoryStore, SqliteStore, StateStore, StoreError};
use crate::plan::Summary;
use crate::resource::{Resource, Volume};
use crate::state::{Basis, Change, State, Status, VERSIONS_KEPT, Version};

fn volume(name: &str) -> Resource {
    Resource::Volume(Volume { name: name.into() })
}

fn version(number: u64, resources: &[&Resource]) -> Version {
    Version {
        number,
        deployed_at: Timestamp::UNIX_EPOCH,
        summary: Summary::default(),
        rollback_to: None,
        resources: resources.iter().map(|r| (r.id(), r.fingerprint())).collect(),
    }
}

async fn check_all<S: StateStore>(new: impl Fn() -> S) {
    an_app_that_was_never_deployed_has_no_state(new()).await;
    steps_add_up_to_the_state(new()).await;
    a_moved_state_refuses_steps(new()).await;
    versions_are_kept_and_the_oldest_forgotten(new()).await;
    apps_are_listed_with_what_they_use(new()).await;
}

async fn an_app_that_was_never_deployed_has_no_state(mut store: impl StateStore) {
    assert_eq!(store.load("a").await.unwrap(), State::default());
    assert_eq!(store.version("a", 1).await.unwrap(), None);
    assert_eq!(store.apps().await.unwrap(), []);
}

async fn steps_add_up_to_the_state(mut store: impl StateStore) {
    let mut expected = State::default();
    for changes in [
        vec![Change::Intend(volume("x")), Change::Intend(volume("y"))],
        vec![Change::Have(volume("x"))],
        vec![Change::Have(volume("y")), Change::Release(version(1, &[&volume("x"), &volume("y")]))],
        vec![Change::Drop(volume("x").id())],
    ] {
        changes.iter().for_each(|change| expected.record(change));
        expected.basis = store.append("a", &expected.basis, &changes).await.unwrap();
        assert_eq!(store.load("a").await.unwrap(), expected);
    }
    assert_eq!(expected.records[&volume("y").id()].status, Status::Ready);
    assert_eq!(expected.basis.serial, 4);
    store.append("a", &expected.basis, &[Change::End]).await.unwrap();
    let ended = store.load("a").await.unwrap();
    assert_eq!((ended.version, ended.versions.len()), (1, 0));
}

async fn a_moved_state_refuses_steps(mut store: impl StateStore) {
    let first = store.append("a", &Basis::default(), &[Change::Have(volume("x"))]).await.unwrap();
    let second = store.append("a", &first, &[Change::Have(volume("y"))]).await.unwrap();
    let other = Basis { lineage: Some("other".into()), serial: second.serial };
    for stale in [Basis::default(), first, other] {
        let refused = store.append("a", &stale, &[Change::Drop(volume("x").id())]).await;
        assert!(matches!(refused, Err(StoreError::Moved(_))), "{refused:?}");
    }
    let state = store.load("a").await.unwrap();
    assert_eq!((state.basis, state.records.len()), (second, 2));
}

async fn versions_are_kept_and_the_oldest_forgotten(mut store: impl StateStore) {
    let mut basis = Basis::default();
    for number in 1..=VERSIONS_KEPT as u64 + 1 {
        let resource = volume(&format!("v{number}"));
        let release = Change::Release(version(number, &[&resource]));
        basis = store.append("a", &basis, &[Change::Have(resource), release]).await.unwrap();
    }
    assert_eq!(store.version("a", 1).await.unwrap(), None);
    assert_eq!(store.version("a", 2).await.unwrap(), Some(vec![volume("v2")]));
    assert_eq!(store.load("a").await.unwrap().versions.len(), VERSIONS_KEPT);
}

async fn apps_are_listed_with_what_they_use(mut store: impl StateStore) {
    for app in ["a", "b"] {
        store.append(app, &Basis::default(), &[Change::Have(volume("x"))]).await.unwrap();
    }
    let gone = [Change::Have(volume("y")), Change::Drop(volume("y").id())];
    store.append("c", &Basis::default(), &gone).await.unwrap();
    let names: Vec<_> = store.apps().await.unwrap().into_iter().map(|app| app.app).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(store.users(&volume("x").id()).await.unwrap(), ["a", "b"]);
    assert!(store.users(&volume("y").id()).await.unwrap().is_empty());
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    check_all(MemoryStore::default).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let counter = std::cell::Cell::new(0);
    check_all(|| {
        counter.set(counter.get() + 1);
        SqliteStore::at(dir.path().join(format!("{}/state.db", counter.get())))
    })
    .await;
}

#[tokio::test]
async fn sqlite_keeps_its_file_private_and_makes_none_for_reading() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut store = SqliteStore::at(&path);
    store.load("a").await.unwrap();
    assert!(!path.exists());
    store.append("a", &Basis::default(), &[Change::Have(volume("x"))]).await.unwrap();
    let modes: BTreeMap<_, _> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), entry.metadata().unwrap().permissions().mode() & 0o777))
        .collect();
    assert!(modes.len() >= 2 && modes.values().all(|mode| *mode == 0o600), "{modes:?}");
}
