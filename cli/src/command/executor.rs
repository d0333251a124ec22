//! `vdeploy executor`: run the queue of calls as a service.

use std::process::{Command, Stdio};

use vdeploy_runtime::dispatch::local::{LocalDispatcher, Mode};

use crate::error::{CliError, Exit, Result};
use crate::interrupt::Interrupts;
use crate::settings::Settings;

/// Run the queue of calls in the foreground, as a service
///
/// Commands run the queue themselves while they wait for a call; a service is for calls that were
/// detached, and holds as many workers ready as `min_containers` of the deployed functions asks.
/// Ctrl-C or SIGTERM finishes what runs; a second one gives it back to the queue.
#[derive(Debug, clap::Args)]
#[command(after_help = "As a service that systemd starts with your session:
  vdeploy executor --print-systemd-unit > ~/.config/systemd/user/vdeploy-executor.service
  systemctl --user enable --now vdeploy-executor")]
pub(crate) struct Args {
    /// End when nothing waits, nothing runs and no worker is warm
    #[arg(long)]
    until_idle: bool,
    /// Print a systemd unit that runs this program as a service, and do nothing else
    #[arg(long, conflicts_with = "until_idle")]
    print_systemd_unit: bool,
}

const UNIT: &str = include_str!("../../../templates/vdeploy-executor.service");

pub(crate) async fn run(args: Args, settings: &Settings) -> Result<Exit> {
    if args.print_systemd_unit {
        settings.printer.data(unit(settings)?.trim_end())?;
        return Ok(Exit::Ok);
    }
    let mode = if args.until_idle { Mode::UntilIdle } else { Mode::Serve };
    let dispatcher = LocalDispatcher::open(settings.local_setup()?)?;
    let mut attendance = dispatcher.attend(mode);
    let mode = attendance.mode();
    let mut asked = false;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupts = Interrupts::listen()?;
    settings.printer.detail("running the queue");
    loop {
        tokio::select! {
            ended = attendance.ended() => {
                ended?;
                return Ok(Exit::Ok);
            }
            () = interrupts.pressed() => {}
            _ = terminate.recv() => {}
        }
        // The task that listens is the one that `ended` waits for.
        let _ = mode.send(if asked { Mode::Release } else { Mode::Drain });
        settings.printer.note(if asked {
            "giving running calls back to the queue"
        } else {
            "finishing what runs; again to give it back to the queue"
        });
        asked = true;
    }
}

fn unit(settings: &Settings) -> Result<String> {
    let program = std::env::current_exe()?;
    let home = format!("VDEPLOY_HOME={}", settings.home.root().display());
    Ok(UNIT
        .replace("{{program}}", &systemd_quoted(&program.display().to_string()))
        .replace("{{environment}}", &systemd_quoted(&home)))
}

/// A text in a unit: quotes around it, and nothing in it that systemd would replace (systemd.syntax
/// and systemd.unit, "Specifiers").
fn systemd_quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{escaped}\"")
}

/// Starts an executor that outlives this command and ends when there is nothing left to do. When
/// one runs already, the new one waits its turn and finds nothing to do.
pub(crate) fn spawn_background(settings: &Settings) -> Result<()> {
    if settings.target != "local" {
        // Others run them.
        return Ok(());
    }
    let failed = |error: std::io::Error| CliError::failed("can't start an executor").cause(error);
    let program = std::env::current_exe().map_err(failed)?;
    std::fs::create_dir_all(settings.home.root()).map_err(failed)?;
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(settings.home.root().join("executor.log"))
        .map_err(failed)?;
    #[expect(clippy::disallowed_methods, reason = "starts this very program in the background")]
    let mut command = Command::new(program);
    use std::os::unix::process::CommandExt;
    command
        .args(["executor", "--until-idle", "--quiet"])
        .env("VDEPLOY_HOME", settings.home.root())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    Ok(())
}
