//! What is decided for every difference between wanted, remembered and there.

use super::{Action, Goal, Observed, Plan, PlanError, Question, Reason, Seen, Summary, plan};
use crate::desired::ResourceSet;
use crate::fingerprint::Fingerprint;
use crate::manifest::Image;
use crate::resource::{NamedImage, Resource, Secret, Source, Volume};
use crate::state::{Change, State, VERSIONS_KEPT, Version};

fn volume(name: &str) -> Resource {
    Resource::Volume(Volume { name: name.into() })
}

fn image(kind: &str, apt: &[&str]) -> Resource {
    let apt = apt.iter().map(ToString::to_string).collect();
    let recipe = Image { kind: Some(kind.into()), apt, ..Image::default() };
    Resource::Image(Box::new(NamedImage {
        name: "i".into(),
        recipe,
        reference: None,
        pushed: None,
    }))
}

fn source(code: &str) -> Resource {
    Resource::Source(Source { hash: Fingerprint::of(&code), files: 1, bytes: 1 })
}

fn secret(keys: &[&str]) -> Resource {
    let keys = keys.iter().map(ToString::to_string).collect();
    Resource::Secret(Secret { name: "s".into(), keys })
}

fn set(resources: &[Resource]) -> ResourceSet {
    resources.iter().map(|resource| (resource.id(), resource.clone())).collect()
}

fn there(resources: &[Resource]) -> Observed {
    let seen = |resource: &Resource| Seen {
        resource: Some(resource.clone()),
        made_by_app: true,
        ..Seen::default()
    };
    resources.iter().map(|resource| (resource.id(), seen(resource))).collect()
}

/// The state after deployments of these sets.
fn after(deployments: &[&[Resource]]) -> State {
    let mut state = State::default();
    for (at, resources) in deployments.iter().enumerate() {
        for resource in *resources {
            state.record(&Change::Have(resource.clone()));
        }
        state.record(&Change::Release(Version {
            number: at as u64 + 1,
            deployed_at: jiff::Timestamp::UNIX_EPOCH,
            summary: Summary::default(),
            rollback_to: None,
            resources: resources.iter().map(|r| (r.id(), r.fingerprint())).collect(),
        }));
    }
    state
}

fn decide(
    goal: Goal,
    wanted: &[Resource],
    state: &State,
    observed: &Observed,
) -> Result<Plan, PlanError> {
    plan(Question {
        app: "app",
        environment: "main",
        target: "local",
        goal,
        wanted: set(wanted),
        state,
        observed,
        notes: Vec::new(),
    })
}

/// What a plan does, in order.
#[track_caller]
fn steps(
    goal: Goal,
    wanted: &[Resource],
    state: &State,
    observed: &Observed,
) -> Vec<(Action, Option<Reason>)> {
    let plan = decide(goal, wanted, state, observed).unwrap();
    plan.steps.into_iter().map(|step| (step.action, step.reason)).collect()
}

const DESTROY: Goal = Goal::Destroy { delete_data: false };

#[test]
fn what_is_as_wanted_is_left_alone() {
    let wanted = [volume("v"), image("cpu", &[])];
    let plan = decide(Goal::Deploy, &wanted, &after(&[&wanted]), &there(&wanted)).unwrap();
    assert!(plan.is_empty());
    assert_eq!(plan.unchanged, 2);
}

#[test]
fn each_difference_has_its_step() {
    use Action::{Adopt, Create, Delete, Forget, Replace, Update};
    let (old, new) = ([image("cpu", &[])], [image("cpu", &["fonts"])]);
    let other = [image("cuda", &[])];
    let none = State::default();
    let nothing = Observed::new();
    let of = |wanted: &[Resource], state: &State, seen: &Observed| {
        steps(Goal::Deploy, wanted, state, seen)
    };
    assert_eq!(of(&new, &none, &nothing), [(Create, None)]);
    assert_eq!(of(&new, &after(&[&old]), &there(&old)), [(Update, None)]);
    let replaced = of(&other, &after(&[&old]), &there(&old));
    assert!(matches!(replaced[..], [(Replace, Some(Reason::ForcesReplacement(_)))]));
    assert_eq!(of(&[], &after(&[&old]), &there(&old)), [(Delete, None)]);
    let removed = Some(Reason::RemovedOutside);
    assert_eq!(of(&old, &after(&[&old]), &nothing), [(Create, removed.clone())]);
    assert_eq!(of(&[], &after(&[&old]), &nothing), [(Forget, removed)]);
    let changed = Some(Reason::ChangedOutside);
    assert_eq!(of(&old, &after(&[&old]), &there(&new)), [(Update, changed)]);
    assert_eq!(of(&old, &none, &there(&old)), [(Adopt, Some(Reason::FoundThere))]);
    assert_eq!(of(&new, &none, &there(&old)), [(Update, Some(Reason::FoundThere))]);
}

#[test]
fn what_an_interrupted_deployment_left_is_taken_up_or_swept() {
    let wanted = [image("cpu", &[])];
    let mut begun = State::default();
    begun.record(&Change::Intend(wanted[0].clone()));
    let why = || Some(Reason::Interrupted);
    let of = |wanted: &[Resource], seen: &Observed| steps(Goal::Deploy, wanted, &begun, seen);
    assert_eq!(of(&wanted, &Observed::new()), [(Action::Create, why())]);
    assert_eq!(of(&wanted, &there(&wanted)), [(Action::Adopt, why())]);
    assert_eq!(of(&[], &Observed::new()), [(Action::Delete, why())]);
}

#[test]
fn a_volume_goes_only_when_it_is_ours_alone_and_empty_or_given_up() {
    let wanted = [volume("v")];
    let state = after(&[&wanted]);
    let with = |change: &dyn Fn(&mut Seen)| {
        let mut observed = there(&wanted);
        observed.values_mut().for_each(change);
        observed
    };
    let kept = |observed: &Observed, goal| {
        let steps = steps(goal, &[], &state, observed);
        matches!(steps[..], [(Action::Forget, Some(_))])
    };
    let all = Goal::Destroy { delete_data: true };
    assert!(!kept(&with(&|_| {}), DESTROY));
    assert!(kept(&with(&|seen| seen.holds_files = true), DESTROY));
    assert!(kept(&with(&|seen| seen.holds_files = true), Goal::Deploy));
    assert!(!kept(&with(&|seen| seen.holds_files = true), all));
    assert!(kept(&with(&|seen| seen.made_by_app = false), all));
    assert!(kept(&with(&|seen| seen.used_by_others = true), all));
}

#[test]
fn secrets_are_found_never_made_and_what_lacks_is_named() {
    let wanted = [secret(&["A", "B"])];
    let none = State::default();
    let missing = |observed: &Observed| {
        let Err(PlanError::MissingSecrets { secrets, .. }) =
            decide(Goal::Deploy, &wanted, &none, observed)
        else {
            panic!("planned without its secret");
        };
        (secrets[0].exists, secrets[0].keys.clone())
    };
    assert_eq!(missing(&Observed::new()), (false, vec!["A".into(), "B".into()]));
    assert_eq!(missing(&there(&[secret(&["A"])])), (true, vec!["B".into()]));
    let mut observed = there(&[secret(&["A", "B", "C"])]);
    observed.values_mut().for_each(|seen| seen.made_by_app = false);
    let adopted = [(Action::Adopt, Some(Reason::BelongsToEnvironment))];
    assert_eq!(steps(Goal::Deploy, &wanted, &none, &observed), adopted);
    let state = after(&[&wanted]);
    let forgotten = [(Action::Forget, Some(Reason::BelongsToEnvironment))];
    assert_eq!(steps(DESTROY, &[], &state, &observed), forgotten);
}

#[test]
fn code_stays_as_long_as_a_version_that_is_kept_uses_it() {
    let versions: Vec<[Resource; 1]> =
        (0..VERSIONS_KEPT).map(|at| [source(&at.to_string())]).collect();
    let slices: Vec<&[Resource]> = versions.iter().map(<[_; 1]>::as_slice).collect();
    let state = after(&slices);
    let all: Vec<_> = versions.iter().flatten().cloned().collect();
    let last = versions.last().unwrap();
    let same = decide(Goal::Deploy, last, &state, &there(&all)).unwrap();
    assert!(same.is_empty(), "{:?}", same.steps);
    let next = decide(Goal::Deploy, &[source("new")], &state, &there(&all)).unwrap();
    let deleted: Vec<_> =
        next.steps.iter().filter(|s| s.action == Action::Delete).map(|s| &s.id).collect();
    assert_eq!(deleted, [&versions[0][0].id()]);
    let destroyed = decide(DESTROY, &[], &state, &there(&all)).unwrap();
    assert_eq!(destroyed.summary.destroy, VERSIONS_KEPT);
}

#[test]
fn a_version_is_recorded_even_when_nothing_else_is_left_to_do() {
    let wanted = [volume("v")];
    let mut state = after(&[&[volume("other")]]);
    state.record(&Change::Drop(volume("other").id()));
    state.record(&Change::Have(volume("v")));
    let plan = decide(Goal::Deploy, &wanted, &state, &there(&wanted)).unwrap();
    assert!(plan.steps.is_empty());
    assert_eq!(plan.release.unwrap().version, 2);
}
