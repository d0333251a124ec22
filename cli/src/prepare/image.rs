//! The images that functions run in, as they could be built now.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::fingerprint::Fingerprint;
use crate::image::{Job, JobError, Owner, job};
use crate::manifest::App;

/// The images of `app` with these names; `folder` is the manifest's, `cache` remembers what the
/// worker program's content is.
pub fn image_jobs(
    app: &App,
    names: &BTreeSet<String>,
    owner: &Owner,
    folder: &Path,
    worker: &Path,
    cache: &Path,
) -> Result<Vec<Job>, (String, JobError)> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let hash = worker_hash(worker, cache).map_err(|source| {
        let path = worker.display().to_string();
        ("the worker program".to_owned(), JobError::Unreadable { path, source })
    })?;
    let jobs = names.iter().filter_map(|name| {
        let image = app.images.get(name)?;
        let made = job(owner, name, image, folder, worker, &hash);
        Some(made.map_err(|error| (name.clone(), error)))
    });
    jobs.collect()
}

/// The hash of the worker program's content. A large file that takes a while to read: what it was
/// last time holds while the file is the same by number, size and time.
pub fn worker_hash(worker: &Path, cache: &Path) -> io::Result<String> {
    let found = fs::metadata(worker)?;
    let (number, size) = (found.ino(), found.len());
    let identity = format!("{number} {size} {}.{}", found.mtime(), found.mtime_nsec());
    let remembered = cache.join("worker-hash");
    let text = fs::read_to_string(&remembered).unwrap_or_default();
    if let Some((known, hash)) = text.split_once('\n')
        && known == identity
    {
        return Ok(hash.to_owned());
    }
    let mut hasher = Sha256::new();
    let mut file = File::open(worker)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let hash = Fingerprint::finish(hasher).to_string();
    // It is found out again when it can't be remembered.
    let _ = fs::create_dir_all(cache)
        .and_then(|()| fs::write(&remembered, format!("{identity}\n{hash}")));
    Ok(hash)
}
