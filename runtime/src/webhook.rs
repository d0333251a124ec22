//! Tells a URL what happened: signed, tried again, and never led astray.
//!
//! The body is JSON. `Vdeploy-Signature: t=SECONDS,v1=HEX` carries HMAC-SHA256 (RFC 2104) of
//! `SECONDS.BODY` with the secret, so that a receiver can refuse what is forged or replayed.
//! `Vdeploy-Delivery` is the same for each try, so that it can ignore doubles.

use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use crate::wire::{Failure, FailureKind};
use crate::{clock, environment};

/// Redirects that are followed.
const MAX_REDIRECTS: u32 = 5;
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
        for hop in 0..=MAX_REDIRECTS {
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
    let config = Agent::config_builder()
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(LIMIT))
        // A proxy would resolve names itself, and the check of addresses would check nothing.
        .proxy(None)
        .build();
    let resolver = Guarded { inner: DefaultResolver::default(), public_only };
    let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
    let mut request = agent
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", concat!("vdeploy/", env!("CARGO_PKG_VERSION")))
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

/// Looks up names, and refuses what isn't public where that is asked for. The addresses that were
/// checked are those that are connected to.
#[derive(Debug)]
struct Guarded {
    inner: DefaultResolver,
    public_only: bool,
}

/// Why a redirect isn't followed.
#[derive(Debug, thiserror::Error)]
#[error("it redirects to `{0}`, which isn't a public address")]
struct Private(String);

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        if self.public_only && !found.iter().all(|address| is_public(address.ip())) {
            let host = uri.host().unwrap_or_default().to_owned();
            return Err(Error::Other(Box::new(Private(host))));
        }
        Ok(found)
    }
}

/// Not of this machine, a private network, a link, a carrier's network, a test network or a group
/// (RFC 6890 and its updates); IPv6 that carries such an IPv4 address neither.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (b == 18 || b == 19))
                || (a == 192 && b == 0 && c == 0))
        }
        IpAddr::V6(ip) => match ip.segments() {
            // Mapped, translated (RFC 6052) and 6to4.
            [0, 0, 0, 0, 0, 0xffff, a, b]
            | [0x64, 0xff9b, 0, 0, 0, 0, a, b]
            | [0x2002, a, b, ..] => {
                is_public(IpAddr::from(((u32::from(a) << 16) | u32::from(b)).to_be_bytes()))
            }
            // Of the addresses only 2000::/3 are given out; 2001:db8::/32 is for documentation.
            [first, second, ..] => first & 0xe000 == 0x2000 && (first, second) != (0x2001, 0x0db8),
        },
    }
}

fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("it isn't a URL: {error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some() => Ok(uri),
        _ => Err("it isn't a URL of `http` or `https`".into()),
    }
}

/// Where a redirect leads: another URL, or another path of the same server. Never from `https` to
/// what can be read on the way.
fn follow(from: &Uri, to: &str) -> Result<Uri, String> {
    let target = match to.starts_with('/') && !to.starts_with("//") {
        true => {
            let authority = from.authority().map_or("", |authority| authority.as_str());
            parse(&format!("{}://{authority}{to}", from.scheme_str().unwrap_or("http")))
        }
        false => parse(to),
    };
    let target = target.map_err(|why| format!("it redirects to `{to}`: {why}"))?;
    if from.scheme_str() == Some("https") && target.scheme_str() != Some("https") {
        return Err("it redirects from `https` to `http`".into());
    }
    Ok(target)
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

/// A URL without what may be a password or a token.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
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

    #[test]
    fn only_addresses_that_are_given_out_are_public() {
        let public = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"];
        assert!(public.iter().all(|ip| is_public(ip.parse().unwrap())));
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2001:db8::1",
            "::127.0.0.1",
        ];
        for ip in private {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn redirects_stay_on_the_web_and_encrypted() {
        let from: Uri = "https://a.example/x?y".parse().unwrap();
        assert_eq!(follow(&from, "/z").unwrap().to_string(), "https://a.example/z");
        assert!(follow(&from, "https://b.example/").is_ok());
        for to in ["http://a.example/", "file:///etc/passwd", "//b.example/", "", "ftp://b/"] {
            assert!(follow(&from, to).is_err(), "{to}");
        }
    }

    #[test]
    fn messages_name_no_password() {
        assert_eq!(without_secrets("https://u:p@a.example/x?token=1"), "https://a.example/x");
        assert_eq!(without_secrets("https://a.example/x"), "https://a.example/x");
    }
}
