//! Building with the classic builder, which every engine has.

use std::collections::HashMap;

use bollard::body_try_stream;
use bollard::errors::Error as BollardError;
use bollard::models::BuildInfo;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures::StreamExt;
use vdeploy_runtime::redact::Redactor;

use super::said::{Output, Said};
use super::{BuildError, Tools};
use crate::image::Job;
use crate::image::context::DOCKERFILE;

/// Runs the build; the id of its image.
pub(super) async fn run(
    tools: &Tools<'_>,
    job: &Job,
    mut say: impl FnMut(Said),
) -> Result<String, BuildError> {
    let args: HashMap<String, String> = job.args.clone().into_iter().collect();
    let options = BuildImageOptionsBuilder::default()
        .dockerfile(DOCKERFILE)
        .buildargs(&args)
        .rm(true)
        .forcerm(true)
        .build();
    let body = futures::stream::unfold(job.stream(), async |mut pieces| {
        let piece = pieces.recv().await?;
        Some((piece.map(Into::into), pieces))
    });
    let body = body_try_stream(body);
    let mut stream = Box::pin(tools.docker.build_image(options, None, Some(body)));
    let mut progress = Progress::new(tools.redactor());
    while let Some(message) = stream.next().await {
        match message {
            Ok(message) => progress.hear(message, &mut say),
            Err(error) => return Err(progress.failed(error, job)),
        }
    }
    progress.id.take().ok_or_else(BuildError::cut_short)
}

/// What was heard of a build.
struct Progress {
    id: Option<String>,
    step: String,
    output: Output,
    redactor: Redactor,
}

impl Progress {
    fn new(redactor: Redactor) -> Self {
        Progress { id: None, step: String::new(), output: Output::default(), redactor }
    }

    fn hear(&mut self, message: BuildInfo, say: &mut impl FnMut(Said)) {
        self.id = message.aux.and_then(|aux| aux.id).or(self.id.take());
        let piece = message.stream.as_deref().unwrap_or_default();
        for line in self.output.push(piece, &self.redactor) {
            self.line(line, say);
        }
    }

    fn line(&mut self, line: String, say: &mut impl FnMut(Said)) {
        if is_bookkeeping(&line) {
            return;
        }
        if let Some((place, text)) = step(&line) {
            self.step = text.to_owned();
            self.output.forget();
            return say(Said::Step(place.to_owned(), text.to_owned()));
        }
        if let Some(id) = line.trim().strip_prefix("Successfully built ") {
            self.id.get_or_insert_with(|| id.to_owned());
        }
        self.output.keep(line.clone());
        say(Said::Line(line));
    }

    fn failed(&mut self, error: BollardError, job: &Job) -> BuildError {
        let message = match &error {
            BollardError::DockerStreamError { error } => error,
            BollardError::DockerResponseServerError { message, .. } => message,
            _ => return BuildError::engine(error),
        };
        BuildError::step(&job.dockerfile, &self.step, message, self.output.last())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_from_what_they_print() {
        let mut progress = Progress::new(Redactor::new(Vec::new()));
        let mut heard = Vec::new();
        for text in ["Step 1/2 : FROM x\n ---> abc\nStep 2/2 :", " USER 0\n"] {
            let message = BuildInfo { stream: Some(text.into()), ..Default::default() };
            progress.hear(message, &mut |said| heard.push(said));
        }
        assert_eq!(heard[0], Said::Step("1/2".into(), "FROM x".into()));
        assert_eq!(heard[1], Said::Step("2/2".into(), "USER 0".into()));
    }
}
