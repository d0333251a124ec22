//! What holds for every target, checked against each: this machine, and an account.

use super::standin::Aws;
use crate::env::{Ran, TestEnv, eventually, ran};

/// A world, and where commands in it go.
struct Place {
    env: TestEnv,
    aws: Option<Aws>,
}

impl Place {
    fn local() -> Self {
        Place { env: TestEnv::new(), aws: None }
    }

    fn aws() -> Option<Self> {
        let env = TestEnv::new();
        let aws = Some(Aws::serving(&env)?);
        Some(Place { env, aws })
    }

    fn vdeploy(&self, line: &str) -> Ran {
        match &self.aws {
            Some(aws) => aws.vdeploy(&self.env, line),
            None => ran(self.env.command(line.split_whitespace()).output().unwrap()),
        }
    }
}

fn each(check: fn(&Place)) {
    check(&Place::local());
    if let Some(place) = Place::aws() {
        check(&place);
    }
}

#[test]
fn secrets_are_kept_and_only_their_keys_are_shown() {
    each(|place| {
        let missing = place.vdeploy("secret delete nothing -y").exits(1);
        assert!(missing.stderr.contains("no secret named `nothing`"), "{}", missing.stderr);
        place.vdeploy("secret create r2 A=one B=two").exits(0);
        let again = place.vdeploy("secret create r2 A=three").exits(1);
        assert!(again.stderr.contains("secret `r2` already exists"), "{}", again.stderr);
        place.vdeploy("secret create r2 C=three --merge").exits(0);
        let listed = place.vdeploy("secret list --json").exits(0);
        assert_eq!(listed.json()[0]["keys"], serde_json::json!(["A", "B", "C"]));
        place.vdeploy("secret create r2 D=four --force").exits(0);
        let listed = place.vdeploy("secret list --json").exits(0);
        assert_eq!(listed.json()[0]["keys"], serde_json::json!(["D"]));
        assert!(!listed.stdout.contains("four"), "{}", listed.stdout);
        let near = place.vdeploy("secret delete r3 -y").exits(1);
        assert!(near.stderr.contains("did you mean `r2`?"), "{}", near.stderr);
        let bad = place.vdeploy("secret create ../x A=1").exits(1);
        assert!(bad.stderr.contains("can't be the name of a secret"), "{}", bad.stderr);
        place.vdeploy("secret delete r2 -y").exits(0);
        assert_eq!(place.vdeploy("secret list --json").exits(0).json(), serde_json::json!([]));
        place.vdeploy("secret create r2 A=one").exits(0);
    });
}

const APP: &str = r#"
[app]
name = "app"

[image.own]
uri = "registry.example/own:1"

[volume.files]

[function.one]
command = ["cat", "code/one.txt"]
source = ["code/"]
image = "own"
engine = "batch"
volumes = { "/files" = "files" }
"#;

#[test]
fn an_app_is_made_kept_changed_taken_back_and_removed() {
    each(|place| {
        let env = &place.env;
        env.write("vdeploy.toml", APP);
        env.write("code/one.txt", "one");
        let refused = place.vdeploy("deploy").exits(1);
        assert!(refused.stderr.contains("`-y`"), "{}", refused.stderr);
        place.vdeploy("plan --detailed-exitcode").exits(3);
        place.vdeploy("deploy -y").exits(0);
        place.vdeploy("plan --detailed-exitcode").exits(0);
        let before = place.vdeploy("state list").exits(0).stdout;
        for id in ["function.one", "volume.files", "source."] {
            assert!(before.contains(id), "{before}");
        }
        env.write("code/one.txt", "two");
        place.vdeploy("plan --out saved.json").exits(0);
        place.vdeploy("deploy --plan saved.json").exits(0);
        let stale = place.vdeploy("deploy --plan saved.json").exits(1);
        assert!(stale.stderr.contains("is stale"), "{}", stale.stderr);
        place.vdeploy("plan --detailed-exitcode").exits(0);
        place.vdeploy("app rollback -y").exits(0);
        place.vdeploy("plan --detailed-exitcode").exits(3);
        let versions = place.vdeploy("app history --json").exits(0).json();
        assert_eq!(versions.as_array().unwrap().len(), 3);
        assert_eq!(place.vdeploy("app ls --json").exits(0).json()[0]["functions"], 1);
        place.vdeploy("destroy -y").exits(0);
        assert_eq!(place.vdeploy("app ls --json").exits(0).json(), serde_json::json!([]));
        place.vdeploy("plan --detailed-exitcode").exits(3);
        place.vdeploy("deploy -y").exits(0);
        place.vdeploy("destroy -y").exits(0);
    });
}

#[test]
fn volumes_keep_files_as_they_are_named_and_lose_none() {
    each(|place| {
        let env = &place.env;
        // In an account, the first deploy makes the bucket that volumes are in.
        env.write("vdeploy.toml", "[app]\nname = \"app\"\n[volume.other]\n");
        place.vdeploy("deploy -y").exits(0);
        let missing = place.vdeploy("volume ls footage").exits(1);
        assert!(missing.stderr.contains("no volume named `footage`"), "{}", missing.stderr);
        place.vdeploy("volume create footage").exits(0);
        let twice = place.vdeploy("volume create footage").exits(1);
        assert!(twice.stderr.contains("already exists"), "{}", twice.stderr);
        for (name, bytes) in [("in/a.mov", 9), ("in/deep/b.mov", 300_000), ("in/deep/ü c.mov", 0)]
        {
            env.write(name, vec![7; bytes]);
        }
        place.vdeploy("volume put footage in day/").exits(0);
        let names = |folder: &str| {
            let listed = place.vdeploy(&format!("volume ls footage {folder} -r --json")).exits(0);
            let found = listed.json();
            let mut names: Vec<_> = found
                .as_array()
                .unwrap()
                .iter()
                .filter(|entry| entry["type"] == "file")
                .map(|entry| (entry["path"].as_str().unwrap().to_owned(), entry["size"].as_u64()))
                .collect();
            names.sort();
            names
        };
        let all = [
            ("day/in/a.mov".to_owned(), Some(9)),
            ("day/in/deep/b.mov".to_owned(), Some(300_000)),
            ("day/in/deep/ü c.mov".to_owned(), Some(0)),
        ];
        assert_eq!(names(""), all);
        assert_eq!(names("day/in/deep"), all[1..]);
        env.write("in/a.mov", "another");
        let there = place.vdeploy("volume put footage in/a.mov day/in/").exits(1);
        assert!(there.stderr.contains("already exists"), "{}", there.stderr);
        place.vdeploy("volume put footage in/a.mov day/in/ --force").exits(0);
        place.vdeploy("volume get footage day/in out").exits(0);
        let read = |name: &str| std::fs::read(env.project().join(name)).unwrap();
        assert_eq!(read("out/a.mov"), b"another");
        assert_eq!(read("out/deep/b.mov"), vec![7; 300_000]);
        place.vdeploy("volume cp footage day/in/a.mov copy.mov").exits(0);
        place.vdeploy("volume rm footage day -r").exits(0);
        assert_eq!(names(""), [("copy.mov".to_owned(), Some(7))]);
        let outside = place.vdeploy("volume put footage in/a.mov ../x").exits(2);
        assert!(outside.stderr.contains(".."), "{}", outside.stderr);
        let gone = place.vdeploy("volume get footage day/in/a.mov x").exits(1);
        assert!(gone.stderr.contains("day/in/a.mov"), "{}", gone.stderr);
        place.vdeploy("volume delete footage -y").exits(0);
        place.vdeploy("volume ls footage").exits(1);
    });
}

const CALLED: &str = r#"
[app]
name = "called"

[image.own]
uri = "registry.example/own:1"

[function.double]
command = ["sh", "-c", 'sed "s/.*: *\([0-9]*\).*/{\"is\": \1\1}/"']
image = "own"
engine = "batch"

[function.fails]
command = ["sh", "-c", "cat >/dev/null; echo lost the ball >&2; exit 3"]
image = "own"
engine = "batch"
retries = { max = 1, initial_delay = "10ms" }

[function.waits]
command = ["sh", "-c", "cat >/dev/null; echo ready >&2; sleep 60"]
image = "own"
engine = "batch"
"#;

#[test]
fn calls_are_taken_run_watched_counted_and_ended() {
    each(|place| {
        place.env.write("vdeploy.toml", CALLED);
        place.vdeploy("deploy -y").exits(0);
        assert_eq!(place.vdeploy("call double --args n=4").exits(0).json()["is"], 44);

        let failed = place.vdeploy("call fails").exits(5);
        assert!(failed.stderr.contains("lost the ball"), "{}", failed.stderr);
        let listed = place.vdeploy("calls ls fails --json").exits(0).json();
        let id = listed[0]["id"].as_str().unwrap();
        let record = place.vdeploy(&format!("calls get {id} --json")).exits(0).json();
        assert_eq!(record["state"], "failed", "{record}");
        assert_eq!(record["attempts"].as_array().unwrap().len(), 2, "{record}");
        let logs = place.vdeploy(&format!("calls logs {id}")).exits(0).stdout;
        assert_eq!(logs.matches("lost the ball").count(), 2, "{logs}");

        place
            .env
            .write("inputs.jsonl", (1..6).map(|n| format!("{{\"n\": {n}}}\n")).collect::<String>());
        let mapped = place.vdeploy("map double --inputs inputs.jsonl --ordered").exits(0);
        let results = mapped.stdout.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["result"]["is"].as_u64()
        });
        assert_eq!(results.collect::<Vec<_>>(), [11, 22, 33, 44, 55].map(Some));

        let waits = place.vdeploy("call waits --detach").exits(0).stdout.trim().to_owned();
        let log = || place.vdeploy(&format!("calls logs {waits}")).exits(0).stdout;
        eventually(|| log().contains("ready"));
        place.vdeploy(&format!("calls cancel {waits}")).exits(0);
        let ended = place.vdeploy(&format!("calls get {waits} --wait --json")).exits(5).json();
        assert_eq!(ended["state"], "cancelled", "{ended}");
        let nothing = place.vdeploy("calls get c-nothing").exits(1);
        assert!(nothing.stderr.contains("c-nothing"), "{}", nothing.stderr);
        let unknown = place.vdeploy("call doubel --args n=4").exits(1);
        assert!(unknown.stderr.contains("did you mean"), "{}", unknown.stderr);
    });
}
