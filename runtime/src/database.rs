//! What SQLite says when it fails.

use std::sync::Arc;

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

    use super::*;

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
