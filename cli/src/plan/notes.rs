//! What the machine makes of an app's wishes.

use serde::{Deserialize, Serialize};

use vdeploy_runtime::dispatch::local::Capacity;
use vdeploy_runtime::function::Entry;
use vdeploy_runtime::handlers;

use crate::desired::{Place, ResourceSet};
use crate::hardware::{self, PRICES_AS_OF};
use crate::manifest::{App, Target};
use crate::resource::{Kind, Resource};

/// Something that won't be as the manifest asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What.
    pub text: String,
    /// For whom; ids of resources.
    pub concerns: Vec<String>,
}

/// What will be otherwise than asked on `machine`.
pub fn notes(app: &App, machine: Capacity) -> Vec<Note> {
    let mut notes = Vec::new();
    let builtin = handlers::builtin();
    for (name, function) in &app.functions {
        let resources = &function.spec.resources;
        let mut add = |text| note(&mut notes, text, format!("function.{name}"));
        let shortfalls = machine.shortfalls(resources, function.spec.hardware);
        shortfalls.iter().for_each(|shortfall| add(shortfall.to_string()));
        if let Entry::Builtin { handler } = &function.spec.entry
            && builtin.describe(handler).is_none()
        {
            add(format!(
                "handler `{handler}` isn't in this version of vdeploy: its calls will fail"
            ));
        }
        if !resources.gpu.is_empty() {
            add("GPU models are ignored on the local target; a GPU is used if there is one".into());
        }
        let is_command = matches!(function.spec.entry, Entry::Command { .. });
        if function.spec.cache && is_command && function.args.is_none() {
            add("`cache` sees no change of input files: without `args` it isn't known which \
                 arguments are files"
                .into());
        }
        // One that goes to AWS too has it for there.
        let of_cloud = app.targets.contains_key("aws");
        if function.spec.image.is_some() && !function.contained && !of_cloud {
            add("runs on this machine itself; `isolation = \"docker\"` builds its image and runs it there".into());
        }
    }
    notes
}

/// What should be known of an app in the cloud.
pub fn notes_in_cloud(app: &App, wanted: &ResourceSet, place: &Place) -> Vec<Note> {
    let mut notes = Vec::new();
    for resource in wanted.values() {
        let Resource::CloudFunction(function) = resource else { continue };
        let id = resource.id().to_string();
        let spec = &function.spec;
        let blind = spec.resources.gpu.iter().filter_map(|name| hardware::find(name));
        let blind = blind.filter(|model| model.encoders == 0).map(|model| model.name);
        for model in blind.collect::<Vec<_>>() {
            let text = format!("`{model}` has no video encoder: videos are encoded by the CPU");
            note(&mut notes, text, id.clone());
        }
        if spec.resources.gpu.len() > 3 {
            note(&mut notes, "only the first three GPU models are tried".into(), id.clone());
        }
        if app.functions.get(&spec.name).is_some_and(|function| function.spot) {
            let text =
                "spot machines cost less than the price that is shown, and may be taken away";
            note(&mut notes, text.into(), id);
        }
    }
    if wanted.keys().any(|id| id.kind == Kind::Function) {
        let text = format!(
            "prices are those of us-east-1 in {PRICES_AS_OF}; yours: `[target.aws.prices]`"
        );
        note(&mut notes, text, place.region.clone());
    }
    let unsaid = Target::unsaid();
    for (key, name) in app.targets.get("aws").unwrap_or(&unsaid).brought_along() {
        note(
            &mut notes,
            "is yours: it is used as it is, and never changed".into(),
            format!("{key} `{name}`"),
        );
    }
    notes
}

/// Adds to the note that says the same, or a new one.
fn note(notes: &mut Vec<Note>, text: String, concerned: String) {
    match notes.iter_mut().find(|note| note.text == text) {
        Some(note) => note.concerns.push(concerned),
        None => notes.push(Note { text, concerns: vec![concerned] }),
    }
}
