//! Why there is no image, and what to do about it.

use std::error::Error;

use super::said::{ending, shorten};
use crate::image::check::CheckError;
use crate::image::glibc::Version;
use crate::image::recipe::Step;
use crate::image::{Dockerfile, Origin};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The worker program wouldn't run in it.
    #[error("`{worker}` needs glibc {needs} and `{base}` has {has}")]
    Glibc {
        /// The worker program.
        worker: String,
        /// What it needs.
        needs: Version,
        /// The base image.
        base: String,
        /// What that has.
        has: Version,
    },
    /// Its commands need secrets, and the builder can give none without leaving them in a layer.
    #[error("the image needs secrets while it is built, and this engine has no BuildKit")]
    NoSecrets,
    /// An instruction failed.
    #[error("{what} failed: {message}")]
    Step {
        /// The instruction.
        what: String,
        /// What part of the recipe it is from, if it is the user's.
        origin: Option<Origin>,
        /// What the engine said.
        message: String,
        /// The end of what it printed.
        said: Vec<String>,
    },
    /// The engine broke off.
    #[error("the container engine broke off the build")]
    Engine(#[source] Box<dyn Error + Send + Sync>),
    /// It was built, and isn't what it should be.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Somebody asked to stop.
    #[error("interrupted; nothing was tagged")]
    Interrupted,
}

impl BuildError {
    /// The engine broke off, and this came instead.
    pub(super) fn engine(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Engine(error.into())
    }

    /// The engine ended the build without an image and without an error: it has died.
    pub(super) fn cut_short() -> Self {
        Self::engine(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
    }

    /// `instruction`, as the engine says it, failed with `message` after it printed `said`.
    pub(super) fn step(
        dockerfile: &Dockerfile,
        instruction: &str,
        message: &str,
        said: Vec<String>,
    ) -> Self {
        let step = dockerfile.steps.iter().find(|step| is_it(step, instruction, message));
        let known = step.map_or(instruction, |step| &step.instruction);
        let what = match known {
            "" => "the build".to_owned(),
            known => format!("`{}`", shorten(known)),
        };
        let origin = step.map(|step| step.origin);
        Self::Step { what, origin, message: ending(message), said }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Glibc { .. } => "build it for older systems: `make release`, or use a newer base",
            Self::NoSecrets => "use Docker 18.09 or newer, without `DOCKER_BUILDKIT=0`",
            Self::Step { message, said, .. } => {
                return hint_for(&format!("{message}\n{}", said.join("\n"))).map(str::to_owned);
            }
            Self::Engine(_) => "see whether it runs: `docker info`; then run the command again",
            Self::Check(error) => return error.hint(),
            Self::Interrupted => return None,
        };
        Some(text.into())
    }
}

/// Whether `step` is the instruction that failed. BuildKit changes an instruction's quotes and
/// variables when it shows it, and names the command as it was when that fails.
fn is_it(step: &Step, instruction: &str, message: &str) -> bool {
    let named = |command: &String| {
        let quoted = serde_json::to_string(command).expect("a text is JSON");
        message.contains(command.as_str()) || message.contains(quoted.trim_matches('"'))
    };
    step.instruction == instruction || step.command.as_ref().is_some_and(named)
}

/// What to do about what a failed instruction said.
fn hint_for(said: &str) -> Option<&'static str> {
    const HINTS: [(&[&str], &str); 4] = [
        (
            &["no space left on device", "No space left on device"],
            "make room where the engine keeps images: `docker system df`, `vdeploy image prune`",
        ),
        (
            &["CERTIFICATE_VERIFY_FAILED", "x509: "],
            "name your company's certificates: `ca_bundle = \"company.crt\"` in the image",
        ),
        (
            &["exec format error", "Exec format error", "no match for platform"],
            "the base is for another kind of processor: name one for this machine's",
        ),
        (
            &[
                "pull access denied",
                "manifest unknown",
                "not found: manifest",
                "registry-1.docker.io",
                "load metadata for",
                "failed to resolve source metadata",
            ],
            "is the name of the base right, and may this machine pull it? try `docker pull` with it",
        ),
    ];
    let fits = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    HINTS.iter().find(|(texts, _)| fits(texts)).map(|(_, hint)| *hint)
}

/// Everything behind an error, in lines.
pub(crate) fn causes(error: &BuildError) -> Vec<String> {
    let mut lines = Vec::new();
    if let BuildError::Step { said, .. } = error {
        lines.extend(said.iter().cloned());
    }
    let mut next = error.source();
    while let Some(source) = next {
        lines.push(source.to_string());
        next = source.source();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_again_however_the_engine_shows_it() {
        let command = "echo \"$HOME\"\nexit 3".to_owned();
        let step = Step {
            instruction: "RUN [\"/bin/sh\",\"-c\",\"echo \\\"$HOME\\\"\\nexit 3\"]".into(),
            command: Some(command.clone()),
            origin: Origin::Run(0),
        };
        let dockerfile = Dockerfile { text: String::new(), steps: vec![step] };
        for message in [
            format!("executor failed running [/bin/sh -c {command}]: exit code: 3"),
            format!("process {command:?} did not complete successfully: exit code: 3"),
        ] {
            let error = BuildError::step(&dockerfile, "RUN [/bin/sh -c x]", &message, Vec::new());
            let BuildError::Step { what, origin, message, .. } = error else { panic!("{error}") };
            assert_eq!((origin, message.as_str()), (Some(Origin::Run(0)), "exit code 3"));
            assert_eq!(what, "`RUN echo \"$HOME\"; exit 3`");
        }
    }
}
