//! Secrets that commands see while an image is built, and that stay nowhere in it.

use std::process::{Command, Stdio};

use super::{Docked, docked};
use crate::env::ran;

const VALUE: &str = "tr0ub4dor&3 'quoted'";
const INDEX: &str = "[secret.index]\nkeys = [\"INDEX_TOKEN\"]\n";

fn keep(docked: &Docked, value: &str) {
    let stdin = std::fs::File::open(docked.env.write("value", value)).unwrap();
    let mut create = docked.command(["secret", "create", "index", "INDEX_TOKEN=-", "--force"]);
    ran(create.stdin(stdin).output().unwrap()).exits(0);
    std::fs::remove_file(docked.env.project().join("value")).unwrap();
}

/// How many lines of an image's layers, history and settings hold `text`.
fn lines_with(docked: &Docked, reference: &str, text: &str) -> usize {
    let script = "{ docker save \"$1\"; docker history --no-trunc \"$1\"; docker inspect \"$1\"; } \
                  | grep --text --count --fixed-strings -- \"$2\"";
    let mut grep = Command::new("sh");
    grep.args(["-c", script, "sh", reference, text]).env("DOCKER_HOST", docked.daemon.host());
    let said = grep.stderr(Stdio::inherit()).output().unwrap().stdout;
    String::from_utf8(said).unwrap().trim().parse().unwrap()
}

#[test]
fn a_command_sees_a_secret_that_no_layer_keeps() {
    let Some(docked) = docked() else { return };
    keep(&docked, VALUE);
    // A step that the cache has from an earlier run of this test says nothing.
    let new = docked.env.project().display().to_string();
    docked.manifest(&format!(
        "{INDEX}[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\nsecrets = [\"index\"]\n\
         run = [\"echo {new}: I was told $INDEX_TOKEN\", \
         \"printf %s \\\"$INDEX_TOKEN\\\" | sha256sum > /told\", \"echo layers-are-read > /mark\"]\n"
    ));
    let built = docked.vdeploy("-v image build").exits(0);
    assert!(built.stderr.contains("I was told ***"), "{}", built.stderr);
    assert!(!built.stderr.contains("tr0ub4dor"), "{}", built.stderr);
    let reference = built.stdout.trim();
    let told = docked.vdeploy("image shell box -- cat /told").exits(0).stdout;
    assert_eq!(told.split(' ').next().unwrap(), sha256(VALUE));
    assert!(lines_with(&docked, reference, "layers-are-read") > 0);
    assert_eq!(lines_with(&docked, reference, "tr0ub4dor"), 0);
    let left = docked.vdeploy("image shell box -- ls /run/secrets");
    assert!(!left.stdout.contains("vdeploy"), "{}", left.stdout);

    // Another value isn't another image.
    keep(&docked, "something else entirely");
    assert_eq!(docked.vdeploy("image build").exits(0).stdout, built.stdout);
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_dockerfile_of_ones_own_mounts_a_secret_by_its_key() {
    let Some(docked) = docked() else { return };
    keep(&docked, VALUE);
    docked.env.write(
        "Dockerfile",
        "FROM vdeploy-standin:ffmpeg\n\
         RUN --mount=type=secret,id=INDEX_TOKEN,required=true \
         sha256sum < /run/secrets/INDEX_TOKEN > /told\n",
    );
    let image = "[image.box]\ndockerfile = \"Dockerfile\"\n";
    docked.manifest(&format!("{INDEX}{image}secrets = [\"index\"]\n"));
    docked.vdeploy("image build").exits(0);
    let told = docked.vdeploy("image shell box -- cat /told").exits(0).stdout;
    assert_eq!(told.split(' ').next().unwrap(), sha256(VALUE));
    // Without being named it isn't given out; another mount, or the cache would answer.
    docked.env.write(
        "Dockerfile",
        "FROM vdeploy-standin:ffmpeg\n\
         RUN --mount=type=secret,id=INDEX_TOKEN,required=true cat /run/secrets/INDEX_TOKEN\n",
    );
    docked.manifest(&format!("{INDEX}{image}"));
    let failed = docked.vdeploy("image build").exits(1);
    assert!(failed.stderr.contains("INDEX_TOKEN"), "{}", failed.stderr);
    assert!(!failed.stderr.contains("tr0ub4dor"), "{}", failed.stderr);
}

#[test]
fn a_failure_hides_the_value_and_a_missing_secret_says_how_to_set_it() {
    let Some(docked) = docked() else { return };
    docked.manifest(&format!(
        "{INDEX}[image.box]\nbase = \"vdeploy-standin:ffmpeg\"\nsecrets = [\"index\"]\n\
         run = [\"echo refused: $INDEX_TOKEN >&2; exit 4\"]\n"
    ));
    let missing = docked.vdeploy("image build").exits(1);
    assert!(missing.stderr.contains("no secret named `index`"), "{}", missing.stderr);
    assert!(missing.stderr.contains("vdeploy secret create index"), "{}", missing.stderr);
    keep(&docked, VALUE);
    let failed = docked.vdeploy("image build").exits(1);
    assert!(failed.stderr.contains("refused: ***"), "{}", failed.stderr);
    assert!(failed.stderr.contains("line 8 of the manifest"), "{}", failed.stderr);
    assert!(!failed.stderr.contains("tr0ub4dor"), "{}", failed.stderr);

    let mut classic = docked.command(["image", "build"]);
    let refused = ran(classic.env("DOCKER_BUILDKIT", "0").output().unwrap()).exits(1);
    assert!(refused.stderr.contains("this engine has no BuildKit"), "{}", refused.stderr);
}
