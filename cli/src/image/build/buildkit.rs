//! Building with BuildKit, which Docker Engine has had since 18.09: instructions that don't wait for
//! each other run side by side, what was built once stays in a cache, and secrets are mounted.
//!
//! bollard can't give out secrets and hold no context in memory at once, so the request is made
//! here: the same one that the classic builder takes, with a version and a [`Session`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prost::Message;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinHandle;
use vdeploy_runtime::redact::Redactor;

use super::said::{Output, Said};
use super::session::Session;
use super::trace::{Status, Vertex};
use super::{BuildError, Tools};
use crate::image::context::DOCKERFILE;
use crate::image::{Dockerfile, Job};

/// What the engine calls its answers: what BuildKit says, and the image at the end.
const TRACE: &str = "moby.buildkit.trace";
const IMAGE: &str = "moby.image.id";

/// Runs the build; the id of its image.
pub(super) async fn run(
    tools: &Tools<'_>,
    job: &Job,
    mut say: impl FnMut(Said),
) -> Result<String, BuildError> {
    let session = Session::open(tools.engine, &tools.secrets).await.map_err(BuildError::engine)?;
    let mut answer = Answer::ask(tools, job, &session.id).await?;
    let mut progress = Progress::new(&job.dockerfile, tools.redactor());
    while let Some(line) = answer.line().await? {
        progress.hear(&line, &mut say)?;
    }
    progress.image.ok_or_else(BuildError::cut_short)
}

/// The engine's answer to a build, line by line. When it is dropped the engine breaks the build off.
struct Answer {
    body: Incoming,
    read: BytesMut,
    connection: JoinHandle<()>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answer {
    async fn ask(tools: &Tools<'_>, job: &Job, session: &str) -> Result<Self, BuildError> {
        let stream = tools.engine.dial().await.map_err(BuildError::engine)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(BuildError::engine)?;
        let connection = tokio::spawn(async move {
            // What it ends with is seen by whoever reads from it.
            let _ = connection.await;
        });
        let context = futures::stream::unfold(job.stream(), async |mut pieces| {
            let piece: io::Result<Vec<u8>> = pieces.recv().await?;
            Some((piece.map(|bytes| Frame::data(Bytes::from(bytes))), pieces))
        });
        let request = Request::post(target(tools, job, session))
            .header(HOST, "engine")
            .header(CONTENT_TYPE, "application/x-tar")
            .body(StreamBody::new(Box::pin(context)))
            .map_err(BuildError::engine)?;
        let response = sender.send_request(request).await.map_err(BuildError::engine)?;
        if response.status() != StatusCode::OK {
            connection.abort();
            return Err(refused(response, job).await);
        }
        Ok(Answer { body: response.into_body(), read: BytesMut::new(), connection })
    }

    /// The next line; none at the end.
    async fn line(&mut self) -> Result<Option<Bytes>, BuildError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.read.split_to(end + 1).freeze()));
            }
            match self.body.frame().await {
                Some(frame) => {
                    let data = frame.map_err(BuildError::engine)?.into_data();
                    self.read.extend_from_slice(&data.unwrap_or_default());
                }
                None if self.read.is_empty() => return Ok(None),
                None => return Ok(Some(self.read.split().freeze())),
            }
        }
    }
}

/// What is asked for, with the options of the engine's `ImageBuild`.
fn target(tools: &Tools<'_>, job: &Job, session: &str) -> String {
    let version = tools.docker.client_version();
    let args = serde_json::to_string(&job.args).expect("arguments are JSON");
    let options = form_urlencoded::Serializer::new(String::new())
        .append_pair("version", "2")
        .append_pair("session", session)
        .append_pair("dockerfile", DOCKERFILE)
        .append_pair("buildargs", &args)
        .finish();
    format!("/v{}.{}/build?{options}", version.major_version, version.minor_version)
}

/// The engine didn't even begin.
async fn refused(response: Response<Incoming>, job: &Job) -> BuildError {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let status = response.status();
    let body = match response.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return BuildError::engine(error),
    };
    let message = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.message);
    let message = message.unwrap_or_else(|_| format!("the engine answers {status}"));
    BuildError::step(&job.dockerfile, "", &message, Vec::new())
}

/// A line of the answer.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    #[serde(default)]
    aux: Value,
    error: Option<String>,
}

/// What was heard of a build.
struct Progress<'a> {
    dockerfile: &'a Dockerfile,
    redactor: Redactor,
    image: Option<String>,
    told: BTreeSet<String>,
    outputs: BTreeMap<String, Output>,
    failed: Option<Vertex>,
}

impl<'a> Progress<'a> {
    fn new(dockerfile: &'a Dockerfile, redactor: Redactor) -> Self {
        let (told, outputs) = (BTreeSet::new(), BTreeMap::new());
        Progress { dockerfile, redactor, image: None, told, outputs, failed: None }
    }

    fn hear(&mut self, line: &[u8], say: &mut impl FnMut(Said)) -> Result<(), BuildError> {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return Ok(()) };
        if let Some(message) = line.error {
            return Err(self.failure(&message));
        }
        match line.id.as_deref() {
            Some(IMAGE) => self.image = line.aux["ID"].as_str().map(str::to_owned),
            Some(TRACE) => {
                let bytes = STANDARD.decode(line.aux.as_str().unwrap_or_default());
                // A message that can't be read is one less line to show.
                let status = bytes.ok().and_then(|bytes| Status::decode(bytes.as_slice()).ok());
                self.follow(status.unwrap_or_default(), say);
            }
            _ => {}
        }
        Ok(())
    }

    fn follow(&mut self, status: Status, say: &mut impl FnMut(Said)) {
        for vertex in status.vertexes {
            let begun = vertex.cached || vertex.started.is_some();
            if let Some((place, text)) = step(&vertex.name)
                && begun
                && self.told.insert(vertex.digest.clone())
            {
                say(Said::Step(place.to_owned(), text.to_owned()));
            }
            if !vertex.error.is_empty() {
                // What fails because something else did comes later.
                self.failed.get_or_insert(vertex);
            }
        }
        for log in status.logs {
            let output = self.outputs.entry(log.vertex).or_default();
            for line in output.push(&String::from_utf8_lossy(&log.text), &self.redactor) {
                output.keep(line.clone());
                say(Said::Line(line));
            }
        }
    }

    fn failure(&mut self, message: &str) -> BuildError {
        let message = self.redactor.redact_text(message.to_owned());
        let failed = self.failed.take().unwrap_or_default();
        let said = self.outputs.get_mut(&failed.digest).map(Output::last).unwrap_or_default();
        let instruction = step(&failed.name).map_or(&*failed.name, |(_, text)| text);
        BuildError::step(self.dockerfile, instruction, &message, said)
    }
}

/// `2/9` and the instruction of `[2/9] RUN …`; none for what no instruction asked for.
fn step(name: &str) -> Option<(&str, &str)> {
    let (place, text) = name.strip_prefix('[')?.split_once("] ")?;
    place.ends_with(|c: char| c.is_ascii_digit()).then_some((place, text))
}

#[cfg(test)]
mod tests {
    use super::super::trace::{Log, Timestamp};
    use super::*;

    fn line(status: &Status) -> Vec<u8> {
        let aux = STANDARD.encode(status.encode_to_vec());
        serde_json::to_vec(&serde_json::json!({ "id": TRACE, "aux": aux })).unwrap()
    }

    #[test]
    fn a_failure_shows_what_its_own_instruction_printed() {
        let dockerfile = Dockerfile { text: String::new(), steps: Vec::new() };
        let mut progress = Progress::new(&dockerfile, Redactor::new(vec!["hunter2".into()]));
        let vertex = |digest: &str, name: &str, error: &str| Vertex {
            digest: digest.into(),
            name: name.into(),
            started: Some(Timestamp {}),
            error: error.into(),
            ..Vertex::default()
        };
        let log = |vertex: &str, text: &str| Log { vertex: vertex.into(), text: text.into() };
        let messages = [
            Status {
                vertexes: vec![
                    vertex("a", "[internal] load remote build context", ""),
                    vertex("b", "[build 2/9] RUN one", ""),
                    vertex("c", "[3/4] RUN two", ""),
                ],
                logs: vec![log("b", "fine\n"), log("c", "key hunter2 is wrong\n")],
            },
            Status { vertexes: vec![vertex("c", "[3/4] RUN two", "exit code: 7")], logs: vec![] },
        ];
        let mut heard = Vec::new();
        for message in &messages {
            progress.hear(&line(message), &mut |said| heard.push(said)).unwrap();
        }
        let steps: Vec<_> = heard.iter().filter(|said| matches!(said, Said::Step(..))).collect();
        assert_eq!(steps.len(), 2, "{heard:?}");
        let error = br#"{"errorDetail":{"message":"x"},"error":"x: exit code: 7"}"#;
        let error = progress.hear(error, &mut |_| {}).unwrap_err();
        let BuildError::Step { what, message, said, .. } = error else { panic!("{error}") };
        assert_eq!((what.as_str(), message.as_str()), ("`RUN two`", "exit code 7"));
        assert_eq!(said, ["key *** is wrong"]);
    }
}
