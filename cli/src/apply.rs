//! Walks a plan: intent, provider call, record, event. Compares and decides nothing.
//!
//! Intents of a wave are recorded in one transaction before its first step, completions a few at a
//! time, and the last ones together with the version. So whenever the process dies, the next plan
//! finds a step to do, and knows where to look for what was left: a completion that was not recorded
//! is one that the next run finds done.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::event::{Applied, Event};
use crate::plan::{Action, Plan, Step};
use crate::provider::{Provider, ProviderError};
use crate::resource::{Resource, ResourceId};
use crate::state::{Basis, Change, Version};
use crate::store::{StateStore, StoreError};
use vdeploy_runtime::failpoint::Failpoint;

/// What applying a plan needs beside the plan.
#[derive(Debug)]
pub struct Applier<'a, S, P> {
    /// Where steps are recorded.
    pub store: &'a mut S,
    /// What does them.
    pub provider: &'a P,
    /// Stops after the step in hand when cancelled.
    pub stop: &'a CancellationToken,
    /// Where tests let the process die.
    pub failpoint: &'a Failpoint,
    /// When the version is said to be from.
    pub now: Timestamp,
}

/// One run through a plan.
struct Run<'a, S, P, F> {
    plan: &'a Plan,
    cx: Applier<'a, S, P>,
    basis: Basis,
    report: F,
    applied: Applied,
    missing: BTreeSet<ResourceId>,
    unrecorded: Vec<&'a Step>,
    recorded: usize,
}

/// Applies `plan` and tells `report` what happens. A step that fails takes only the steps with it
/// that need its resource; an error means that nothing could be recorded anymore.
pub async fn apply<'a, S: StateStore, P: Provider>(
    plan: &'a Plan,
    cx: Applier<'a, S, P>,
    report: impl FnMut(Event),
) -> Result<Applied, StoreError> {
    let basis = plan.basis.clone();
    let (applied, missing, unrecorded) = (Applied::default(), BTreeSet::new(), Vec::new());
    let mut run = Run { plan, cx, basis, report, applied, missing, unrecorded, recorded: 0 };
    for wave in plan.steps.chunk_by(|a, b| a.wave == b.wave) {
        run.wave(wave).await?;
        if run.applied.interrupted {
            return Ok(run.applied);
        }
    }
    run.finish().await?;
    Ok(run.applied)
}

impl<'a, S: StateStore, P: Provider, F: FnMut(Event)> Run<'a, S, P, F> {
    async fn wave(&mut self, steps: &'a [Step]) -> Result<(), StoreError> {
        let intents: Vec<_> = steps.iter().filter_map(intent).collect();
        self.record("intent", &intents).await?;
        let steps: Vec<_> = steps.iter().filter(|step| !self.skips(step)).collect();
        let Applier { provider, failpoint, stop, .. } = self.cx;
        let perform = |step: &'a Step| async move {
            if stop.is_cancelled() {
                return (step, None);
            }
            (step, Some(perform(step, provider, failpoint).await))
        };
        let mut ended = stream::iter(steps).map(perform).buffer_unordered(provider.at_once());
        while let Some((step, result)) = ended.next().await {
            match result {
                None => self.applied.interrupted = true,
                Some(Err(error)) => self.failed(step, &error),
                Some(Ok(())) => {
                    self.unrecorded.push(step);
                    if self.unrecorded.len() == self.cx.store.batch() {
                        self.record_done().await?;
                    }
                }
            }
        }
        drop(ended);
        self.record_done().await
    }

    /// Tells of a step that isn't tried because what it needs isn't there.
    fn skips(&mut self, step: &Step) -> bool {
        let deps = step.after.as_ref().map(Resource::deps).unwrap_or_default();
        let Some(needs) = deps.into_iter().find(|id| self.missing.contains(id)) else {
            return false;
        };
        self.applied.skipped += 1;
        (self.report)(Event::Skipped { id: step.id.clone(), needs });
        true
    }

    /// Records the steps that were done, with the version after the last, and tells of them.
    async fn record_done(&mut self) -> Result<(), StoreError> {
        let done = std::mem::take(&mut self.unrecorded);
        let mut changes: Vec<_> = done.iter().map(|step| completion(step)).collect();
        let recorded = self.recorded + done.len();
        if !done.is_empty() && recorded == self.plan.steps.len() && self.is_complete() {
            changes.extend(self.ending());
        }
        self.record("record", &changes).await?;
        self.recorded = recorded;
        for step in done {
            self.applied.summary.count(step.action);
            (self.report)(Event::Done { id: step.id.clone(), action: step.action });
        }
        Ok(())
    }

    fn failed(&mut self, step: &Step, error: &ProviderError) {
        self.applied.failed += 1;
        if step.after.is_some() {
            self.missing.insert(step.id.clone());
        }
        let (id, action, causes) = (step.id.clone(), step.action, error.chain());
        let hint = error.hint.clone();
        (self.report)(Event::Failed { id, action, causes, hint });
    }

    /// Records the version of a plan without steps: the last step of others does it.
    async fn finish(&mut self) -> Result<(), StoreError> {
        if self.plan.steps.is_empty() {
            let ending: Vec<_> = self.ending().into_iter().collect();
            self.record("record", &ending).await?;
        }
        if self.is_complete() {
            self.applied.version = self.plan.release.as_ref().map(|release| release.version);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.applied.failed == 0 && self.applied.skipped == 0
    }

    /// What is recorded once everything is done.
    fn ending(&self) -> Option<Change> {
        if self.plan.destroy {
            return Some(Change::End);
        }
        self.plan.release.as_ref().map(|release| {
            Change::Release(Version {
                number: release.version,
                deployed_at: self.cx.now,
                summary: self.plan.summary,
                rollback_to: release.rollback_to,
                resources: release.resources.clone(),
            })
        })
    }

    async fn record(&mut self, what: &str, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.cx.failpoint.hit(&format!("before-{what}"));
        self.basis = self.cx.store.append(&self.plan.app, &self.basis, changes).await?;
        self.cx.failpoint.hit(&format!("after-{what}"));
        Ok(())
    }
}

async fn perform(
    step: &Step,
    provider: &impl Provider,
    failpoint: &Failpoint,
) -> Result<(), ProviderError> {
    failpoint.hit("before-step");
    match (step.action, &step.before, &step.after) {
        (Action::Create, _, Some(after)) => provider.create(after).await?,
        (Action::Update, Some(before), Some(after)) => provider.update(before, after).await?,
        (Action::Replace, Some(before), Some(after)) => {
            provider.delete(before).await?;
            failpoint.hit("between-delete-and-create");
            provider.create(after).await?;
        }
        (Action::Delete, Some(before), _) => provider.delete(before).await?,
        (Action::Adopt | Action::Forget, ..) => {}
        (action, ..) => unreachable!("a plan gives {action:?} what it needs"),
    }
    failpoint.hit("after-step");
    Ok(())
}

fn completion(step: &Step) -> Change {
    match &step.after {
        Some(after) => Change::Have(after.clone()),
        None => Change::Drop(step.id.clone()),
    }
}

fn intent(step: &Step) -> Option<Change> {
    match (step.action, &step.after) {
        (Action::Create | Action::Replace, Some(after)) => Some(Change::Intend(after.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::desired::ResourceSet;
    use crate::fingerprint::Fingerprint;
    use crate::manifest::Image;
    use crate::plan::{Goal, Question, plan};
    use crate::provider::MemoryProvider;
    use crate::resource::{Kind, NamedImage, Source, Volume};
    use crate::state::State;
    use crate::store::MemoryStore;
    use vdeploy_runtime::function::{Entry, FunctionSpec};

    fn function(name: &str, cpu: f64, source: Option<&Fingerprint>) -> Resource {
        let entry = Entry::Builtin { handler: "echo".into() };
        let spec = serde_json::json!({"app": "app", "name": name, "entry": entry});
        let mut spec: FunctionSpec = serde_json::from_value(spec).unwrap();
        spec.resources.cpu = cpu;
        spec.source = source.map(Fingerprint::to_string);
        Resource::Function(Box::new(spec))
    }

    fn source(code: u8) -> (Resource, Fingerprint) {
        let hash = Fingerprint::of(&code);
        (Resource::Source(Source { hash: hash.clone(), files: 1, bytes: 1 }), hash)
    }

    fn set(resources: impl IntoIterator<Item = Resource>) -> ResourceSet {
        resources.into_iter().map(|resource| (resource.id(), resource)).collect()
    }

    async fn decide(
        wanted: ResourceSet,
        store: &mut MemoryStore,
        provider: &MemoryProvider,
    ) -> (Plan, State) {
        let state = store.load("app").await.unwrap();
        let ids = wanted.keys().chain(state.records.keys()).cloned().collect();
        let observed = provider.observe(&ids).await.unwrap();
        let goal =
            if wanted.is_empty() { Goal::Destroy { delete_data: false } } else { Goal::Deploy };
        let question = Question {
            app: "app",
            environment: "main",
            target: "memory",
            goal,
            wanted,
            state: &state,
            observed: &observed,
            notes: Vec::new(),
        };
        (plan(question).unwrap(), state.clone())
    }

    async fn reach(
        wanted: &ResourceSet,
        store: &mut MemoryStore,
        provider: &MemoryProvider,
        stop: &CancellationToken,
    ) -> (Applied, Vec<Event>) {
        let (plan, _) = decide(wanted.clone(), store, provider).await;
        let mut events = Vec::new();
        let now = Timestamp::UNIX_EPOCH;
        let cx = Applier { store, provider, stop, failpoint: &Failpoint::none(), now };
        let applied = apply(&plan, cx, |event| events.push(event)).await.unwrap();
        (applied, events)
    }

    #[tokio::test]
    async fn a_failure_takes_only_what_depends_on_it() {
        let (code, hash) = source(1);
        let wanted =
            set([code.clone(), function("with", 1.0, Some(&hash)), function("without", 1.0, None)]);
        let provider = MemoryProvider::failing([code.id()]);
        let (mut store, stop) = (MemoryStore::default(), CancellationToken::new());
        let (applied, events) = reach(&wanted, &mut store, &provider, &stop).await;
        assert_eq!((applied.failed, applied.skipped, applied.summary.add), (1, 1, 1));
        assert_eq!(applied.version, None);
        let needs =
            Event::Skipped { id: ResourceId::new(Kind::Function, "with"), needs: code.id() };
        assert!(events.contains(&needs), "{events:?}");
        assert!(store.load("app").await.unwrap().versions.is_empty());
    }

    #[tokio::test]
    async fn stopping_ends_before_the_next_step_and_the_next_run_goes_on() {
        let (code, hash) = source(1);
        let wanted = set([code, function("a", 1.0, Some(&hash))]);
        let (mut store, provider) = (MemoryStore::default(), MemoryProvider::default());
        let stop = CancellationToken::new();
        let (plan, _) = decide(wanted.clone(), &mut store, &provider).await;
        let cx = Applier {
            store: &mut store,
            provider: &provider,
            stop: &stop,
            failpoint: &Failpoint::none(),
            now: Timestamp::UNIX_EPOCH,
        };
        let applied = apply(&plan, cx, |_| stop.cancel()).await.unwrap();
        assert!(applied.interrupted);
        assert_eq!(provider.resources().len(), 1);
        let on = CancellationToken::new();
        let (applied, _) = reach(&wanted, &mut store, &provider, &on).await;
        assert_eq!((applied.summary.add, applied.version), (1, Some(1)));
    }

    prop_compose! {
        fn resources()(
            functions in prop::collection::btree_map("[a-d]", (1u8..3, prop::option::of(0u8..3)), 0..4),
            volumes in prop::collection::btree_set("[v-z]", 0..3),
            image in prop::option::of("[a-b]"),
        ) -> ResourceSet {
            let mut all: BTreeMap<_, _> = set(volumes.into_iter().map(|name| {
                Resource::Volume(Volume { name })
            }));
            all.extend(set(image.map(|kind| {
                let recipe = Image { kind: Some(kind), ..Image::default() };
                let name = "i".into();
                let image = NamedImage { name, recipe, reference: None, pushed: None };
                Resource::Image(Box::new(image))
            })));
            for (name, (cpu, code)) in functions {
                let code = code.map(source);
                let hash = code.as_ref().map(|(_, hash)| hash.clone());
                all.extend(set(code.map(|(resource, _)| resource)));
                all.extend(set([function(&name, f64::from(cpu), hash.as_ref())]));
            }
            all
        }
    }

    proptest! {
        /// Whatever was deployed before, one run reaches what is wanted, and the next has nothing to
        /// do; only code of earlier versions stays beside it.
        #[test]
        fn any_app_is_reached_from_any_other(history in prop::collection::vec(resources(), 1..4)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut store, provider) = (MemoryStore::default(), MemoryProvider::default());
                let stop = CancellationToken::new();
                for wanted in &history {
                    reach(wanted, &mut store, &provider, &stop).await;
                    let (again, state) = decide(wanted.clone(), &mut store, &provider).await;
                    prop_assert!(again.is_empty(), "{:?}", again.steps);
                    let mut there = provider.resources();
                    prop_assert!(there.keys().eq(state.records.keys()));
                    there.retain(|id, _| id.kind != Kind::Source || wanted.contains_key(id));
                    prop_assert_eq!(&there, wanted);
                }
                Ok(())
            })?;
        }
    }
}
