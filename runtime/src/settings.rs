//! Where a program finds what is deployed on this machine: variables over the user's profile over
//! defaults, the same for programs and for the command line.
//!
//! | what | variable | in the profile | default |
//! | --- | --- | --- | --- |
//! | the root of the local target | `VDEPLOY_HOME` | `home` | `vdeploy` in the platform's folder for data |
//! | the environment | `VDEPLOY_ENVIRONMENT` | `environment` | `main` |
//! | the target | `VDEPLOY_TARGET` | `target` | `local` |
//! | the region of AWS | `AWS_REGION` | `region` | as every AWS tool finds it |
//! | the bucket on AWS | `VDEPLOY_BUCKET` | `bucket` | `vdeploy-REGION-` and a hash of account and region |
//! | the worker program | `VDEPLOY_WORKER` | | `vdeploy-runtime` beside this program, or in `PATH` |
//! | what an hour of this machine costs | | `price_per_hour` | unknown |
//! | the container engine | `DOCKER_HOST` | | the socket of Docker, or of Podman |
//! | ffmpeg and ffprobe | `VDEPLOY_FFMPEG`, `VDEPLOY_FFPROBE` | | in `PATH` |
//! | the library of ONNX Runtime | `VDEPLOY_ONNXRUNTIME` | | beside the worker program, or in the system's folders; else tract |
//!
//! The profile is `vdeploy/config.toml` in `XDG_CONFIG_HOME`, or in `~/.config`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::aws::layout::{default_bucket, variables};
use crate::aws::{Aws, AwsError};
use crate::dispatch::local::{Setup, machine_capacity};
use crate::engine::EngineAddress;
use crate::environment::{path_variable, search_path, variable};
use crate::failpoint::Failpoint;
use crate::ffmpeg::Tools;
use crate::home::Home;
use crate::storage::{BucketVolumes, VolumeStore, Volumes};

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
    /// The region of AWS, where one is set for this program alone.
    pub region: Option<String>,
    /// The bucket on AWS; none for the account's own.
    pub bucket: Option<String>,
    /// Where ffmpeg is.
    pub ffmpeg: PathBuf,
    /// Where ffprobe is.
    pub ffprobe: PathBuf,
    /// The library of ONNX Runtime, when it was named; `tract` stands for none.
    pub onnxruntime: Option<PathBuf>,
    /// The worker program, when it was named.
    pub worker: Option<PathBuf>,
    /// What this machine costs an hour, in any currency.
    pub price_per_hour: Option<f64>,
    /// What builds images and runs containers.
    pub engine: EngineAddress,
    /// This process runs in the image of the functions it runs.
    pub in_image: bool,
    /// Where a test wants this process to die.
    pub failpoint: Failpoint,
}

/// Where target `aws` is.
#[derive(Clone, Debug)]
pub struct AwsTarget {
    /// The way to the account.
    pub access: Aws,
    /// The bucket's name.
    pub bucket: String,
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
    /// There is no such target.
    #[error("there is no target `{0}`")]
    Target(String),
    /// No region is set anywhere.
    #[error("no region of AWS is named")]
    NoRegion,
    /// Whose account it is can't be found out.
    #[error("can't {}: {}", .0.doing, .0.cause)]
    Aws(#[from] AwsError),
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
            Self::Target(_) => "use `--target local` or `--target aws`".into(),
            Self::NoRegion => "name it: `export AWS_REGION=us-east-1`".into(),
            Self::Aws(error) => return error.hint(),
            Self::Profile { .. } => {
                "it may hold `target`, `environment`, `home`, `region`, `bucket` and `price_per_hour`"
                    .into()
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
    region: Option<String>,
    bucket: Option<String>,
    price_per_hour: Option<f64>,
}

impl Settings {
    /// Variables over the profile over defaults.
    pub fn from_env() -> Result<Self, SettingsError> {
        let profile = Profile::read()?;
        let home = Home::new(find_home(profile.home.clone())?);
        Settings::with(profile, home)
    }

    /// Variables over defaults, with everything below `home`: for a container, which has no user.
    pub(crate) fn in_home(home: Home) -> Result<Self, SettingsError> {
        let settings = Settings::with(Profile::default(), home)?;
        Ok(Settings { target: "local".into(), in_image: true, ..settings })
    }

    fn with(profile: Profile, home: Home) -> Result<Self, SettingsError> {
        let environment = variable("VDEPLOY_ENVIRONMENT").or(profile.environment);
        let settings = Settings {
            target: variable("VDEPLOY_TARGET").or(profile.target).unwrap_or_else(|| "local".into()),
            environment: "main".into(),
            home,
            region: variable("AWS_REGION").is_none().then_some(profile.region).flatten(),
            bucket: variable(variables::BUCKET).or(profile.bucket),
            ffmpeg: path_variable("VDEPLOY_FFMPEG").unwrap_or_else(|| "ffmpeg".into()),
            ffprobe: path_variable("VDEPLOY_FFPROBE").unwrap_or_else(|| "ffprobe".into()),
            onnxruntime: path_variable("VDEPLOY_ONNXRUNTIME"),
            worker: path_variable("VDEPLOY_WORKER"),
            price_per_hour: profile.price_per_hour,
            engine: EngineAddress {
                host: variable("DOCKER_HOST"),
                runtime_dir: path_variable("XDG_RUNTIME_DIR"),
            },
            in_image: false,
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

    /// The account and the bucket that calls and volumes of target `aws` are in.
    pub async fn aws(&self) -> Result<AwsTarget, SettingsError> {
        if self.target != "aws" {
            return Err(SettingsError::Target(self.target.clone()));
        }
        let access = Aws::load(self.region.clone()).await;
        let region = access.region().map(str::to_owned).ok_or(SettingsError::NoRegion)?;
        let bucket = match &self.bucket {
            Some(bucket) => bucket.clone(),
            None => default_bucket(&access.account().await?, &region),
        };
        Ok(AwsTarget { access, bucket })
    }

    /// The volumes of the environment on the target.
    pub async fn volumes(&self) -> Result<VolumeStore, SettingsError> {
        if self.target == "local" {
            let home = self.home.environment(&self.environment);
            return Ok(VolumeStore::Local(Volumes::of(&home)));
        }
        let AwsTarget { access, bucket } = self.aws().await?;
        let (bucket, cache) = (access.bucket(bucket), self.home.cache());
        Ok(VolumeStore::Bucket(BucketVolumes::new(bucket, &self.environment, cache)))
    }

    /// What running calls on this machine takes.
    pub fn setup(&self) -> Result<Setup, SettingsError> {
        Ok(Setup {
            home: self.home.clone(),
            tools: self.tools(),
            worker: self.find_worker()?,
            capacity: machine_capacity(),
            price_per_hour: self.price_per_hour,
            elsewhere: None,
            engine: self.engine.clone(),
            in_image: self.in_image,
            failpoint: self.failpoint.clone(),
        })
    }

    /// Where ffmpeg is and where facts about this machine are kept.
    pub fn tools(&self) -> Tools {
        Tools {
            ffmpeg: self.ffmpeg.clone(),
            ffprobe: self.ffprobe.clone(),
            cache: self.home.cache(),
            onnxruntime: self.onnxruntime.clone(),
        }
    }

    /// The worker program, which images get a copy of.
    pub fn worker(&self) -> Result<PathBuf, SettingsError> {
        self.find_worker()
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
