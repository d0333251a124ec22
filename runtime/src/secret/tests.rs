use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::home::Home;

fn store() -> (TempDir, SecretStore) {
    let dir = TempDir::new().unwrap();
    let store = SecretStore::of(&Home::new(dir.path()).environment("main"));
    (dir, store)
}

fn each(check: impl Fn(SecretStore)) {
    let (_dir, store) = store();
    check(store);
    check(SecretStore::in_memory());
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretValue> {
    pairs.iter().map(|(k, v)| (k.to_string(), SecretValue::new(*v))).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn values_come_back_and_go_and_are_told_apart_by_their_edition() {
    each(|store| {
        let edition = || store.edition(&["r2".into()]);
        let none = edition();
        store.create("r2", values(&[("KEY", "hunter2")]), false, at(1)).unwrap();
        assert_eq!(store.get("r2").unwrap(), values(&[("KEY", "hunter2")]));
        assert_eq!(store.list().unwrap().len(), 1);
        let first = edition();
        store.create("r2", values(&[("KEY", "hunter3")]), true, at(2)).unwrap();
        assert!(none != first && first != edition());
        store.delete("r2").unwrap();
        assert_eq!((edition(), store.list().unwrap()), (none, Vec::new()));
    });
}

#[test]
fn only_the_owner_can_read_files() {
    let (dir, store) = store();
    store.create("r2", values(&[("KEY", "hunter2")]), false, at(1)).unwrap();
    let dir = Home::new(dir.path()).environment("main").secrets();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path(&dir, "r2")), mode(dir)), (0o600, 0o700));
}

#[test]
fn an_existing_secret_is_replaced_only_when_asked() {
    each(|store| {
        store.create("r2", values(&[("A", "1")]), false, at(1)).unwrap();
        let again = store.create("r2", values(&[("B", "2")]), false, at(2));
        assert!(matches!(again, Err(SecretError::Exists(_))));
        store.create("r2", values(&[("B", "2")]), true, at(2)).unwrap();
        let summary = store.summary("r2").unwrap().unwrap();
        assert_eq!((summary.created_at, summary.updated_at), (at(1), at(2)));
        assert_eq!(summary.keys, ["B"]);
    });
}

#[test]
fn the_last_secret_wins_a_key() {
    each(|store| {
        store.create("a", values(&[("K", "1"), ("A", "1")]), false, at(1)).unwrap();
        store.create("b", values(&[("K", "2")]), false, at(1)).unwrap();
        let all = store.get_all(&["a".into(), "b".into()]).unwrap();
        assert_eq!(all, values(&[("K", "2"), ("A", "1")]));
    });
}

#[test]
fn names_keys_and_values_that_could_do_harm_are_refused() {
    each(|store| {
        let create = |name, key, value| store.create(name, values(&[(key, value)]), false, at(1));
        assert!(matches!(create("../x", "K", "v"), Err(SecretError::Name(_))));
        assert!(matches!(create("x", "1K", "v"), Err(SecretError::Key(_))));
        assert!(matches!(create("x", "", "v"), Err(SecretError::Key(_))));
        assert!(matches!(create("x", "K", "a\0b"), Err(SecretError::Value(_))));
        assert!(matches!(
            store.create("x", BTreeMap::new(), false, at(1)),
            Err(SecretError::Empty(_))
        ));
        assert!(store.list().unwrap().is_empty());
    });
}

#[test]
fn a_value_is_never_printed() {
    assert_eq!(format!("{:?}", SecretValue::new("hunter2")), "SecretValue(…)");
    let memory = SecretStore::in_memory();
    memory.create("r2", values(&[("KEY", "hunter2")]), false, at(1)).unwrap();
    assert!(!format!("{memory:?}").contains("hunter2"));
    let (dir, store) = store();
    store.create("r2", values(&[("KEY", "hunter2")]), false, at(1)).unwrap();
    let dir = Home::new(dir.path()).environment("main").secrets();
    fs::write(path(&dir, "r2"), r#"{"values": {"KEY": "hunter2""#).unwrap();
    let error = store.get("r2").unwrap_err();
    assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"));
}

#[test]
fn a_missing_secret_is_answered_with_what_was_meant() {
    each(|store| {
        store.create("r2-credentials", values(&[("K", "v")]), false, at(1)).unwrap();
        let error = store.get("r2-credential").unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean `r2-credentials`?");
        assert!(matches!(store.delete("other"), Err(SecretError::NotFound { .. })));
    });
}
