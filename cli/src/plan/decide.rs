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

/// What goes away does so after everything else has let go of it, in the opposite order.
fn wave(action: Action, kind: Kind) -> u32 {
    match action {
        Action::Delete | Action::Forget => 2 * Kind::LAST_WAVE + 1 - kind.wave(),
        _ => kind.wave(),
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
    let leaving = state.records.iter().filter(move |(id, _)| unwanted(id) && !kept.contains(id));
    let mut steps: Vec<_> =
        leaving.map(|(id, record)| go(record, observed.get(id), delete_data)).collect();
    let files_stay = steps.iter().any(|step| step.reason == Some(Reason::HoldsFiles));
    for step in steps.iter_mut().filter(|step| files_stay && step.id.kind == Kind::Bucket) {
        let before = step.before.clone();
        *step = self::step(Action::Forget, Some(Reason::HoldsFiles), before, None);
    }
    steps.into_iter()
}

fn go(record: &Record, seen: Option<&Seen>, delete_data: bool) -> Step {
    let (action, reason) = match seen {
        None if record.status == Status::Creating => (Action::Delete, Some(Reason::Interrupted)),
        None => (Action::Forget, Some(Reason::RemovedOutside)),
        Some(seen) => match &record.resource {
            Resource::Secret(_) => (Action::Forget, Some(Reason::BelongsToEnvironment)),
            Resource::Volume(_) | Resource::Bucket(_) => go_from_volume(seen, delete_data),
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
