//! Where a program finds what is deployed on this machine: variables over the user's profile over
//! defaults, the same for programs and for the command line.
//!
//! | what | variable | in the profile | default |
//! | --- | --- | --- | --- |
//! | the root of the local target | `VDEPLOY_HOME` | `home` | `vdeploy` in the platform's folder for data |
//! | the environment | `VDEPLOY_ENVIRONMENT` | `environment` | `main` |
//! | the target | `VDEPLOY_TARGET` | `target` | `local` |
//! | the worker program | `VDEPLOY_WORKER` | | `vdeploy-runtime` beside this program, or in `PATH` |
//! | what an hour of this machine costs | | `price_per_hour` | unknown |
//! | ffmpeg and ffprobe | `VDEPLOY_FFMPEG`, `VDEPLOY_FFPROBE` | | in `PATH` |
//!
//! The profile is `vdeploy/config.toml` in `XDG_CONFIG_HOME`, or in `~/.config`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::dispatch::local::{Setup, machine_capacity};
use crate::environment::{path_variable, search_path, variable};
use crate::failpoint::Failpoint;
use crate::ffmpeg::Tools;
use crate::home::Home;

/// The worker program's file name.
const WORKER: &str = "vdeploy-runtime";

/// What is set for this process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The target's name.
    pub target: String,
    /// The environment's name.
    pub environment: String,
    /// The root of the local target.
    pub home: Home,
    /// Where ffmpeg is.
    pub ffmpeg: PathBuf,
    /// Where ffprobe is.
    pub ffprobe: PathBuf,
    /// The worker program, when it was named.
    pub worker: Option<PathBuf>,
    /// What this machine costs an hour, in any currency.
    pub price_per_hour: Option<f64>,
    /// Where a test wants this process to die.
    pub failpoint: Failpoint,
}

/// Why settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// `HOME` isn't set, nor is anything else that would do.
    #[error("there is no folder to keep state in: `HOME` isn't set")]
    NoHome,
    /// The profile is there and can't be read.
    #[error("can't read `{}`", path.display())]
    Unreadable {
        /// The profile.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The profile isn't one.
    #[error("`{}` is not a valid profile", path.display())]
    Profile {
        /// The profile.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The environment's name isn't one.
    #[error("`{0}` can't be the name of an environment")]
    Environment(String),
    /// There is no worker program.
    #[error("there is no worker program at `{}`", .0.display())]
    NoWorker(PathBuf),
}

impl SettingsError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoHome => "name one: `export VDEPLOY_HOME=/var/lib/vdeploy`".into(),
            Self::Unreadable { .. } => return None,
            Self::Profile { .. } => {
                "it may hold `target`, `environment`, `home` and `price_per_hour`".into()
            }
            Self::Environment(_) => "use letters, digits, `-` and `_`, fewer than 64".into(),
            Self::NoWorker(_) => "install `vdeploy-runtime` beside this program or in `PATH`, or \
                 name it: `export VDEPLOY_WORKER=/path/to/vdeploy-runtime`"
                .into(),
        })
    }
}

/// The user's own defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    target: Option<String>,
    environment: Option<String>,
    home: Option<PathBuf>,
    price_per_hour: Option<f64>,
}

impl Settings {
    /// Variables over the profile over defaults.
    pub fn from_env() -> Result<Self, SettingsError> {
        let profile = Profile::read()?;
        let environment = variable("VDEPLOY_ENVIRONMENT").or(profile.environment);
        let settings = Settings {
            target: variable("VDEPLOY_TARGET").or(profile.target).unwrap_or_else(|| "local".into()),
            environment: "main".into(),
            home: Home::new(find_home(profile.home)?),
            ffmpeg: path_variable("VDEPLOY_FFMPEG").unwrap_or_else(|| "ffmpeg".into()),
            ffprobe: path_variable("VDEPLOY_FFPROBE").unwrap_or_else(|| "ffprobe".into()),
            worker: path_variable("VDEPLOY_WORKER"),
            price_per_hour: profile.price_per_hour,
            failpoint: variable("VDEPLOY_FAILPOINT")
                .map_or_else(Failpoint::none, |text| Failpoint::parse(&text)),
        };
        match environment {
            Some(name) => settings.in_environment(name),
            None => Ok(settings),
        }
    }

    /// The same settings for another environment.
    pub fn in_environment(mut self, name: impl Into<String>) -> Result<Self, SettingsError> {
        self.environment = name.into();
        let name = &self.environment;
        let ok = !name.is_empty()
            && name.len() < 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if ok { Ok(self) } else { Err(SettingsError::Environment(self.environment)) }
    }

    /// What running calls on this machine takes.
    pub fn setup(&self) -> Result<Setup, SettingsError> {
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

    /// The worker program: the one that was named, or the one beside this program, in `PATH`, or
    /// beside the `vdeploy` that is in `PATH`.
    fn find_worker(&self) -> Result<PathBuf, SettingsError> {
        if let Some(named) = &self.worker {
            return found(named).ok_or_else(|| SettingsError::NoWorker(named.clone()));
        }
        let own = std::env::current_exe().unwrap_or_default().with_file_name(WORKER);
        found(&own)
            .or_else(|| in_path(WORKER))
            .or_else(|| {
                let vdeploy = in_path("vdeploy")?.canonicalize().ok()?;
                found(&vdeploy.with_file_name(WORKER))
            })
            .ok_or(SettingsError::NoWorker(own))
    }
}

fn found(path: &Path) -> Option<PathBuf> {
    path.is_file().then(|| path.to_owned())
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = search_path()?;
    std::env::split_paths(&path).find_map(|folder| found(&folder.join(program)))
}

fn find_home(profile: Option<PathBuf>) -> Result<PathBuf, SettingsError> {
    path_variable(crate::environment::HOME)
        .or(profile)
        .or_else(|| path_variable("XDG_DATA_HOME").map(|dir| dir.join("vdeploy")))
        .or_else(platform_data_home)
        .map(|path| std::path::absolute(&path).unwrap_or(path))
        .ok_or(SettingsError::NoHome)
}

fn platform_data_home() -> Option<PathBuf> {
    let home = path_variable("HOME")?;
    Some(if cfg!(target_os = "macos") {
        home.join("Library/Application Support/vdeploy")
    } else {
        home.join(".local/share/vdeploy")
    })
}

impl Profile {
    fn read() -> Result<Self, SettingsError> {
        let dir = path_variable("XDG_CONFIG_HOME")
            .or_else(|| path_variable("HOME").map(|home| home.join(".config")));
        let Some(path) = dir.map(|dir| dir.join("vdeploy/config.toml")) else {
            return Ok(Profile::default());
        };
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Profile::default()),
            Err(source) => Err(SettingsError::Unreadable { path, source }),
            Ok(text) => toml::from_str(&text)
                .map_err(|error| SettingsError::Profile { path, source: Box::new(error) }),
        }
    }
}
