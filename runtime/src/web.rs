//! The web, as calls reach it: which addresses, and where redirects may lead.

use std::net::IpAddr;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

/// Redirects that are followed.
pub(crate) const MAX_REDIRECTS: u32 = 5;
/// Who asks.
pub(crate) const USER_AGENT: &str = concat!("vdeploy/", env!("CARGO_PKG_VERSION"));

/// What asks servers of the web, for `limit` at most; `public_only` refuses addresses of this machine
/// and of private networks. Redirects and statuses are the caller's to look at.
pub(crate) fn agent(limit: Duration, public_only: bool) -> Agent {
    let config = Agent::config_builder()
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(limit))
        // A proxy would resolve names itself, and the check of addresses would check nothing.
        .proxy(None)
        .build();
    let resolver = Guarded { inner: DefaultResolver::default(), public_only };
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

/// Looks up names, and refuses what isn't public where that is asked for. The addresses that were
/// checked are those that are connected to.
#[derive(Debug)]
struct Guarded {
    inner: DefaultResolver,
    public_only: bool,
}

/// Why an address isn't connected to.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` isn't a public address")]
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

/// A URL of the web, or why it isn't one.
pub(crate) fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("it isn't a URL: {error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some() => Ok(uri),
        _ => Err("it isn't a URL of `http` or `https`".into()),
    }
}

/// Where a redirect leads: another URL, or another path of the same server. Never from `https` to
/// what can be read on the way.
pub(crate) fn follow(from: &Uri, to: &str) -> Result<Uri, String> {
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

/// A URL without what may be a password or a token.
pub(crate) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
