//! What holds for every target, checked against each: this machine, and an account.

use super::standin::Aws;
use crate::env::{Ran, TestEnv, ran};

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
        let aws = Some(Aws::start(&env)?);
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
