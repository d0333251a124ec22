//! What was typed, merged with variables, the user's profile and defaults. The only reader of
//! environment variables in this crate.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use vdeploy_runtime::dispatch::local::{Setup, machine_capacity};
use vdeploy_runtime::failpoint::Failpoint;
use vdeploy_runtime::ffmpeg::Tools;
use vdeploy_runtime::home::Home;

use crate::error::{CliError, Result};
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
    /// The manifest that was named, if one was.
    pub manifest: Option<PathBuf>,
    /// Where ffmpeg is.
    pub ffmpeg: PathBuf,
    /// Where ffprobe is.
    pub ffprobe: PathBuf,
    /// The worker binary, when it isn't the one beside this program.
    pub worker: Option<PathBuf>,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    /// What this machine costs an hour, in any currency.
    pub price_per_hour: Option<f64>,
    /// Where a test wants this process to die.
    pub failpoint: Failpoint,
    /// Who runs this, for others to know.
    pub user: String,
    /// A person can be asked.
    pub interactive: bool,
    /// Where output goes.
    pub printer: Printer,
}

/// The user's own defaults, from `config.toml` in the platform's configuration folder.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    target: Option<String>,
    environment: Option<String>,
    home: Option<PathBuf>,
    /// What this machine costs an hour, in any currency.
    price_per_hour: Option<f64>,
}

impl Settings {
    /// Flags over variables over the profile over defaults.
    pub fn resolve(args: &GlobalArgs) -> Result<Self> {
        let profile = read_profile()?;
        let environment = args
            .env
            .clone()
            .or_else(|| variable("VDEPLOY_ENVIRONMENT"))
            .or(profile.environment)
            .unwrap_or_else(|| "main".into());
        check_environment(&environment)?;
        Ok(Settings {
            target: args
                .target
                .clone()
                .or_else(|| variable("VDEPLOY_TARGET"))
                .or(profile.target)
                .unwrap_or_else(|| "local".into()),
            environment,
            home: Home::new(find_home(profile.home)?),
            manifest: args.manifest.clone(),
            ffmpeg: path_variable("VDEPLOY_FFMPEG").unwrap_or_else(|| "ffmpeg".into()),
            ffprobe: path_variable("VDEPLOY_FFPROBE").unwrap_or_else(|| "ffprobe".into()),
            worker: path_variable("VDEPLOY_WORKER"),
            folder: std::env::current_dir()?,
            price_per_hour: profile.price_per_hour,
            failpoint: variable("VDEPLOY_FAILPOINT")
                .map_or_else(Failpoint::none, |text| Failpoint::parse(&text)),
            user: variable("USER")
                .or_else(|| variable("LOGNAME"))
                .unwrap_or_else(|| "unknown".into()),
            interactive: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            printer: printer(args),
        })
    }
}

impl Settings {
    /// What running calls on this machine takes.
    pub fn local_setup(&self) -> Result<Setup> {
        Ok(Setup {
            home: self.home.clone(),
            tools: self.tools(),
            worker: self.find_worker()?,
            capacity: machine_capacity(),
            price_per_hour: self.price_per_hour,
            failpoint: self.failpoint.clone(),
        })
    }

    /// Where ffmpeg is and where facts about this machine are kept.
    pub fn tools(&self) -> Tools {
        Tools {
            ffmpeg: self.ffmpeg.clone(),
            ffprobe: self.ffprobe.clone(),
            cache: self.home.cache(),
        }
    }

    /// The worker binary: the one that was named, or the one beside this program.
    fn find_worker(&self) -> Result<PathBuf> {
        let missing = |path: &std::path::Path| {
            CliError::failed(format!("there is no worker program at `{}`", path.display())).hint(
                "install `vdeploy-runtime` beside `vdeploy`, or name it: \
                 `export VDEPLOY_WORKER=/path/to/vdeploy-runtime`",
            )
        };
        let path = match &self.worker {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("vdeploy-runtime"),
        };
        if path.is_file() { Ok(path) } else { Err(missing(&path)) }
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

fn check_environment(name: &str) -> Result<()> {
    let ok = !name.is_empty()
        && name.len() < 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if ok {
        return Ok(());
    }
    Err(CliError::usage(format!("`{name}` can't be the name of an environment"))
        .hint("use letters, digits, `-` and `_`, fewer than 64"))
}

fn find_home(profile: Option<PathBuf>) -> Result<PathBuf> {
    path_variable("VDEPLOY_HOME")
        .or(profile)
        .or_else(|| path_variable("XDG_DATA_HOME").map(|dir| dir.join("vdeploy")))
        .or_else(platform_data_home)
        .map(|path| std::path::absolute(&path).unwrap_or(path))
        .ok_or_else(|| {
            CliError::usage("there is no folder to keep state in: `HOME` isn't set")
                .hint("name one: `export VDEPLOY_HOME=/var/lib/vdeploy`")
        })
}

fn platform_data_home() -> Option<PathBuf> {
    let home = path_variable("HOME")?;
    Some(if cfg!(target_os = "macos") {
        home.join("Library/Application Support/vdeploy")
    } else {
        home.join(".local/share/vdeploy")
    })
}

fn read_profile() -> Result<Profile> {
    let dir = path_variable("XDG_CONFIG_HOME")
        .or_else(|| path_variable("HOME").map(|home| home.join(".config")));
    let Some(path) = dir.map(|dir| dir.join("vdeploy/config.toml")) else {
        return Ok(Profile::default());
    };
    match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Profile::default()),
        Err(error) => Err(CliError::usage(format!("can't read `{}`", path.display())).cause(error)),
        Ok(text) => toml::from_str(&text).map_err(|error| {
            CliError::usage(format!("`{}` is not a valid profile", path.display()))
                .cause(error.message())
                .hint("it may hold `target`, `environment`, `home` and `price_per_hour`")
        }),
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

/// A variable that names a path, which may hold any bytes.
#[expect(clippy::disallowed_methods, reason = "the only reader of variables in this crate")]
fn path_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
