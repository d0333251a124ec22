//! Tells a URL what happened: signed, tried again, and never led astray.
//!
//! The body is JSON. `Vdeploy-Signature: t=SECONDS,v1=HEX` carries HMAC-SHA256 (RFC 2104) of
//! `SECONDS.BODY` with the secret, so that a receiver can refuse what is forged or replayed.
//! `Vdeploy-Delivery` is the same for each try, so that it can ignore doubles.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use ureq::Error;
use ureq::http::Uri;

use crate::web::{self, follow, parse, without_secrets};
use crate::wire::{Failure, FailureKind};
use crate::{clock, environment};

/// How long one try may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where something is told, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// An `http` or `https` URL that takes POST.
    pub url: String,
    /// The variable that holds the secret it is signed with: a key of one of the function's
    /// `secrets`. Without it the message isn't signed.
    #[serde(default)]
    pub secret: Option<String>,
    /// Redirects may lead to addresses of this machine and of private networks.
    #[serde(default)]
    pub allow_private_redirects: bool,
    /// Tries after the first.
    #[serde(default = "four")]
    #[schemars(range(max = 20))]
    pub retries: u32,
    /// Seconds before the second try; each later pause is twice as long, up to a minute.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    pub retry_seconds: f64,
}

fn four() -> u32 {
    4
}

fn one() -> f64 {
    1.0
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delivery {
    /// The status that the receiver answered.
    pub status: u16,
    /// How many tries it took.
    pub tries: u32,
    /// It was signed.
    pub signed: bool,
}

/// Why a try failed.
#[derive(Debug)]
enum Refusal {
    /// Another try may succeed.
    Later(String),
    /// No other try will.
    Never(String),
}

impl Webhook {
    /// Delivers `body`; `id` is the same for each try of one message.
    pub async fn deliver(
        &self,
        id: &str,
        body: String,
        cancel: &CancellationToken,
    ) -> Result<Delivery, Failure> {
        let key = self.secret.as_deref().map(secret).transpose()?;
        let mut pause = Duration::from_secs_f64(self.retry_seconds.clamp(0.0, 3600.0));
        for attempt in 1.. {
            let (hook, id, body, key) = (self.clone(), id.to_owned(), body.clone(), key.clone());
            let trying = tokio::task::spawn_blocking(move || hook.once(&id, &body, key.as_deref()));
            let tried = tokio::select! {
                tried = trying => tried.unwrap_or_else(|e| Err(Refusal::Never(e.to_string()))),
                () = cancel.cancelled() => return Err(cancelled()),
            };
            let why = match tried {
                Ok(status) => {
                    let signed = self.secret.is_some();
                    return Ok(Delivery { status, tries: attempt, signed });
                }
                Err(Refusal::Later(_)) if attempt <= self.retries => {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = cancel.cancelled() => return Err(cancelled()),
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(Refusal::Later(why) | Refusal::Never(why)) => why,
            };
            let message = format!("`{}` took no notice", without_secrets(&self.url));
            let tries = format!("{attempt} tries were made");
            return Err(Failure::new(FailureKind::Machine, message).cause(why).cause(tries));
        }
        unreachable!("there is a last try")
    }

    /// One try, with the redirects it meets. Only 307 and 308 ask for the same message elsewhere.
    fn once(&self, id: &str, body: &str, key: Option<&[u8]>) -> Result<u16, Refusal> {
        let mut url = parse(&self.url).map_err(Refusal::Never)?;
        for hop in 0..=web::MAX_REDIRECTS {
            let public_only = hop > 0 && !self.allow_private_redirects;
            let response = post(&url, id, body, key, public_only)?;
            let status = response.status().as_u16();
            let said = || format!("it answered {status}");
            match status {
                200..300 => return Ok(status),
                307 | 308 => {
                    let to = response.headers().get("location").and_then(|to| to.to_str().ok());
                    url = follow(&url, to.unwrap_or_default()).map_err(Refusal::Never)?;
                }
                408 | 425 | 429 | 500.. => return Err(Refusal::Later(said())),
                _ => return Err(Refusal::Never(said())),
            }
        }
        Err(Refusal::Never("it redirects without end".into()))
    }
}

fn post(
    url: &Uri,
    id: &str,
    body: &str,
    key: Option<&[u8]>,
    public_only: bool,
) -> Result<ureq::http::Response<ureq::Body>, Refusal> {
    let mut request = web::agent(LIMIT, public_only)
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", web::USER_AGENT)
        .header("vdeploy-delivery", id);
    if let Some(key) = key {
        let header = signature(key, clock::now().as_second(), body);
        request = request.header("vdeploy-signature", header);
    }
    request.send(body).map_err(|error| match error {
        Error::Other(_) | Error::BadUri(_) => Refusal::Never(error.to_string()),
        error => Refusal::Later(error.to_string()),
    })
}

/// The value of the header `Vdeploy-Signature`.
pub fn signature(key: &[u8], seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let code: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("t={seconds},v1={code}")
}

fn secret(variable: &str) -> Result<Vec<u8>, Failure> {
    environment::secret(variable).ok_or_else(|| {
        Failure::new(FailureKind::InvalidArgs, format!("the secret `{variable}` isn't there"))
            .cause("no secret of this function has a key of that name")
            .hint(format!(
                "create it with `vdeploy secret create webhook {variable}=-`, and name `webhook` \
                 in the function's `secrets`"
            ))
    })
}

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "the call was cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_hmac_sha256_of_time_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signature(b"key", 1_700_000_000, "{\"a\":1}"),
            "t=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }
}
