//! A worker with handlers in Rust: typed arguments and results, whose doc comments become the help
//! of the function's arguments.

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vdeploy_runtime::storage::InputFile;
use vdeploy_runtime::{Context, Failure, FailureKind, Handler, handlers, worker};

/// Serves calls of this program's handlers, and of those that every worker has.
fn main() -> ExitCode {
    worker::main(handlers::builtin().with(Longest))
}

/// The `longest` handler.
struct Longest;

/// What `longest` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The clips to compare; paths, or `vol://volume/path`.
    clips: Vec<InputFile>,
}

/// What `longest` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    /// The longest clip.
    clip: String,
    /// Its length in seconds.
    seconds: f64,
}

/// What this program wants to know of a clip; `probe` says more.
#[derive(Debug, Deserialize)]
struct Probed {
    duration_seconds: Option<f64>,
}

impl Handler for Longest {
    type Args = Args;
    type Output = Output;

    const NAME: &'static str = "longest";
    const ABOUT: &'static str = "Finds the longest of several clips.";

    async fn run(&self, cx: Context, args: Args) -> Result<Output, Failure> {
        // One call for each clip, as many at a time as there is room for. This call claims nothing
        // meanwhile, and is as far as they are.
        let names: Vec<_> = args.clips.iter().map(|clip| clip.as_str().to_owned()).collect();
        let inputs: Vec<_> = names.iter().map(|clip| json!({ "input": clip })).collect();
        let probes = cx.handler("probe").map(inputs);
        let probed: Vec<Probed> = probes.collect(|all| cx.progress(all.progress())).await?;
        names
            .into_iter()
            .zip(probed)
            .filter_map(|(clip, probed)| Some(Output { clip, seconds: probed.duration_seconds? }))
            .max_by(|a, b| a.seconds.total_cmp(&b.seconds))
            .ok_or_else(|| {
                Failure::new(FailureKind::InvalidInput, "no clip says how long it is")
                    .hint("name files that hold video or audio: `clips=[\"a.mov\"]`")
            })
    }
}
