//! Looks at every clip in a folder with the function `probe` of the app `transcode`, which
//! `vdeploy deploy` in examples/transcode makes: `example-client FOLDER`.

use std::error::Error;
use std::process::ExitCode;

use futures::TryStreamExt;
use serde_json::{Value, json};
use vdeploy_runtime::client::Function;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("give a folder of clips")?;
    let clips = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let probe = Function::from_name("transcode", "probe");
    let inputs = clips.into_iter().map(|clip| json!({ "input": clip.path() }));
    let mut results = probe
        .map::<Value, _>(inputs)
        .on_progress(|all| eprintln!("{}", all.message.as_deref().unwrap_or_default()));
    while let Some(clip) = results.try_next().await? {
        println!("{clip}");
    }
    Ok(probe.close().await?)
}
