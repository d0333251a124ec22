//! What was typed, merged with variables, the user's profile and defaults. The only reader of
//! environment variables in this crate.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use vdeploy_runtime::dispatch::local::Setup;
use vdeploy_runtime::engine::EngineAddress;
use vdeploy_runtime::failpoint::Failpoint;
use vdeploy_runtime::ffmpeg::Tools;
use vdeploy_runtime::home::Home;
use vdeploy_runtime::settings::Settings as Base;

use crate::error::Result;
use crate::ui::{Printer, Verbosity};

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Where the app runs: `local`, or a name from `[target.*]`
    #[arg(long, global = true, hide_short_help = true, value_name = "TARGET")]
    pub target: Option<String>,
    /// The environment: a namespace of apps, volumes and secrets [default: main]
    #[arg(short, long, global = true, hide_short_help = true, value_name = "NAME")]
    pub env: Option<String>,
    /// The manifest, or the folder it is in [default: ./vdeploy.toml, or in a folder above]
    #[arg(long, global = true, hide_short_help = true, value_name = "PATH")]
    pub manifest: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true, hide_short_help = true)]
    pub json: bool,
    /// Print errors only
    #[arg(short, long, global = true, hide_short_help = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more
    #[arg(short, long, global = true, hide_short_help = true)]
    pub verbose: bool,
    /// Draw no progress bars
    #[arg(long, global = true, hide_short_help = true)]
    pub no_progress: bool,
}

/// What the options mean after merging.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The target's name.
    pub target: String,
    /// The environment's name.
    pub environment: String,
    /// The root of the local target.
    pub home: Home,
    /// Where a test wants this process to die.
    pub failpoint: Failpoint,
    /// What programs that call functions have too.
    pub(crate) base: Base,
    /// The manifest that was named, if one was.
    pub manifest: Option<PathBuf>,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// Who runs this, for others to know.
    pub user: String,
    /// Images are built without BuildKit, as `DOCKER_BUILDKIT=0` asks of Docker's tools.
    pub classic_builder: bool,
    /// A person can be asked.
    pub interactive: bool,
    /// Where output goes.
    pub printer: Printer,
}

impl Settings {
    /// Flags over variables over the profile over defaults.
    pub fn resolve(args: &GlobalArgs) -> Result<Self> {
        let mut base = Base::from_env()?;
        if let Some(name) = &args.env {
            base = base.in_environment(name)?;
        }
        if let Some(target) = &args.target {
            base.target.clone_from(target);
        }
        Ok(Settings {
            target: base.target.clone(),
            environment: base.environment.clone(),
            home: base.home.clone(),
            failpoint: base.failpoint.clone(),
            base,
            manifest: args.manifest.clone(),
            folder: std::env::current_dir()?,
            user: variable("USER")
                .or_else(|| variable("LOGNAME"))
                .unwrap_or_else(|| "unknown".into()),
            classic_builder: variable("DOCKER_BUILDKIT").as_deref() == Some("0"),
            interactive: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            printer: printer(args),
        })
    }
}

impl Settings {
    /// What running calls on this machine takes.
    pub fn local_setup(&self) -> Result<Setup> {
        Ok(self.base.setup()?)
    }

    /// The region and the bucket of AWS, where they are set for all apps.
    pub fn region_and_bucket(&self) -> (Option<String>, Option<String>) {
        (self.base.region.clone(), self.base.bucket.clone())
    }

    /// What builds images and runs containers.
    pub fn engine(&self) -> EngineAddress {
        self.base.engine.clone()
    }

    /// The worker program, which images get a copy of.
    pub fn worker(&self) -> Result<PathBuf> {
        Ok(self.base.worker()?)
    }

    /// Where ffmpeg is and where facts about this machine are kept.
    pub fn tools(&self) -> Tools {
        self.base.tools()
    }
}

/// How to print before anything else is known; never fails.
pub fn printer(args: &GlobalArgs) -> Printer {
    let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
    let color = variable("NO_COLOR").is_none() && variable("TERM").as_deref() != Some("dumb");
    Printer {
        verbosity: match (args.quiet, args.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        },
        json: args.json,
        progress: err && !args.no_progress && !args.quiet,
        color_stderr: err && color,
        color_stdout: out && color,
        unicode: locale_is_utf8(),
    }
}

fn locale_is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A variable that is set to something.
#[expect(clippy::disallowed_methods, reason = "the only reader of variables in this crate")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
