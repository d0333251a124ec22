//! `vdeploy check`: what this machine can do.

use tokio_util::sync::CancellationToken;
use vdeploy_runtime::handlers::check::{self, GpuReport, Output, Program};

use crate::error::{Exit, Result};
use crate::settings::Settings;
use crate::ui::Style;

/// Say what this machine can do, proven by trying it, and how to get what is missing
///
/// Exits with 1 when something is missing that every machine needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, settings: &Settings) -> Result<Exit> {
    let output = check::examine(&settings.tools(), &CancellationToken::new()).await?;
    if settings.printer.json {
        settings.printer.data_json(&output)?;
    } else {
        describe(&output, settings)?;
    }
    Ok(if output.ready { Exit::Ok } else { Exit::Failed })
}

fn describe(output: &Output, settings: &Settings) -> Result<()> {
    let printer = settings.printer;
    let yes = printer.paint_out(printer.symbol("✓", "+"), Style::Green);
    let no = printer.paint_out(printer.symbol("✗", "-"), Style::Red);
    for (name, program) in [("ffmpeg", &output.ffmpeg), ("ffprobe", &output.ffprobe)] {
        let mark = if program.version.is_some() { &yes } else { &no };
        printer.data(format!("{mark} {name} {}", version(program)))?;
    }
    printer.data(format!("{yes} {} CPU cores", output.cores))?;
    for software in &output.encoders {
        let name = codec_name(&software.codec);
        match &software.encoder {
            Some(encoder) => {
                printer.data(format!("{yes} encodes {name} on the CPU with {encoder}"))?
            }
            None => printer.data(format!("{no} can't encode {name} on the CPU"))?,
        }
    }
    for gpu in &output.gpus {
        printer.data(format!("{yes} GPU {}: {}", gpu.index, gpu.name))?;
        abilities(gpu, &yes, &no, settings)?;
    }
    if let Some(reason) = &output.no_gpu {
        printer.data(format!("{no} no GPU is used: {reason}"))?;
    }
    for missing in &output.missing {
        printer.data(format!("{no} {}\n  {}", missing.what, missing.hint))?;
    }
    Ok(())
}

fn abilities(gpu: &GpuReport, yes: &str, no: &str, settings: &Settings) -> Result<()> {
    for ability in &gpu.abilities {
        let mark = if ability.works { yes } else { no };
        let reason = ability.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        settings.printer.data(format!("  {mark} {}{reason}", ability.name))?;
    }
    Ok(())
}

fn version(program: &Program) -> String {
    match &program.version {
        Some(version) => format!("{version} at {}", program.path),
        None => format!("can't be run at {}", program.path),
    }
}

fn codec_name(codec: &impl serde::Serialize) -> String {
    let name = serde_json::to_value(codec).ok();
    name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().to_owned()
}
