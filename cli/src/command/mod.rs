//! One file per verb; here only the list of them and the way to each.

mod app;
mod artifact;
mod call;
mod calls;
mod check;
mod completions;
mod cost;
mod deploy;
mod destroy;
mod executor;
mod image;
mod init;
mod log_tail;
mod logs;
mod man;
mod map;
mod plan;
mod run;
mod schema;
mod secret;
mod state;
mod volume;

use clap::{Parser, Subcommand};

use crate::error::{Exit, Result};
use crate::settings::{GlobalArgs, Settings};

/// Functions by name, volumes and maps on machines you own, with a plan before anything changes.
#[derive(Debug, Parser)]
#[command(name = "vdeploy", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Check(check::Args),
    Plan(plan::Args),
    Deploy(deploy::Args),
    Destroy(destroy::Args),
    #[command(subcommand)]
    App(app::Args),
    Call(call::Args),
    Run(run::Args),
    Map(map::Args),
    Calls(calls::Args),
    Logs(logs::Args),
    #[command(subcommand)]
    Volume(volume::Args),
    #[command(subcommand)]
    Secret(secret::Args),
    #[command(subcommand)]
    Image(image::Args),
    #[command(subcommand)]
    State(state::Args),
    Cost(cost::Args),
    Executor(executor::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Cli {
    /// The options that hold for every command.
    pub fn global(&self) -> &GlobalArgs {
        &self.global
    }

    /// Whether it may run calls: their workers do the work, and need the cores.
    pub fn runs_calls(&self) -> bool {
        matches!(
            self.command,
            Command::Call(_) | Command::Run(_) | Command::Map(_) | Command::Executor(_)
        )
    }
}

/// Runs the command that was typed.
pub async fn run(cli: Cli) -> Result<Exit> {
    let settings = Settings::resolve(&cli.global)?;
    match cli.command {
        Command::Init(args) => init::run(args, &settings),
        Command::Check(args) => check::run(args, &settings).await,
        Command::Plan(args) => plan::run(args, &settings).await,
        Command::Deploy(args) => deploy::run(args, &settings).await,
        Command::Destroy(args) => destroy::run(args, &settings).await,
        Command::App(args) => app::run(args, &settings).await,
        Command::Call(args) => call::run(args, &settings).await,
        Command::Run(args) => run::run(args, &settings).await,
        Command::Map(args) => map::run(args, &settings).await,
        Command::Calls(args) => calls::run(args, &settings).await,
        Command::Logs(args) => logs::run(args, &settings).await,
        Command::Volume(args) => volume::run(args, &settings).await,
        Command::Secret(args) => secret::run(args, &settings).await,
        Command::Image(args) => image::run(args, &settings).await,
        Command::State(args) => state::run(args, &settings).await,
        Command::Cost(args) => cost::run(&args, &settings),
        Command::Executor(args) => executor::run(args, &settings).await,
        Command::Schema(args) => schema::run(args, &settings),
        Command::Completions(args) => completions::run(args, &settings),
        Command::Man(args) => man::run(args, &settings),
    }
}
