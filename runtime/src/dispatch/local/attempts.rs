//! What happens to an attempt, written so that only the attempt that counts changes anything.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::queue::{Queue, optional_json, timestamp, to_json};
use super::record::{AttemptRecord, CallState};
use crate::wire::{CallId, Failure, Outcome, Progress};

/// The comparison with 0 is for SQLite, which takes the index of those that were put off only when
/// told that no others are wanted.
const NEXT_DUE: &str = "SELECT min(not_before) FROM calls
                        WHERE state = 'queued' AND not_before > 0 AND not_before > ?1";

impl Queue {
    /// A worker has it, unless it has ended.
    pub(super) fn start(
        &self,
        seq: i64,
        attempt: u32,
        worker: Option<u32>,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let now = now.as_millisecond();
        let changed = self
            .db
            .prepare_cached(
                "UPDATE calls SET state = 'running', attempt = ?2, started = coalesce(started, ?3)
                 WHERE seq = ?1 AND state = 'queued'",
            )?
            .execute(params![seq, attempt, now])?;
        if changed == 0 {
            return Ok(());
        }
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO attempts (call, attempt, worker, started)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![seq, attempt, worker, now])?;
        Ok(())
    }

    /// It has ended. `false` when another attempt has it now, or it has an outcome already: then
    /// nothing is changed.
    pub(super) fn finish(
        &self,
        seq: i64,
        attempt: u32,
        state: CallState,
        outcome: &Outcome,
        now: Timestamp,
    ) -> rusqlite::Result<bool> {
        let changed = self
            .db
            .prepare_cached(
                "UPDATE calls SET state = ?3, outcome = ?4, ended = ?5, checkpoint = NULL
                 WHERE seq = ?1 AND attempt = ?2 AND state IN ('queued', 'running')",
            )?
            .execute(params![
                seq,
                attempt,
                state.as_str(),
                to_json(outcome),
                now.as_millisecond()
            ])?;
        let failure = match outcome {
            Outcome::Failed { failure } => Some(failure),
            _ => None,
        };
        self.end_attempt(seq, attempt, failure, now)?;
        Ok(changed == 1)
    }

    /// Its attempt failed; another starts at `not_before`. `false` when another attempt has it.
    pub(super) fn retry(
        &self,
        seq: i64,
        attempt: u32,
        failure: &Failure,
        not_before: Timestamp,
        now: Timestamp,
    ) -> rusqlite::Result<bool> {
        let changed = self
            .db
            .prepare_cached(
                "UPDATE calls SET state = 'queued', not_before = ?3
                 WHERE seq = ?1 AND attempt = ?2 AND state = 'running'",
            )?
            .execute(params![seq, attempt, not_before.as_millisecond()])?;
        self.end_attempt(seq, attempt, Some(failure), now)?;
        Ok(changed == 1)
    }

    /// When the next call that was put off may start.
    pub(super) fn next_due(&self, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
        let due: Option<i64> = self
            .db
            .prepare_cached(NEXT_DUE)?
            .query_row([now.as_millisecond()], |row| row.get(0))?;
        Ok(due.map(timestamp))
    }

    fn end_attempt(
        &self,
        seq: i64,
        attempt: u32,
        failure: Option<&Failure>,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "UPDATE attempts SET ended = ?3, failure = ?4
                 WHERE call = ?1 AND attempt = ?2 AND ended IS NULL",
            )?
            .execute(params![seq, attempt, now.as_millisecond(), failure.map(to_json)])?;
        Ok(())
    }

    /// Whether its cancellation was asked for.
    pub(super) fn is_unwanted(&self, seq: i64) -> rusqlite::Result<bool> {
        self.db
            .prepare_cached("SELECT cancel_requested FROM calls WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))
    }

    /// How long an attempt claimed nothing.
    pub(super) fn set_waited(
        &self,
        seq: i64,
        attempt: u32,
        waited: Duration,
    ) -> rusqlite::Result<()> {
        if waited.is_zero() {
            return Ok(());
        }
        self.db
            .prepare_cached("UPDATE attempts SET waited = ?3 WHERE call = ?1 AND attempt = ?2")?
            .execute(params![seq, attempt, waited.as_millis() as i64])?;
        Ok(())
    }

    /// What its ended attempts cost at `price` per second of what they claimed.
    pub(super) fn set_cost(&self, seq: i64, price: f64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "UPDATE calls SET cost = ?2 * (SELECT total(ended - started - waited) FROM attempts
                                               WHERE call = ?1 AND ended IS NOT NULL) / 1000
                 WHERE seq = ?1",
            )?
            .execute(params![seq, price])?;
        Ok(())
    }

    /// What the next attempt gets back.
    pub(super) fn set_checkpoint(
        &self,
        seq: i64,
        attempt: u32,
        value: &Value,
    ) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "UPDATE calls SET checkpoint = ?3
                 WHERE seq = ?1 AND attempt = ?2 AND state = 'running'",
            )?
            .execute(params![seq, attempt, value.to_string()])?;
        Ok(())
    }

    /// What the next attempt of a call that has not ended gets back.
    pub(super) fn checkpoint(&self, id: &CallId) -> rusqlite::Result<Option<Value>> {
        let found = self
            .db
            .prepare_cached("SELECT checkpoint FROM calls WHERE id = ?1")?
            .query_row([&id.0], |row| optional_json(row, 0))
            .optional()?;
        Ok(found.flatten())
    }

    /// Gives a call that was just recorded a past: attempts that were made on other machines, and
    /// what the last of them stored.
    pub(super) fn set_past(
        &self,
        id: &CallId,
        attempts: &[AttemptRecord],
        checkpoint: Option<&Value>,
    ) -> rusqlite::Result<()> {
        let count = attempts.last().map_or(0, |last| last.attempt);
        let seq: i64 = self
            .db
            .prepare_cached(
                "UPDATE calls SET attempt = ?2, checkpoint = ?3 WHERE id = ?1 RETURNING seq",
            )?
            .query_row(params![id.0, count, checkpoint.map(Value::to_string)], |row| row.get(0))?;
        let mut insert = self.db.prepare_cached(
            "INSERT INTO attempts (call, attempt, started, ended, progress, failure)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for attempt in attempts {
            insert.execute(params![
                seq,
                attempt.attempt,
                attempt.started.as_millisecond(),
                attempt.ended.unwrap_or(attempt.started).as_millisecond(),
                attempt.progress.as_ref().map(to_json),
                attempt.failure.as_ref().map(to_json),
            ])?;
        }
        Ok(())
    }

    /// The last that was heard of an attempt.
    pub(super) fn set_progress(
        &self,
        seq: i64,
        attempt: u32,
        progress: &Progress,
    ) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("UPDATE attempts SET progress = ?3 WHERE call = ?1 AND attempt = ?2")?
            .execute(params![seq, attempt, to_json(progress)])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_off_is_found_without_walking_all_that_waits() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(&folder.path().join("queue.db")).unwrap();
        let plan = queue.plan(NEXT_DUE);
        assert_eq!(plan, ["SEARCH calls USING COVERING INDEX calls_due (not_before>?)"]);
    }
}
