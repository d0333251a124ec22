//! What becomes of `[image.*]`: built once, checked from inside, named by its content, and what is
//! said when it can't be built.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::docked;
use crate::env::{TestEnv, interrupt};

const ECHO: &str = "\
[image.cpu]
base = \"vdeploy-standin:ffmpeg\"
[target.local]
isolation = \"docker\"
[function.echo]
handler = \"echo\"
image = \"cpu\"
";

#[test]
fn an_image_is_built_once_and_again_when_it_was_removed() {
    let Some(docked) = docked() else { return };
    docked.manifest(ECHO);
    let first = docked.vdeploy("deploy -y").exits(0);
    assert!(first.stderr.contains("image.cpu 1/"), "{}", first.stderr);
    let reference = docked.reference("cpu");
    let again = docked.vdeploy("deploy -y").exits(0);
    assert!(again.stderr.contains("No changes."), "{}", again.stderr);
    docked.daemon.docker(&format!("rmi {reference}"));
    let plan = docked.vdeploy("plan").exits(0);
    assert!(plan.stdout.contains("removed outside"), "{}", plan.stdout);
    docked.vdeploy("deploy -y").exits(0);
    assert_eq!(docked.reference("cpu"), reference);
    let used = docked.vdeploy("image ls --json").exits(0).json();
    assert_eq!(used[0]["used_by"][0], "demo/echo");
    let labels =
        docked.daemon.docker(&format!("inspect --format {{{{.Config.Labels}}}} {reference}"));
    assert!(labels.contains("org.opencontainers.image.title:demo/cpu"), "{labels}");
    docked.vdeploy("destroy -y").exits(0);
    let gone = docked.daemon.try_docker(&format!("image inspect {reference}"));
    assert!(!gone.status.success());
}

#[test]
fn a_changed_recipe_is_another_image_and_prune_takes_the_old_one() {
    let Some(docked) = docked() else { return };
    docked.manifest(ECHO);
    docked.vdeploy("deploy -y").exits(0);
    let old = docked.reference("cpu");
    docked.manifest(&ECHO.replace("[target", "env = { MOOD = \"a $HOME \\\"b\\\"\" }\n[target"));
    docked.vdeploy("deploy -y").exits(0);
    let pruned = docked.vdeploy("image prune -y").exits(0);
    assert_eq!(pruned.stdout.trim(), old);
    let said = docked.vdeploy("image shell cpu -- printenv MOOD").exits(0);
    assert_eq!(said.stdout.trim(), "a $HOME \"b\"");
}

#[test]
fn a_build_command_that_fails_is_named_by_its_line_and_nothing_is_tagged() {
    let Some(docked) = docked() else { return };
    docked.manifest(&ECHO.replace(
        "[target",
        "run = [\n  \"echo fine\",\n  \"echo 'no such thing' >&2; exit 3\",\n]\n[target",
    ));
    let failed = docked.vdeploy("deploy -y").exits(1);
    assert!(failed.stderr.contains("line 7 of the manifest"), "{}", failed.stderr);
    assert!(failed.stderr.contains("no such thing"), "{}", failed.stderr);
    assert!(failed.stderr.contains("function.echo skipped"), "{}", failed.stderr);
    assert_eq!(docked.vdeploy("image ls --json").exits(0).json(), serde_json::json!([]));
}

#[test]
fn what_does_not_hold_what_an_image_promises_is_not_deployed() {
    let Some(docked) = docked() else { return };
    docked.manifest(&ECHO.replace("vdeploy-standin:ffmpeg", "debian:bookworm-slim"));
    let failed = docked.vdeploy("deploy -y").exits(1);
    assert!(failed.stderr.contains("ffmpeg doesn't run in it"), "{}", failed.stderr);
    assert!(failed.stderr.contains("hint: add ffmpeg"), "{}", failed.stderr);
}

#[test]
fn a_base_that_can_not_be_pulled_says_so() {
    let Some(docked) = docked() else { return };
    docked.manifest(&ECHO.replace("vdeploy-standin:ffmpeg", "127.0.0.1:5000/no/such:base"));
    let failed = docked.vdeploy("deploy -y").exits(1);
    assert!(failed.stderr.contains("127.0.0.1:5000/no/such"), "{}", failed.stderr);
}

#[test]
fn files_arguments_and_a_dockerfile_of_ones_own_go_in() {
    let Some(docked) = docked() else { return };
    docked.env.write("models/a.bin", "weights");
    docked.env.write("models/junk.tmp", "junk");
    docked.env.write(".dockerignore", "**/*.tmp\n");
    docked.env.write(
        "Dockerfile",
        "FROM vdeploy-standin:ffmpeg\nARG COLOUR\nCOPY models /models\nRUN echo $COLOUR > /colour\n",
    );
    let own = "dockerfile = \"Dockerfile\"\nargs = { COLOUR = \"blue\" }\nworkdir = \"/models\"";
    docked.manifest(&ECHO.replace("base = \"vdeploy-standin:ffmpeg\"", own));
    docked.vdeploy("image build cpu").exits(0);
    let said = docked.vdeploy("image shell cpu -- ls").exits(0);
    assert_eq!(said.stdout, "a.bin\n");
    let said = docked.vdeploy("image shell cpu -- cat /colour").exits(0);
    assert_eq!(said.stdout, "blue\n");
}

#[test]
fn ctrl_c_ends_a_build_and_leaves_no_name() {
    let Some(docked) = docked() else { return };
    docked.manifest(&ECHO.replace("[target", "run = [\"echo begun; sleep 600\"]\n[target"));
    let mut building = docked
        .command(["-v", "image", "build"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(building.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().ends_with("begun")));
    interrupt(&building);
    assert_eq!(building.wait().unwrap().code(), Some(130));
    assert_eq!(docked.vdeploy("image ls --json").exits(0).json(), serde_json::json!([]));
}

#[test]
fn pairs_that_do_not_exist_and_texts_that_would_inject_are_refused_at_their_line() {
    let env = TestEnv::new();
    env.write(
        "vdeploy.toml",
        "[app]\nname = \"demo\"\n[image.a]\nkind = \"cuda\"\ncuda = \"12.4.7\"\n\
         [image.b]\nbase = \"x\\nRUN evil\"\n[image.c]\nkind = \"cpu\"\nworkdir = \"/a\\nUSER 0\"\n\
         [image.d]\nkind = \"python\"\napt = [\"-oDebug=1\"]\npip = [\"--index-url=x\"]\n\
         env = { A = \"1\\nUSER 0\" }\ncopy = { \"../x\" = \"/x\" }\n\
         [image.e]\nkind = \"cpu\"\nsecrets = [\"nobody\"]\n",
    );
    let failed = env.vdeploy("plan").exits(2);
    for text in [
        "there is no image of CUDA 12.4.7",
        "the nearest is `cuda = \"12.4.1\"`",
        "isn't the name of an image",
        "`workdir` holds a character",
        "isn't a Debian package",
        "`--index-url=x` isn't a package",
        "a value of `env` must be one line",
        "no secret is named `nobody`",
        "`copy` must stay in the manifest's folder",
    ] {
        assert!(failed.stderr.contains(text), "{text}\n{}", failed.stderr);
    }
}
