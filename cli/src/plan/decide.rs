//! Wanted, remembered, there: one decision per resource.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, FORMAT, Note, Plan, Reason, Release, Step, Summary, compare};
use crate::desired::ResourceSet;
use crate::fingerprint::Fingerprint;
use crate::resource::{Kind, Resource, ResourceId, Secret};
use crate::state::{Record, State, Status, VERSIONS_KEPT};

/// What is there, by id; what isn't there has no entry.
pub type Observed = BTreeMap<ResourceId, Seen>;

/// A resource as it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What it is; none when it is there but damaged.
    pub resource: Option<Resource>,
    /// It is a volume with files in it.
    pub holds_files: bool,
    /// It belongs to the environment and this app's deployment made it.
    pub made_by_app: bool,
    /// Other apps of the environment use it.
    pub used_by_others: bool,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The app as it is described.
    Deploy,
    /// The app as it was at a version.
    Rollback(u64),
    /// No app.
    Destroy {
        /// Volumes go with their files.
        delete_data: bool,
    },
}

/// Everything that a plan follows from.
#[derive(Debug)]
pub struct Question<'a> {
    /// The app.
    pub app: &'a str,
    /// Its environment.
    pub environment: &'a str,
    /// The target.
    pub target: &'a str,
    /// What is to be reached.
    pub goal: Goal,
    /// What the app wants to exist.
    pub wanted: ResourceSet,
    /// What is remembered.
    pub state: &'a State,
    /// What is there.
    pub observed: &'a Observed,
    /// What else should be known.
    pub notes: Vec<Note>,
}

/// A secret that isn't there, or lacks keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSecret {
    /// Its name.
    pub name: String,
    /// It is there, but not complete.
    pub exists: bool,
    /// The keys it lacks.
    pub keys: Vec<String>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The app needs secrets that aren't there.
    #[error("the app needs secrets that environment `{environment}` doesn't have")]
    MissingSecrets {
        /// The environment.
        environment: String,
        /// The secrets.
        secrets: Vec<MissingSecret>,
    },
}

/// Decides what to do.
pub fn plan(question: Question<'_>) -> Result<Plan, PlanError> {
    check_secrets(&question)?;
    let Question { app, environment, target, goal, wanted, state, observed, notes } = question;
    let destroy = matches!(goal, Goal::Destroy { .. });
    let resources: BTreeMap<_, _> =
        wanted.iter().map(|(id, resource)| (id.clone(), resource.fingerprint())).collect();
    let mut unchanged = 0;
    let mut steps = Vec::new();
    for (id, resource) in wanted {
        let record = state.records.get(&id);
        match reach(resource, &resources[&id], record, observed.get(&id)) {
            Some(step) => steps.push(step),
            None => unchanged += 1,
        }
    }
    let unwanted = |id: &ResourceId| !resources.contains_key(id);
    steps.extend(leave(state, observed, goal, &unwanted));
    let release = release(&steps, state, goal, &resources);
    if release.is_some() {
        steps.extend(expire(state, observed, &unwanted));
    }
    sort(&mut steps);
    Ok(Plan {
        format: FORMAT,
        app: app.into(),
        environment: environment.into(),
        target: target.into(),
        basis: state.basis.clone(),
        destroy,
        summary: Summary::of(&steps),
        steps,
        unchanged,
        release,
        notes,
    })
}

fn check_secrets(question: &Question<'_>) -> Result<(), PlanError> {
    let missing = |wanted: &Secret| {
        let id = ResourceId::new(Kind::Secret, &wanted.name);
        let seen = question.observed.get(&id);
        let has: &[String] = match seen.and_then(|seen| seen.resource.as_ref()) {
            Some(Resource::Secret(found)) => &found.keys,
            _ => &[],
        };
        let keys: Vec<_> = wanted.keys.iter().filter(|key| !has.contains(key)).cloned().collect();
        (seen.is_none() || !keys.is_empty()).then(|| MissingSecret {
            name: wanted.name.clone(),
            exists: seen.is_some(),
            keys,
        })
    };
    let secrets: Vec<_> = question
        .wanted
        .values()
        .filter_map(|resource| match resource {
            Resource::Secret(secret) => missing(secret),
            _ => None,
        })
        .collect();
    if secrets.is_empty() {
        return Ok(());
    }
    Err(PlanError::MissingSecrets { environment: question.environment.into(), secrets })
}

/// The step that makes a wanted resource so, if one is needed.
fn reach(
    wanted: Resource,
    fingerprint: &Fingerprint,
    record: Option<&Record>,
    seen: Option<&Seen>,
) -> Option<Step> {
    let ready = record.filter(|record| record.status == Status::Ready);
    let interrupted = record.is_some() && ready.is_none();
    let Some(seen) = seen else {
        let reason = match (ready, interrupted) {
            (Some(_), _) => Some(Reason::RemovedOutside),
            (None, true) => Some(Reason::Interrupted),
            (None, false) => None,
        };
        return Some(step(Action::Create, reason, None, Some(wanted)));
    };
    let found = seen.resource.as_ref();
    let fits = found.is_some_and(|found| found.satisfies(&wanted));
    let recorded = ready.is_some_and(|record| record.fingerprint == *fingerprint);
    match (recorded, fits) {
        (true, true) => None,
        (true, false) => Some(change(found.cloned(), wanted, Reason::ChangedOutside)),
        (false, true) => {
            let reason = adoption(&wanted, seen, interrupted);
            let before = ready.map(|record| record.resource.clone());
            Some(step(Action::Adopt, Some(reason), before, Some(wanted)))
        }
        (false, false) => match ready {
            Some(record) => Some(change_of(record.resource.clone(), wanted)),
            None => {
                let reason = if interrupted { Reason::Interrupted } else { Reason::FoundThere };
                Some(change(found.cloned(), wanted, reason))
            }
        },
    }
}

fn adoption(wanted: &Resource, seen: &Seen, interrupted: bool) -> Reason {
    if wanted.id().kind.is_shared() && !seen.made_by_app {
        Reason::BelongsToEnvironment
    } else if interrupted {
        Reason::Interrupted
    } else {
        Reason::FoundThere
    }
}

/// A change that the manifest asks for.
fn change_of(before: Resource, after: Resource) -> Step {
    match before.replaced_by(&after) {
        Some(why) => {
            let reason = Reason::ForcesReplacement(why.into());
            step(Action::Replace, Some(reason), Some(before), Some(after))
        }
        None => step(Action::Update, None, Some(before), Some(after)),
    }
}

/// A change that brings back what was changed, damaged or left half done by something else.
fn change(before: Option<Resource>, after: Resource, reason: Reason) -> Step {
    let replaced = before.as_ref().unwrap_or(&after).replaced_by(&after).is_some();
    let action = if replaced { Action::Replace } else { Action::Update };
    let before = before.or_else(|| Some(after.clone()));
    step(action, Some(reason), before, Some(after))
}

fn step(
    action: Action,
    reason: Option<Reason>,
    before: Option<Resource>,
    after: Option<Resource>,
) -> Step {
    let subject = after.as_ref().or(before.as_ref()).expect("a step concerns a resource");
    let id = subject.id();
    let (changes, unchanged) = match action {
        Action::Delete | Action::Forget => (Vec::new(), 0),
        _ => compare(before.as_ref(), after.as_ref()),
    };
    let wave = wave(action, id.kind);
    Step { id, action, wave, reason, changes, unchanged, before, after }
}

/// Kinds come in the order of [`Kind`]; what goes away does so after everything else has let go of
/// it, in the opposite order.
fn wave(action: Action, kind: Kind) -> u32 {
    let rank = kind as u32;
    match action {
        Action::Delete | Action::Forget => 2 * Kind::Function as u32 + 1 - rank,
        _ => rank,
    }
}

/// The steps for what is remembered and no longer wanted.
fn leave<'a>(
    state: &'a State,
    observed: &'a Observed,
    goal: Goal,
    unwanted: &'a impl Fn(&ResourceId) -> bool,
) -> impl Iterator<Item = Step> + 'a {
    let kept = match goal {
        Goal::Destroy { .. } => BTreeSet::new(),
        _ => sources_of_versions(state, 0),
    };
    let delete_data = goal == Goal::Destroy { delete_data: true };
    state
        .records
        .iter()
        .filter(move |(id, _)| unwanted(id) && !kept.contains(id))
        .map(move |(id, record)| go(record, observed.get(id), delete_data))
}

fn go(record: &Record, seen: Option<&Seen>, delete_data: bool) -> Step {
    let (action, reason) = match seen {
        None if record.status == Status::Creating => (Action::Delete, Some(Reason::Interrupted)),
        None => (Action::Forget, Some(Reason::RemovedOutside)),
        Some(seen) => match &record.resource {
            Resource::Secret(_) => (Action::Forget, Some(Reason::BelongsToEnvironment)),
            Resource::Volume(_) => go_from_volume(seen, delete_data),
            _ => (Action::Delete, None),
        },
    };
    step(action, reason, Some(record.resource.clone()), None)
}

fn go_from_volume(seen: &Seen, delete_data: bool) -> (Action, Option<Reason>) {
    if !seen.made_by_app {
        (Action::Forget, Some(Reason::BelongsToEnvironment))
    } else if seen.used_by_others {
        (Action::Forget, Some(Reason::UsedByOthers))
    } else if seen.holds_files && !delete_data {
        (Action::Forget, Some(Reason::HoldsFiles))
    } else {
        (Action::Delete, None)
    }
}

/// The version to record: when there are steps, or when what is there isn't what the last version
/// says.
fn release(
    steps: &[Step],
    state: &State,
    goal: Goal,
    resources: &BTreeMap<ResourceId, Fingerprint>,
) -> Option<Release> {
    let rollback_to = match goal {
        Goal::Destroy { .. } => return None,
        Goal::Rollback(version) => Some(version),
        Goal::Deploy => None,
    };
    let recorded = state.current().is_some_and(|version| version.resources == *resources);
    let nothing = state.current().is_none() && resources.is_empty();
    if steps.is_empty() && (recorded || nothing) {
        return None;
    }
    let version = state.version + 1;
    Some(Release { version, rollback_to, resources: resources.clone() })
}

/// The steps for code that only versions use which are forgotten with this release.
fn expire<'a>(
    state: &'a State,
    observed: &'a Observed,
    unwanted: &'a impl Fn(&ResourceId) -> bool,
) -> impl Iterator<Item = Step> + 'a {
    let staying =
        sources_of_versions(state, (state.versions.len() + 1).saturating_sub(VERSIONS_KEPT));
    let leaving = sources_of_versions(state, 0);
    state
        .records
        .iter()
        .filter(move |(id, _)| unwanted(id) && leaving.contains(id) && !staying.contains(id))
        .map(|(id, record)| {
            let reason = Some(Reason::NoVersionUsesIt);
            Step { reason, ..go(record, observed.get(id), false) }
        })
}

/// The code that the versions from the `skip`-th on use.
fn sources_of_versions(state: &State, skip: usize) -> BTreeSet<ResourceId> {
    let versions = state.versions.iter().skip(skip);
    let ids = versions.flat_map(|version| version.resources.keys());
    ids.filter(|id| id.kind == Kind::Source).cloned().collect()
}

fn sort(steps: &mut [Step]) {
    steps.sort_by(|a, b| a.wave.cmp(&b.wave).then_with(|| a.id.cmp(&b.id)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Image;
    use crate::plan::{Action, Reason};
    use crate::resource::{NamedImage, Source, Volume};
    use crate::state::{Change, Version};

    fn volume(name: &str) -> Resource {
        Resource::Volume(Volume { name: name.into() })
    }

    fn image(kind: &str, apt: &[&str]) -> Resource {
        let apt = apt.iter().map(ToString::to_string).collect();
        let recipe = Image { kind: Some(kind.into()), apt, ..Image::default() };
        Resource::Image(Box::new(NamedImage { name: "i".into(), recipe }))
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
}
