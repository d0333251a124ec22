//! What BuildKit may ask back while it builds: values of secrets. A session is a connection to the
//! engine that is turned around: this side answers, in gRPC.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::task::JoinHandle;
use vdeploy_runtime::engine::EngineAddress;
use vdeploy_runtime::secret::SecretValue;

use crate::image::quote;
use crate::image::recipe::SECRETS;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
/// Questions are names; a longer one is none.
const LONGEST_QUESTION: usize = 64 << 10;
/// `google.rpc.Code`.
const NOT_FOUND: &str = "5";
const UNIMPLEMENTED: &str = "12";

/// A session that lasts until it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    /// By what a build names it.
    pub(super) id: String,
    served: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Session {
    /// Opens one that gives out `secrets`.
    pub(super) async fn open(
        engine: &EngineAddress,
        secrets: &BTreeMap<String, SecretValue>,
    ) -> io::Result<Self> {
        let id = format!("{:032x}", rand::random::<u128>());
        let answers = Arc::new(answers(secrets));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(engine.dial().await?))
                .await
                .map_err(io::Error::other)?;
        let connected = tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(question(&id)).await.map_err(io::Error::other)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            connected.abort();
            return Err(io::Error::other(format!("it opens no session: {}", response.status())));
        }
        let turned = hyper::upgrade::on(response).await.map_err(io::Error::other)?;
        let served = tokio::spawn(async move {
            let service = service_fn(move |request| answer(answers.clone(), request));
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // The engine hangs up when the build has ended.
            let _ = server.serve_connection(turned, service).await;
        });
        Ok(Session { id, served })
    }
}

fn question(id: &str) -> Request<Empty<Bytes>> {
    Request::post("/session")
        .header(HOST, "engine")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "h2c")
        .header("x-docker-expose-session-uuid", id)
        .header("x-docker-expose-session-name", "vdeploy")
        .header("x-docker-expose-session-grpc-method", GET_SECRET)
        .body(Empty::new())
        .expect("these are headers")
}

/// What is given out: each value by its key, and all of them as a script that exports them.
fn answers(secrets: &BTreeMap<String, SecretValue>) -> BTreeMap<String, Bytes> {
    let value = |secret: &SecretValue| Bytes::copy_from_slice(secret.expose().as_bytes());
    let mut answers: BTreeMap<_, _> =
        secrets.iter().map(|(key, secret)| (key.clone(), value(secret))).collect();
    let export = |(key, secret): (&String, &SecretValue)| {
        format!("export {key}={}\n", quote::argument(secret.expose()))
    };
    answers.insert(SECRETS.to_owned(), secrets.iter().map(export).collect::<String>().into());
    answers
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn answer(
    answers: Arc<BTreeMap<String, Bytes>>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let asked = Limited::new(request.into_body(), LONGEST_QUESTION).collect().await;
    let asked = asked.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(match path.as_str() {
        HEALTH => reply(&Health { status: Health::SERVING }),
        GET_SECRET => {
            let wanted = unframed::<GetSecret>(&asked).unwrap_or_default();
            match answers.get(&wanted.id) {
                Some(data) => reply(&Secret { data: data.to_vec() }),
                None => refuse(NOT_FOUND, "no secret of the image has this key"),
            }
        }
        _ => refuse(UNIMPLEMENTED, "vdeploy doesn't answer this"),
    })
}

#[derive(Clone, PartialEq, prost::Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl Health {
    const SERVING: i32 = 1;
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetSecret {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Secret {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

/// The bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

fn unframed<M: Message + Default>(body: &[u8]) -> Option<M> {
    M::decode(body.get(PREFIX..)?).ok()
}

fn reply(message: &impl Message) -> Answer {
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(message.encoded_len() as u32);
    message.encode(&mut body).expect("the buffer grows");
    respond(body.freeze(), "0", "")
}

fn refuse(status: &'static str, message: &'static str) -> Answer {
    respond(Bytes::new(), status, message)
}

fn respond(body: Bytes, status: &'static str, message: &'static str) -> Answer {
    let trailers = HeaderMap::from_iter([
        ("grpc-status".parse().expect("a name"), HeaderValue::from_static(status)),
        ("grpc-message".parse().expect("a name"), HeaderValue::from_static(message)),
    ]);
    let body = Full::new(body).with_trailers(async move { Some(Ok(trailers)) }).boxed();
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_given_one_by_one_and_as_a_script() {
        let secrets = [("TOKEN".to_owned(), SecretValue::new("it's $5"))].into();
        let answers = answers(&secrets);
        assert_eq!(answers["TOKEN"], "it's $5");
        assert_eq!(answers[SECRETS], "export TOKEN='it'\\''s $5'\n");
    }
}
