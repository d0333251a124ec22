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
    an_app_moves_from_one_store_to_another(new(), new()).await;
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

async fn an_app_moves_from_one_store_to_another(
    mut from: impl StateStore,
    mut to: impl StateStore,
) {
    assert_eq!(from.export("a").await.unwrap(), None);
    let (x, y) = (volume("x"), volume("y"));
    let release = Change::Release(version(1, &[&x]));
    let basis = from.append("a", &Basis::default(), &[Change::Have(x.clone()), release]).await;
    let z = volume("z");
    let next = [Change::Have(z.clone()), Change::Release(version(2, &[&z]))];
    let basis = from.append("a", &basis.unwrap(), &next).await.unwrap();
    let then = [Change::Drop(x.id()), Change::Drop(z.id()), Change::Intend(y.clone())];
    let basis = from.append("a", &basis, &then).await.unwrap();
    let archive = from.export("a").await.unwrap().unwrap();
    to.import("a", &archive).await.unwrap();
    assert_eq!(to.load("a").await.unwrap(), from.load("a").await.unwrap());
    assert_eq!(to.version("a", 1).await.unwrap(), Some(vec![x]));
    assert_eq!(to.version("a", 2).await.unwrap(), Some(vec![z]));
    assert_eq!(to.names().await.unwrap(), ["a"]);
    // Where it came to it goes on, and an older state can't come after it.
    let later = to.append("a", &basis, &[Change::Have(y)]).await.unwrap();
    assert_eq!(later.serial, basis.serial + 1);
    let older = to.import("a", &archive).await;
    assert!(matches!(older, Err(StoreError::Newer { there: 4, comes: 3, .. })), "{older:?}");
    let mut other = archive.clone();
    other.state.basis.lineage = Some("other".into());
    let other = to.import("a", &other).await;
    assert!(matches!(other, Err(StoreError::OtherHistory(_))), "{other:?}");
    let back = to.export("a").await.unwrap().unwrap();
    from.import("a", &back).await.unwrap();
    assert_eq!(from.load("a").await.unwrap().basis, later);
    to.forget("a").await.unwrap();
    to.forget("a").await.unwrap();
    assert_eq!(to.load("a").await.unwrap(), State::default());
    assert_eq!(to.names().await.unwrap(), Vec::<String>::new());
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

/// S3 as moto has it, which refuses conditional writes as AWS does; skipped where it isn't installed.
#[tokio::test]
async fn s3_keeps_the_contract() {
    let Some(server) = standin::start() else { return };
    let counter = std::cell::Cell::new(0);
    let objects = server.bucket("states").await;
    check_all(|| {
        counter.set(counter.get() + 1);
        super::S3Store::new(objects.clone(), &format!("environment-{}", counter.get()))
    })
    .await;
}

#[tokio::test]
async fn a_lock_in_s3_has_one_holder_and_is_taken_over_from_a_dead_one() {
    use super::{LockError, S3Lock, break_s3_lock, s3_holder};
    let Some(server) = standin::start() else { return };
    let objects = server.bucket("locks").await;
    let take = |holder: super::Holder| {
        let objects = objects.clone();
        async move { S3Lock::take(objects, "lock.json".into(), &holder).await }
    };
    let holder = |pid| super::Holder {
        user: "ada".into(),
        host: "vm".into(),
        pid,
        operation: "deploy".into(),
        since: Timestamp::UNIX_EPOCH,
    };
    let alive = std::process::id();
    let lock = take(holder(alive)).await.unwrap();
    let second = take(holder(alive)).await;
    assert!(
        matches!(&second, Err(LockError::Held { holder: Some(first) }) if *first == holder(alive))
    );
    lock.release().await.unwrap();
    // No process has this number: the largest is far smaller.
    let left = take(holder(i32::MAX as u32)).await.unwrap();
    let taken_over = take(holder(alive)).await.unwrap();
    left.release().await.unwrap();
    assert_eq!(s3_holder(&objects, "lock.json").await.unwrap(), Some(holder(alive)));
    break_s3_lock(&objects, "lock.json".into()).await.unwrap();
    taken_over.release().await.unwrap();
    assert_eq!(s3_holder(&objects, "lock.json").await.unwrap(), None);
}

/// A stand-in for S3, as long as this value lives.
mod standin {
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use vdeploy_runtime::aws::objects::Bucket;

    pub(super) struct Standin {
        child: Child,
        address: String,
        _dir: tempfile::TempDir,
    }

    #[expect(clippy::disallowed_methods, reason = "a test starts the stand-in")]
    pub(super) fn start() -> Option<Standin> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        let python = repository.join("target/standin/venv/bin/python");
        if !python.exists() {
            eprintln!("skipped: there is no stand-in for AWS; `tests/tools` installs it");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let address = dir.path().join("address");
        let child = Command::new(python)
            .arg(repository.join("tests/standin/aws/server.py"))
            .arg(&address)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !address.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let address = std::fs::read_to_string(address).unwrap();
        Some(Standin { child, address, _dir: dir })
    }

    impl Standin {
        pub(super) async fn bucket(&self, name: &str) -> Bucket {
            let config = aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new("t", "t", None, None, "test"))
                .endpoint_url(&self.address)
                .http_client(vdeploy_runtime::aws::https())
                .force_path_style(true)
                .build();
            let client = aws_sdk_s3::Client::from_conf(config);
            client.create_bucket().bucket(name).send().await.unwrap();
            Bucket::new(client, name)
        }
    }

    impl Drop for Standin {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
