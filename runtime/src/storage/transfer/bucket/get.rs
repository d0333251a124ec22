//! Out of a bucket into a folder of this machine.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::check::{Alike, check_doubles, compare, remote_hash};
use super::journal::Journal;
use super::{
    BlockHashing, PART, Parts, Placed, Problem, Run, announce, blocking, fatal, hash_blocks,
    noted_hash, part_ranges, read_part, summed,
};
use crate::aws::{AwsError, AwsErrorKind};
use crate::storage::bucket::{BucketFile, file_stat, stat_of as noted_stat, to_io};
use crate::storage::path::VolumePath;
use crate::storage::place::Existing;
use crate::storage::staging;
use crate::storage::transfer::hash::{BLOCK, BlockHash, ContentHash};
use crate::storage::transfer::part::{self, Part, Safety};
use crate::storage::transfer::scan::Item;
use crate::storage::transfer::{Event, Failed, Pair, Summary, TransferError, now};
use crate::storage::tree::{Kind, Stat, Tree};

/// Everything that was found in the bucket.
#[derive(Default)]
struct Found {
    files: Vec<(Item, BucketFile)>,
    folders: Vec<VolumePath>,
}

pub(super) async fn get(run: Arc<Run>, tree: Arc<Tree>) -> Result<Summary, TransferError> {
    let found = scan(&run).await?;
    let items: Vec<_> = found.files.iter().map(|(item, _)| item.clone()).collect();
    check_doubles(&items)?;
    let (files, unchanged, failed) = check(&run, &tree, found.files).await?;
    announce(
        &run,
        &files.iter().map(|(item, _, existing)| (item.clone(), *existing)).collect::<Vec<_>>(),
    );
    make_folders(&tree, &found.folders)?;
    let copied = run
        .each(files, |run, (item, file, existing)| {
            get_file(Fetch { run, tree: Arc::clone(&tree), item, file, existing })
        })
        .await;
    part::tidy(&tree);
    Ok(summed(copied?, unchanged, Vec::new(), failed))
}

async fn scan(run: &Run) -> Result<Found, TransferError> {
    let mut found = Found::default();
    for Pair { from, to } in &run.transfer.pairs {
        let fail = |error| TransferError::Source(Failed::new(from.clone(), error));
        let single = run.remote.file(from).await.map_err(fail)?;
        let walked = match single {
            Some(file) => {
                found.add(run, file, from, to);
                continue;
            }
            None => run.remote.walk(from).await.map_err(fail)?,
        };
        if walked.files.is_empty() && walked.empty.is_empty() && !from.is_root() {
            return Err(fail(io::ErrorKind::NotFound.into()));
        }
        found.folders.push(to.clone());
        let renamed = |path: &VolumePath| moved(path, from, to);
        found.folders.extend(walked.empty.iter().map(renamed));
        walked.files.into_iter().for_each(|file| found.add(run, file, from, to));
        if run.transfer.cancel.is_cancelled() {
            return Err(TransferError::Cancelled);
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, run: &Run, file: BucketFile, from: &VolumePath, to: &VolumePath) {
        run.tell(Event::Found { bytes: file.size });
        let to = moved(&file.path, from, to);
        let stat = file_stat(file.size, file.modified);
        self.files.push((Item { from: file.path.clone(), to, stat }, file));
    }
}

/// Where what is at `path`, in `from`, is in `to`.
pub(super) fn moved(path: &VolumePath, from: &VolumePath, to: &VolumePath) -> VolumePath {
    let skipped = from.parts().count();
    path.parts().skip(skipped).fold(to.clone(), |path, part| path.join(part))
}

type Checked = (Vec<(Item, BucketFile, Existing)>, u64, Vec<Failed>);

async fn check(
    run: &Arc<Run>,
    tree: &Arc<Tree>,
    files: Vec<(Item, BucketFile)>,
) -> Result<Checked, TransferError> {
    let (mut get, mut exists, mut alike) = (Vec::new(), Vec::new(), Vec::new());
    for (item, file) in files {
        match at(tree, &item.to)? {
            None => get.push((item, file, Existing::Keep)),
            Some(stat) if stat.size == file.size => {
                alike.push(Alike { local: (item.to.clone(), stat), item, remote: file });
            }
            Some(_) if run.transfer.overwrite => get.push((item, file, Existing::Replace)),
            Some(_) => exists.push(item.to),
        }
    }
    let (mut unchanged, mut failed) = (0, Vec::new());
    let remotes: std::collections::HashMap<_, _> =
        alike.iter().map(|alike| (alike.item.from.clone(), alike.remote.clone())).collect();
    for (item, same) in compare(run, tree, alike).await? {
        match same {
            Ok(true) => unchanged += 1,
            Ok(false) if run.transfer.overwrite => {
                let remote = remotes[&item.from].clone();
                get.push((item, remote, Existing::Replace));
            }
            Ok(false) => exists.push(item.to),
            Err(error) => failed.push(error),
        }
    }
    exists.sort();
    if exists.is_empty() {
        Ok((get, unchanged, failed))
    } else {
        Err(TransferError::Exists(exists))
    }
}

/// What is where a file should go; fails when a file can't go there.
fn at(tree: &Tree, path: &VolumePath) -> Result<Option<Stat>, TransferError> {
    let there = match tree.find_itself(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(TransferError::Blocked { path: path.parent(), found: Kind::File });
        }
        there => {
            there.map_err(|error| TransferError::Destination(Failed::new(path.clone(), error)))?
        }
    };
    match there {
        Some(stat) if !matches!(stat.kind, Kind::File | Kind::Link) => {
            Err(TransferError::Blocked { path: path.clone(), found: stat.kind })
        }
        there => Ok(there),
    }
}

fn make_folders(tree: &Tree, folders: &[VolumePath]) -> Result<(), TransferError> {
    for folder in folders {
        tree.make_folder(folder, 0o777).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => {
                TransferError::Blocked { path: folder.clone(), found: Kind::File }
            }
            _ => TransferError::Destination(Failed::new(folder.clone(), error)),
        })?;
    }
    Ok(())
}

fn write_pieces(part: &Part, pieces: &[Bytes], mut at: u64) -> io::Result<()> {
    pieces.iter().try_for_each(|piece| {
        let from = at;
        at += piece.len() as u64;
        part.write(piece, from)
    })
}

/// A file on its way.
struct Fetch {
    run: Arc<Run>,
    tree: Arc<Tree>,
    item: Item,
    file: BucketFile,
    existing: Existing,
}

async fn get_file(fetch: Fetch) -> Result<Placed, Problem> {
    match fetch.file.size {
        0..=PART => fetch.get_whole().await,
        _ => Arc::new(fetch).get_parts().await,
    }
}

impl Fetch {
    fn key(&self) -> String {
        self.run.remote.key(&self.item.from)
    }

    async fn get_whole(self) -> Result<Placed, Problem> {
        let room = self.run.room(self.file.size).await;
        let key = self.key();
        let got = self.run.unless_stopped(self.run.remote.bucket().get(&key)).await?;
        let got = got.map_err(|error| self.unreadable(to_io(error)))?;
        let (head, bytes) = got.ok_or_else(|| self.unreadable(io::ErrorKind::NotFound.into()))?;
        let (like, noted) = (noted_stat(&head), noted_hash(&head.metadata));
        let this = Arc::new(self);
        let placing = Arc::clone(&this);
        let read_at = now();
        let placed = blocking(move || {
            let hash = ContentHash::of(like.size, &hash_blocks(&bytes, &placing.run.hasher));
            placing.verify(hash, noted)?;
            let part = placing.open_part()?;
            let written = part.write(&bytes, 0);
            written.map_err(|error| fatal(&placing.item.to, error))?;
            placing.finish(part, &like, hash, &head.etag, read_at)
        });
        placed.await?;
        drop(room);
        let bytes = this.file.size;
        this.run.tell(Event::Advanced { bytes });
        Ok(Placed { bytes, resumed: 0 })
    }

    async fn get_parts(self: Arc<Self>) -> Result<Placed, Problem> {
        let (key, read_at) = (self.key(), now());
        let head = self.run.remote.bucket().head(&key).await;
        let head = head.map_err(|error| self.unreadable(to_io(error)))?;
        let head = head.filter(|head| head.etag == self.file.etag).ok_or_else(|| self.changed())?;
        let like = noted_stat(&head);
        let noted = remote_hash(&self.run, &self.file).await;
        let noted = noted.map_err(|error| self.unreadable(error))?;
        let part = Arc::new(self.open_part()?);
        let (journal, arrived) = self.open_journal(&part)?;
        let journal = Arc::new(journal);
        let (hashes, resumed) = self.fetch_ranges(&part, &journal, &arrived).await?;
        self.run.go_on()?;
        let hash = ContentHash::of(like.size, &hashes);
        let part = Arc::into_inner(part).expect("the tasks that wrote to it have ended");
        let journal = Arc::into_inner(journal).expect("the tasks that wrote to it have ended");
        if let Err(problem) = self.verify(hash, noted) {
            part.discard();
            journal.remove();
            return Err(problem);
        }
        let this = Arc::clone(&self);
        blocking(move || this.finish(part, &like, hash, &head.etag, read_at)).await?;
        journal.remove();
        Ok(Placed { bytes: self.file.size, resumed })
    }

    async fn fetch_ranges(
        self: &Arc<Self>,
        part: &Arc<Part>,
        journal: &Arc<Journal>,
        arrived: &[usize],
    ) -> Result<(Vec<BlockHash>, u64), Problem> {
        let (mut ranges, mut resumed) = (Parts::new(), 0);
        for (number, (start, end)) in part_ranges(self.file.size).enumerate() {
            // Of a range no more than this is in memory, however long it is.
            let room = self.run.room(2 * BLOCK).await;
            let here = arrived.contains(&number);
            if here {
                resumed += end - start;
            }
            let (this, part, journal) = (Arc::clone(self), Arc::clone(part), Arc::clone(journal));
            let more = ranges.spawn(async move {
                let hashes = match here {
                    true => this.reread(part, (start, end)).await?,
                    false => this.fetch(part, journal, number, (start, end)).await?,
                };
                drop(room);
                this.run.tell(Event::Advanced { bytes: end - start });
                Ok((number, hashes))
            });
            if !more {
                break;
            }
        }
        let mut ranges: Vec<(usize, Vec<BlockHash>)> = ranges.finish().await?;
        ranges.sort_by_key(|(number, _)| *number);
        Ok((ranges.into_iter().flat_map(|(_, hashes)| hashes).collect(), resumed))
    }

    async fn fetch(
        self: &Arc<Self>,
        part: Arc<Part>,
        journal: Arc<Journal>,
        number: usize,
        (start, end): (u64, u64),
    ) -> Result<Vec<BlockHash>, Problem> {
        let bucket = self.run.remote.bucket();
        let key = self.key();
        let failed = |error: AwsError| match error.kind {
            AwsErrorKind::Conflict => self.changed(),
            _ => self.unreadable(to_io(error)),
        };
        let asked = bucket.stream(&key, start, end, &self.file.etag);
        let mut stream = self.run.unless_stopped(asked).await?.map_err(failed)?;
        let (mut at, mut hashing) = (start, BlockHashing::default());
        loop {
            let (mut pieces, mut length) = (Vec::new(), 0);
            while length < BLOCK
                && let Some(piece) =
                    self.run.unless_stopped(stream.next()).await?.map_err(failed)?
            {
                length += piece.len() as u64;
                pieces.push(piece);
            }
            if pieces.is_empty() {
                break;
            }
            // Written and hashed while the next are on their way.
            let (this, part) = (Arc::clone(self), Arc::clone(&part));
            hashing = blocking(move || {
                hashing.add(&pieces);
                let written = write_pieces(&part, &pieces, at);
                written.map(|()| hashing).map_err(|error| fatal(&this.item.to, error))
            })
            .await?;
            at += length;
        }
        journal.note(number).map_err(|error| fatal(&self.item.to, error))?;
        Ok(hashing.finish())
    }

    /// What an earlier transfer left, as it is on disk.
    async fn reread(
        self: &Arc<Self>,
        part: Arc<Part>,
        range: (u64, u64),
    ) -> Result<Vec<BlockHash>, Problem> {
        let this = Arc::clone(self);
        blocking(move || {
            let read = read_part(part.file(), range, &this.run);
            read.map(|(_, hashes)| hashes).map_err(|error| fatal(&this.item.to, error))
        })
        .await
    }

    fn open_part(&self) -> Result<Part, Problem> {
        Part::open(&self.tree, &self.item.to).map_err(|error| fatal(&self.item.to, error))
    }

    /// What the part holds counts only as far as the journal says; without a part, nothing does.
    fn open_journal(&self, part: &Part) -> Result<(Journal, Vec<usize>), Problem> {
        let folder = self.tree.path().join(staging::FOLDER);
        let path = folder.join(format!("{}.arrived", part.name()));
        let opened = Journal::open(path, &self.file.etag);
        let (journal, mut arrived) = opened.map_err(|error| fatal(&self.item.to, error))?;
        let ranges: Vec<_> = part_ranges(self.file.size).collect();
        arrived.retain(|&number| ranges.get(number).is_some_and(|range| range.1 <= part.found()));
        Ok((journal, arrived))
    }

    fn verify(&self, hash: ContentHash, noted: Option<ContentHash>) -> Result<(), Problem> {
        if noted.is_none_or(|noted| noted == hash) {
            return Ok(());
        }
        Err(self.unreadable(io::Error::new(
            io::ErrorKind::InvalidData,
            "what came isn't what was put there: its SHA-256 differs",
        )))
    }

    fn finish(
        &self,
        part: Part,
        like: &Stat,
        hash: ContentHash,
        etag: &str,
        read_at: i128,
    ) -> Result<(), Problem> {
        let safety = match self.existing {
            Existing::Keep => Safety::OnItsWay,
            Existing::Replace => Safety::OnDisk,
        };
        let placed = part
            .finish(&self.tree, &self.item.to, like, self.existing, safety)
            .map_err(|error| fatal(&self.item.to, error))?;
        let mut index = self.run.index();
        index.remember(placed, hash, read_at);
        index.remember_remote(self.run.remote.bucket().name(), &self.key(), etag, hash);
        Ok(())
    }

    fn unreadable(&self, error: io::Error) -> Problem {
        super::unreadable(&self.item.from, error)
    }

    fn changed(&self) -> Problem {
        super::changed(&self.item.from)
    }
}
