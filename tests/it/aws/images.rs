//! Images of the manifest on `aws`: built here, pushed to the repository, and run by their digests.

use super::yard::{REGISTRY, Yard};
use crate::env::ran;

const APP: &str = r#"
[image.box]
base = "vdeploy-standin:ffmpeg"
env = { MOOD = "calm" }

[image.unused]
kind = "cpu"

[function.job]
command = ["sh", "-c", 'cat >/dev/null; echo "{\"mood\": \"$MOOD\"}"']
image = "box"
engine = "batch"

[function.short]
handler = "echo"
image = "box"
"#;

#[test]
fn an_image_is_built_and_pushed_once_and_run_by_its_digest() {
    let Some(yard) = Yard::new("yard") else { return };
    yard.manifest(APP);
    let plan = yard.alone("plan").exits(0).stdout;
    assert!(plan.contains("+ image.box") && plan.contains("+ repository.box"), "{plan}");
    assert!(!plan.contains("unused"), "no function runs in it:\n{plan}");
    assert!(yard.built().is_empty(), "a plan builds nothing");

    let deployed = yard.vdeploy("deploy -y").exits(0);
    assert!(deployed.stderr.contains("image.box 1/"), "{}", deployed.stderr);
    let named = yard.named();
    let by_digest = format!("{REGISTRY}/vdeploy/main/yard/box@sha256:");
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named.iter().all(|image| image.starts_with(&by_digest)), "{named:?}");
    let built = yard.built();
    assert_eq!(built.len(), 1, "{built:?}");

    // What runs is what was pushed: the engine has it from nowhere else.
    yard.docker(&format!("rmi --force {}", built[0])).exits(0);
    assert_eq!(yard.vdeploy("call job").exits(0).json()["mood"], "calm");
    yard.docker(&format!("rmi --force {}", named[0])).exits(0);

    let again = yard.alone("deploy -y").exits(0);
    assert!(again.stderr.contains("No changes."), "without an engine: {}", again.stderr);

    yard.manifest(&APP.replace("calm", "bright"));
    let changed = yard.vdeploy("deploy -y").exits(0);
    assert!(changed.stderr.contains("0 added, 3 changed, 0 destroyed"), "{}", changed.stderr);
    let both = yard.named();
    assert_eq!(yard.vdeploy("call job").exits(0).json()["mood"], "bright");
    assert_ne!(both.last(), named.last(), "the function has the new image");

    // Going back takes no engine: the image of the version before is still where it was.
    yard.alone("app rollback -y").exits(0);
    assert_eq!(yard.named().last(), named.last());
    yard.vdeploy("destroy -y").exits(0);
    assert_eq!(yard.aws.everything(), Vec::<String>::new());
}

#[test]
fn an_image_that_was_removed_from_its_repository_comes_back() {
    let Some(yard) = Yard::new("harbour") else { return };
    yard.manifest(APP);
    yard.vdeploy("deploy -y").exits(0);
    yard.aws.boto3(
        "ecr = client('ecr')\n\
         ecr.delete_repository(repositoryName='vdeploy/main/harbour/box', force=True)\n",
    );
    let plan = yard.alone("plan").exits(0).stdout;
    for id in ["repository.box", "image.box"] {
        let made = plan.lines().find(|line| line.contains(&format!("+ {id}")));
        assert!(made.is_some_and(|line| line.contains("removed outside")), "{id}:\n{plan}");
    }
    yard.vdeploy("deploy -y").exits(0);
    let after = yard.alone("plan --detailed-exitcode");
    assert_eq!(after.code, 0, "{}", after.stdout);
    yard.vdeploy("destroy -y").exits(0);
}

#[test]
fn a_repository_that_is_brought_along_gets_images_and_stays() {
    let Some(yard) = Yard::new("guest") else { return };
    yard.manifest(&format!("{APP}[target.aws]\nrepository = \"studio/images\"\n"));
    let missing = yard.vdeploy("deploy -y").exits(4);
    assert!(
        missing.stderr.contains("there is no repository `studio/images`"),
        "{}",
        missing.stderr
    );
    yard.aws.boto3("client('ecr').create_repository(repositoryName='studio/images')");
    yard.vdeploy("deploy -y").exits(0);
    let named = yard.named();
    let by_digest = format!("{REGISTRY}/studio/images@sha256:");
    assert!(named.iter().all(|image| image.starts_with(&by_digest)), "{named:?}");
    let tags = "ecr = client('ecr')\n\
        for image in ecr.describe_images(repositoryName='studio/images')['imageDetails']:\n    \
            print(image['imageTags'][0])\n";
    let pushed = yard.aws.boto3(tags);
    assert!(pushed.starts_with("main-guest-box-"), "{pushed}");
    yard.vdeploy("destroy -y").exits(0);
    assert_eq!(yard.aws.everything(), ["repository studio/images"]);
    assert_eq!(yard.aws.boto3(tags), pushed);
}

#[test]
fn what_keeps_an_image_from_its_repository_is_said_and_made_good_later() {
    let Some(yard) = Yard::new("strait") else { return };
    yard.manifest(APP);
    let without = yard.command("deploy -y").env("DOCKER_HOST", "unix:///nowhere").output();
    let without = ran(without.unwrap()).exits(4);
    assert!(without.stderr.contains("image.box failed"), "{}", without.stderr);
    assert!(
        without.stderr.contains("function.job skipped: it needs image.box"),
        "{}",
        without.stderr
    );
    yard.aws.ask("deny?action=ecr:GetAuthorizationToken");
    let denied = yard.vdeploy("deploy -y").exits(1);
    assert!(denied.stderr.contains("allow `ecr:GetAuthorizationToken`"), "{}", denied.stderr);
    yard.aws.ask("deny");
    let mut dying = yard.command("deploy -y");
    dying.env("DOCKER_HOST", &yard.engine).env("VDEPLOY_FAILPOINT", "image-pushed");
    assert_eq!(ran(dying.output().unwrap()).code, -1);
    // It is there, so no engine is asked for it.
    yard.alone("deploy -y").exits(0);
    yard.vdeploy("destroy -y").exits(0);
    assert_eq!(yard.aws.everything(), Vec::<String>::new());
}
