//! What is remembered, and that it is nobody else's business.

use std::os::unix::fs::PermissionsExt;

use crate::env::TestEnv;

const MANIFEST: &str = "[app]\nname = \"reel\"\n[function.echo]\nhandler = \"echo\"\n";

#[test]
fn resources_are_listed_and_shown() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", MANIFEST);
    let early = env.vdeploy("state list").exits(1);
    assert!(early.stderr.contains("no app `reel` is deployed"), "{}", early.stderr);
    env.vdeploy("deploy -y").exits(0);
    assert_eq!(env.vdeploy("state list").exits(0).stdout, "function.echo\n");
    let json = env.vdeploy("state list --json").exits(0).json();
    assert!(json["serial"].as_u64().unwrap() > 0);
    assert_eq!(json["lineage"].as_str().unwrap().len(), 32);
    let shown = env.vdeploy("state show function.echo").exits(0).json();
    assert_eq!(shown["status"], "ready");
    let typo = env.vdeploy("state show function.ecko").exits(1);
    assert!(typo.stderr.contains("did you mean `function.echo`?"), "{}", typo.stderr);
    env.vdeploy("state show nonsense").exits(2);
}

#[test]
fn nobody_else_can_read_the_state() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", MANIFEST);
    env.vdeploy("deploy -y").exits(0);
    let main = env.vdeploy_home().join("environments/main");
    for file in ["state.db", "state.lock"] {
        let mode = std::fs::metadata(main.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_damaged_database_is_said_to_be_one_once() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", MANIFEST);
    env.vdeploy("deploy -y").exits(0);
    let garbage = "certainly not a database".repeat(99);
    for (file, command) in [("queue.db", "calls ls"), ("environments/main/state.db", "state list")]
    {
        std::fs::write(env.vdeploy_home().join(file), &garbage).unwrap();
        let stderr = env.vdeploy(command).exits(1).stderr;
        assert_eq!(stderr.matches("not a database").count(), 1, "{stderr}");
        assert_eq!(stderr.matches("cause:").count(), 1, "{stderr}");
    }
}

#[test]
fn a_state_of_a_later_version_is_refused() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", MANIFEST);
    env.vdeploy("deploy -y").exits(0);
    let path = env.vdeploy_home().join("environments/main/state.db");
    let db = rusqlite::Connection::open(path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let refused = env.vdeploy("plan").exits(1);
    assert!(refused.stderr.contains("later version of vdeploy"), "{}", refused.stderr);
}

#[test]
fn a_damaged_state_is_said_to_be_so() {
    let env = TestEnv::new();
    env.write("vdeploy.toml", MANIFEST);
    let path = env.vdeploy_home().join("environments/main/state.db");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "this is no database, whatever its name may say, it is a text").unwrap();
    let refused = env.vdeploy("plan").exits(1);
    assert!(refused.stderr.contains("can't access the state"), "{}", refused.stderr);
}
