//! A URL that a stream comes from or goes to, and what ffmpeg may do for it. Pure.
//!
//! This is the only place that lets ffmpeg use the network, and only with the protocols that the
//! named URL needs. Files are never among them, so a playlist can't read one.

use crate::wire::{Failure, FailureKind};

/// Microseconds without a byte after which a connection counts as lost.
const SILENCE: &str = "15000000";

/// How streams travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `rtmp://`, `rtmps://`
    Rtmp,
    /// `rtsp://`, `rtsps://`
    Rtsp,
    /// `srt://`
    Srt,
    /// `http://`, `https://`: a playlist
    Hls,
}

/// A URL of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As it was named.
    pub url: String,
    /// How it travels.
    pub protocol: Protocol,
    /// Without what may be a password, a token or the key of a channel.
    pub shown: String,
    encrypted: bool,
}

impl Endpoint {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            let shown = url.split_once("://").map_or("it", |(scheme, _)| scheme);
            Failure::new(FailureKind::InvalidArgs, format!("`{shown}` isn't a stream: {why}"))
                .hint("name a URL that begins with `rtmp://`, `rtsp://`, `srt://` or `https://`")
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no protocol"))?;
        let (protocol, encrypted) = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => (Protocol::Rtmp, false),
            "rtmps" => (Protocol::Rtmp, true),
            "rtsp" => (Protocol::Rtsp, false),
            "rtsps" => (Protocol::Rtsp, true),
            "srt" => (Protocol::Srt, true),
            "http" => (Protocol::Hls, false),
            "https" => (Protocol::Hls, true),
            _ => return Err(wrong("its protocol isn't one of streams")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.is_empty() || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong("it names no host, or has spaces in it"));
        }
        let shown = format!("{scheme}://{host}");
        Ok(Endpoint { url: url.into(), protocol, shown, encrypted })
    }

    /// The options before the URL when it is read.
    pub fn input_options(&self) -> Vec<&'static str> {
        let mut options = vec!["-protocol_whitelist", self.protocols()];
        match self.protocol {
            Protocol::Rtsp => options.extend(["-rtsp_transport", "tcp", "-timeout", SILENCE]),
            Protocol::Hls => options.extend(["-f", "hls", "-rw_timeout", SILENCE]),
            Protocol::Rtmp | Protocol::Srt => options.extend(["-rw_timeout", SILENCE]),
        }
        options
    }

    /// The format of what is sent to it; none when it can't be sent to.
    pub fn output_format(&self) -> Option<&'static str> {
        match self.protocol {
            Protocol::Rtmp => Some("flv"),
            Protocol::Srt => Some("mpegts"),
            Protocol::Rtsp => Some("rtsp"),
            Protocol::Hls => None,
        }
    }

    /// What ffmpeg says, without the secrets of the URL.
    pub fn redact(&self, text: &str) -> String {
        let short = self.url.split_once("://").map_or("", |(_, rest)| rest);
        text.replace(&self.url, &self.shown).replace(short, "…")
    }

    fn protocols(&self) -> &'static str {
        match (self.protocol, self.encrypted) {
            (Protocol::Rtmp, false) => "rtmp,tcp",
            (Protocol::Rtmp, true) => "rtmps,rtmp,tls,tcp",
            (Protocol::Rtsp, false) => "rtsp,rtp,udp,tcp",
            (Protocol::Rtsp, true) => "rtsp,rtp,srtp,udp,tls,tcp",
            (Protocol::Srt, _) => "srt,udp",
            (Protocol::Hls, false) => "hls,http,tcp,crypto",
            (Protocol::Hls, true) => "hls,https,tls,tcp,crypto",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_streams_are_named() {
        for url in [
            "file:///etc/passwd",
            "concat:a|b",
            "/a.mp4",
            "pipe:0",
            "rtmp://",
            "data://x",
            "subfile,,start,0,end,9,,:/a",
            "rtmp://a b/c",
            "ftp://host/x",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn no_stream_may_read_files() {
        for url in ["rtmp://h/a", "rtmps://h/a", "rtsp://h", "srt://h:1", "http://h", "https://h"] {
            let options = Endpoint::parse(url).unwrap().input_options();
            assert!(!options[1].split(',').any(|protocol| protocol == "file"), "{url}");
        }
    }

    #[test]
    fn keys_of_channels_are_not_shown() {
        let endpoint = Endpoint::parse("rtmp://me:pw@live.example/app/secret-key?x=1").unwrap();
        assert_eq!(endpoint.shown, "rtmp://live.example");
        let said = endpoint.redact("rtmp://me:pw@live.example/app/secret-key?x=1: refused");
        assert_eq!(said, "rtmp://live.example: refused");
    }
}
