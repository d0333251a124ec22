//! SQLite files that several processes open at once, and what SQLite says when it fails.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

/// A statement waits this long for another process's commit.
const BUSY: Duration = Duration::from_secs(30);

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be made or opened.
    #[error(transparent)]
    File(#[from] io::Error),
    /// SQLite said no.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A later version of this program wrote it, in this layout.
    #[error("it was written by a later version (layout {0})")]
    Later(u32),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        OpenError::Database(error.into())
    }
}

/// Opens the database at `path`, making it when it isn't there; only its owner can read it.
/// `layouts` are the statements that make each layout of its tables of the one before; how many of
/// them were applied is stored as `user_version`.
pub fn open(path: &Path, layouts: &[&str]) -> Result<Connection, OpenError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let _turn = take_turn(path)?;
    create_private(path)?;
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "foreign_keys", true)?;
    migrate(&db, layouts)?;
    Ok(db)
}

/// Waits until no other process opens the database at `path`, and keeps others waiting while the
/// file is held. SQLite itself refuses the second of two that change a new database to WAL at once,
/// whatever its busy timeout.
fn take_turn(path: &Path) -> io::Result<File> {
    let turn = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path.with_added_extension("lock"))?;
    turn.lock()?;
    Ok(turn)
}

/// Makes the file before anything is in it; its journal takes its mode over. One that is there is
/// left alone: to open and close it would end the locks that SQLite holds on it for another
/// connection of this process.
fn create_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn migrate(db: &Connection, layouts: &[&str]) -> Result<(), OpenError> {
    let newest = layouts.len() as u32;
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > newest {
        return Err(OpenError::Later(found));
    }
    if found == newest {
        return Ok(());
    }
    let transaction = db.unchecked_transaction()?;
    for statements in layouts.iter().skip(found as usize) {
        transaction.execute_batch(statements)?;
    }
    transaction.pragma_update(None, "user_version", newest)?;
    Ok(transaction.commit()?)
}

/// An error of SQLite as the last of an error's causes: what SQLite's own errors name as theirs is
/// the same text once more, with a number. Cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(Arc<rusqlite::Error>);

impl DatabaseError {
    /// SQLite's code for it, if it has one.
    pub fn code(&self) -> Option<rusqlite::ErrorCode> {
        self.0.sqlite_error_code()
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        DatabaseError(Arc::new(error))
    }
}

impl From<Arc<rusqlite::Error>> for DatabaseError {
    fn from(error: Arc<rusqlite::Error>) -> Self {
        DatabaseError(error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_new_database_can_be_opened_by_many_at_once() {
        let layouts = ["CREATE TABLE one (a)", "CREATE TABLE two (b)"];
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("new/some.db");
            let start = Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        let db = open(&path, &layouts).unwrap();
                        db.execute("INSERT INTO two VALUES (1)", []).unwrap();
                    });
                }
            });
            let db = open(&path, &layouts).unwrap();
            let rows = db.query_row("SELECT count(*) FROM two", [], |row| row.get::<_, i64>(0));
            assert_eq!(rows.unwrap(), 8);
        }
    }

    #[test]
    fn a_database_of_a_later_layout_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        drop(open(&path, &["CREATE TABLE one (a)", "CREATE TABLE two (b)"]).unwrap());
        let refused = open(&path, &["CREATE TABLE one (a)"]).unwrap_err();
        assert!(matches!(refused, OpenError::Later(2)), "{refused}");
    }

    #[test]
    fn sqlite_says_what_is_wrong_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("not.db");
        std::fs::write(&file, "certainly not a database".repeat(99)).unwrap();
        let db = rusqlite::Connection::open(&file).unwrap();
        let error = db.execute_batch("SELECT * FROM sqlite_schema").unwrap_err();
        assert_eq!(error.to_string(), "file is not a database");
        assert!(error.source().is_some(), "SQLite names no cause any more: is this needed?");
        let error = DatabaseError::from(error);
        assert_eq!(error.to_string(), "file is not a database");
        assert!(error.source().is_none());
        assert_eq!(error.code(), Some(rusqlite::ErrorCode::NotADatabase));
    }
}
