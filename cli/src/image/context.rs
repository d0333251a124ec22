//! What goes with a Dockerfile into a build: files of the project, a company's certificates and the
//! worker program. Gathered as a list, hashed, and sent as a tar that is never whole in memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use walkdir::WalkDir;

use super::JobError;
use super::ignore::Ignore;
use super::recipe::inside;
use crate::manifest::Image;

/// Where the Dockerfile is in a context; a name that no file of a project has.
pub(super) const DOCKERFILE: &str = "vdeploy-context/Dockerfile";
/// Pieces of the tar that may wait to be sent.
const WAITING: usize = 8;
/// The size of a piece.
const PIECE: usize = 256 << 10;

/// The files of a build.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Sorted by name.
    files: Vec<Entry>,
    worker: PathBuf,
}

/// One file, and its name in the context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: String,
    path: PathBuf,
}

impl Context {
    /// The files that `image` needs from `folder`, beside the worker program.
    pub(super) fn gather(image: &Image, folder: &Path, worker: &Path) -> Result<Self, JobError> {
        let mut files = Vec::new();
        if image.dockerfile.is_some() {
            let ignore = std::fs::read_to_string(folder.join(".dockerignore")).unwrap_or_default();
            let ignore = Ignore::parse(&ignore);
            files.extend(walk(folder, folder, &|path| ignore.excludes(path))?);
        }
        for path in image.copy.keys() {
            let found = walk(&folder.join(path), folder, &|_| false)?;
            files.extend(found.into_iter().map(|e| Entry { name: inside(&e.name), ..e }));
        }
        if let Some(bundle) = &image.ca_bundle {
            let name = "vdeploy-context/ca-bundle.crt".to_owned();
            files.push(Entry { name, path: folder.join(bundle) });
        }
        files.sort();
        files.dedup();
        Ok(Context { files, worker: worker.to_owned() })
    }

    /// Feeds names, modes and contents to `hasher`; the worker program's is known by its hash.
    pub(super) fn feed(&self, hasher: &mut Sha256) -> Result<(), JobError> {
        let mut buffer = vec![0; PIECE];
        for Entry { name, path } in &self.files {
            let unreadable =
                |source| JobError::Unreadable { path: path.display().to_string(), source };
            let mut file = File::open(path).map_err(unreadable)?;
            let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
            hasher.update(format!("{name}\0{mode:o}\0"));
            loop {
                match file.read(&mut buffer).map_err(unreadable)? {
                    0 => break,
                    count => hasher.update(&buffer[..count]),
                }
            }
        }
        Ok(())
    }

    /// The whole context as pieces of a tar, made while they are taken.
    pub(super) fn stream(self, dockerfile: String) -> mpsc::Receiver<io::Result<Vec<u8>>> {
        let (pieces, stream) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let writer = io::BufWriter::with_capacity(PIECE, Sender(pieces.clone()));
            if let Err(error) = self.write(writer, &dockerfile) {
                // Whoever takes pieces may be gone, and then needs no reason.
                let _ = pieces.blocking_send(Err(error));
            }
        });
        stream
    }

    fn write(self, writer: impl Write, dockerfile: &str) -> io::Result<()> {
        let mut tar = tar::Builder::new(writer);
        append(&mut tar, DOCKERFILE, 0o644, dockerfile.len() as u64, dockerfile.as_bytes())?;
        let worker = Entry { name: "vdeploy-context/vdeploy-runtime".into(), path: self.worker };
        for Entry { name, path } in self.files.iter().chain([&worker]) {
            let file = File::open(path)?;
            let found = file.metadata()?;
            let mode =
                if *name == worker.name { 0o755 } else { found.permissions().mode() & 0o777 };
            append(&mut tar, name, mode, found.len(), file.take(found.len()))?;
        }
        tar.into_inner()?.flush()
    }
}

/// Adds a file without time and owner, so that the engine's cache knows it again.
fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    mode: u32,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, content)
}

struct Sender(mpsc::Sender<io::Result<Vec<u8>>>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(bytes.to_vec()));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The files at or below `start`, named from `root`.
fn walk(
    start: &Path,
    root: &Path,
    excluded: &dyn Fn(&str) -> bool,
) -> Result<Vec<Entry>, JobError> {
    let mut files = Vec::new();
    for entry in WalkDir::new(start).sort_by_file_name() {
        let entry = entry.map_err(|error| JobError::Unreadable {
            path: start.display().to_string(),
            source: error.into(),
        })?;
        let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let name = name.to_string_lossy().into_owned();
        if entry.file_type().is_file() && !excluded(&name) {
            files.push(Entry { name, path: entry.into_path() });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_context_is_what_was_named_and_the_worker() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["models/a.bin", "models/deep/b.bin", "other.txt", "worker"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![7; 300_000]).unwrap();
        }
        let image =
            Image { copy: [("models".to_owned(), "/m".to_owned())].into(), ..Image::default() };
        let worker = folder.path().join("worker");
        let context = Context::gather(&image, folder.path(), &worker).unwrap();
        let mut stream = context.stream("FROM x".into());
        let mut bytes = Vec::new();
        while let Some(piece) = stream.recv().await {
            bytes.extend(piece.unwrap());
        }
        let mut tar = tar::Archive::new(bytes.as_slice());
        let names: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            names,
            [
                "vdeploy-context/Dockerfile",
                "vdeploy-context/files/models/a.bin",
                "vdeploy-context/files/models/deep/b.bin",
                "vdeploy-context/vdeploy-runtime",
            ]
        );
    }
}
