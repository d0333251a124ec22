//! Remembered content hashes, so that unchanged files needn't be read again.
//!
//! A hash is remembered for a file on this machine (device and inode) as it was: size, time of its
//! content, time of anything about it. Any of them differs: the file is read. A file can also
//! change twice within one tick of the filesystem's clock, the second time unseen; so a hash is
//! believed only if reading began well after the content's time. The index is a cache: whatever
//! goes wrong with it costs time, never correctness.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::hash::ContentHash;
use crate::storage::tree::Stat;

const MILLISECOND: i128 = 1_000_000;
/// The longest tick of a filesystem that stores fractions of a second, and then some.
const FINE_TICK: i128 = 50 * MILLISECOND;
/// The longest tick of any filesystem (FAT: two seconds), and then some.
const COARSE_TICK: i128 = 2_500 * MILLISECOND;
/// Rows that wait to be written together.
const BATCH: usize = 512;

/// Remembered hashes; without a file, nothing is remembered.
#[derive(Debug)]
pub(super) struct Index {
    db: Option<Connection>,
    waiting: Vec<Row>,
    waiting_remote: Vec<RemoteRow>,
}

/// The content of an object in a bucket.
#[derive(Debug)]
struct RemoteRow {
    bucket: String,
    key: String,
    etag: String,
    hash: ContentHash,
}

#[derive(Debug)]
struct Row {
    stat: Stat,
    hash: ContentHash,
    read_at: i128,
}

impl Index {
    /// The index at `path`, made when missing.
    pub(super) fn open(path: Option<&Path>) -> Self {
        Index {
            db: path.and_then(|path| connect(path).ok()),
            waiting: Vec::new(),
            waiting_remote: Vec::new(),
        }
    }

    /// The hash of the file that `stat` describes, if it can be known without reading it.
    pub(super) fn get(&self, stat: &Stat) -> Option<ContentHash> {
        let mut query = self
            .db
            .as_ref()?
            .prepare_cached(
                "SELECT size, mtime, ctime, read_at, hash FROM hashes WHERE dev = ? AND ino = ?",
            )
            .ok()?;
        let (size, mtime, ctime, read_at, hash) = query
            .query_row(params![signed(stat.identity.0), signed(stat.identity.1)], |row| {
                let nanos = |i| -> rusqlite::Result<i128> { Ok(row.get::<_, i64>(i)?.into()) };
                Ok((row.get::<_, i64>(0)?, nanos(1)?, nanos(2)?, nanos(3)?, row.get(4)?))
            })
            .optional()
            .ok()??;
        let same = (size, mtime, ctime) == (signed(stat.size), stat.mtime, stat.ctime);
        (same && is_settled(mtime, read_at)).then_some(ContentHash(hash))
    }

    /// Remembers the hash of a file that was `stat` before and after it was read, beginning at
    /// `read_at` (nanoseconds since 1970).
    pub(super) fn remember(&mut self, stat: Stat, hash: ContentHash, read_at: i128) {
        self.waiting.push(Row { stat, hash, read_at });
        if self.waiting.len() >= BATCH {
            self.write();
        }
    }

    /// The hash of the object `key` of a bucket while it has this ETag.
    pub(super) fn remote(&self, bucket: &str, key: &str, etag: &str) -> Option<ContentHash> {
        let sql = "SELECT hash FROM objects WHERE bucket = ? AND key = ? AND etag = ?";
        let mut query = self.db.as_ref()?.prepare_cached(sql).ok()?;
        let hash = query.query_row([bucket, key, etag], |row| row.get(0)).optional().ok()??;
        Some(ContentHash(hash))
    }

    /// Remembers the hash of an object.
    pub(super) fn remember_remote(
        &mut self,
        bucket: &str,
        key: &str,
        etag: &str,
        hash: ContentHash,
    ) {
        let (bucket, key, etag) = (bucket.into(), key.into(), etag.into());
        self.waiting_remote.push(RemoteRow { bucket, key, etag, hash });
        if self.waiting_remote.len() >= BATCH {
            self.write();
        }
    }

    /// The upload that was begun of the file that `stat` describes, and not completed.
    pub(super) fn upload(&self, bucket: &str, key: &str, stat: &Stat) -> Option<String> {
        let sql = "SELECT upload FROM uploads WHERE bucket = ? AND key = ? AND file = ?";
        let mut query = self.db.as_ref()?.prepare_cached(sql).ok()?;
        let found = query.query_row(params![bucket, key, described(stat)], |row| row.get(0));
        found.optional().ok()?
    }

    /// Remembers that an upload was begun; at once, since this process may be killed.
    pub(super) fn remember_upload(&self, bucket: &str, key: &str, stat: &Stat, upload: &str) {
        if let Some(db) = &self.db {
            let _ = db.execute(
                "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)",
                params![bucket, key, described(stat), upload],
            );
        }
    }

    /// Forgets an upload that was completed.
    pub(super) fn forget_upload(&self, bucket: &str, key: &str) {
        if let Some(db) = &self.db {
            let _ = db.execute("DELETE FROM uploads WHERE bucket = ? AND key = ?", [bucket, key]);
        }
    }

    fn write(&mut self) {
        let rows = std::mem::take(&mut self.waiting);
        let remote = std::mem::take(&mut self.waiting_remote);
        if let Some(db) = &mut self.db {
            // A cache that can't be written is one that knows less.
            let _ = store(db, &rows, &remote);
        }
    }
}

/// Which file it is and as it was, as text.
fn described(stat: &Stat) -> String {
    let Stat { size, mtime, ctime, identity: (dev, ino), .. } = stat;
    format!("{dev} {ino} {size} {mtime} {ctime}")
}

impl Drop for Index {
    fn drop(&mut self) {
        self.write();
    }
}

/// Whether content of time `mtime` can no longer have changed unseen after `read_at`.
fn is_settled(mtime: i128, read_at: i128) -> bool {
    let tick = if mtime % (1_000 * MILLISECOND) == 0 { COARSE_TICK } else { FINE_TICK };
    mtime + tick < read_at
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(2))?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         CREATE TABLE IF NOT EXISTS hashes (
             dev INTEGER, ino INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER,
             read_at INTEGER, hash BLOB, PRIMARY KEY (dev, ino)
         ) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS objects (
             bucket TEXT, key TEXT, etag TEXT, hash BLOB, PRIMARY KEY (bucket, key)
         ) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS uploads (
             bucket TEXT, key TEXT, file TEXT, upload TEXT, PRIMARY KEY (bucket, key)
         ) WITHOUT ROWID;",
    )?;
    Ok(db)
}

fn store(db: &mut Connection, rows: &[Row], remote: &[RemoteRow]) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    {
        let mut insert = transaction
            .prepare_cached("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        for Row { stat, hash, read_at } in rows {
            let times = [stat.mtime, stat.ctime, *read_at].map(i64::try_from);
            let [Ok(mtime), Ok(ctime), Ok(read_at)] = times else { continue };
            let (dev, ino) = (signed(stat.identity.0), signed(stat.identity.1));
            insert.execute(params![dev, ino, signed(stat.size), mtime, ctime, read_at, hash.0])?;
        }
        let mut insert =
            transaction.prepare_cached("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)")?;
        for RemoteRow { bucket, key, etag, hash } in remote {
            insert.execute(params![bucket, key, etag, hash.0])?;
        }
    }
    transaction.commit()
}

/// SQLite's integers are signed; the bits are what counts.
fn signed(value: u64) -> i64 {
    value.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tree::Kind;

    const HASH: ContentHash = ContentHash([7; 32]);
    const SECOND: i128 = 1_000 * MILLISECOND;

    fn stat(mtime: i128) -> Stat {
        let identity = (u64::MAX, 12);
        Stat { kind: Kind::File, size: 5, mode: 0o644, mtime, ctime: mtime + 1, identity }
    }

    #[test]
    fn a_hash_is_remembered_across_processes_until_anything_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.db");
        let stat = stat(10 * SECOND + 1);
        Index::open(Some(&path)).remember(stat, HASH, 60 * SECOND);

        let index = Index::open(Some(&path));
        assert_eq!(index.get(&stat), Some(HASH));
        assert_eq!(index.get(&Stat { size: 6, ..stat }), None);
        assert_eq!(index.get(&Stat { mtime: stat.mtime + 1, ..stat }), None);
        assert_eq!(index.get(&Stat { ctime: stat.ctime + 1, ..stat }), None);
        assert_eq!(index.get(&Stat { identity: (1, 12), ..stat }), None);
    }

    #[test]
    fn content_younger_than_a_tick_is_not_believed() {
        let fine = 10 * SECOND + 1;
        assert!(!is_settled(fine, fine + FINE_TICK));
        assert!(is_settled(fine, fine + FINE_TICK + 1));
        let coarse = 10 * SECOND;
        assert!(!is_settled(coarse, coarse + 2 * SECOND));
        assert!(is_settled(coarse, coarse + 3 * SECOND));
        assert!(!is_settled(fine, fine - SECOND), "a time in the future says nothing");
    }

    #[test]
    fn a_broken_index_knows_nothing_and_breaks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.db");
        std::fs::write(&path, "this is no database at all, but long enough to be read as one")
            .unwrap();
        let mut index = Index::open(Some(&path));
        index.remember(stat(1), HASH, 60 * SECOND);
        assert_eq!(index.get(&stat(1)), None);
    }
}
