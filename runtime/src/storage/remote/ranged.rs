//! A file of a bucket that is brought as it is read: an address of this machine answers requests for
//! ranges of it as long as its call runs.
//!
//! The address has 128 random bits, and only loopback is listened at, so that no other user of this
//! machine and no other call reads it. What ffmpeg doesn't ask for isn't brought, but for what is on
//! its way when it stops reading; so little is sent ahead at first, and more the longer it reads on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::storage::bucket::{BucketFile, to_io};
use crate::storage::{BucketFolder, VolumePath};
use crate::wire::Loopback;

/// Bytes that are asked of the bucket at first, and at most.
const PIECES: Range<u64> = 64 << 10..4 << 20;
/// Bytes that the system keeps for a reader who doesn't read.
const SENT_AHEAD: u32 = 64 << 10;
/// Bytes that a request may have.
const REQUEST: u64 = 16 << 10;

/// A file that is held ready. Dropped, nothing answers any more.
pub(super) struct Held {
    address: Loopback,
    _answers: JoinSet<()>,
}

/// What is served.
struct Served {
    folder: BucketFolder,
    file: BucketFile,
    /// The path by which it is asked for.
    path: String,
}

/// What a reader wants.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    body: bool,
    range: Option<Range<u64>>,
}

impl Held {
    /// Holds the file at `path` ready; none when there is no file.
    pub(super) async fn open(folder: &BucketFolder, path: &VolumePath) -> io::Result<Option<Self>> {
        let Some(file) = folder.file(path).await? else { return Ok(None) };
        let socket = TcpSocket::new_v4()?;
        // Connections have what the socket has that they come through.
        socket.set_send_buffer_size(SENT_AHEAD)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(16)?;
        // The name says to ffmpeg what may be in it; characters that a URL can't hold are left out.
        let plain = |c: &char| c.is_ascii_alphanumeric() || ".-_".contains(*c);
        let name: String = path.name().unwrap_or_default().chars().filter(plain).collect();
        let asked = format!("/{:032x}/{name}", rand::random::<u128>());
        let url = format!("http://{}{asked}", listener.local_addr()?);
        let address = Loopback { url, bytes: file.size };
        let served = Arc::new(Served { folder: folder.clone(), file, path: asked });
        let mut answers = JoinSet::new();
        answers.spawn(answer_all(listener, served));
        Ok(Some(Held { address, _answers: answers }))
    }

    /// Where.
    pub(super) fn address(&self) -> &Loopback {
        &self.address
    }
}

async fn answer_all(listener: TcpListener, served: Arc<Served>) {
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let served = Arc::clone(&served);
                    answers.spawn(async move { served.answer(stream).await });
                }
            }
            // A reader that hangs up early has what it wants; another one asks again.
            Some(_) = answers.join_next() => {}
        }
    }
}

impl Served {
    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let (reader, mut writer) = stream.split();
        let mut lines = BufReader::new(reader.take(REQUEST)).lines();
        let mut request = Vec::new();
        while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
            request.push(line);
        }
        let size = self.file.size;
        let Some(Wanted { body, range }) = wanted(&request, &self.path, size) else {
            return writer.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n").await;
        };
        let sent = range.clone().unwrap_or(0..size);
        if range.is_some() && sent.start >= sent.end {
            let head = format!(
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{size}\r\n\
                 Connection: close\r\n\r\n"
            );
            return writer.write_all(head.as_bytes()).await;
        }
        let status = match &range {
            None => "200 OK".to_owned(),
            Some(Range { start, end }) => {
                format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{size}", end - 1)
            }
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n\
             Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n",
            sent.end - sent.start
        );
        writer.write_all(head.as_bytes()).await?;
        if body { self.send(sent, &mut writer).await } else { Ok(()) }
    }

    async fn send(
        &self,
        sent: Range<u64>,
        writer: &mut (impl AsyncWriteExt + Unpin),
    ) -> io::Result<()> {
        let (key, etag) = (self.folder.key(&self.file.path), &*self.file.etag);
        let (mut at, mut piece) = (sent.start, PIECES.start);
        while at < sent.end {
            let end = sent.end.min(at + piece);
            let bytes = self.folder.bucket().range(&key, at, end, Some(etag)).await;
            writer.write_all(&bytes.map_err(to_io)?).await?;
            (at, piece) = (end, (piece * 2).min(PIECES.end));
        }
        Ok(())
    }
}

/// What a request for `path` wants; none when it is another one. A range that begins after the end
/// of the file is empty.
fn wanted(request: &[String], path: &str, size: u64) -> Option<Wanted> {
    let (method, rest) = request.first()?.split_once(' ')?;
    let asked = rest.split(' ').next()?;
    if asked != path || !matches!(method, "GET" | "HEAD") {
        return None;
    }
    let header = request[1..].iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("range").then(|| value.trim())
    });
    let range = header.and_then(|value| value.strip_prefix("bytes=")?.split_once('-'));
    let range = range.and_then(|(start, end)| {
        let start: u64 = start.parse().ok()?;
        let end = end.parse::<u64>().map_or(size, |last| size.min(last.saturating_add(1)));
        Some(start..end)
    });
    Some(Wanted { body: method == "GET", range })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::objects::{Bucket, Condition, Metadata};

    fn asked(lines: &[&str]) -> Option<Wanted> {
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        wanted(&lines, "/secret/a.mp4", 100)
    }

    #[test]
    fn a_request_gets_the_range_that_it_names_and_only_of_this_file() {
        let get = "GET /secret/a.mp4 HTTP/1.1";
        let wants = |range| Some(Wanted { body: true, range });
        assert_eq!(asked(&[get]), wants(None));
        assert_eq!(asked(&[get, "Host: x", "Range: bytes=10-"]), wants(Some(10..100)));
        assert_eq!(asked(&[get, "range: bytes=10-19"]), wants(Some(10..20)));
        assert_eq!(asked(&[get, "Range: bytes=10-999"]), wants(Some(10..100)));
        assert_eq!(asked(&["GET /other/a.mp4 HTTP/1.1"]), None);
        assert_eq!(asked(&["POST /secret/a.mp4 HTTP/1.1"]), None);
        assert_eq!(asked(&[]), None);
    }

    #[tokio::test]
    async fn what_is_asked_for_comes_and_nothing_after_the_call() {
        let bucket = Bucket::in_memory();
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let put = bucket.put("v/a b.mp4", bytes.clone(), Metadata::new(), Condition::Always);
        put.await.unwrap();
        let folder = BucketFolder::new(bucket, "v/");
        let path = VolumePath::parse("a b.mp4").unwrap();
        let held = Held::open(&folder, &path).await.unwrap().unwrap();
        let url = held.address().url.clone();
        let get = |range: &'static str| {
            let url = url.clone();
            tokio::task::spawn_blocking(move || {
                let request = ureq::get(&url).header("range", range);
                let response = request.call().ok()?;
                let status = response.status().as_u16();
                Some((status, response.into_body().read_to_vec().ok()?))
            })
        };
        let (status, all) = get("bytes=0-").await.unwrap().unwrap();
        assert_eq!((status, all.len()), (206, bytes.len()));
        assert!(all == bytes);
        let (_, some) = get("bytes=70000-70002").await.unwrap().unwrap();
        assert_eq!(some, bytes[70_000..70_003]);
        assert!(get("bytes=300001-").await.unwrap().is_none());
        drop(held);
        assert!(get("bytes=0-").await.unwrap().is_none());
        let missing = VolumePath::parse("b.mp4").unwrap();
        assert!(Held::open(&folder, &missing).await.unwrap().is_none());
    }
}
