//! Building an image: nothing has its name before it is whole and was checked from inside.

use std::collections::HashMap;
use std::error::Error;

use bollard::errors::Error as BollardError;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptionsBuilder, TagImageOptionsBuilder};
use bollard::{Docker, body_try_stream};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::check::{CheckError, check};
use super::context::DOCKERFILE;
use super::glibc::{self, Version};
use super::{Job, Origin, references, remove};

/// Lines of output that are kept to show with a failure.
const LAST_LINES: usize = 12;

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
    /// An instruction failed.
    #[error("{what} failed: {message}")]
    Step {
        /// The instruction, as the engine says it.
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
    Engine(#[source] Box<BollardError>),
    /// It was built, and isn't what it should be.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Somebody asked to stop.
    #[error("interrupted; nothing was tagged")]
    Interrupted,
}

impl BuildError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Glibc { .. } => {
                "build it for older systems: `pip install cargo-zigbuild` and `cargo zigbuild \
                 --release --target x86_64-unknown-linux-gnu.2.28`, or use a newer base"
            }
            Self::Step { message, said, .. } => {
                let all = format!("{message}\n{}", said.join("\n"));
                if all.contains("No space left on device") {
                    "make room where the engine keeps images: `docker system df`, `vdeploy image prune`"
                } else if all.contains("CERTIFICATE_VERIFY_FAILED") {
                    "name your company's certificates: `ca_bundle = \"company.crt\"` in the image"
                } else if all.contains("exec format error") {
                    "the base is for another kind of processor: name one for this machine's"
                } else if is_pull(message) {
                    "is the name of the base right, and may this machine pull it? try \
                     `docker pull` with it"
                } else {
                    return None;
                }
            }
            Self::Engine(_) => "see whether it runs: `docker info`; then run the command again",
            Self::Check(error) => return error.hint(),
            Self::Interrupted => return None,
        };
        Some(text.into())
    }
}

fn is_pull(message: &str) -> bool {
    ["pull access denied", "manifest unknown", "not found: manifest", "registry-1.docker.io"]
        .iter()
        .any(|text| message.contains(text))
}

/// What a build says while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An instruction begins: `3/9`, and its text.
    Step(String, String),
    /// A line of what it prints.
    Line(String),
}

/// Builds `job` unless the engine has it already; `true` when it was built. `say` hears what goes
/// on, and `stop` breaks the build off.
pub async fn build(
    docker: &Docker,
    job: &Job,
    stop: &CancellationToken,
    say: impl FnMut(Said),
) -> Result<bool, BuildError> {
    let engine = |error| BuildError::Engine(Box::new(error));
    if references(docker).await.map_err(engine)?.contains(&job.reference) {
        return Ok(false);
    }
    fits(job)?;
    let id = tokio::select! {
        built = run(docker, job, say) => built?,
        // The engine ends a build whose caller is gone, and removes what it was in.
        () = stop.cancelled() => return Err(BuildError::Interrupted),
    };
    if let Err(error) = check(docker, &id, job.cuda).await {
        // It has no name by which anybody would look for it; an engine that keeps it may.
        let _ = remove(docker, &id).await;
        return Err(error.into());
    }
    let (repository, tag) = job.reference.rsplit_once(':').expect("a reference has a tag");
    let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    docker.tag_image(&id, Some(options)).await.map_err(engine)?;
    Ok(true)
}

/// Whether the worker program runs with the base's C library, as far as that is known.
fn fits(job: &Job) -> Result<(), BuildError> {
    let Some((base, has)) = &job.glibc else { return Ok(()) };
    match glibc::needed(&job.worker) {
        Ok(Some(needs)) if needs > *has => Err(BuildError::Glibc {
            worker: job.worker.display().to_string(),
            needs,
            base: base.clone(),
            has: *has,
        }),
        // A program that can't be read fails in the build, which says so.
        _ => Ok(()),
    }
}

/// Runs the build; the id of its image.
async fn run(docker: &Docker, job: &Job, mut say: impl FnMut(Said)) -> Result<String, BuildError> {
    let args: HashMap<String, String> = job.args.clone().into_iter().collect();
    let options = BuildImageOptionsBuilder::default()
        .dockerfile(DOCKERFILE)
        .buildargs(&args)
        .rm(true)
        .forcerm(true)
        .build();
    let pieces = job.context.clone().stream(job.dockerfile.text.clone());
    let body = futures::stream::unfold(pieces, async |mut pieces| {
        let piece = pieces.recv().await?;
        Some((piece.map(Into::into), pieces))
    });
    let mut stream = Box::pin(docker.build_image(options, None, Some(body_try_stream(body))));
    let mut progress = Progress::default();
    while let Some(message) = stream.next().await {
        match message {
            Ok(message) => progress.hear(message, &mut say),
            Err(error) => return Err(progress.failed(error, job)),
        }
    }
    progress.id.take().ok_or_else(|| progress.cut_short())
}

/// What was heard of a build.
#[derive(Default)]
struct Progress {
    id: Option<String>,
    step: String,
    rest: String,
    said: Vec<String>,
}

impl Progress {
    fn hear(&mut self, message: BuildInfo, say: &mut impl FnMut(Said)) {
        self.id = message.aux.and_then(|aux| aux.id).or(self.id.take());
        self.rest.push_str(message.stream.as_deref().unwrap_or_default());
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            self.line(line.trim_end(), say);
        }
    }

    fn line(&mut self, line: &str, say: &mut impl FnMut(Said)) {
        let line = &plain(line);
        if line.trim().is_empty() || is_bookkeeping(line) {
            return;
        }
        if let Some((place, text)) = step(line) {
            self.step = text.to_owned();
            self.said.clear();
            return say(Said::Step(place.to_owned(), text.to_owned()));
        }
        if let Some(id) = line.trim().strip_prefix("Successfully built ") {
            self.id.get_or_insert_with(|| id.to_owned());
        }
        self.said.push(line.to_owned());
        if self.said.len() > LAST_LINES {
            self.said.remove(0);
        }
        say(Said::Line(line.to_owned()));
    }

    fn failed(&mut self, error: BollardError, job: &Job) -> BuildError {
        let message = match &error {
            BollardError::DockerStreamError { error } => error.clone(),
            BollardError::DockerResponseServerError { message, .. } => message.clone(),
            _ => return BuildError::Engine(Box::new(error)),
        };
        let origins = &job.dockerfile.origins;
        let origin = origins.iter().find(|(text, _)| *text == self.step).map(|(_, from)| *from);
        let what = match self.step.is_empty() {
            true => "the build".to_owned(),
            false => format!("`{}`", shorten(&self.step)),
        };
        BuildError::Step { what, origin, message, said: std::mem::take(&mut self.said) }
    }

    /// The engine ended the stream without an image and without an error: it has died.
    fn cut_short(&self) -> BuildError {
        let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        BuildError::Engine(Box::new(error.into()))
    }
}

/// A line without what colours it and without bars that are drawn over themselves.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut chars = line.rsplit('\r').next().unwrap_or(line).chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // A control sequence ends with its first letter.
                let _ = chars.find(char::is_ascii_alphabetic);
            }
            c if c.is_control() && c != '\t' => {}
            c => plain.push(c),
        }
    }
    plain
}

/// What the engine says about its own containers and layers.
fn is_bookkeeping(line: &str) -> bool {
    let line = line.trim_start();
    ["---> ", "Removing intermediate container ", "Successfully tagged "]
        .iter()
        .any(|start| line.starts_with(start))
}

/// `3/9` and the instruction of `Step 3/9 : RUN …`.
fn step(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("Step ")?.split_once(" : ")
}

/// An instruction as people read it: a command without the shell around it.
pub(crate) fn shorten(instruction: &str) -> String {
    const LONGEST: usize = 80;
    let command = instruction
        .strip_prefix("RUN ")
        .and_then(|array| serde_json::from_str::<Vec<String>>(array).ok())
        .and_then(|words| Some(format!("RUN {}", words.last()?)));
    let text = command.unwrap_or_else(|| instruction.to_owned()).replace('\n', "; ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
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
    fn a_command_is_shown_without_the_shell_around_it() {
        assert_eq!(shorten(r#"RUN ["/bin/sh","-c","echo a\necho b"]"#), "RUN echo a; echo b");
        assert_eq!(shorten("USER 0"), "USER 0");
    }

    #[test]
    fn steps_are_told_from_what_they_print() {
        let mut progress = Progress::default();
        let mut heard = Vec::new();
        for text in ["Step 1/2 : FROM x\n ---> abc\nStep 2/2 :", " USER 0\n"] {
            let message = BuildInfo { stream: Some(text.into()), ..Default::default() };
            progress.hear(message, &mut |said| heard.push(said));
        }
        assert_eq!(heard[0], Said::Step("1/2".into(), "FROM x".into()));
        assert_eq!(heard[1], Said::Step("2/2".into(), "USER 0".into()));
    }

    #[test]
    fn colours_and_bars_are_left_out() {
        assert_eq!(plain("\u{1b}[91mno such\u{1b}[0m thing"), "no such thing");
        assert_eq!(plain("10%\r50%\r100%"), "100%");
    }
}
