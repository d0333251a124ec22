//! The tables of the durable queue and every statement on them. Synchronous; knows no processes
//! and no clock.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{CallState, Cancelling, KnownFunction, Ready};
use crate::database::{self, DatabaseError, OpenError};
use crate::dispatch::Callee;
use crate::function::FunctionSpec;
use crate::process::ProcessId;
use crate::wire::{CallId, Outcome};

/// What makes each layout of the tables of the one before.
const LAYOUTS: [&str; 5] = [
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];

/// Why the queue could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database said no.
    #[error("the queue's database failed")]
    Database(#[source] DatabaseError),
    /// A write failed, and those that came after it were not tried.
    #[error("the queue can't be written")]
    Unwritable(#[source] DatabaseError),
    /// The file could not be made or opened.
    #[error("can't open the queue `{path}`")]
    Open {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A newer vdeploy wrote it.
    #[error("the queue was written by a newer vdeploy (layout {0}); upgrade this one")]
    Newer(u32),
    /// The thread that writes is gone.
    #[error("the queue was closed")]
    Closed,
}

impl QueueError {
    /// Whether the disk has no room left.
    pub fn is_full(&self) -> bool {
        let (QueueError::Database(error) | QueueError::Unwritable(error)) = self else {
            return false;
        };
        error.code() == Some(rusqlite::ErrorCode::DiskFull)
    }
}

impl From<rusqlite::Error> for QueueError {
    fn from(error: rusqlite::Error) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<rusqlite::Error>> for QueueError {
    fn from(error: Arc<rusqlite::Error>) -> Self {
        QueueError::Database(error.into())
    }
}

/// An open queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) db: Connection,
}

impl Queue {
    /// Opens the queue at `path`, making it when it isn't there; only its owner can read it.
    pub(super) fn open(path: &Path) -> Result<Self, QueueError> {
        let db = database::open(path, &LAYOUTS).map_err(|error| match error {
            OpenError::File(source) => {
                QueueError::Open { path: path.display().to_string(), source }
            }
            OpenError::Database(error) => QueueError::Database(error),
            OpenError::Later(layout) => QueueError::Newer(layout),
        })?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(Queue { db })
    }

    /// Starts a transaction that writes.
    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.db.execute_batch("BEGIN IMMEDIATE")
    }

    /// Makes everything since [`Queue::begin`] durable.
    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        let result = self.db.execute_batch("COMMIT");
        if result.is_err() {
            // Nothing of the batch may stay half-done; a failure here has nothing left to undo.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        result
    }

    /// Whether `error` leaves a transaction that must not be committed: the disk failed or is full,
    /// or the database gave the transaction up already.
    pub(super) fn is_broken_by(&self, error: &rusqlite::Error) -> bool {
        use rusqlite::ErrorCode::{DiskFull, SystemIoFailure};
        matches!(error.sqlite_error_code(), Some(DiskFull | SystemIoFailure))
            || self.db.is_autocommit()
    }

    /// How SQLite goes about a statement, step by step.
    #[cfg(test)]
    pub(super) fn plan(&self, statement: &str) -> Vec<String> {
        let mut explain = self.db.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let mut rows = explain.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get("detail").unwrap());
        }
        steps
    }

    /// Functions with calls that wait.
    pub(super) fn functions_with_queued(&self) -> rusqlite::Result<Vec<KnownFunction>> {
        self.db
            .prepare_cached(
                "SELECT id, environment, version, spec,
                        EXISTS (SELECT 1 FROM calls
                                WHERE calls.function = functions.id AND calls.state = 'queued'
                                  AND calls.parent IS NOT NULL),
                        (SELECT priority FROM calls
                         WHERE calls.function = functions.id AND calls.state = 'queued'
                           AND (calls.parent IS NULL) = 1
                         ORDER BY priority DESC LIMIT 1)
                 FROM functions
                 WHERE EXISTS (SELECT 1 FROM calls
                               WHERE calls.function = functions.id AND calls.state = 'queued')
                 ORDER BY id",
            )?
            .query_map([], |row| {
                Ok(KnownFunction {
                    id: row.get(0)?,
                    environment: row.get(1)?,
                    version: row.get::<_, i64>(2)? as u64,
                    spec: json(row, 3)?,
                    has_children: row.get(4)?,
                    priority: row.get(5)?,
                })
            })?
            .collect()
    }

    /// Calls of a function that may start now: those that other calls wait for, then the highest
    /// priority, then the oldest.
    pub(super) fn ready(
        &self,
        function: i64,
        limit: usize,
        now: Timestamp,
    ) -> rusqlite::Result<Vec<Ready>> {
        self.db
            .prepare_cached(
                "SELECT seq, id, args, overwrite, attempt, checkpoint, map, parent IS NOT NULL,
                        fresh, priority
                 FROM calls
                 WHERE function = ?1 AND state = 'queued' AND not_before <= ?2
                       AND cancel_requested = 0
                 ORDER BY parent IS NULL, priority DESC, seq LIMIT ?3",
            )?
            .query_map(params![function, now.as_millisecond(), limit as i64], |row| {
                Ok(Ready {
                    seq: row.get(0)?,
                    id: CallId(row.get(1)?),
                    args: json(row, 2)?,
                    overwrite: row.get(3)?,
                    attempts: row.get(4)?,
                    checkpoint: optional_json(row, 5)?,
                    map: row.get(6)?,
                    is_child: row.get(7)?,
                    fresh: row.get(8)?,
                    priority: row.get(9)?,
                    reuse: None,
                })
            })?
            .collect()
    }

    /// Asks for a call to be cancelled; `false` when it has ended or isn't there.
    pub(super) fn request_cancel(&self, id: &CallId) -> rusqlite::Result<bool> {
        let changed = self.db.execute(
            "UPDATE calls SET cancel_requested = 1
             WHERE id = ?1 AND state IN ('queued', 'running')",
            [&id.0],
        )?;
        Ok(changed == 1)
    }

    /// Asks for the calls of a map to be cancelled.
    pub(super) fn request_cancel_map(&self, map: &str) -> rusqlite::Result<()> {
        self.db.execute(
            "UPDATE calls SET cancel_requested = 1
             WHERE map = ?1 AND state IN ('queued', 'running')",
            [map],
        )?;
        Ok(())
    }

    /// Asks for the calls that a call made, and that have not ended, to be cancelled.
    pub(super) fn request_cancel_children(&self, parent: &CallId) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "UPDATE calls SET cancel_requested = 1
                 WHERE parent = ?1 AND state IN ('queued', 'running')",
            )?
            .execute([&parent.0])?;
        Ok(())
    }

    /// Asks for the call of that row to be cancelled.
    pub(super) fn request_cancel_row(&self, seq: i64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("UPDATE calls SET cancel_requested = 1 WHERE seq = ?1")?
            .execute([seq])?;
        Ok(())
    }

    /// The function of the call of that row.
    pub(super) fn spec_of(&self, seq: i64) -> rusqlite::Result<FunctionSpec> {
        self.db
            .prepare_cached(
                "SELECT spec FROM functions
                 WHERE id = (SELECT function FROM calls WHERE seq = ?1)",
            )?
            .query_row([seq], |row| json(row, 0))
    }

    /// Calls whose cancellation was asked for and that have not ended.
    pub(super) fn cancelling(&self) -> rusqlite::Result<Vec<Cancelling>> {
        self.db
            .prepare_cached(
                "SELECT calls.seq, calls.attempt, calls.id, calls.map, functions.environment,
                        functions.app, functions.name
                 FROM calls JOIN functions ON functions.id = calls.function
                 WHERE cancel_requested = 1 AND state IN ('queued', 'running')",
            )?
            .query_map([], |row| {
                Ok(Cancelling {
                    seq: row.get(0)?,
                    attempts: row.get(1)?,
                    id: CallId(row.get(2)?),
                    map: row.get(3)?,
                    callee: Callee {
                        environment: row.get(4)?,
                        app: row.get(5)?,
                        function: row.get(6)?,
                    },
                })
            })?
            .collect()
    }

    /// The outcomes of those of `calls` that have ended.
    pub(super) fn outcomes(&self, calls: &[CallId]) -> rusqlite::Result<Vec<(CallId, Outcome)>> {
        let mut select = self
            .db
            .prepare_cached("SELECT outcome FROM calls WHERE id = ?1 AND outcome IS NOT NULL")?;
        let mut found = Vec::new();
        for call in calls {
            if let Some(outcome) = select.query_row([&call.0], |row| json(row, 0)).optional()? {
                found.push((call.clone(), outcome));
            }
        }
        Ok(found)
    }

    /// Remembers a worker process, so that a later executor can end it.
    pub(super) fn add_worker(&self, worker: ProcessId) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO workers (pid, started) VALUES (?1, ?2)")?
            .execute(params![worker.pid, worker.started as i64])?;
        Ok(())
    }

    /// Forgets a worker process that has ended.
    pub(super) fn remove_worker(&self, worker: ProcessId) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("DELETE FROM workers WHERE pid = ?1 AND started = ?2")?
            .execute(params![worker.pid, worker.started as i64])?;
        Ok(())
    }

    /// The workers that were not forgotten.
    pub(super) fn workers(&self) -> rusqlite::Result<Vec<ProcessId>> {
        self.db
            .prepare_cached("SELECT pid, started FROM workers")?
            .query_map([], |row| {
                Ok(ProcessId { pid: row.get(0)?, started: row.get::<_, i64>(1)? as u64 })
            })?
            .collect()
    }

    /// Calls that have not ended, with who waits for them: row, attempt, state, owner, id.
    pub(super) fn open_owners(&self) -> rusqlite::Result<Vec<OpenCall>> {
        self.db
            .prepare_cached(
                "SELECT seq, attempt, state, owner, parent IS NOT NULL FROM calls
                 WHERE state IN ('queued', 'running')",
            )?
            .query_map([], |row| {
                let state: String = row.get(2)?;
                Ok(OpenCall {
                    seq: row.get(0)?,
                    attempt: row.get(1)?,
                    running: state == CallState::Running.as_str(),
                    owner: optional_json(row, 3)?,
                    is_child: row.get(4)?,
                })
            })?
            .collect()
    }
}

/// A call without an outcome, as a new executor finds it.
#[derive(Clone, Debug)]
pub(super) struct OpenCall {
    /// Its row.
    pub seq: i64,
    /// Attempts so far.
    pub attempt: u32,
    /// Whether the last executor had given it to a worker.
    pub running: bool,
    /// Who waits for it.
    pub owner: Option<ProcessId>,
    /// Another call made it.
    pub is_child: bool,
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("records serialise: their keys are texts")
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

pub(super) fn optional_json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => json(row, column).map(Some),
    }
}

pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}
