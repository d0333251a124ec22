//! Files of the web, downloaded before a call: encrypted, bounded, from public addresses only, and
//! compared with a SHA-256 where the address ends with `#sha256=HEX`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use ureq::Body;
use ureq::http::{Response, Uri};

use super::carry::{Tell, of_bytes};
use crate::function::Downloads;
use crate::web::{self, follow, parse, without_secrets};
use crate::wire::{Failure, FailureKind, Phase};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;
/// What the end of an address says that gives the content's hash.
const PIN: &str = "sha256=";

/// What is to be downloaded, and within which bounds.
struct Wanted {
    url: Uri,
    pin: Option<String>,
    to: PathBuf,
    max: u64,
    public_only: bool,
    limit: Duration,
}

/// Fails when `url` could never be downloaded.
pub(super) fn check(url: &str, downloads: &Downloads) -> Result<(), Failure> {
    wanted(url, Path::new(""), downloads, Duration::ZERO).map(drop)
}

/// Downloads `url` into `folder`, and returns the path of the file, which has the name that the
/// address ends with.
pub(super) async fn download(
    url: &str,
    folder: &Path,
    downloads: &Downloads,
    limit: Duration,
    tell: Tell,
) -> Result<PathBuf, Failure> {
    let wanted = wanted(url, folder, downloads, limit)?;
    let here = wanted.to.clone();
    let given_up = GivenUp::default();
    let (answer, answered) = oneshot::channel();
    let stop = Arc::clone(&given_up.0);
    // A thread of its own: a server that says nothing would keep one of the runtime's, and with it
    // the end of this process.
    let started = std::thread::Builder::new().name("download".into()).spawn(move || {
        // Nobody hears it when the call was cancelled.
        let _ = answer.send(fetch(&wanted, &stop, &tell));
    });
    let fetched = match started {
        Ok(_) => answered.await.unwrap_or_else(|_| Err("the download was dropped".into())),
        Err(error) => Err(error.to_string()),
    };
    match fetched {
        Ok(()) => Ok(here),
        Err(why) => {
            let message = format!("can't download `{}`", without_secrets(url));
            Err(Failure::new(FailureKind::InvalidInput, message).cause(why).retryable(true))
        }
    }
}

/// Tells a download that nobody waits for it any more.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn wanted(
    url: &str,
    folder: &Path,
    downloads: &Downloads,
    limit: Duration,
) -> Result<Wanted, Failure> {
    let named = without_secrets(url);
    let refused = |why: String| {
        Failure::new(FailureKind::InvalidArgs, format!("can't download `{named}`")).cause(why)
    };
    let (address, pin) = match url.split_once('#') {
        None => (url, None),
        Some((address, fragment)) => (address, fragment.strip_prefix(PIN)),
    };
    let url = parse(address).map_err(refused)?;
    if url.scheme_str() != Some("https") && !downloads.private {
        return Err(refused("it isn't encrypted".into()).hint(
            "use `https://`, or allow it in the manifest: `downloads = { private = true }`",
        ));
    }
    let is_hash = |pin: &str| pin.len() == 64 && pin.bytes().all(|b| b.is_ascii_hexdigit());
    if pin.is_some_and(|pin| !is_hash(pin)) {
        return Err(refused(format!("what follows `#{PIN}` isn't 64 hexadecimal digits")));
    }
    let name = url.path().rsplit('/').next().filter(|name| is_file_name(name));
    Ok(Wanted {
        to: folder.join(name.unwrap_or("download")),
        pin: pin.map(str::to_ascii_lowercase),
        max: downloads.max_bytes.unwrap_or(Downloads::MAX_BYTES),
        public_only: !downloads.private,
        limit,
        url,
    })
}

fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() < 200
}

/// Downloads and compares; blocks.
fn fetch(wanted: &Wanted, given_up: &AtomicBool, tell: &Tell) -> Result<(), String> {
    let response = get(wanted)?;
    let length = response.body().content_length();
    let too_large = || format!("it is larger than {} bytes", wanted.max);
    if length.is_some_and(|length| length > wanted.max) {
        return Err(too_large());
    }
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    let mut file = File::create(&wanted.to).map_err(|error| error.to_string())?;
    let (mut hash, mut done, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let read = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.to_string()),
        };
        done += read as u64;
        if done > wanted.max {
            return Err(too_large());
        }
        if given_up.load(Ordering::Relaxed) {
            return Err("it was given up".into());
        }
        file.write_all(&chunk[..read]).map_err(|error| error.to_string())?;
        hash.update(&chunk[..read]);
        tell(of_bytes(Phase::Downloading, done, length));
    }
    if length.is_some_and(|length| length != done) {
        return Err(format!("{done} bytes came of {}", length.unwrap_or_default()));
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    match &wanted.pin {
        Some(pin) if *pin != hash => Err(format!("its SHA-256 is {hash}, not {pin}")),
        _ => Ok(()),
    }
}

/// The answer at the end of the redirects.
fn get(wanted: &Wanted) -> Result<Response<Body>, String> {
    let agent = web::agent(wanted.limit, wanted.public_only);
    let mut url = wanted.url.clone();
    for _ in 0..=web::MAX_REDIRECTS {
        let request = agent.get(&url).header("user-agent", web::USER_AGENT);
        let response = request.call().map_err(|error| error.to_string())?;
        match response.status().as_u16() {
            200 => return Ok(response),
            301 | 302 | 303 | 307 | 308 => {
                let to = response.headers().get("location").and_then(|to| to.to_str().ok());
                url = follow(&url, to.unwrap_or_default())?;
            }
            status => return Err(format!("it answered {status}")),
        }
    }
    Err("it redirects without end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_name_that_its_address_ends_with() {
        let private = Downloads { private: true, ..Downloads::default() };
        let named = |url: &str| {
            let wanted = wanted(url, Path::new("/f"), &private, Duration::ZERO);
            wanted
                .map_or_else(|failure| failure.causes[0].clone(), |it| it.to.display().to_string())
        };
        assert_eq!(named("https://a.example/clips/a.mp4?token=1"), "/f/a.mp4");
        assert_eq!(named("https://a.example"), "/f/download");
        assert_eq!(named("http://a.example/.."), "/f/download");
        assert_eq!(named("https://a.example/a#t=3"), "/f/a");
        let wrong = named("https://a.example/a#sha256=12");
        assert_eq!(wrong, "what follows `#sha256=` isn't 64 hexadecimal digits");
    }

    #[test]
    fn what_is_not_encrypted_is_refused_unless_private_networks_are_allowed() {
        let failure = check("http://a.example/a.mp4", &Downloads::default()).unwrap_err();
        assert_eq!(failure.causes, ["it isn't encrypted"]);
        check("https://a.example/a.mp4", &Downloads::default()).unwrap();
    }
}
