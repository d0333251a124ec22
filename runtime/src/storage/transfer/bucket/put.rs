//! From a folder of this machine into a bucket.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::check::{Alike, There, check_doubles, compare};
use super::{
    HASH_NOTE, PART, Parts, Placed, Problem, Run, announce, blocking, changed, part_ranges,
    read_part, refused, summed, unreadable,
};
use crate::aws::objects::{Condition, Metadata, UploadedPart};
use crate::storage::bucket::notes_of;
use crate::storage::place::Existing;
use crate::storage::transfer::hash::{BlockHash, ContentHash};
use crate::storage::transfer::scan::{Found, Item};
use crate::storage::transfer::{Event, Failed, Summary, TransferError, now};
use crate::storage::tree::{Kind, Stat, Tree, stat_of};

pub(super) async fn put(run: Arc<Run>, tree: Arc<Tree>) -> Result<Summary, TransferError> {
    let found = scan(&run, &tree).await?;
    let (files, unchanged, failed) = check(&run, &tree, &found).await?;
    announce(&run, &files);
    make_empty_folders(&run, &found).await?;
    let copied = run
        .each(files, |run, (item, existing)| put_file(run, Arc::clone(&tree), item, existing))
        .await?;
    Ok(summed(copied, unchanged, found.skipped, [found.failed, failed].concat()))
}

async fn scan(run: &Arc<Run>, tree: &Arc<Tree>) -> Result<Found, TransferError> {
    let (run, tree) = (Arc::clone(run), Arc::clone(tree));
    blocking(move || {
        let seen = |stat: &Stat| {
            if stat.kind == Kind::File {
                run.tell(Event::Found { bytes: stat.size });
            }
            !run.transfer.cancel.is_cancelled()
        };
        Found::scan(&tree, &run.transfer.pairs, &seen).map_err(TransferError::Source)
    })
    .await
}

type Checked = (Vec<(Item, Existing)>, u64, Vec<Failed>);

/// What is to be copied, how much is unchanged, and what can't be compared.
async fn check(run: &Arc<Run>, tree: &Arc<Tree>, found: &Found) -> Result<Checked, TransferError> {
    if run.transfer.cancel.is_cancelled() {
        return Err(TransferError::Cancelled);
    }
    check_doubles(&found.files)?;
    let roots = run.transfer.pairs.iter().map(|pair| {
        let folder = found.folders.iter().any(|folder| folder.to == pair.to);
        (pair.to.clone(), if folder { Kind::Folder } else { Kind::File })
    });
    let roots: Vec<_> = roots.collect();
    let there = There::look(&run.remote, &roots).await.map_err(|error| {
        TransferError::Destination(Failed::new(run.transfer.pairs[0].to.clone(), error))
    })?;
    let (mut copy, mut exists, mut alike) = (Vec::new(), Vec::new(), Vec::new());
    for item in &found.files {
        match there.at(&item.to)? {
            None => copy.push((item.clone(), Existing::Keep)),
            Some(remote) if remote.size == item.stat.size => alike.push(Alike {
                item: item.clone(),
                local: (item.from.clone(), item.stat),
                remote: remote.clone(),
            }),
            Some(_) if run.transfer.overwrite => copy.push((item.clone(), Existing::Replace)),
            Some(_) => exists.push(item.to.clone()),
        }
    }
    let (mut unchanged, mut failed) = (0, Vec::new());
    for (item, same) in compare(run, tree, alike).await? {
        match same {
            Ok(true) => unchanged += 1,
            Ok(false) if run.transfer.overwrite => copy.push((item, Existing::Replace)),
            Ok(false) => exists.push(item.to),
            Err(error) => failed.push(error),
        }
    }
    exists.sort();
    if exists.is_empty() {
        Ok((copy, unchanged, failed))
    } else {
        Err(TransferError::Exists(exists))
    }
}

/// Folders that hold something are there by what they hold.
async fn make_empty_folders(run: &Run, found: &Found) -> Result<(), TransferError> {
    for folder in &found.folders {
        let inside = |item: &Item| item.to != folder.to && item.to.is_within(&folder.to);
        let empty = !found.files.iter().any(inside) && !found.folders.iter().any(inside);
        if empty && !folder.to.is_root() {
            let key = format!("{}/", run.remote.key(&folder.to));
            let bucket = run.remote.bucket();
            let made = bucket.put(&key, Vec::new(), Metadata::new(), Condition::Always).await;
            made.map_err(|error| match refused(&folder.to, error) {
                Problem::Fatal(error) => error,
                Problem::File(failed) => TransferError::Destination(failed),
            })?;
        }
    }
    Ok(())
}

/// A file that is being read, and where it goes.
struct Upload {
    run: Arc<Run>,
    source: Arc<File>,
    item: Item,
    /// Of the source when reading began.
    stat: Stat,
    read_at: i128,
    key: String,
    existing: Existing,
}

async fn put_file(
    run: Arc<Run>,
    tree: Arc<Tree>,
    item: Item,
    existing: Existing,
) -> Result<Placed, Problem> {
    let (read_at, path) = (now(), item.from.clone());
    let opened = blocking(move || {
        let file = tree.open_file(&path)?;
        Ok::<_, io::Error>((stat_of(&file)?, Arc::new(file)))
    });
    let (stat, source) = opened.await.map_err(|error| unreadable(&item.from, error))?;
    let key = run.remote.key(&item.to);
    let upload = Upload { run, source, item, stat, read_at, key, existing };
    if stat.size <= PART { upload.put_whole().await } else { upload.put_parts().await }
}

impl Upload {
    async fn put_whole(self) -> Result<Placed, Problem> {
        let size = self.stat.size;
        let room = self.run.room(size).await;
        let (bytes, hashes) = self.read((0, size)).await?;
        self.check_unchanged()?;
        let hash = ContentHash::of(size, &hashes);
        let mut notes = notes_of(&self.stat);
        notes.insert(HASH_NOTE.into(), hash.to_string());
        let bucket = self.run.remote.bucket();
        let put = bucket.put(&self.key, bytes, notes, self.condition());
        let etag =
            self.run.unless_stopped(put).await?.map_err(|error| refused(&self.item.to, error))?;
        drop(room);
        self.run.tell(Event::Advanced { bytes: size });
        self.remember(&etag, hash);
        Ok(Placed { bytes: size, resumed: 0 })
    }

    async fn put_parts(self) -> Result<Placed, Problem> {
        let this = Arc::new(self);
        let (upload, there) = this.begin_or_resume().await?;
        let sent = this.send_parts(&upload, there).await?;
        this.run.go_on()?;
        this.check_unchanged()?;
        let size = this.stat.size;
        let bucket = this.run.remote.bucket();
        let completed = bucket.complete(&this.key, &upload, sent.parts, this.condition()).await;
        let etag = completed.map_err(|error| refused(&this.item.to, error))?;
        let hash = ContentHash::of(size, &sent.hashes);
        let noted = bucket.tag(&this.key, HASH_NOTE, &hash.to_string()).await;
        noted.map_err(|error| refused(&this.item.to, error))?;
        let etag = match etag.is_empty() {
            // Some stores don't say it here.
            true => this.etag_of_placed().await?,
            false => etag,
        };
        this.run.index().forget_upload(bucket.name(), &this.key);
        this.remember(&etag, hash);
        Ok(Placed { bytes: size, resumed: sent.resumed })
    }

    async fn etag_of_placed(&self) -> Result<String, Problem> {
        let head = self.run.remote.bucket().head(&self.key).await;
        let head = head.map_err(|error| refused(&self.item.to, error))?;
        Ok(head.map(|head| head.etag).unwrap_or_default())
    }

    /// The upload that an interrupted transfer of this very file began, and its parts; else a new
    /// one.
    async fn begin_or_resume(&self) -> Result<(String, Vec<UploadedPart>), Problem> {
        let bucket = self.run.remote.bucket();
        let known = self.run.index().upload(bucket.name(), &self.key, &self.stat);
        if let Some(upload) = known
            && let Ok(Some(parts)) = bucket.parts(&self.key, &upload).await
        {
            return Ok((upload, parts));
        }
        let begun = bucket.begin(&self.key, notes_of(&self.stat)).await;
        let upload = begun.map_err(|error| refused(&self.item.to, error))?;
        self.run.index().remember_upload(bucket.name(), &self.key, &self.stat, &upload);
        Ok((upload, Vec::new()))
    }

    async fn send_parts(
        self: &Arc<Self>,
        upload: &str,
        there: Vec<UploadedPart>,
    ) -> Result<Sent, Problem> {
        let mut parts = Parts::new();
        for (number, (start, end)) in (1..).zip(part_ranges(self.stat.size)) {
            // Acquired here, so that no more tasks wait than have room.
            let room = self.run.room(end - start).await;
            let there = there.iter().find(|part| part.number == number && part.size == end - start);
            let (this, upload, there) = (Arc::clone(self), upload.to_owned(), there.cloned());
            let more = parts.spawn(async move {
                let sent = this.send_part(&upload, number, (start, end), there).await;
                drop(room);
                sent
            });
            if !more {
                break;
            }
        }
        let mut parts = parts.finish().await?;
        parts.sort_by_key(|part| part.uploaded.number);
        Ok(Sent {
            resumed: parts.iter().filter(|part| part.resumed).map(|part| part.uploaded.size).sum(),
            hashes: parts.iter().flat_map(|part| &part.hashes).copied().collect(),
            parts: parts.into_iter().map(|part| part.uploaded).collect(),
        })
    }

    /// Sends a part, unless it is there since an earlier try.
    async fn send_part(
        &self,
        upload: &str,
        number: i32,
        (start, end): (u64, u64),
        there: Option<UploadedPart>,
    ) -> Result<Part, Problem> {
        let (bytes, hashes) = self.read((start, end)).await?;
        let resumed = there.is_some();
        let uploaded = match there {
            Some(part) => part,
            None => {
                let bucket = self.run.remote.bucket();
                let put = bucket.put_part(&self.key, upload, number, bytes);
                let etag = self.run.unless_stopped(put).await?;
                let etag = etag.map_err(|error| refused(&self.item.to, error))?;
                UploadedPart { number, etag, size: end - start }
            }
        };
        self.run.tell(Event::Advanced { bytes: end - start });
        Ok(Part { uploaded, hashes, resumed })
    }

    async fn read(&self, range: (u64, u64)) -> Result<(bytes::Bytes, Vec<BlockHash>), Problem> {
        let (source, run) = (Arc::clone(&self.source), Arc::clone(&self.run));
        let read = blocking(move || read_part(&source, range, &run)).await;
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(&self.item.from),
            _ => unreadable(&self.item.from, error),
        })
    }

    fn check_unchanged(&self) -> Result<(), Problem> {
        match stat_of(&*self.source) {
            Ok(now) if now == self.stat => Ok(()),
            _ => Err(changed(&self.item.from)),
        }
    }

    fn condition(&self) -> Condition {
        match self.existing {
            Existing::Keep => Condition::Absent,
            Existing::Replace => Condition::Always,
        }
    }

    fn remember(&self, etag: &str, hash: ContentHash) {
        let mut index = self.run.index();
        index.remember(self.stat, hash, self.read_at);
        index.remember_remote(self.run.remote.bucket().name(), &self.key, etag, hash);
    }
}

/// A part in the bucket, and the hashes of its blocks.
struct Part {
    uploaded: UploadedPart,
    hashes: Vec<BlockHash>,
    resumed: bool,
}

/// All parts of a file.
struct Sent {
    parts: Vec<UploadedPart>,
    hashes: Vec<BlockHash>,
    resumed: u64,
}
