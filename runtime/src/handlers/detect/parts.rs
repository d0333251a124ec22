//! The range in parts, each a call of its own: what they find is the same as in one pass, since a frame's findings
//! depend on that frame alone; objects are told apart afterwards, over the whole.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Job;
use super::plan::Selection;
use crate::dispatch::What;
use crate::wire::{Failure, FailureKind, Outcome};

/// Arguments that are about the whole and not about a part.
const OF_THE_WHOLE: [&str; 9] =
    ["annotated", "follow", "track", "start", "end", "start_frame", "end_frame", "parts", "output"];

/// Has every part looked at, and gives back the files of what was found.
pub(super) async fn run(job: Job<'_>) -> Result<Vec<(String, PathBuf)>, Failure> {
    let Job { cx, args, selection, .. } = job;
    let parts = selection.parts(args.parts as usize);
    let scratch = cx.files().scratch();
    std::fs::create_dir_all(scratch).map_err(|error| {
        Failure::new(FailureKind::Machine, "can't make the call's folder").cause(error)
    })?;
    let files: Vec<PathBuf> =
        (0..parts.len()).map(|part| scratch.join(format!("part-{part}.jsonl"))).collect();
    let inputs: Vec<Value> = parts
        .iter()
        .zip(&files)
        .map(|(part, file)| of_part(&cx.invocation().args, *part, file))
        .collect();
    let mut children = cx.handler("detect").overwrite(true).map(inputs);
    let mut done = 0;
    while let Some(event) = children.next().await? {
        match event.what {
            What::Ended { outcome: Outcome::Succeeded { result, .. } } => {
                done += result["frames_done"].as_u64().unwrap_or(0);
                job.tell(done);
            }
            What::Ended { outcome: Outcome::Failed { failure } } => return Err(failure),
            What::Ended { outcome: Outcome::Cancelled } => {
                return Err(Failure::new(FailureKind::Cancelled, "a part was cancelled"));
            }
            _ => {}
        }
    }
    Ok(files.into_iter().map(|file| (file.display().to_string(), file)).collect())
}

/// The arguments of the call for one part.
fn of_part(whole: &Value, part: Selection, file: &std::path::Path) -> Value {
    let mut args = whole.clone();
    if let Some(fields) = args.as_object_mut() {
        OF_THE_WHOLE.iter().for_each(|name| drop(fields.remove(*name)));
        fields.insert("start_frame".into(), json!(part.from));
        fields.insert("end_frame".into(), json!(part.until));
        fields.insert("output".into(), json!(file));
    }
    args
}
