//! What apps want in an account.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::{Inputs, Place, ResourceSet, desired_in_cloud};
use crate::manifest;
use crate::resource::{Kind, Resource, ResourceId};

const APP: &str = r#"
[app]
name = "reel"
[image.cuda]
uri = "registry.example/reel:1"
[volume.footage]
[function.encode]
handler = "transcode"
image = "cuda"
gpu = ["T4", "L4"]
spot = true
ephemeral_disk = "50GiB"
volumes = { "/footage" = "footage" }
[function.nightly]
handler = "probe"
image = "cuda"
timeout = "20m"
schedule = "0 6 * * 1-5"
[function.short]
handler = "echo"
image = "cuda"
"#;

fn place() -> Place {
    Place {
        region: "eu-west-1".into(),
        bucket: "vdeploy-bucket".into(),
        own_bucket: false,
        environment: "main".into(),
    }
}

fn wanted(target: &str) -> ResourceSet {
    let app = manifest::parse(&format!("{APP}[target.aws]\n{target}"), "main").unwrap();
    desired_in_cloud(&app, Inputs::default(), &place()).unwrap()
}

fn ids(set: &ResourceSet) -> BTreeMap<Kind, Vec<&str>> {
    set.keys().fold(BTreeMap::new(), |mut ids, id| {
        ids.entry(id.kind).or_insert_with(Vec::new).push(id.name.as_str());
        ids
    })
}

fn computes(target: &str) -> Vec<String> {
    let set = wanted(target);
    set.keys().filter(|id| id.kind == Kind::Compute).map(|id| id.name.clone()).collect()
}

#[test]
fn an_app_wants_what_its_functions_need() {
    let set = wanted("");
    let shown = |kind: Kind, name: &str| match name.rsplit_once('-') {
        Some((name, _)) if kind == Kind::Compute => format!("{name}-HASH"),
        _ => name.to_owned(),
    };
    let lines = ids(&set).into_iter().map(|(kind, ids)| {
        let ids: Vec<_> = ids.into_iter().map(|id| shown(kind, id)).collect();
        format!("{}: {}", kind.as_str(), ids.join(" "))
    });
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    bucket: vdeploy-bucket
    log_group: encode nightly short
    role: function machine schedule start
    launch_template: 80gib
    volume: footage
    compute: cpu-HASH l4-spot-HASH t4-spot-HASH
    queue: cpu t4-l4-spot
    function: encode nightly short
    schedule: nightly
    ");
    let schedule = &set[&ResourceId::new(Kind::Schedule, "nightly")];
    let Resource::Schedule(schedule) = schedule else { panic!("{schedule:?}") };
    assert_eq!(schedule.expression, "cron(0 6 ? * MON-FRI *)");
}

#[test]
fn machines_are_replaced_for_what_they_cannot_become_and_changed_for_the_rest() {
    let before = computes("");
    assert_eq!(computes("max_vcpus = 8"), before);
    let elsewhere = computes("vpc = \"vpc-1\"");
    assert!(elsewhere.iter().all(|id| !before.contains(id)), "{elsewhere:?}");
}

#[test]
fn what_is_brought_along_is_not_made() {
    let set = wanted("queue = \"studio\"\nrole = \"editor\"");
    let made = ids(&set);
    assert!(!made.contains_key(&Kind::Queue) && !made.contains_key(&Kind::Compute), "{made:?}");
    assert_eq!(made[&Kind::Role], ["schedule", "start"]);
    let function = set[&ResourceId::new(Kind::Function, "encode")].clone();
    let Resource::CloudFunction(function) = function else { panic!("{function:?}") };
    assert_eq!((function.queue.as_deref(), function.role.as_str()), (Some("studio"), "editor"));
    let own = computes("compute_environment = \"farm\"");
    assert!(own.iter().all(|id| !id.starts_with("cpu")), "{own:?}");
}

#[test]
fn nothing_holds_the_number_of_an_account() {
    let text = serde_json::to_string(&wanted("").values().collect::<Vec<_>>()).unwrap();
    assert!(text.contains(":{account}:job-definition/vdeploy-main-reel-encode:*"), "{text}");
}
