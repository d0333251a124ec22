//! The recipe that `plan`, `deploy`, `destroy` and `app rollback` share: load, observe, plan, ask,
//! apply, report.

mod explain;
mod images;
mod keeps;
mod site;
mod store;
mod target;
mod undeployed;

use std::collections::BTreeSet;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vdeploy_runtime::clock;
use vdeploy_runtime::dispatch::local::{machine_capacity, tell_deployed};
use vdeploy_runtime::home::EnvironmentHome;
use vdeploy_runtime::storage::Contents;

pub(crate) use explain::holder_text;
pub(crate) use images::{Images, all_images, builder, images};
pub(crate) use keeps::{Guard, Keeps};
pub(crate) use site::Site;
pub(crate) use store::Store;
pub(crate) use undeployed::undeployed_function;

use crate::apply::{Applier, apply};
use crate::desired::{ResourceSet, desired, desired_in_cloud};
use crate::error::{CliError, Exit, Result};
use crate::event::{Applied, Event};
use crate::manifest::{self, Manifest};
use crate::plan::{Goal, Note, Observed, Plan, Question, notes, notes_in_cloud, plan};
use crate::prepare::{SourceFiles, prepare};
use crate::provider::{Deployment, Provider};
use crate::resource::{Kind, ResourceId};
use crate::settings::Settings;
use crate::state::State;
use crate::store::{Holder, StateStore};
use crate::ui;

/// What is to be planned.
#[derive(Debug)]
pub(crate) struct Request {
    /// The app.
    pub app: String,
    /// What is to be reached.
    pub goal: Goal,
    /// What the app wants to exist.
    pub wanted: ResourceSet,
    /// Where the code is that it deploys.
    pub sources: Vec<SourceFiles>,
    /// The images that its functions run in.
    pub images: Images,
    /// What else should be known.
    pub notes: Vec<Note>,
    /// What carries the app's tags counts as remembered.
    pub sweep: bool,
}

/// A plan, and the code that it deploys.
#[derive(Debug)]
pub(crate) struct Planned {
    pub plan: Plan,
    pub sources: Vec<SourceFiles>,
    pub images: Images,
    pub contents: Contents,
}

/// The state of the environment that was chosen.
pub(crate) async fn store(settings: &Settings) -> Result<Store> {
    Ok(Site::open(settings).await?.store())
}

/// The environment on this machine, for what only it can do.
fn environment(settings: &Settings) -> Result<EnvironmentHome> {
    if settings.target == "local" {
        return Ok(settings.home.environment(&settings.environment));
    }
    Err(CliError::usage(format!("target `{}` runs what is deployed only", settings.target))
        .hint("use `--target local`, or deploy it and use `vdeploy call`"))
}

/// Who takes a lock for an operation: this process.
pub(crate) fn holder(settings: &Settings, operation: &str) -> Holder {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Holder {
        user: settings.user.clone(),
        host,
        pid: std::process::id(),
        operation: operation.into(),
        since: clock::now(),
    }
}

/// The request to deploy what the manifest says.
pub(crate) fn from_manifest(settings: &Settings, site: &Site) -> Result<Request> {
    let Manifest { root, app, path } = manifest::load(settings)?;
    let prepared = prepare(&app, &root).map_err(|error| {
        let line = app.functions.get(&error.function).map_or(1, |function| function.line);
        explain::explain_file(&error, &path, line)
    })?;
    let images = images(settings, site, &app, &root, &path)?;
    let mut inputs = prepared.inputs;
    let named = images.jobs.iter().map(|job| (job.name.clone(), job.reference.clone()));
    inputs.images = named.collect();
    let (wanted, notes) = match site.place() {
        None => (desired(&app, inputs), notes(&app, machine_capacity())),
        Some(place) => {
            let wanted = desired_in_cloud(&app, inputs, &place)
                .map_err(|problems| explain::explain_cloud(&problems, &path))?;
            let notes = notes_in_cloud(&app, &wanted, &place);
            (wanted, notes)
        }
    };
    let (goal, sources) = (Goal::Deploy, prepared.sources);
    Ok(Request { goal, notes, wanted, sources, images, app: app.name, sweep: false })
}

/// The request that the app be gone.
pub(crate) fn to_destroy(app: String, delete_data: bool, sweep: bool) -> Request {
    Request {
        app,
        goal: Goal::Destroy { delete_data },
        wanted: ResourceSet::new(),
        sources: Vec::new(),
        images: Images::default(),
        notes: Vec::new(),
        sweep,
    }
}

/// Looks at what is remembered and at what is there, and decides. Changes nothing.
pub(crate) async fn decide(settings: &Settings, site: &Site, request: Request) -> Result<Planned> {
    let mut store = site.store();
    let mut state = store.load(&request.app).await?;
    if request.sweep {
        for resource in site.sweep(&request.app, settings).await? {
            state.find(resource);
        }
    }
    let observed = observe(settings, site, &mut store, &state, &request).await?;
    let contents = match request.goal {
        Goal::Destroy { delete_data: true } => Contents::Delete,
        _ => Contents::Keep,
    };
    let plan = plan(Question {
        app: &request.app,
        environment: &settings.environment,
        target: &settings.target,
        goal: request.goal,
        wanted: request.wanted,
        state: &state,
        observed: &observed,
        notes: request.notes,
    })?;
    Ok(Planned { plan, sources: request.sources, images: request.images, contents })
}

async fn observe(
    settings: &Settings,
    site: &Site,
    store: &mut Store,
    state: &State,
    request: &Request,
) -> Result<Observed> {
    let ids: BTreeSet<_> = request.wanted.keys().chain(state.records.keys()).cloned().collect();
    let provider = site.provider(&request.app, site::looking(settings), settings);
    let mut observed = provider.observe(&ids).await?;
    for (id, seen) in observed.iter_mut().filter(|(id, _)| id.kind == Kind::Volume) {
        let users = store.users(id).await?;
        seen.used_by_others = users.iter().any(|app| *app != request.app);
    }
    Ok(observed)
}

/// Shows a plan, asks, applies it and says how that went. The caller holds the lock.
pub(crate) async fn carry_out(
    settings: &Settings,
    site: &Site,
    guard: &mut Guard,
    planned: Planned,
    yes: bool,
) -> Result<Exit> {
    let (plan, printer) = (&planned.plan, &settings.printer);
    printer.note(ui::plan::on_stderr(plan, printer));
    if plan.is_empty() {
        if plan.destroy {
            site.close_after(guard, &plan.app, settings).await?;
        }
        report(settings, plan, &Applied::default(), &[])?;
        return Ok(Exit::Ok);
    }
    let question = format!("Do you want to apply this to `{}`?", plan.environment);
    if !yes && !printer.confirm(&question, settings.interactive)? {
        return Err(CliError::failed("nothing was changed: the plan was not agreed to"));
    }
    let stop = stop_on_signal(settings)?;
    site.secure(guard, plan).await?;
    let mut events = Vec::new();
    let applied = apply_plan(settings, site, &planned, &stop, |event| {
        printer.note(ui::plan::event_text(&event, printer));
        events.push(event);
    })
    .await?;
    if applied.failed + applied.skipped == 0 && !applied.interrupted {
        settings.failpoint.hit("before-close");
        site.close(guard, plan).await?;
    }
    finish(settings, plan, &applied, &events)
}

async fn apply_plan(
    settings: &Settings,
    site: &Site,
    planned: &Planned,
    stop: &CancellationToken,
    report: impl FnMut(Event),
) -> Result<Applied> {
    let plan = &planned.plan;
    let now = clock::now();
    let deployment = Deployment {
        version: plan.release.as_ref().map_or(0, |release| release.version),
        now,
        sources: planned.sources.clone(),
        contents: planned.contents,
        builder: builder(settings, &planned.images, stop),
    };
    let failpoint = &settings.failpoint;
    let provider = site.provider(&plan.app, deployment, settings);
    let mut store = site.store();
    let cx = Applier { store: &mut store, provider: &provider, stop, failpoint, now };
    let applied = apply(plan, cx, report).await;
    tell_deployed(&settings.home).await;
    Ok(applied?)
}

/// A token that the first Ctrl-C, or a polite `kill`, cancels.
fn stop_on_signal(settings: &Settings) -> Result<CancellationToken> {
    let failed = |error| CliError::failed("can't listen for signals").cause(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stop = CancellationToken::new();
    let (cancelled, printer) = (stop.clone(), settings.printer);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        printer.note("interrupted: finishing the step in hand");
        cancelled.cancel();
    });
    Ok(stop)
}

fn finish(settings: &Settings, plan: &Plan, applied: &Applied, events: &[Event]) -> Result<Exit> {
    report(settings, plan, applied, events)?;
    if applied.interrupted {
        return Err(CliError::new(Exit::Interrupted, "interrupted; what was done is recorded")
            .hint("go on with the same command"));
    }
    settings.printer.note(ui::plan::applied_text(plan, applied));
    if applied.failed + applied.skipped == 0 {
        return Ok(Exit::Ok);
    }
    let done = events.iter().any(|event| matches!(event, Event::Done { .. }));
    let exit = if done { Exit::PartlyApplied } else { Exit::Failed };
    let (failed, steps) = (applied.failed, plan.steps.len());
    Err(CliError::new(exit, format!("{failed} of {steps} steps failed; the others are recorded"))
        .hint("mend what failed and run the same command again"))
}

/// Prints what happened as one JSON value, if asked for.
fn report(settings: &Settings, plan: &Plan, applied: &Applied, events: &[Event]) -> Result<()> {
    if !settings.printer.json {
        return Ok(());
    }
    let value = serde_json::json!({
        "app": plan.app,
        "environment": plan.environment,
        "target": plan.target,
        "destroy": plan.destroy,
        "applied": applied,
        "events": events,
    });
    Ok(settings.printer.data_json(&value)?)
}

/// The app that a command means: the one that is named, else the manifest's.
pub(crate) fn app_name(settings: &Settings, named: Option<String>) -> Result<String> {
    match named {
        Some(app) => Ok(app),
        None => Ok(manifest::load(settings)?.app.name),
    }
}

/// Whether an app is recorded at all.
pub(crate) async fn known_app(store: &mut Store, app: &str) -> Result<State> {
    let state = store.load(app).await?;
    if state.basis.lineage.is_some() {
        return Ok(state);
    }
    let apps = store.apps().await?;
    let near = crate::error::did_you_mean(app, apps.iter().map(|known| known.app.as_str()));
    let error = CliError::failed(format!("no app `{app}` is deployed in this environment"));
    Err(match near {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("list what is deployed: `vdeploy app ls`"),
    })
}

/// A resource id as typed.
pub(crate) fn parse_id(text: &str) -> Result<ResourceId> {
    text.parse().map_err(|error: crate::resource::ResourceIdError| {
        CliError::usage(error.to_string()).hint("list ids: `vdeploy state list`")
    })
}
