//! What the machine makes of an app's wishes.

use serde::{Deserialize, Serialize};

use vdeploy_runtime::function::Entry;
use vdeploy_runtime::handlers;

use crate::manifest::App;
use crate::resource::bytes_text;

/// What functions can claim on one machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// CPU cores.
    pub cpus: f64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// Something that won't be as the manifest asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What.
    pub text: String,
    /// For whom; ids of resources.
    pub concerns: Vec<String>,
}

/// What will be otherwise than asked on `machine`.
pub fn notes(app: &App, machine: Machine) -> Vec<Note> {
    let mut notes = Vec::new();
    let builtin = handlers::builtin();
    for (name, function) in &app.functions {
        let resources = &function.spec.resources;
        let mut add = |text| note(&mut notes, text, format!("function.{name}"));
        if resources.cpu > machine.cpus {
            add(format!("asks for {} cpus; this machine has {}", resources.cpu, machine.cpus));
        }
        if let Some(asked) = resources.memory_bytes.filter(|asked| *asked > machine.memory_bytes) {
            let (asked, has) = (bytes_text(asked), machine.memory_bytes >> 20);
            add(format!("asks for {asked} of memory; this machine has {has}MiB"));
        }
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
        if function.spec.cache {
            add("`cache` isn't acted on yet: every call runs".into());
        }
        if function.spec.scaling.min_containers > 0 {
            add("`min_containers` isn't acted on yet: workers start with the first call".into());
        }
        if function.spec.image.is_some() {
            add("runs on this machine itself: the local target records images without building them".into());
        }
    }
    for name in app.buckets.keys() {
        note(&mut notes, "isn't mounted on the local target".into(), format!("bucket.{name}"));
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
